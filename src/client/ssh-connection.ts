/** A stream through the ssh program to the Docker API on another machine. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { Duplex, type Readable, type Writable } from 'node:stream';
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
  return new SshStream(child, host.destination);
}

/** The program's stdout and stdin; an end with another status than 0 breaks the stream. */
class SshStream extends Duplex {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;

  constructor(child: ChildProcessByStdio<Writable, Readable, null>, destination: string) {
    super({ allowHalfOpen: true });
    this.#child = child;
    child.stdout.on('data', (chunk: Buffer) => {
      if (!this.push(chunk)) child.stdout.pause();
    });
    // A write to a program that has ended fails; its status tells why.
    child.stdin.on('error', () => {});
    child.once('error', (cause) => this.destroy(new Error('cannot run the ssh program', { cause })));
    child.once('close', (code) => {
      if (code === 0) this.push(null);
      else this.destroy(new Error(`ssh to ${destination} ended with status ${code}`));
    });
  }

  override _read(): void {
    this.#child.stdout.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#child.stdin.write(chunk, () => done());
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#child.stdin.end(() => done());
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#child.kill();
    done(error);
  }
}

/** The remote shell splits what ssh passes on. */
function shellQuote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
