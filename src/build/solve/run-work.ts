/** RUN as a step that can be looked for and done. */
import { randomUUID } from 'node:crypto';
import { posix } from 'node:path';
import { InvalidParameterError } from '../../base/errors.ts';
import type { Platform } from '../../image/platform.ts';
import { formatPlatform } from '../../image/platform.ts';
import type { PreparedCopy } from '../copy/copy-step.ts';
import type { RunMountSpec } from '../run/mount-flag.ts';
import type { RunMount } from '../run/run-step.ts';
import type { Executed, LayerWork } from './layer-steps.ts';
import type { RunStepPlan } from './planned-step.ts';
import { socketOf } from './socket-of.ts';
import type { SolveContext } from './solve-context.ts';
import type { CacheMountUse } from './solved.ts';
import { definitionKey, hash } from './step-keys.ts';
import { fetchRemote, type StepSource } from './step-sources.ts';

export interface RunWorkInput {
  context: SolveContext;
  step: RunStepPlan;
  /** For each mount of the step: what it takes from; `scratch` is nothing. */
  sources: readonly (StepSource | 'scratch' | undefined)[];
  platform: Platform;
  epochSeconds: number;
  description: string;
}

export function runWork(input: RunWorkInput): LayerWork {
  const { context, step, sources, platform, epochSeconds, description } = input;
  const { request } = context;
  const network = step.network === '' ? request.networkMode : step.network;
  const definition = definitionKey({
    kind: 'RUN',
    // What is in cache mounts, secrets and proxies is in no key, so that whoever fills them decides the result.
    socket: socketOf(request),
    platform: formatPlatform(platform),
    epochSeconds,
    args: step.args,
    script: step.script ?? null,
    env: step.env,
    cwd: step.cwd,
    user: step.user,
    mounts: step.mounts.map(mountDefinition),
    network,
    insecure: step.insecure,
    extraHosts: request.extraHosts,
  });
  const reads = step.mounts.flatMap((mount, index) => {
    const source = sources[index];
    return source === undefined || source === 'scratch' ? [] : [{ mount, source, index }];
  });
  const prepared = new Map<RunMountSpec, Promise<PreparedCopy>>();
  const contentOf = ({ mount, source }: { mount: RunMountSpec; source: StepSource }) => {
    const known = prepared.get(mount) ?? mountContent(context, mount, source, epochSeconds);
    prepared.set(mount, known);
    return known;
  };
  // With the mount's place: which of several mounts has a source, and which shows nothing, makes a difference.
  for (const [index, mount] of step.mounts.entries()) {
    const source = sources[index];
    // Of others it is known only once the step is done what they begin with.
    const known = source === undefined || source === 'scratch' ? '' : source.identity;
    if (mount.type === 'cache' && known !== undefined) {
      const fromKey = known === '' ? '' : beginning(mount, known);
      context.cache.noteMount(cacheMountUse(request, mount, fromKey));
    }
  }
  const identities = reads.map(({ source, index }) => source.identity && `${index} ${source.identity}`);
  let spoiled: string | undefined;
  return {
    description,
    definition,
    identity: identities.every((one) => one !== undefined) ? hash(identities) : undefined,
    local: hash(reads.map(({ source, index }) => `${index} ${source.local}`)),
    contentKnown: async () => {
      for (const read of reads) {
        if (read.source.identity !== undefined) continue;
        if (!(await (await contentOf(read)).contentKnown())) return false;
      }
      return true;
    },
    content: async () => {
      if (spoiled !== undefined) return spoiled;
      const keys = await Promise.all(
        reads.map(async (read) => {
          const key = read.source.identity ?? (await (await contentOf(read)).contentKey());
          return `${read.index} ${key}`;
        }),
      );
      return hash(keys);
    },
    independent: false,
    execute: async (stack, vertex): Promise<Executed> => {
      await fetchRemote(stack.storedLayers(), context.signal);
      const mounts = await Promise.all(
        step.mounts.map((mount, index) => openMount(context, mount, sources[index], contentOf)),
      );
      const pending = await context.parts.run.run(
        {
          layers: stack.stacked(),
          platform,
          args: step.args,
          ...(step.script === undefined ? {} : { script: step.script }),
          env: [...step.env, ...step.proxies],
          cwd: step.cwd,
          user: step.user,
          mounts,
          network,
          insecure: step.insecure,
          epochSeconds,
          vertex,
          signal: context.signal,
        },
        context.runBuild,
      );
      try {
        for (const read of reads) {
          if (await wasChanged(context, read, contentOf, epochSeconds)) spoiled = hash([randomUUID()]);
        }
      } catch (error) {
        await pending.release();
        throw error;
      }
      return { kind: 'pending', pending };
    },
  };
}

/** What a mount is by itself. The content of a cache mount is none of the step's inputs. */
function mountDefinition({ from: _, ...mount }: RunMountSpec): Record<string, unknown> {
  return { ...mount };
}

/**
 * Whether somebody changed a folder while the step had it mounted. What the step made of it then belongs to no content
 * that a key could name.
 */
async function wasChanged(
  context: SolveContext,
  read: { mount: RunMountSpec; source: StepSource },
  contentOf: (read: { mount: RunMountSpec; source: StepSource }) => Promise<PreparedCopy>,
  epochSeconds: number,
): Promise<boolean> {
  if (read.source.identity !== undefined || !(await read.source.open()).live) return false;
  try {
    const before = await (await contentOf(read)).contentKey();
    const after = await mountContent(context, read.mount, read.source, epochSeconds);
    return before !== (await after.contentKey());
  } catch (error) {
    context.signal.throwIfAborted();
    // A file that is not as it was listed, or is gone.
    if (error instanceof InvalidParameterError) return true;
    throw error;
  }
}

/** Of a cache that begins with files, where nothing else is said: its root is as theirs. */
function keepsAttributes({ mode, uid, gid }: RunMountSpec): boolean {
  return mode === undefined && uid === undefined && gid === undefined;
}

/** What a cache begins with: `key` names the files. */
function beginning(mount: RunMountSpec, key: string): string {
  return keepsAttributes(mount) ? `${key} as it is` : key;
}

function cacheMountUse(
  { cacheNamespace }: Pick<SolveContext['request'], 'cacheNamespace'>,
  { id, target = '', mode = 0o755, uid = 0, gid = 0 }: RunMountSpec,
  fromKey: string,
): CacheMountUse {
  // NUL stands in no ID, so that no client names a cache of another namespace.
  const scopedId = cacheNamespace === undefined ? id : `${cacheNamespace}\0${id}`;
  const description = `cached mount ${target} with id "${scopedId}"`;
  return { id, scopedId, fromKey, mode, uid, gid, description };
}

/** The part of a tree that a mount shows, as COPY would see it. */
async function mountContent(
  context: SolveContext,
  mount: RunMountSpec,
  source: StepSource,
  epochSeconds: number,
): Promise<PreparedCopy> {
  const tree = await source.open();
  const pattern = posix.join('/', mount.source);
  return context.parts.copy.prepare(
    {
      instruction: 'COPY',
      sources: [{ kind: 'tree', tree, patterns: [pattern], literal: true }],
      destination: '/mount/',
      workingDir: '/',
      chown: '',
      chmod: '',
      link: true,
      parents: false,
      excludes: [],
      unpack: false,
      epochSeconds,
    },
    context.signal,
  );
}

async function openMount(
  { request, cache }: Pick<SolveContext, 'request' | 'cache'>,
  mount: RunMountSpec,
  source: StepSource | 'scratch' | undefined,
  contentOf: (read: { mount: RunMountSpec; source: StepSource }) => Promise<PreparedCopy>,
): Promise<RunMount> {
  const { target = '', readOnly, id, required } = mount;
  const [uid, gid] = [mount.uid ?? 0, mount.gid ?? 0];
  switch (mount.type) {
    case 'bind': {
      const tree = source === undefined || source === 'scratch' ? ('scratch' as const) : await source.open();
      return { type: 'bind', target, tree, source: mount.source, readOnly };
    }
    case 'cache': {
      const from = source === undefined || source === 'scratch' ? undefined : source;
      const fromKey =
        from === undefined
          ? ''
          : beginning(
              mount,
              from.identity ?? (await (await contentOf({ mount, source: from })).contentKey()),
            );
      const use = cacheMountUse(request, mount, fromKey);
      cache.noteMount(use);
      const { scopedId, mode } = use;
      return {
        type: 'cache',
        target,
        id: scopedId,
        sharing: mount.sharing,
        source: mount.source,
        readOnly,
        mode,
        uid,
        gid,
        imported: (directory, signal) => cache.fillMount(use, directory, signal),
        ...(from === undefined
          ? {}
          : { from: await from.open(), fromKey, keepsAttributes: keepsAttributes(mount) }),
      };
    }
    case 'tmpfs':
      return {
        type: 'tmpfs',
        target,
        ...(mount.sizeBytes === undefined ? {} : { sizeBytes: mount.sizeBytes }),
      };
    case 'secret':
      return {
        type: 'secret',
        id,
        ...(mount.target === undefined ? {} : { target }),
        ...(mount.env === undefined ? {} : { env: mount.env }),
        required,
        mode: mount.mode ?? 0o400,
        uid,
        gid,
      };
    case 'ssh':
      return {
        type: 'ssh',
        id,
        ...(mount.target === undefined ? {} : { target }),
        required,
        mode: mount.mode ?? 0o600,
        uid,
        gid,
      };
  }
}
