/**
 * Connections whose far end may close while something is still being sent to it: a key that is typed as the command
 * ends, a body that the daemon has refused unread. What the daemon sent before it closed is then in the kernel's
 * buffer; node destroys a socket with the first write that fails, and that answer or output with it.
 */
import type { Socket } from 'node:net';

type Done = (error?: Error | null) => void;

/**
 * Makes writes that fail count as written; what is written after one is dropped. That the connection is over is
 * heard from the reading side alone, by its end or its error, behind all that has come. Returns the socket.
 */
export function keepReading<T extends Socket>(socket: T): T {
  let deaf = false;
  const attempt = (send: (done: Done) => void, done: Done): void => {
    // In a turn of its own: dropping must not outrun the reading.
    if (deaf) setImmediate(done);
    else {
      send((error) => {
        if (error) deaf = true;
        done();
      });
    }
  };
  const write = socket._write.bind(socket);
  socket._write = (chunk, encoding, done) => attempt((sent) => write(chunk, encoding, sent), done);
  const writev = socket._writev?.bind(socket);
  if (writev !== undefined) {
    socket._writev = (chunks, done) => attempt((sent) => writev(chunks, sent), done);
  }
  return socket;
}
