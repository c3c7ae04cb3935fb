/** `mydock cp`: files and folders out of a container and into it, as tar streams. */

import type { Client } from '../../client/client.ts';
import { isNotFound } from '../../client/client-error.ts';
import {
  absolutePath,
  type CopyEnd,
  type CopySource,
  followedPath,
  linkedPath,
  planCopy,
  splitCopyArgument,
  splitEntry,
} from '../archive/copy-paths.ts';
import { extractArchive } from '../archive/extract.ts';
import { localDestination, localSource } from '../archive/local-end.ts';
import { packTree } from '../archive/pack-tree.ts';
import { CliError } from '../cli-error.ts';
import { boolFlag } from '../flags/declare.ts';
import type { Io } from '../io.ts';
import { CopyProgress } from '../terminal/copy-progress.ts';
import { writeStream } from '../terminal/write-stream.ts';
import { defineVerb } from '../verb.ts';
import { containerPath } from './lookup.ts';

export interface CpOptions {
  archive: boolean;
  followLink: boolean;
  quiet: boolean;
}

export const cp = defineVerb<CpOptions>({
  usage: '[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|- | [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH',
  summary: 'Copy files between a container and this machine; "-" is a tar archive on stdin or stdout',
  args: { min: 2, max: 2 },
  flags(command) {
    boolFlag(command, '-a, --archive', 'Keep owners, and set-user-ID bits, as they are at the source');
    boolFlag(command, '-L, --follow-link', 'Copy what a link at SRC_PATH leads to');
    boolFlag(command, '-q, --quiet', 'Show no progress');
  },
  run: ({ client, io }, [source = '', destination = ''], options) =>
    runCp(client, io, source, destination, options),
});

interface ContainerFile {
  readonly container: string;
  readonly path: string;
}

export async function runCp(
  client: Client,
  io: Io,
  source: string,
  destination: string,
  options: CpOptions,
): Promise<number> {
  if (source === '') throw new CliError('source can not be empty');
  if (destination === '') throw new CliError('destination can not be empty');
  const from = splitCopyArgument(source);
  const to = splitCopyArgument(destination);
  if (from.container !== '' && to.container !== '') {
    throw new CliError('copying between containers is not supported');
  }
  if (from.container !== '') await copyOut(client, io, from, to.path, options);
  else if (to.container !== '') await copyIn(client, io, from.path, to, options);
  else throw new CliError('must specify at least one container source');
  return 0;
}

async function copyOut(
  client: Client,
  io: Io,
  from: ContainerFile,
  to: string,
  options: CpOptions,
): Promise<void> {
  const target = absolutePath(to, io.cwd);
  const destination = to === '-' ? undefined : localDestination(target);
  const named = options.followLink ? await followInContainer(client, from) : { path: from.path };
  const path = containerPath(from.container, '/archive');
  const { headers, body } = await client.answer('GET', path, { query: { path: named.path } });
  if (destination === undefined) {
    if (io.stdout.isTTY === true) {
      body.destroy();
      throw new CliError('cowardly refusing to write an archive to a terminal: redirect the output');
    }
    await writeStream(body, io.stdout);
    return;
  }
  const isDirectory = pathStat(headers).isDirectory;
  const progress = new CopyProgress(options.quiet ? undefined : io.stderr, 'Copying from container');
  try {
    const plan = planCopy({ ...named, isDirectory }, destination);
    await extractArchive(progress.count(body), plan.folder, {
      rootName: splitEntry(named.path).base,
      newName: plan.name,
      keepOwners: options.archive,
    });
    progress.finish(target);
  } finally {
    progress.finish();
    body.destroy();
  }
}

async function copyIn(
  client: Client,
  io: Io,
  from: string,
  to: ContainerFile,
  options: CpOptions,
): Promise<void> {
  const destination = await containerDestination(client, to);
  const progress = new CopyProgress(options.quiet ? undefined : io.stderr, 'Copying to container');
  const { folder, content } = copiedContent(io, from, to, destination, options);
  try {
    // The daemon is asked for its version first: a stream cannot be sent twice.
    await client.json('PUT', containerPath(to.container, '/archive'), {
      query: { path: folder, noOverwriteDirNonDir: 'true', copyUIDGID: options.archive ? 'true' : undefined },
      body: progress.count(content),
      headers: { 'content-type': 'application/x-tar' },
    });
    progress.finish(`${to.container}:${to.path}`);
  } finally {
    progress.finish();
  }
}

function copiedContent(
  io: Io,
  from: string,
  to: ContainerFile,
  destination: CopyEnd,
  options: CpOptions,
): { folder: string; content: AsyncIterable<Uint8Array> } {
  if (from === '-') {
    if (!destination.isDirectory) {
      throw new CliError(`destination "${to.container}:${to.path}" must be a directory`);
    }
    return { folder: destination.path, content: io.stdin };
  }
  const source: CopySource = localSource(absolutePath(from, io.cwd), options.followLink);
  const plan = planCopy(source, destination);
  return { folder: plan.folder, content: packTree(source.path, plan.name) };
}

/** A link at the end of the destination stands for what it leads to. What does not exist may still be made. */
async function containerDestination(client: Client, to: ContainerFile): Promise<CopyEnd> {
  const first = await statInContainer(client, to.container, to.path);
  if (first?.linkTarget === undefined) return endOf(to.path, first);
  const path = linkedPath(to.path, first.linkTarget);
  return endOf(path, await statInContainer(client, to.container, path));
}

function endOf(path: string, stat: PathStat | undefined): CopyEnd {
  if (stat?.isSpecial) throw new CliError(`destination "${path}" must be a directory or a regular file`);
  return { path, exists: stat !== undefined, isDirectory: stat?.isDirectory === true };
}

async function followInContainer(
  client: Client,
  from: ContainerFile,
): Promise<{ path: string; rebaseName?: string | undefined }> {
  const stat = await statInContainer(client, from.container, from.path);
  if (stat?.linkTarget === undefined) return { path: from.path };
  return followedPath(from.path, linkedPath(from.path, stat.linkTarget));
}

interface PathStat {
  readonly isDirectory: boolean;
  /** Neither folder nor file nor link. */
  readonly isSpecial: boolean;
  readonly linkTarget: string | undefined;
}

/** Undefined where there is no such file; whether the container exists the copy itself will say. */
async function statInContainer(
  client: Client,
  container: string,
  path: string,
): Promise<PathStat | undefined> {
  try {
    const { headers } = await client.answer('HEAD', containerPath(container, '/archive'), {
      query: { path },
    });
    return pathStat(headers);
  } catch (error) {
    // An answer to HEAD has no message. Other failures are told by the request that follows, in words.
    if (isNotFound(error) || (error as Error).name === 'ApiError') return undefined;
    throw error;
  }
}

/** Go's file mode bits, in which the daemon describes a path. */
const MODE_DIRECTORY = 2 ** 31;
const MODE_LINK = 2 ** 27;
const MODE_SPECIAL = (2 ** 26) | (2 ** 25) | (2 ** 24) | (2 ** 21) | (2 ** 19);

function pathStat(headers: Readonly<Record<string, string>>): PathStat {
  const text = Buffer.from(headers['x-docker-container-path-stat'] ?? '', 'base64').toString();
  let stat: { mode?: number; linkTarget?: string };
  try {
    stat = JSON.parse(text) as typeof stat;
  } catch (cause) {
    throw new Error('unable to decode the description of the path in the container', { cause });
  }
  const mode = stat.mode ?? 0;
  const isLink = (mode & MODE_LINK) !== 0;
  return {
    isDirectory: (mode & MODE_DIRECTORY) !== 0,
    isSpecial: (mode & MODE_SPECIAL) !== 0,
    linkTarget: isLink && stat.linkTarget ? stat.linkTarget : undefined,
  };
}
