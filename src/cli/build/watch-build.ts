/**
 * `--watch`: builds, and builds again whenever something that belongs to the context changes, until it is interrupted. A
 * change during a build is built right behind it.
 */
import { type FSWatcher, watch } from 'node:fs';
import { basename, dirname, isAbsolute, relative, resolve } from 'node:path';
import { errorMessage } from '../../base/errors.ts';
import { IgnoreRules } from '../../base/ignore/ignore-rules.ts';
import { CliError } from '../cli-error.ts';
import { readIgnoreFile } from '../context/ignore-file.ts';
import { printableText } from '../format/text.ts';
import { type Io, printError } from '../io.ts';
import { openBuildContext } from './build-context.ts';
import type { BuildOptions } from './build-options.ts';

/** Editors write a file in several steps. */
const SETTLE_MS = 150;

export async function watchBuild(
  io: Io,
  context: string,
  options: BuildOptions,
  build: () => Promise<number>,
): Promise<number> {
  const { folder, dockerfile } = await openBuildContext(io, context, options.file);
  if (folder === undefined || options.file === '-') {
    throw new CliError(
      '--watch needs a context that is a folder of this machine, with a Dockerfile that is a file',
    );
  }
  const changes = new Changes();
  const watchers = [
    watchFolder(folder, await judge(io, folder, dockerfile, options), changes),
    ...(dockerfile === undefined ? [] : [watchFile(dockerfile, changes)]),
  ];
  try {
    for (;;) {
      await buildShown(io, build);
      printError(io, 'watching for changes; ctrl-c ends it');
      const changed = await changes.next();
      printError(io, printableText(`${changed} changed: building again`));
    }
  } finally {
    for (const watcher of watchers) watcher.close();
  }
}

/** A failure is shown; the next change may mend it. */
async function buildShown(io: Io, build: () => Promise<number>): Promise<void> {
  try {
    await build();
  } catch (error) {
    printError(io, printableText(errorMessage(error)));
  }
}

class Changes {
  #first: string | undefined;
  #wake: (() => void) | undefined;
  #failure: Error | undefined;

  add(path: string): void {
    this.#first ??= path;
    this.#wake?.();
  }

  fail(error: Error): void {
    this.#failure = error;
    this.#wake?.();
  }

  /** A path that has changed since the last call; waits until there is one and a moment has passed. */
  async next(): Promise<string> {
    if (this.#first === undefined && this.#failure === undefined) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#wake = undefined;
    if (this.#failure !== undefined) throw this.#failure;
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    const changed = this.#first ?? '';
    this.#first = undefined;
    return changed;
  }
}

/** Whether a path of the context makes another build necessary. */
async function judge(
  io: Io,
  folder: string,
  dockerfile: string | undefined,
  options: BuildOptions,
): Promise<(path: string) => boolean> {
  const inside = dockerfile === undefined ? '' : relative(folder, dockerfile);
  const { patterns } = await readIgnoreFile(folder, inside === '' ? 'Dockerfile' : inside);
  const rules = new IgnoreRules(patterns);
  const written = writtenPaths(io, dockerfile, options).map((path) => relative(folder, path));
  if (written.includes('')) {
    throw new CliError('--watch cannot be used with an output into the context itself: it would never end');
  }
  const always = new Set([inside, `${inside}.dockerignore`, '.dockerignore']);
  return (path) => {
    if (written.some((own) => path === own || path.startsWith(`${own}/`) || path.startsWith(`${own}.`))) {
      return false;
    }
    return always.has(path) || !rules.excludes(path);
  };
}

/** What builds write themselves. */
function writtenPaths(io: Io, dockerfile: string | undefined, options: BuildOptions): string[] {
  const files = [
    options.iidfile,
    options.metadataFile,
    ...options.output.map(({ dest }) => dest),
    ...options.cacheTo.map(({ attributes }) => attributes['dest']),
  ];
  const given = files.filter((path) => path !== undefined).map((path) => resolve(io.cwd, path));
  return dockerfile === undefined ? given : [...given, `${dockerfile}.lock`];
}

function watchFolder(folder: string, counts: (path: string) => boolean, changes: Changes): FSWatcher {
  const watcher = watch(folder, { recursive: true }, (_, path) => {
    if (path !== null && counts(path)) changes.add(path);
  });
  watcher.on('error', (error) => changes.fail(new CliError(`cannot watch ${folder}: ${error.message}`)));
  return watcher;
}

/** One that may lie elsewhere; by its folder, as editors replace files. */
function watchFile(path: string, changes: Changes): FSWatcher {
  const folder = dirname(isAbsolute(path) ? path : resolve(path));
  const watcher = watch(folder, (_, name) => {
    if (name === basename(path)) changes.add(path);
  });
  watcher.on('error', (error) => changes.fail(new CliError(`cannot watch ${folder}: ${error.message}`)));
  return watcher;
}
