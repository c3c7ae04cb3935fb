/** COPY, ADD and WORKDIR as steps that can be looked for and done. */
import { InvalidParameterError } from '../../base/errors.ts';
import type { CopyRequest, CopySourceSpec, PreparedCopy } from '../copy/copy-step.ts';
import type { ProgressVertex } from '../progress.ts';
import type { Executed, LayerWork } from './layer-steps.ts';
import type { CopyStepPlan, WorkdirStepPlan } from './planned-step.ts';
import { socketOf } from './socket-of.ts';
import { type SolveContext, withParentRoot } from './solve-context.ts';
import { definitionKey, hash } from './step-keys.ts';
import type { StepSource } from './step-sources.ts';

export interface CopyWorkInput {
  context: SolveContext;
  step: CopyStepPlan;
  /** What `--from` means, or the main context. */
  source: StepSource;
  /** Gets what downloads say. */
  vertex: ProgressVertex;
  platform: string;
  epochSeconds: number;
  description: string;
}

type Remote = { kind: 'http' | 'git'; url: string };

export function copyWork(input: CopyWorkInput): LayerWork {
  const { context, step, source, platform, epochSeconds, description } = input;
  const remotes = step.sources.map(remoteOf);
  const remote = remotes.some((one) => one !== undefined);
  if (remote) judgeRemotes(step);
  if (step.checksum !== '' && !remotes.every((one) => one !== undefined)) {
    throw new InvalidParameterError('checksum requires HTTP(S) or Git sources');
  }
  const usesTree = remotes.some((one) => one === undefined);
  let prepared: Promise<PreparedCopy> | undefined;
  const prepare = (): Promise<PreparedCopy> => {
    prepared ??= prepareCopy(input, remotes);
    return prepared;
  };
  const definition = definitionKey({
    kind: step.instruction,
    platform,
    epochSeconds,
    sources: step.sources,
    inline: step.inline,
    ...options(step),
    unpack: step.unpack ?? null,
    keepGitDir: step.keepGitDir,
    // Owners, times and attributes are taken from stages and images otherwise than from contexts.
    layers: source.identity !== undefined,
  });
  return {
    description,
    definition,
    identity: remote ? undefined : usesTree ? source.identity : '',
    local: hash([usesTree ? source.local : '', ...remotes.map((one) => one?.url ?? '')]),
    contentKnown: async () => (await prepare()).contentKnown(),
    content: async () => {
      const copy = await prepare();
      return hash([copy.definition, await copy.contentKey()]);
    },
    independent: step.link,
    execute: async (stack): Promise<Executed> => {
      const copy = await prepare();
      const layer = await withParentRoot(context, step.link ? undefined : stack, (root) =>
        copy.write(root, context.cache.newLayers),
      );
      return { kind: 'stored', layer };
    },
  };
}

/** What is said of a copy besides its sources: in its key and in what is done, so that neither has more than the other. */
function options(step: CopyStepPlan) {
  const { destination, workingDir, chown, chmod, link, parents, excludes } = step;
  return { destination, workingDir, chown, chmod, link, parents, excludes };
}

async function prepareCopy(
  input: CopyWorkInput,
  remotes: readonly (Remote | undefined)[],
): Promise<PreparedCopy> {
  const { context, step, source, epochSeconds } = input;
  const sources: CopySourceSpec[] = [];
  // Neighbours of one tree are one source, so that the order of all sources stays as it is written.
  for (const [index, pattern] of step.sources.entries()) {
    const remote = remotes[index];
    if (remote !== undefined) {
      sources.push(await fetchRemoteSource(input, remote));
      continue;
    }
    const last = sources.at(-1);
    if (last?.kind === 'tree' && remotes[index - 1] === undefined) {
      sources[sources.length - 1] = { ...last, patterns: [...last.patterns, pattern] };
    } else {
      sources.push({ kind: 'tree', tree: await source.open(), patterns: [pattern] });
    }
  }
  for (const { name, content } of step.inline) sources.push({ kind: 'inline', name, content });
  const request: CopyRequest = {
    instruction: step.instruction,
    sources,
    ...options(step),
    unpack: step.unpack ?? step.instruction === 'ADD',
    epochSeconds,
  };
  return context.parts.copy.prepare(request, context.signal);
}

/** What ADD fetches. Git addresses are recognised as BuildKit does. */
export function remoteOf(source: string): Remote | undefined {
  if (/^(?:git|ssh):\/\/|^git@/.test(source)) return { kind: 'git', url: source };
  if (!/^https?:\/\//.test(source)) return undefined;
  const path = source.split(/[?#]/, 1)[0] ?? '';
  return { kind: path.endsWith('.git') ? 'git' : 'http', url: source };
}

function judgeRemotes(step: CopyStepPlan): void {
  if (step.instruction === 'COPY') throw new InvalidParameterError("source can't be a URL for COPY");
  if (step.checksum !== '' && step.sources.length + step.inline.length > 1) {
    throw new InvalidParameterError("checksum can't be specified for multiple sources");
  }
}

async function fetchRemoteSource(input: CopyWorkInput, remote: Remote): Promise<CopySourceSpec> {
  const { context, step, vertex } = input;
  const { sources, parts, signal, session, lock } = context;
  const locked = lock.pin([remote.kind], remote.url);
  const io = { signal, session, vertex, cacheNamespace: socketOf(context.request) };
  const checksum = step.checksum === '' ? {} : { checksum: step.checksum };
  if (remote.kind === 'git') {
    const key = `git ${remote.url} ${step.checksum} ${step.keepGitDir}`;
    const tree = await sources.own(key, async () => {
      const opened = await parts.sources.fetchGit(
        remote.url,
        {
          ...checksum,
          ...(locked === undefined ? {} : { pin: locked.pin }),
          keepGitDir: step.keepGitDir,
        },
        io,
      );
      if (opened.material !== undefined) sources.remember(opened.material);
      return opened.tree;
    });
    return { kind: 'tree', tree, patterns: ['.'] };
  }
  const { tree, name } = await sources.fetched(`http ${remote.url} ${step.checksum}`, () =>
    parts.sources.fetchFile(remote.url, locked === undefined ? checksum : lockedChecksum(step, locked), io),
  );
  return { kind: 'file', name, tree, unpack: step.unpack ?? false };
}

/** What the Dockerfile says must not contradict the lock file. */
function lockedChecksum(
  { checksum }: Pick<CopyStepPlan, 'checksum'>,
  { pin, line }: { pin: string; line?: number },
): { checksum: string } {
  if (checksum !== '' && checksum !== pin) {
    throw new InvalidParameterError(
      `Dockerfile.lock line ${line}: the file is locked to ${pin}, and --checksum says ${checksum}`,
    );
  }
  return { checksum: pin };
}

export interface WorkdirWorkInput {
  context: SolveContext;
  step: WorkdirStepPlan;
  platform: string;
  epochSeconds: number;
  description: string;
}

export function workdirWork({
  context,
  step,
  platform,
  epochSeconds,
  description,
}: WorkdirWorkInput): LayerWork {
  return {
    description,
    definition: definitionKey({ kind: 'WORKDIR', platform, epochSeconds, path: step.path, user: step.user }),
    identity: undefined,
    local: '',
    contentKnown: () => Promise.resolve(true),
    content: () => Promise.resolve(''),
    independent: false,
    execute: async (stack): Promise<Executed> => {
      const layer = await withParentRoot(context, stack, (parent) =>
        context.parts.copy.makeWorkdir(
          { path: step.path, user: step.user, epochSeconds, parent, newLayers: context.cache.newLayers },
          context.signal,
        ),
      );
      return { kind: 'stored', layer };
    },
  };
}
