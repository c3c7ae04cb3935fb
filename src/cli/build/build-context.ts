/**
 * The main context of a build: a folder, which a daemon on this machine reads in place and others get as an archive; what
 * comes on stdin; or an address that the daemon fetches. With it goes the Dockerfile, where that lies elsewhere. What packs
 * archives is loaded only where one is sent.
 */
import { existsSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { readText } from '../../client/client.ts';
import { CliError } from '../cli-error.ts';
import { contextFolder } from '../context/folder.ts';
import type { Io } from '../io.ts';
import { isAddress } from './named-context-flag.ts';

export interface SentContext {
  readonly query: {
    readonly contextfolder?: string;
    readonly dockerfile?: string;
    readonly remote?: string;
  };
  readonly contentType: string;
  readonly body?: AsyncIterable<Uint8Array>;
}

export interface BuildContext {
  /** Absolute; undefined where there is no folder. */
  readonly folder?: string;
  /** Absolute path of the Dockerfile, where it is a file here. */
  readonly dockerfile?: string;
  /** For a daemon that may see the folder; undefined where there is none. */
  named(): Promise<SentContext | undefined>;
  /** For any daemon. Of stdin this can be asked once. */
  sent(): Promise<SentContext>;
}

const TAR = 'application/x-tar';
const DOCKERFILE = 'application/x-dockerfile';

export async function openBuildContext(
  io: Io,
  context: string,
  file: string | undefined,
): Promise<BuildContext> {
  if (context === '-') return fromStdin(io, file);
  if (isAddress(context)) return await fromAddress(io, context, file);
  return await fromFolder(io, context, file);
}

function fromStdin(io: Io, file: string | undefined): BuildContext {
  if (file === '-') {
    throw new CliError("invalid argument: can't use stdin for both build context and dockerfile");
  }
  return {
    named: async () => undefined,
    sent: async () => {
      const { stdinContext } = await import('./stdin-context.ts');
      const { body, dockerfile } = await stdinContext(io, file);
      const query = dockerfile === undefined ? {} : { dockerfile };
      return { query, contentType: TAR, body };
    },
  };
}

/** `-f` names a file there, but for `-f -`. */
async function fromAddress(io: Io, remote: string, file: string | undefined): Promise<BuildContext> {
  const content = file === '-' ? Buffer.from(await readText(io.stdin)) : undefined;
  const sent: SentContext =
    content === undefined
      ? { query: { remote, ...(file === undefined ? {} : { dockerfile: file }) }, contentType: TAR }
      : { query: { remote }, contentType: DOCKERFILE, body: once(content) };
  return { named: async () => undefined, sent: async () => sent };
}

async function fromFolder(io: Io, context: string, file: string | undefined): Promise<BuildContext> {
  const folder = resolve(io.cwd, context);
  const found = await stat(folder).catch(() => undefined);
  if (found === undefined) throw new CliError(`unable to prepare context: path "${context}" not found`);
  if (!found.isDirectory()) {
    throw new CliError(`unable to prepare context: context must be a directory: ${folder}`);
  }
  if (file === '-') return outside(folder, 'Dockerfile', Buffer.from(await readText(io.stdin)));
  const path = file === undefined ? defaultDockerfile(folder) : resolve(io.cwd, file);
  const inside = relative(folder, path);
  if (inside.startsWith('..') || isAbsolute(inside)) {
    return { ...outside(folder, path, await readDockerfile(path)), dockerfile: path };
  }
  if (!existsSync(path)) throw missingDockerfile(path);
  return {
    folder,
    dockerfile: path,
    named: async () => {
      const contextfolder = JSON.stringify(await contextFolder(folder));
      return { query: { contextfolder, dockerfile: inside }, contentType: TAR };
    },
    sent: async () => {
      const { packContext } = await import('../context/pack.ts');
      const body = await packContext(folder, { dockerfile: inside });
      return { query: { dockerfile: inside }, contentType: TAR, body };
    },
  };
}

/** Docker finds one in lower case as well. */
function defaultDockerfile(folder: string): string {
  const path = join(folder, 'Dockerfile');
  const lower = join(folder, 'dockerfile');
  return !existsSync(path) && existsSync(lower) ? lower : path;
}

/** `name`: where the Dockerfile is, for the ignore file beside it; `Dockerfile` for one from stdin. */
function outside(folder: string, name: string, content: Buffer): BuildContext {
  return {
    folder,
    named: async () => {
      const { readIgnoreFile } = await import('../context/ignore-file.ts');
      const { content: dockerignore, file } = await readIgnoreFile(folder, name);
      const proof = await contextFolder(folder);
      const named = file === undefined ? proof : { ...proof, dockerignore };
      const query = { contextfolder: JSON.stringify(named), dockerfile: shownName(folder, name) };
      return { query, contentType: DOCKERFILE, body: once(content) };
    },
    sent: async () => {
      // It travels inside the context under a name that no file there has.
      const dockerfile = `.dockerfile.${process.hrtime.bigint().toString(16)}`;
      const { packContext } = await import('../context/pack.ts');
      const body = await packContext(folder, { dockerfile, dockerfileContent: content, ignoreFor: name });
      return { query: { dockerfile }, contentType: TAR, body };
    },
  };
}

function shownName(folder: string, name: string): string {
  return isAbsolute(name) ? relative(dirname(folder), name).replace(/^(\.\.\/)+/, '') : name;
}

async function* once(content: Buffer): AsyncGenerator<Uint8Array> {
  yield content;
}

async function readDockerfile(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch {
    throw missingDockerfile(path);
  }
}

function missingDockerfile(path: string): CliError {
  return new CliError(
    `unable to prepare context: unable to evaluate symlinks in Dockerfile path: lstat ${path}: no such file or directory`,
  );
}

/** Seconds since 1970 of the newest commit, where the folder is a work tree that nothing was changed in. */
export async function contextEpoch({ folder }: BuildContext): Promise<number | undefined> {
  if (folder === undefined) return undefined;
  for (let at = folder; ; at = dirname(at)) {
    if (existsSync(join(at, '.git'))) {
      return await (await import('../context/clean-commit.ts')).cleanCommitSec(folder);
    }
    if (at === dirname(at)) return undefined;
  }
}
