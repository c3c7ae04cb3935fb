/** A build as the API asks for it (`POST /build`), read and judged before the context is received. */
import type { BuildQuery } from '../api/build.ts';
import { InvalidParameterError, NotImplementedError } from '../base/errors.ts';
import type { RegistryAuth } from '../image/registry/credentials.ts';

/** Limits of the containers that RUN makes: HostConfig's fields. */
export interface StepLimits {
  memory: number;
  memorySwap: number;
  cpuShares: number;
  cpuPeriod: number;
  cpuQuota: number;
  cpusetCpus: string;
  shmSize: number;
}

export interface BuildRequest {
  /** Path inside the context; empty for the default. */
  dockerfile: string;
  tags: string[];
  buildArgs: Record<string, string | null>;
  labels: Record<string, string>;
  target: string;
  /** `os/arch[/variant]`; empty for this machine's. */
  platform: string;
  noCache: boolean;
  pull: boolean;
  quiet: boolean;
  networkMode: string;
  extraHosts: string[];
  /** `--cache-from`: named in a warning, as it changes nothing but speed. */
  cacheFrom: string[];
  limits: StepLimits;
  /** Credentials by registry host, from X-Registry-Config. */
  auth: Record<string, RegistryAuth>;
  /** Asked for every image that the Dockerfile names; throws where the client may not use it. */
  requireImage?: (reference: string) => void;
}

/** Throws InvalidParameter for what cannot be read, NotImplemented by name for what is not built. */
export function parseBuildQuery(query: BuildQuery, auth: Record<string, RegistryAuth> = {}): BuildRequest {
  refuseUnbuilt(query);
  return {
    dockerfile: query.dockerfile ?? '',
    tags: [query.t ?? []].flat().filter((tag) => tag !== ''),
    buildArgs: jsonMap(query.buildargs, 'buildargs', true),
    labels: jsonMap(query.labels, 'labels', false) as Record<string, string>,
    target: query.target ?? '',
    platform: query.platform ?? '',
    noCache: flag(query.nocache),
    pull: flag(query.pull),
    quiet: flag(query.q),
    networkMode: query.networkmode ?? '',
    extraHosts: (query.extrahosts ?? '').split(',').filter((entry) => entry !== ''),
    cacheFrom: jsonList(query.cachefrom, 'cachefrom'),
    limits: {
      memory: number(query.memory, 'memory'),
      memorySwap: number(query.memswap, 'memswap'),
      cpuShares: number(query.cpushares, 'cpushares'),
      cpuPeriod: number(query.cpuperiod, 'cpuperiod'),
      cpuQuota: number(query.cpuquota, 'cpuquota'),
      cpusetCpus: query.cpusetcpus ?? '',
      shmSize: number(query.shmsize, 'shmsize'),
    },
    auth,
  };
}

function refuseUnbuilt(query: BuildQuery): void {
  const notBuilt: [boolean, string][] = [
    [query.version === '2', 'the BuildKit protocol (version=2): use the classic builder (DOCKER_BUILDKIT=0)'],
    [(query.remote ?? '') !== '' && query.remote !== 'client-session', 'remote build contexts'],
    [flag(query.squash), 'squash'],
    [(query.outputs ?? '') !== '' && query.outputs !== '[]', 'build outputs (--output)'],
  ];
  for (const [asked, what] of notBuilt) if (asked) throw new NotImplementedError(`not implemented: ${what}`);
}

/** The API's booleans: everything but these is true. */
function flag(text: string | undefined): boolean {
  return !['', '0', 'no', 'false', 'none'].includes((text ?? '').trim().toLowerCase());
}

function number(text: string | undefined, name: string): number {
  if (text === undefined || text === '') return 0;
  if (!/^-?\d+$/.test(text))
    throw new InvalidParameterError(`invalid value "${text}" of ${name}: expected a number`);
  return Number(text);
}

function jsonMap(text: string | undefined, name: string, allowNull: boolean): Record<string, string | null> {
  if (text === undefined || text === '') return {};
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new InvalidParameterError(`error reading ${name}`, error);
  }
  if (parsed === null) return {};
  if (typeof parsed !== 'object' || Array.isArray(parsed)) {
    throw new InvalidParameterError(`error reading ${name}: expected an object`);
  }
  const wrong = Object.entries(parsed).find(
    ([, value]) => typeof value !== 'string' && !(allowNull && value === null),
  );
  if (wrong !== undefined)
    throw new InvalidParameterError(`error reading ${name}: "${wrong[0]}" is not a string`);
  return parsed as Record<string, string | null>;
}

function jsonList(text: string | undefined, name: string): string[] {
  if (text === undefined || text === '' || text === 'null') return [];
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new InvalidParameterError(`error reading ${name}`, error);
  }
  if (!Array.isArray(parsed) || !parsed.every((item) => typeof item === 'string')) {
    throw new InvalidParameterError(`error reading ${name}: expected a list of strings`);
  }
  return parsed;
}
