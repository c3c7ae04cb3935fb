/** Writes a stream of the daemon's to the user's output or to a file. */
import { createWriteStream, statSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { CliError } from '../cli-error.ts';
import type { Output } from '../io.ts';

/** Resolves when everything is written; `output` stays open. */
export async function writeStream(source: Readable, output: Output): Promise<void> {
  const done = finished(source);
  source.pipe(output as Writable, { end: false });
  await done;
  if (output.writableNeedDrain) await new Promise((resolve) => output.once('drain', resolve));
}

/** The absolute path. Throws `<action>: invalid output path: …` for one that cannot become a file. */
export function checkOutputFile(output: string, cwd: string, action: string): string {
  const path = resolve(cwd, output);
  const problem = outputProblem(path);
  if (problem !== undefined) throw new CliError(`${action}: ${problem}`);
  return path;
}

function outputProblem(path: string): string | undefined {
  if (statSync(dirname(path), { throwIfNoEntry: false }) === undefined) {
    return `invalid output path: stat ${dirname(path)}: no such file or directory`;
  }
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined || stats.isFile()) return undefined;
  if (stats.isDirectory()) return 'cannot write to a directory';
  return stats.isCharacterDevice()
    ? 'cannot write to a character device file'
    : 'cannot write to a special file';
}

/** The file is there whole or not at all: it is written beside its place (0600) and renamed. */
export async function writeStreamToFile(source: Readable, path: string): Promise<void> {
  const draft = `${path}.${process.pid}.part`;
  try {
    await pipeline(source, createWriteStream(draft, { flags: 'wx', mode: 0o600, flush: true }));
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}
