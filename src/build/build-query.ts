/**
 * `POST /build` as its query has it: the parameters of Docker's classic builder, and those that our own client sends
 * besides (`contextfolder`, `progress`, `lock`, …), read and judged before anything of the body is received.
 */
import type { BuildQuery } from '../api/build.ts';
import type { Ulimit } from '../api/host-config.ts';
import { InvalidParameterError } from '../base/errors.ts';
import type { RegistryAuth } from '../image/registry/credentials.ts';
import type {
  CacheSpec,
  ContextSpec,
  LockRequest,
  OutputSpec,
  SolveRequest,
  Subrequest,
} from './solve-request.ts';
import { parseGitUrl } from './source/git-url.ts';

/** A folder that the client says it sees at `path`. */
export interface ContextFolder {
  path: string;
  device: bigint;
  inode: bigint;
  /** The ignore file's text, where it is not the folder's own (it lies beside a Dockerfile elsewhere). */
  dockerignore?: string;
}

export interface ParsedBuildQuery {
  request: SolveRequest;
  /** Only the image's ID is told. */
  quiet: boolean;
  /** How the answer tells of progress: Docker's text, or BuildStatus messages. */
  progress: 'classic' | 'status';
  /** Folders of this machine that the client names as contexts, the main one in place of a body: to be proved. */
  folders: readonly ContextFolder[];
  /** The build's ID where the client chose one. */
  id: string | undefined;
  /** Of BuildKit's session. */
  session: string | undefined;
}

type Query = BuildQuery & Readonly<Record<string, string | string[] | undefined>>;

/** Throws InvalidParameter for what cannot be read. */
export function parseBuildQuery(
  query: BuildQuery,
  auth: Record<string, RegistryAuth> = {},
): ParsedBuildQuery {
  const text = (name: string): string => {
    const value = (query as Query)[name];
    return typeof value === 'string' ? value : '';
  };
  const tags = [query.t ?? []].flat().filter((tag) => tag !== '');
  const folder = text('contextfolder') === '' ? undefined : contextFolder(text('contextfolder'));
  const named = namedContexts(text('buildcontexts'));
  const networkMode = text('networkmode');
  const request: SolveRequest = {
    context: folder === undefined ? remoteContext(text('remote')) : folderContext(folder),
    namedContexts: named.contexts,
    dockerfile: { path: text('dockerfile') },
    buildArgs: jsonMap(text('buildargs'), 'buildargs', true),
    labels: jsonMap(text('labels'), 'labels', false) as Record<string, string>,
    target: text('target'),
    platforms: text('platform')
      .split(',')
      .map((one) => one.trim())
      .filter((one) => one !== ''),
    noCache: flag(text('nocache')) || jsonList(text('nocachefilter'), 'nocachefilter'),
    ...(flag(text('fresh')) ? { fresh: true } : {}),
    pull: flag(text('pull')),
    networkMode: networkMode === 'default' ? '' : networkMode,
    extraHosts: text('extrahosts')
      .split(',')
      .filter((entry) => entry !== ''),
    limits: {
      memory: number(text('memory'), 'memory'),
      memorySwap: number(text('memswap'), 'memswap'),
      cpuShares: number(text('cpushares'), 'cpushares'),
      cpuPeriod: number(text('cpuperiod'), 'cpuperiod'),
      cpuQuota: number(text('cpuquota'), 'cpuquota'),
      cpusetCpus: text('cpusetcpus'),
      shmSize: number(text('shmsize'), 'shmsize'),
    },
    ulimits: ulimits(text('ulimits')),
    cgroupParent: text('cgroupparent'),
    // Whoever may ask for host networking of all steps may have it in one.
    entitlements: [
      ...jsonList(text('entitlements'), 'entitlements'),
      ...(networkMode === 'host' ? ['network.host'] : []),
    ],
    cacheFrom: cacheSpecs(text('cachefrom'), 'cachefrom'),
    cacheTo: cacheSpecs(text('cacheto'), 'cacheto'),
    outputs: outputs(text('outputs'), tags, annotations(text('annotations'))),
    squash: flag(text('squash')),
    lock: lock(text('lock'), text('lockcontent')),
    ...optionalEpoch('contextEpoch', text('contextepoch')),
    auth,
    keepFailed: flag(text('keepfailed')),
    check: flag(text('check')),
    ...subrequest(text('call')),
  };
  return {
    request,
    quiet: flag(text('q')),
    progress: text('progress') === 'status' ? 'status' : 'classic',
    folders: folder === undefined ? named.folders : [folder, ...named.folders],
    id: /^[0-9a-zA-Z_.-]{1,128}$/.test(text('buildid')) ? text('buildid') : undefined,
    session: text('session') === '' ? undefined : text('session'),
  };
}

/** The API's booleans: everything but these is true. */
function flag(text: string): boolean {
  return !['', '0', 'no', 'false', 'none'].includes(text.trim().toLowerCase());
}

function number(text: string, name: string): number {
  if (text === '') return 0;
  if (!/^-?\d{1,18}$/.test(text)) {
    throw new InvalidParameterError(`invalid value "${text}" of ${name}: expected a number`);
  }
  return Number(text);
}

function optionalEpoch(name: 'contextEpoch', text: string): { contextEpoch?: number } {
  return text === '' ? {} : { [name]: Math.max(0, number(text, name.toLowerCase())) };
}

/** A git repository, a tar or a Dockerfile elsewhere; else the body. */
function remoteContext(remote: string): ContextSpec {
  if (remote === '') return { kind: 'tar' };
  if (remote === 'client-session') return { kind: 'session', name: 'context' };
  if (remote.startsWith('upload-request')) return { kind: 'upload', id: '' };
  if (parseGitUrl(remote) !== undefined) return { kind: 'git', url: remote };
  if (/^https?:\/\//.test(remote)) return { kind: 'http', url: remote };
  throw new InvalidParameterError(
    `invalid remote context "${remote}": expected the address of a git repository, a tar or a Dockerfile`,
  );
}

function folderContext({ path, dockerignore }: ContextFolder): ContextSpec {
  return { kind: 'folder', path, ...(dockerignore === undefined ? {} : { dockerignore }) };
}

function contextFolder(text: string): ContextFolder {
  return readFolder(jsonObject(text, 'contextfolder'), 'contextfolder');
}

function readFolder(value: Record<string, unknown>, name: string): ContextFolder {
  const { path, device, inode, dockerignore } = value;
  const digits = (value: unknown): value is string | number => /^\d{1,20}$/.test(String(value));
  if (typeof path !== 'string' || !path.startsWith('/') || !digits(device) || !digits(inode)) {
    throw new InvalidParameterError(`error reading ${name}: expected an absolute path, device and inode`);
  }
  const folder = { path, device: BigInt(device), inode: BigInt(inode) };
  return typeof dockerignore === 'string' ? { ...folder, dockerignore } : folder;
}

const NAMED_KINDS: Readonly<Record<string, readonly string[]>> = {
  session: ['name'],
  upload: ['id'],
  git: ['url'],
  http: ['url'],
  image: ['reference'],
  'oci-layout': ['path', 'reference'],
  stage: ['name'],
};

/** Folders of this machine come from a session, or are proved as the main context is. */
function namedContexts(text: string): {
  contexts: Record<string, ContextSpec>;
  folders: ContextFolder[];
} {
  const contexts: Record<string, ContextSpec> = {};
  const folders: ContextFolder[] = [];
  for (const [name, value] of Object.entries(text === '' ? {} : jsonObject(text, 'buildcontexts'))) {
    const spec = typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
    if (spec['kind'] === 'folder') {
      const folder = readFolder(spec, `buildcontexts, context "${name}"`);
      folders.push(folder);
      contexts[name] = folderContext(folder);
      continue;
    }
    const fields = NAMED_KINDS[String(spec['kind'])];
    if (fields === undefined || fields.some((field) => typeof spec[field] !== 'string')) {
      throw new InvalidParameterError(`error reading buildcontexts: invalid context "${name}"`);
    }
    contexts[name] = Object.fromEntries(
      ['kind', ...fields].map((field) => [field, spec[field]]),
    ) as ContextSpec;
  }
  return { contexts, folders };
}

function ulimits(text: string): Ulimit[] {
  if (text === '' || text === 'null') return [];
  return jsonArray(text, 'ulimits').map((item) => {
    const { Name, Soft, Hard } = (item ?? {}) as Partial<Ulimit>;
    if (typeof Name !== 'string' || !Number.isInteger(Soft) || !Number.isInteger(Hard)) {
      throw new InvalidParameterError('error reading ulimits: expected objects with Name, Soft and Hard');
    }
    return { Name, Soft: Number(Soft), Hard: Number(Hard) };
  });
}

/** Docker's own list of image names, or specifications like `type=registry,ref=…` as objects. */
function cacheSpecs(text: string, name: string): CacheSpec[] {
  if (text === '' || text === 'null') return [];
  return jsonArray(text, name).map((item) => {
    if (typeof item === 'string') return { type: 'registry', attributes: { ref: item } };
    const { type, attributes } = (item ?? {}) as { type?: unknown; attributes?: unknown };
    if (typeof type !== 'string') throw new InvalidParameterError(`error reading ${name}: expected a type`);
    return { type, attributes: stringMap(attributes ?? {}, name) };
  });
}

/** `manifest,index[linux/arm64]:key` each (default the manifests), as attributes of outputs. */
function annotations(text: string): Record<string, string> {
  const attributes: Record<string, string> = {};
  for (const [name, value] of Object.entries(jsonMap(text, 'annotations', false))) {
    const [, places = 'manifest', key = name] =
      /^([a-z-]+(?:\[[^\]]*\])?(?:,[a-z-]+(?:\[[^\]]*\])?)*):(.+)$/s.exec(name) ?? [];
    for (const place of places.split(',')) {
      const [, kind = '', platform = ''] = /^([^[]*)(.*)$/.exec(place) ?? [];
      if (!ANNOTATED.includes(kind))
        throw new InvalidParameterError(`unknown annotation type "${kind}" of ${name}`);
      attributes[`annotation-${kind}${platform}.${key}`] = value ?? '';
    }
  }
  return attributes;
}

const ANNOTATED = ['manifest', 'index', 'manifest-descriptor', 'index-descriptor'];

/** Without any, the image is kept. Docker's form is a list of `{Type, Attrs}`. */
function outputs(
  text: string,
  names: readonly string[],
  annotations: Readonly<Record<string, string>>,
): OutputSpec[] {
  const image: OutputSpec = { type: 'image', names, push: false, store: true, attributes: annotations };
  if (text === '' || text === 'null') return [image];
  const list = jsonArray(text, 'outputs');
  if (list.length === 0) return [image];
  return list.map((item): OutputSpec => {
    const { Type, Attrs } = (item ?? {}) as { Type?: unknown; Attrs?: unknown };
    const attributes = { ...annotations, ...stringMap(Attrs ?? {}, 'outputs') };
    const named = attributes['name'] === undefined ? names : attributes['name'].split(',');
    switch (Type) {
      case 'image':
      case 'moby':
      case 'registry':
        return {
          type: 'image',
          names: named,
          push: Type === 'registry' || attributes['push'] === 'true',
          store: attributes['store'] !== 'false',
          attributes,
        };
      case 'local':
      case 'tar':
      case 'oci':
      case 'docker':
        return { type: Type, names: named, attributes };
      case 'cacheonly':
        return { type: 'cacheonly' };
      default:
        throw new InvalidParameterError(
          `invalid output type "${String(Type)}": expected image, registry, local, tar, oci, docker or cacheonly`,
        );
    }
  });
}

const SUBREQUESTS: readonly Subrequest[] = ['frontend.lint', 'frontend.outline', 'frontend.targets'];

/** Questions about the Dockerfile, by the names that flags have. */
function subrequest(call: string): Pick<SolveRequest, 'subrequest'> {
  if (call === '') return {};
  const found = SUBREQUESTS.find((name) => name === `frontend.${call}`);
  if (found !== undefined) return { subrequest: found };
  throw new InvalidParameterError(`invalid value "${call}" of call: expected lint, outline or targets`);
}

function lock(mode: string, content: string): LockRequest {
  if (mode === '' || mode === 'off') return { mode: 'off', content: '' };
  if (mode !== 'update' && mode !== 'frozen') {
    throw new InvalidParameterError(`invalid value "${mode}" of lock: expected off, update or frozen`);
  }
  return { mode, content };
}

function json(text: string, name: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new InvalidParameterError(`error reading ${name}`, error);
  }
}

function jsonObject(text: string, name: string): Record<string, unknown> {
  const value = json(text, name) ?? {};
  if (typeof value !== 'object' || Array.isArray(value)) {
    throw new InvalidParameterError(`error reading ${name}: expected an object`);
  }
  return value as Record<string, unknown>;
}

function jsonArray(text: string, name: string): unknown[] {
  const value = json(text, name);
  if (!Array.isArray(value)) throw new InvalidParameterError(`error reading ${name}: expected a list`);
  return value as unknown[];
}

function jsonMap(text: string, name: string, allowNull: boolean): Record<string, string | null> {
  if (text === '') return {};
  const value = jsonObject(text, name);
  const wrong = Object.entries(value).find(
    ([, item]) => typeof item !== 'string' && !(allowNull && item === null),
  );
  if (wrong !== undefined)
    throw new InvalidParameterError(`error reading ${name}: "${wrong[0]}" is not a string`);
  return value as Record<string, string | null>;
}

function stringMap(value: unknown, name: string): Record<string, string> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new InvalidParameterError(`error reading ${name}: expected an object of strings`);
  }
  const wrong = Object.entries(value).find(([, item]) => typeof item !== 'string');
  if (wrong !== undefined)
    throw new InvalidParameterError(`error reading ${name}: "${wrong[0]}" is not a string`);
  return value as Record<string, string>;
}

function jsonList(text: string, name: string): string[] {
  if (text === '' || text === 'null') return [];
  const value = jsonArray(text, name);
  if (!value.every((item) => typeof item === 'string')) {
    throw new InvalidParameterError(`error reading ${name}: expected a list of strings`);
  }
  return value;
}
