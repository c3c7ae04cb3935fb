/**
 * Which OCI runtimes there are: mydock's own, within the supervisor, and those that the configuration names, which the
 * supervisor calls (native/runtime/foreign). A container remembers its runtime by name.
 */
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import type { RuntimeInfo } from '../api/system.ts';
import { InvalidParameterError, NotImplementedError } from '../base/errors.ts';
import type { SupervisorConfig } from '../native/supervisor-protocol.ts';

export const OWN_RUNTIME = 'mydock-runtime';

/** Docker's names for its default: compose files and clients that copy what `inspect` of Docker shows have them. */
const DOCKERS_RUNTIME = 'runc';
const DOCKERS_SHIM = 'io.containerd.runc.v2';

export interface RuntimeConfig {
  /** Absolute, or a name that is looked up in the daemon's PATH. */
  path: string;
  runtimeArgs: string[];
}

export interface RuntimesConfig {
  runtimes: Record<string, RuntimeConfig>;
  defaultRuntime: string;
}

/** A runtime that is not ours, as the supervisor gets it. */
export interface ForeignRuntime {
  name: string;
  path: string;
  runtimeArgs: readonly string[];
}

/** What the supervisor calls a step that another runtime failed at: that one's message is complete as it is. */
export const FOREIGN_STEP = /^runtime (\w+)$/;

/** For supervisor.json. The runtime's state lies in the bundle, so that it goes with it. */
export function foreignRuntime(
  { path, runtimeArgs }: ForeignRuntime,
  bundle: string,
): NonNullable<SupervisorConfig['runtime']> {
  return { path, arguments: runtimeArgs, root: join(bundle, 'runtime') };
}

export class Runtimes {
  readonly #configured: ReadonlyMap<string, RuntimeConfig>;
  readonly #ownPath: string;
  readonly defaultName: string;

  /** The configuration must have passed `checkRuntimes`; `ownPath` is the program that `info` shows. */
  constructor(config: RuntimesConfig, ownPath: string) {
    this.#configured = new Map(Object.entries(config.runtimes));
    this.#ownPath = ownPath;
    this.defaultName = config.defaultRuntime;
  }

  /**
   * The name that a new container gets: the default's where none is asked for. Throws InvalidParameter with Docker's
   * text for one that is not known.
   */
  nameFor(asked: string | undefined): string {
    if (asked === undefined || asked === '' || asked === DOCKERS_SHIM) return this.defaultName;
    this.find(asked);
    return asked;
  }

  /** Whether a container that asks for `name` is run as one that asks for none. */
  isDefault(name: string): boolean {
    const own = (one: string): boolean =>
      one === OWN_RUNTIME || (one === DOCKERS_RUNTIME && !this.#configured.has(one));
    const chosen = name === DOCKERS_SHIM ? this.defaultName : name;
    return chosen === this.defaultName || (own(chosen) && own(this.defaultName));
  }

  /** What runs a container of that runtime; undefined for our own. Throws InvalidParameter where it is not known. */
  find(name: string | undefined): ForeignRuntime | undefined {
    if (name === undefined || name === '' || name === OWN_RUNTIME) return undefined;
    const configured = this.#configured.get(name);
    if (configured !== undefined) {
      return { name, path: findProgram(configured.path), runtimeArgs: configured.runtimeArgs };
    }
    if (name === DOCKERS_RUNTIME) return undefined;
    throw new InvalidParameterError(`unknown or invalid runtime name: ${name}`);
  }

  /** For `info`. */
  describe(): Record<string, RuntimeInfo> {
    const own: [string, RuntimeInfo] = [OWN_RUNTIME, { path: this.#ownPath }];
    const others = [...this.#configured].map(([name, { path, runtimeArgs }]): [string, RuntimeInfo] => [
      name,
      { path, ...(runtimeArgs.length === 0 ? {} : { runtimeArgs }) },
    ]);
    return Object.fromEntries([own, ...others]);
  }

  /** Names and paths of configured runtimes whose program is not there now. */
  missing(): { name: string; path: string }[] {
    return [...this.#configured].flatMap(([name, { path }]) =>
      isProgram(findProgram(path)) ? [] : [{ name, path }],
    );
  }
}

/** Throws InvalidParameter, with Docker's texts where it has some. */
export function checkRuntimes({ runtimes, defaultRuntime }: RuntimesConfig): void {
  for (const [name, { path }] of Object.entries(runtimes)) {
    if (name === OWN_RUNTIME) throw new InvalidParameterError(`runtime name '${name}' is reserved`);
    if (name === '' || /[^a-zA-Z0-9_.-]/.test(name)) {
      throw new InvalidParameterError(`invalid runtime name "${name}"`);
    }
    if (path === '') throw new InvalidParameterError(`runtime "${name}" has no path`);
    if (path.includes('/') && !path.startsWith('/')) {
      throw new InvalidParameterError(`runtime "${name}": path "${path}" is not absolute`);
    }
  }
  const known = [OWN_RUNTIME, DOCKERS_RUNTIME, ...Object.keys(runtimes)];
  if (!known.includes(defaultRuntime)) {
    throw new InvalidParameterError(`specified default runtime '${defaultRuntime}' does not exist`);
  }
}

/** Our own runtime alone maps the owners of a mount: for others it is refused by name, before anything changes. */
export function refuseIdMaps(
  runtime: ForeignRuntime | undefined,
  mounts: readonly { destination: string; idmap?: string }[],
): void {
  if (runtime === undefined) return;
  const mapped = mounts.find(({ idmap }) => (idmap ?? '') !== '');
  if (mapped === undefined) return;
  throw new NotImplementedError(
    `idmap of the mount at ${mapped.destination} needs the runtime ${OWN_RUNTIME}: the container has ${runtime.name}`,
  );
}

/** The user namespace is made before the container, with the network's in it: older runtimes cannot join such a one. */
export function refuseUserNamespace(runtime: ForeignRuntime | undefined): void {
  if (runtime === undefined) return;
  throw new NotImplementedError(
    `user namespaces need the runtime ${OWN_RUNTIME}: use --userns host for a container that has ${runtime.name}`,
  );
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Where no folder of the PATH has it, the start fails with a path that tells what was looked for. */
function findProgram(path: string): string {
  if (path.includes('/')) return path;
  const folders = (process.env['PATH'] ?? '').split(':').filter((folder) => folder.startsWith('/'));
  return folders.map((folder) => join(folder, path)).find(isProgram) ?? join('/usr/bin', path);
}
