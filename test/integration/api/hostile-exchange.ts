/**
 * Requests that no HTTP library would send: any bytes, in pieces, on connections that stay or break. What is looked at is
 * the status line of the answer, and whether there is one.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { timeLimitMs } from '../../run/time-limit.ts';

const ANSWER_MAX_MS = timeLimitMs(60_000);

/** A connection that is held by the test alone: its errors are what the test expects. */
export async function dial(socketPath: string): Promise<Socket> {
  const socket = connect(socketPath).setMaxListeners(0);
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

/** What a connection says until it has a whole line; then, or where it ends before, the text so far. */
export function firstLine(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const done = (): void => {
      clearTimeout(timer);
      resolve(text.split('\r\n', 1)[0] ?? '');
    };
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`no answer within ${ANSWER_MAX_MS} ms`));
    }, ANSWER_MAX_MS);
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (text.includes('\r\n')) done();
    });
    socket.once('end', done);
    socket.once('close', done);
  });
}

/** The status of the answer to `bytes`; 0 where the connection was closed without one. */
export async function statusOf(socketPath: string, bytes: string | Buffer): Promise<number> {
  const socket = await dial(socketPath);
  const line = firstLine(socket);
  socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  try {
    return Number(/^HTTP\/1\.1 (\d{3})/.exec(await line)?.[1] ?? 0);
  } finally {
    socket.destroy();
  }
}

/** Does `work` for every item, `width` at a time. */
export async function sideBySide<T>(
  items: readonly T[],
  width: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const rest = items.values();
  const worker = async (): Promise<void> => {
    for (const item of rest) await work(item);
  };
  await Promise.all(Array.from({ length: width }, worker));
}
