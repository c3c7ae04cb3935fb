/**
 * The classic builder behind `POST /build`: unpacks the context, reads the Dockerfile, and works its stages off in
 * order, each step an image on top of the one before. Messages are those of Docker's classic builder. A build that
 * fails or is cancelled leaves nothing but cached steps.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { BuildMessage } from '../api/build.ts';
import { TEMPORARY_PREFIX } from '../base/atomic-file.ts';
import type { Database } from '../base/database.ts';
import { InvalidParameterError } from '../base/errors.ts';
import type { ImageID } from '../image/digest.ts';
import { hostPlatform, type Platform, parsePlatform } from '../image/platform.ts';
import { familiarString, parseReference, withDefaultTag } from '../image/reference.ts';
import { BuildArgs } from './build-args.ts';
import { BuildCache } from './build-cache.ts';
import { BuildRun, type BuildStores } from './build-run.ts';
import { readDockerfile, receiveContext } from './context.ts';
import type { Dockerfile } from './dockerfile/ast.ts';
import { parseDockerfile } from './dockerfile/parse.ts';
import { removeIgnoredFiles } from './ignore-file.ts';
import type { BuildRequest } from './request.ts';
import { platformArgs } from './solve/platform-args.ts';
import { StageRunner } from './stages.ts';

export interface ClassicBuilderOptions extends BuildStores {
  /** Opened with BUILD_MIGRATIONS. */
  database: Database;
  /** `<data root>/build`: contexts and mounts of builds in flight. */
  directory: string;
}

export class ClassicBuilder {
  readonly #options: ClassicBuilderOptions;
  readonly #cache: BuildCache;

  constructor(options: ClassicBuilderOptions) {
    this.#options = options;
    this.#cache = new BuildCache(options.database);
    mkdirSync(options.directory, { recursive: true, mode: 0o700 });
  }

  /**
   * Builds one image and returns its ID. `context` is the request's body, a tar that may be compressed. Messages come
   * in order; an error is thrown, not sent: InvalidParameter, NotImplemented, RunFailedError (with the exit code of the
   * program that failed), what a pull throws, or the signal's reason.
   */
  async build(
    request: BuildRequest,
    context: Readable,
    onMessage: (message: BuildMessage) => void,
    signal: AbortSignal,
  ): Promise<ImageID> {
    const tags = request.tags.map((tag) => withDefaultTag(parseReference(tag)));
    const platform = request.platform === '' ? hostPlatform() : parsePlatform(request.platform);
    const folder = join(this.#options.directory, `${TEMPORARY_PREFIX}${randomBytes(8).toString('hex')}`);
    const held: BuildMessage[] = [];
    const send = request.quiet ? (message: BuildMessage) => held.push(message) : onMessage;
    try {
      const files = join(folder, 'context');
      await receiveContext(context, files, signal);
      const dockerfile = parseDockerfile(readDockerfile(files, request.dockerfile));
      removeIgnoredFiles(files, request.dockerfile);
      const run = this.#newRun(request, folder, files, platform, send, signal);
      const id = await runStages(run, dockerfile);
      for (const tag of tags) this.#options.imageStore.tag(id, familiarString(tag));
      if (request.quiet) onMessage({ stream: `${id}\n` });
      else announce(run, id, tags.map(familiarString));
      return id;
    } catch (error) {
      // Quiet is for success: what led to a failure is shown.
      for (const message of held) onMessage(message);
      throw error;
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  #newRun(
    request: BuildRequest,
    folder: string,
    context: string,
    platform: Platform,
    onMessage: (message: BuildMessage) => void,
    signal: AbortSignal,
  ): BuildRun {
    const args = new BuildArgs(request.buildArgs, platformArgs(hostPlatform(), platform));
    const created = creationTime(request.buildArgs['SOURCE_DATE_EPOCH'] ?? '');
    const run = { request, args, cache: this.#cache, folder, context, platform, created, onMessage, signal };
    return new BuildRun({ ...this.#options, ...run });
  }

  /** Removes what builds left that did not end. Mounts below it are the snapshotter's to undo first. */
  async sweep(): Promise<void> {
    const { directory, snapshotter } = this.#options;
    for (const name of readdirSync(directory)) {
      if (!name.startsWith(TEMPORARY_PREFIX)) continue;
      for (const mount of readdirSync(join(directory, name))) {
        if (mount.startsWith('mount-')) await snapshotter.unmount(join(directory, name, mount, 'root'));
      }
      await rm(join(directory, name), { recursive: true, force: true });
    }
  }
}

async function runStages(run: BuildRun, dockerfile: Dockerfile): Promise<ImageID> {
  try {
    for (const warning of dockerfile.warnings) run.print(`[WARNING]: ${warning}\n`);
    const { cacheFrom } = run.options.request;
    if (cacheFrom.length > 0) {
      run.print(`[Warning] cache sources are not implemented, not used: ${cacheFrom.join(', ')}\n`);
    }
    return await new StageRunner(run, dockerfile).runAll();
  } finally {
    await run.end();
  }
}

function announce(run: BuildRun, id: ImageID, tags: string[]): void {
  const unused = run.options.args.unused();
  if (unused.length > 0)
    run.print(`[Warning] One or more build-args [${unused.join(' ')}] were not consumed\n`);
  run.options.onMessage({ aux: { ID: id } });
  run.print(`Successfully built ${id.slice('sha256:'.length, 'sha256:'.length + 12)}\n`);
  for (const tag of tags) run.print(`Successfully tagged ${tag}\n`);
}

/** Now, or what `SOURCE_DATE_EPOCH` (seconds) says, for images that are the same whenever they are built. */
function creationTime(epoch: string): string {
  if (epoch === '') return new Date().toISOString();
  if (!/^\d{1,12}$/.test(epoch)) {
    throw new InvalidParameterError(`invalid SOURCE_DATE_EPOCH "${epoch}": expected seconds since 1970`);
  }
  return new Date(Number(epoch) * 1000).toISOString();
}
