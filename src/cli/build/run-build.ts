/** `mydock build` after its flags are read: one build with what follows it, or several (`--verify`, `--watch`). */
import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Client } from '../../client/client.ts';
import { CliError } from '../cli-error.ts';
import { printableText } from '../format/text.ts';
import { type Io, printLine } from '../io.ts';
import { openBuildContext } from './build-context.ts';
import { BuildFailure } from './build-failure.ts';
import type { BuildOptions } from './build-options.ts';
import { isCheck, isQuestion } from './build-query.ts';
import { checkOptions, progressMode } from './check-options.ts';
import { type BuildOutcome, orderBuild } from './order-build.ts';
import { checkReport, warningList } from './warnings.ts';

/** Returns the exit code; throws CliError for what goes wrong. */
export async function runBuild(
  client: Client,
  io: Io,
  context: string,
  options: BuildOptions,
): Promise<number> {
  checkOptions(options, io);
  if (options.watch) {
    const { watchBuild } = await import('./watch-build.ts');
    return await watchBuild(io, context, options, () => buildOnce(client, io, context, options));
  }
  return await buildOnce(client, io, context, options);
}

async function buildOnce(client: Client, io: Io, context: string, options: BuildOptions): Promise<number> {
  const opened = await openBuildContext(io, context, options.file);
  const keepsLock = options.lock || options.locked;
  const lock = keepsLock ? (await import('./lock-file.ts')).LockFile.open(options, opened) : undefined;
  let outcome: BuildOutcome;
  try {
    outcome = await orderBuild(client, io, opened, options, lock?.order);
    lock?.write(outcome.lock);
  } catch (error) {
    throw await explained(client, io, options, error);
  }
  if (isCheck(options)) {
    const { warnings } = outcome.record;
    io.stdout.write(checkReport(warnings));
    return warnings.length === 0 ? 0 : 1;
  }
  if (isQuestion(options)) {
    io.stdout.write(printableText(outcome.answer));
    return 0;
  }
  const mode = progressMode(options, io);
  if (mode === 'tty' || mode === 'plain') io.stderr.write(warningList(outcome.record.warnings));
  await keepResult(io, options, outcome);
  if (!options.verify) return 0;
  const { verifyBuild } = await import('./verify-build.ts');
  return await verifyBuild(client, io, outcome, async () => {
    // What an image says of its own steps is a part of it.
    const cacheTo = options.cacheTo.filter(({ type }) => type === 'inline');
    const kept = { cacheTo, cacheFrom: [], tag: [], push: false, load: false, output: [] };
    const again = { ...options, ...kept, cache: false, fresh: true };
    return await orderBuild(
      client,
      io,
      await openBuildContext(io, context, options.file),
      again,
      lock?.order,
    );
  });
}

/** Shows what explains a failure, and opens the shell that was asked for in that case. */
async function explained(client: Client, io: Io, options: BuildOptions, error: unknown): Promise<unknown> {
  if (!(error instanceof BuildFailure)) return error;
  io.stderr.write(error.explanation());
  if (options.onError !== 'shell' || error.keptStep === undefined) return new CliError(error.message);
  const { debugShell } = await import('./debug-shell.ts');
  await debugShell(client, io, error.keptStep);
  return new CliError(error.message);
}

/** Files and output that tell of the result. */
async function keepResult(io: Io, options: BuildOptions, outcome: BuildOutcome): Promise<void> {
  const { imageId, metadata, stdoutUsed } = outcome;
  if (options.quiet && imageId !== '' && !stdoutUsed) printLine(io, imageId);
  if (options.iidfile !== undefined) {
    if (imageId === '') {
      throw new CliError(`server did not provide an image ID. Cannot write ${options.iidfile}`);
    }
    await writeFile(resolve(io.cwd, options.iidfile), imageId);
  }
  if (options.metadataFile !== undefined) {
    const entries = Object.entries(metadata).toSorted(([a], [b]) => (a < b ? -1 : 1));
    const values = Object.fromEntries(entries.map(([key, value]) => [key, metadataValue(value)]));
    await writeFile(resolve(io.cwd, options.metadataFile), `${JSON.stringify(values, null, 2)}\n`);
  }
}

/** Documents stand there as such. */
function metadataValue(text: string): unknown {
  if (!/^[[{]/.test(text)) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
