/** A stream through the ssh program to the Docker API on another machine. */
import { spawn } from 'node:child_process';
import { Duplex } from 'node:stream';
import type { Host } from './host.ts';

/**
 * Runs `ssh [-p port] host -- mydock [-H unix://socket] system dial-stdio`; ssh's own configuration, keys and
 * agents apply. ssh asks its questions on the terminal and writes its errors to our stderr.
 */
export function sshConnection(host: Extract<Host, { kind: 'ssh' }>): Duplex {
  const remote = host.socket === undefined ? [] : ['-H', shellQuote(`unix://${host.socket}`)];
  const child = spawn(
    'ssh',
    [
      '-o',
      'ConnectTimeout=30',
      '-T',
      ...(host.port === undefined ? [] : ['-p', String(host.port)]),
      '--',
      host.destination,
      'mydock',
      ...remote,
      'system',
      'dial-stdio',
    ],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  const stream = Duplex.from({ readable: child.stdout, writable: child.stdin });
  child.once('error', (cause) => stream.destroy(new Error('cannot run the ssh program', { cause })));
  child.once('exit', (code) => {
    if (code !== 0 && code !== null)
      stream.destroy(new Error(`ssh to ${host.destination} ended with status ${code}`));
  });
  stream.once('close', () => child.kill());
  return stream;
}

/** The remote shell splits what ssh passes on. */
function shellQuote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
