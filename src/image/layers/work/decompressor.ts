/**
 * bzip2 and xz by the host's programs of that name, which archives of clients may be compressed with. The data are
 * hostile: a program runs as nobody, without files that it could write, with bounded memory, and with nothing but two
 * pipes. Layers of registries never get here.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { InvalidParameterError, NotImplementedError } from '../../../base/errors.ts';

const FOLDERS = ['/usr/bin', '/bin', '/usr/local/bin'];
const MEMORY_MAX_KIB = 1024 * 1024;
/** nobody and nogroup. */
const UNPRIVILEGED_ID = 65534;
const MESSAGE_MAX_BYTES = 500;

interface Program {
  arguments: readonly string[];
  /** Debian's name of what has it. */
  package: string;
}

const PROGRAMS: Readonly<Record<'bzip2' | 'xz', Program>> = {
  bzip2: { arguments: ['-dc'], package: 'bzip2' },
  // The dictionary of the largest preset is 64 MiB; a file may ask for 4 GiB.
  xz: { arguments: ['-dc', '-q', '-T1', '--memlimit-decompress=512MiB'], package: 'xz-utils' },
};

/**
 * Yields the uncompressed bytes. Throws NotImplemented where the program is missing, InvalidParameter for broken data, and
 * what the source throws.
 */
export async function* runDecompressor(
  name: 'bzip2' | 'xz',
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<Buffer, void, undefined> {
  const child = start(name);
  let message = '';
  child.stderr.on('data', (chunk: Buffer) => {
    if (message.length < MESSAGE_MAX_BYTES) message += chunk.toString();
  });
  const ended = once(child, 'close') as Promise<[code: number | null, signal: string | null]>;
  // Where it cannot be started; the reader hears of that below.
  ended.catch(() => undefined);
  const feeding = feed(child.stdin, source);
  feeding.catch(() => child.kill('SIGKILL'));
  try {
    for await (const chunk of child.stdout) yield chunk as Buffer;
    const [code, signal] = await ended;
    await feeding;
    if (code !== 0) throw new InvalidParameterError(`invalid ${name} data: ${reason(name, message, signal)}`);
  } finally {
    child.kill('SIGKILL');
    child.stdin.destroy();
  }
}

function start(name: 'bzip2' | 'xz'): ChildProcessByStdio<Writable, Readable, Readable> {
  const program = PROGRAMS[name];
  const path = FOLDERS.map((folder) => `${folder}/${name}`).find((file) => existsSync(file));
  if (path === undefined) {
    throw new NotImplementedError(
      `${name} compression: the program ${name} is not installed on the daemon's machine (package ${program.package})`,
    );
  }
  const limits = `ulimit -v ${MEMORY_MAX_KIB}; ulimit -f 0; ulimit -c 0; exec "$0" "$@"`;
  const asNobody = process.getuid?.() === 0 ? { uid: UNPRIVILEGED_ID, gid: UNPRIVILEGED_ID } : {};
  return spawn('/bin/sh', ['-c', limits, path, ...program.arguments], {
    ...asNobody,
    cwd: '/',
    env: { LC_ALL: 'C' },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
}

/** What the program does not read any more is its own matter: it says so by its exit code. */
async function feed(input: Writable, source: AsyncIterable<Uint8Array>): Promise<void> {
  let open = true;
  const closed = new Promise<void>((resolve) => {
    input.once('close', () => {
      open = false;
      resolve();
    });
  });
  input.on('error', () => input.destroy());
  for await (const chunk of source) {
    if (!open) return;
    // A copy: readers may use their buffer again, and the pipe may take its time.
    if (input.write(Buffer.from(chunk))) continue;
    const drained = new Promise<void>((resolve) => input.once('drain', resolve));
    await Promise.race([drained, closed]);
  }
  input.end();
}

function reason(name: string, message: string, signal: string | null): string {
  const first = message.split('\n', 1)[0]?.trim() ?? '';
  if (first !== '') return first.replace(new RegExp(`^(?:\\S*/)?${name}: (?:\\(stdin\\): )?`), '');
  return signal === null ? 'unexpected end' : `${name} was ended by ${signal}`;
}
