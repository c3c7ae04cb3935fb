/** The flags of a build as `POST /build` has them. */
import type { QueryValue } from '../../client/client.ts';
import { CliError } from '../cli-error.ts';
import type { Io } from '../io.ts';
import { keyValueMap, splitPair } from '../options/environment.ts';
import type { BuildOptions } from './build-options.ts';
import { withAbsoluteFolders } from './cache-flag.ts';
import { BUILDER_VERSION } from './other-engine.ts';
import type { WireOutput } from './output-flag.ts';

export type BuildQueryValues = Record<string, QueryValue>;

/**
 * What all requests of a build have in common; contexts, lock and session are put in by who has them. `proxies` are
 * arguments that nobody has given otherwise.
 */
export function buildQuery(
  options: BuildOptions,
  outputs: readonly WireOutput[],
  io: Pick<Io, 'env' | 'cwd'>,
  proxies: Readonly<Record<string, string>> = {},
): BuildQueryValues {
  const flag = (on: boolean): true | undefined => (on ? true : undefined);
  const text = (values: readonly unknown[] | object): string | undefined =>
    Object.keys(values).length === 0 ? undefined : JSON.stringify(values);
  const caches = (flags: BuildOptions['cacheFrom']): string | undefined =>
    text(flags.map((one) => withAbsoluteFolders(one, io.cwd)));
  return {
    version: BUILDER_VERSION,
    progress: 'status',
    t: options.tag,
    nocache: flag(!options.cache),
    fresh: flag(options.fresh === true),
    nocachefilter: text(options.cacheFilter.flatMap((list) => list.split(','))),
    pull: flag(options.pull),
    buildargs: text({ ...proxies, ...buildArguments(options.buildArg, io.env) }),
    labels: text(keyValueMap(options.label)),
    annotations: text(annotations(options.annotation)),
    cachefrom: caches(options.cacheFrom),
    cacheto: caches(options.cacheTo),
    extrahosts: options.addHost.length === 0 ? undefined : options.addHost.join(','),
    networkmode: options.network,
    platform: options.platform.length === 0 ? undefined : options.platform.join(','),
    target: options.target,
    memory: options.memory,
    memswap: options.memorySwap,
    shmsize: options.shmSize,
    cpushares: options.cpuShares,
    cpuperiod: options.cpuPeriod,
    cpuquota: options.cpuQuota,
    cpusetcpus: options.cpusetCpus,
    cpusetmems: options.cpusetMems,
    isolation: options.isolation,
    securityopt: text(options.securityOpt),
    cgroupparent: options.cgroupParent,
    ulimits: text(options.ulimit),
    entitlements: text(options.allow),
    outputs: text(outputs),
    squash: flag(options.squash),
    check: flag(isCheck(options)),
    call: isQuestion(options) ? options.call : undefined,
    keepfailed: flag(options.onError === 'shell'),
  };
}

export function isCheck({ check, call }: BuildOptions): boolean {
  return check || call === 'check' || call === 'lint';
}

/** Whether it asks about the Dockerfile, for an answer in text. */
export function isQuestion({ call }: BuildOptions): boolean {
  return call === 'outline' || call === 'targets';
}

/** A bare name takes its value from the environment; unset there, the Dockerfile's default stays (null). */
function buildArguments(
  flags: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Record<string, string | null> {
  const given = Object.fromEntries(
    flags.map((flag) => (flag.includes('=') ? splitPair(flag) : [flag, env[flag] ?? null])),
  );
  // Builds are to be reproduced by whoever sets it for all tools.
  const epoch = env['SOURCE_DATE_EPOCH'];
  return epoch === undefined || epoch === '' ? given : { SOURCE_DATE_EPOCH: epoch, ...given };
}

/** `[manifest|index|…:]key=value`; without a place it is the manifest's. */
function annotations(flags: readonly string[]): Record<string, string> {
  for (const flag of flags) {
    if (!flag.includes('=') || flag.startsWith('=')) {
      throw new CliError(`invalid argument "${flag}" for "--annotation" flag: it must be key=value`);
    }
  }
  return keyValueMap(flags);
}
