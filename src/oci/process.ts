/**
 * The process object of a container's init and of its execs: arguments, environment, working directory, identity,
 * capabilities and limits, with Docker's defaults.
 */
import type { ContainerConfig } from '../api/containers.ts';
import type { HostConfig, Ulimit } from '../api/host-config.ts';
import { InvalidParameterError } from '../base/errors.ts';
import type { Capabilities, Process, Rlimit } from './runtime-spec.ts';
import { lookupAdditionalGroups, lookupUser } from './user.ts';

export const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** The container's own account files as text, empty where it has none. */
export interface Accounts {
  passwd: string;
  group: string;
}

/** Where `--init` puts the init program. */
export const INIT_PATH = '/sbin/docker-init';

/** Entrypoint and Cmd together. Throws InvalidParameter with Docker's text where both are empty. */
export function commandLine(config: Pick<ContainerConfig, 'Entrypoint' | 'Cmd'>): string[] {
  const entrypoint = config.Entrypoint ?? [];
  // A single empty word is how clients take the image's entrypoint away.
  const kept = entrypoint.length === 1 && entrypoint[0] === '' ? [] : entrypoint;
  const args = [...kept, ...(config.Cmd ?? [])];
  if (args.length === 0 || args[0] === '') throw new InvalidParameterError('no command specified');
  return args;
}

/**
 * PATH, HOSTNAME, TERM (with a terminal) and HOME, over which `env` wins; a bare `NAME` in it removes the variable.
 */
export function environment(request: {
  env: readonly string[];
  hostname: string;
  tty: boolean;
  home: string;
}): string[] {
  const variables = new Map<string, string>([['PATH', DEFAULT_PATH]]);
  if (request.hostname !== '') variables.set('HOSTNAME', request.hostname);
  if (request.tty) variables.set('TERM', 'xterm');
  applyEnvironment(variables, request.env);
  if ((variables.get('HOME') ?? '') === '') variables.set('HOME', request.home);
  return [...variables].map(([name, value]) => `${name}=${value}`);
}

function applyEnvironment(variables: Map<string, string>, env: readonly string[]): void {
  for (const entry of env) {
    const at = entry.indexOf('=');
    if (at < 0) variables.delete(entry);
    else variables.set(entry.slice(0, at), entry.slice(at + 1));
  }
}

/** RLIMIT_ names from Docker's; the same names as `ulimit` in docs of setrlimit(2). */
const RLIMITS = new Set([
  'core',
  'cpu',
  'data',
  'fsize',
  'locks',
  'memlock',
  'msgqueue',
  'nice',
  'nofile',
  'nproc',
  'rss',
  'rtprio',
  'rttime',
  'sigpending',
  'stack',
]);

/** -1 is no limit. Throws InvalidParameter for unknown names and for a soft limit above the hard one. */
export function rlimits(ulimits: readonly Ulimit[]): Rlimit[] {
  return ulimits.map(({ Name, Soft, Hard }) => {
    if (!RLIMITS.has(Name)) throw new InvalidParameterError(`invalid ulimit type: ${Name}`);
    if (Hard !== -1 && (Soft === -1 || Soft > Hard)) {
      throw new InvalidParameterError(
        `ulimit soft limit must be less than or equal to hard limit: ${Soft} > ${Hard}`,
      );
    }
    return { type: `RLIMIT_${Name.toUpperCase()}`, soft: Soft, hard: Hard };
  });
}

/**
 * execve(2) takes effective and permitted capabilities from a user other than root, so such a user gets the bounding
 * set alone, for set-uid programs.
 */
export function processCapabilities(names: readonly string[], uid: number): Capabilities {
  const held = uid === 0 ? [...names] : [];
  return { bounding: [...names], effective: held, permitted: [...held], inheritable: [], ambient: [] };
}

export interface ProcessRequest {
  args: readonly string[];
  env: readonly string[];
  /** `user[:group]`; empty is root. */
  user: string;
  /** Absolute; empty is `/`. */
  cwd: string;
  tty: boolean;
  /** Height and width in characters. */
  consoleSize?: readonly [number, number] | null;
  hostname: string;
  groupAdd: readonly string[];
  accounts: Accounts;
  capabilities: readonly string[];
  noNewPrivileges: boolean;
  apparmorProfile?: string;
  ulimits: readonly Ulimit[];
  oomScoreAdj?: number;
}

/** Throws InvalidParameter for a user or group that the container does not have. */
export function buildProcess(request: ProcessRequest): Process {
  const user = lookupUser(request.user, request.accounts.passwd, request.accounts.group);
  const added = lookupAdditionalGroups(request.groupAdd, request.accounts.group);
  const size = request.consoleSize ?? undefined;
  const limits = rlimits(request.ulimits);
  return {
    terminal: request.tty,
    ...(request.tty && size !== undefined && size[0] > 0 && size[1] > 0
      ? { consoleSize: { height: size[0], width: size[1] } }
      : {}),
    user: {
      uid: user.uid,
      gid: user.gid,
      additionalGids: [...new Set([user.gid, ...user.groups, ...added])],
    },
    args: [...request.args],
    env: environment({ env: request.env, hostname: request.hostname, tty: request.tty, home: user.home }),
    cwd: request.cwd === '' ? '/' : request.cwd,
    capabilities: processCapabilities(request.capabilities, user.uid),
    ...(limits.length === 0 ? {} : { rlimits: limits }),
    noNewPrivileges: request.noNewPrivileges,
    ...(request.apparmorProfile === undefined ? {} : { apparmorProfile: request.apparmorProfile }),
    ...(request.oomScoreAdj === undefined ? {} : { oomScoreAdj: request.oomScoreAdj }),
  };
}

/** What `POST /containers/{id}/exec` gives, on top of the container that it runs in. */
export interface ExecProcessRequest {
  /** The container's configuration, merged with its image's. */
  config: ContainerConfig;
  hostConfig: HostConfig;
  /** The process that generateSpec made for the init. */
  init: Process;
  hostname: string;
  accounts: Accounts;
  cmd: readonly string[];
  env: readonly string[];
  /** Empty: the container's. */
  user: string;
  workingDir: string;
  tty: boolean;
  privileged: boolean;
  /** What a privileged one gets: all that the host has. */
  available: readonly string[];
  consoleSize?: readonly [number, number] | null;
}

/** The process object of an exec: the container's identity and limits, with what the request replaces. */
export function execProcess(request: ExecProcessRequest): Process {
  if (request.cmd.length === 0) throw new InvalidParameterError('no exec command specified');
  const { config, hostConfig, init } = request;
  return buildProcess({
    args: request.cmd,
    env: [...(config.Env ?? []), ...request.env],
    user: request.user === '' ? (config.User ?? '') : request.user,
    cwd: request.workingDir === '' ? (config.WorkingDir ?? '') : request.workingDir,
    tty: request.tty,
    ...(request.consoleSize === undefined ? {} : { consoleSize: request.consoleSize }),
    hostname: request.hostname,
    groupAdd: hostConfig.GroupAdd ?? [],
    accounts: request.accounts,
    capabilities: request.privileged ? request.available : (init.capabilities?.bounding ?? []),
    noNewPrivileges: init.noNewPrivileges ?? false,
    ...(init.apparmorProfile === undefined ? {} : { apparmorProfile: init.apparmorProfile }),
    ulimits: hostConfig.Ulimits ?? [],
    ...(init.oomScoreAdj === undefined ? {} : { oomScoreAdj: init.oomScoreAdj }),
  });
}
