/**
 * `POST /build` as its query has it: the parameters of Docker's classic builder, and those that our own client sends
 * besides (`contextfolder`, `progress`, `lock`, …), read and judged before anything of the body is received.
 */
import type { BuildQuery } from '../api/build.ts';
import type { Ulimit } from '../api/host-config.ts';
import { InvalidParameterError } from '../base/errors.ts';
import type { RegistryAuth } from '../image/registry/credentials.ts';
import {
  type ContextFolder,
  contextFolder,
  folderContext,
  namedContexts,
  remoteContext,
} from './query-contexts.ts';
import { annotations, outputs } from './query-outputs.ts';
import { flag, jsonArray, jsonList, jsonMap, number, stringMap } from './query-values.ts';
import type { CacheSpec, LockRequest, SolveRequest, Subrequest } from './solve-request.ts';

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
  refuseUnsupported(text('isolation'), text('securityopt'));
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
      cpusetMems: text('cpusetmems'),
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

/** What Docker's classic builder has for Windows alone. */
function refuseUnsupported(isolation: string, securityOptions: string): void {
  if (isolation !== '' && isolation.toLowerCase() !== 'default') {
    throw new InvalidParameterError(`invalid isolation: "${isolation}": Linux only supports "default"`);
  }
  if (jsonList(securityOptions, 'securityopt').length > 0) {
    throw new InvalidParameterError(
      'The daemon on this platform does not support setting security options on build',
    );
  }
}

function optionalEpoch(name: 'contextEpoch', text: string): { contextEpoch?: number } {
  return text === '' ? {} : { [name]: Math.max(0, number(text, name.toLowerCase())) };
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
