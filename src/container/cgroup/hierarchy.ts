/**
 * Where a container's cgroups are: the hierarchies that the host has mounted (cgroups(7)), v1, v2 or both at once, and
 * the container's directory in each, which is where linux.cgroupsPath of its config.json is. Reading and
 * writing of one file stands here; what the files mean is in the files beside this one.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoCode, InternalError } from '../../base/errors.ts';
import { cgroupDirectory } from '../../oci/cgroup-path.ts';
import type { Spec } from '../../oci/runtime-spec.ts';

export interface Hierarchy {
  version: 1 | 2;
  /** v1: the controllers that are mounted here, `name=systemd` for one without; v2: empty. */
  controllers: string[];
  mount: string;
}

/** From the text of /proc/self/mounts. */
export function parseHierarchies(mounts: string): Hierarchy[] {
  return mounts.split('\n').flatMap((line): Hierarchy[] => {
    const [, mount = '', type, options = ''] = line.split(' ');
    if (type === 'cgroup2') return [{ version: 2, controllers: [], mount }];
    if (type !== 'cgroup') return [];
    const flags = new Set(['rw', 'ro', 'nosuid', 'nodev', 'noexec', 'relatime', 'noatime', 'xattr']);
    return [{ version: 1, controllers: options.split(',').filter((word) => !flags.has(word)), mount }];
  });
}

/** One that is mounted while the daemon runs is seen after this. */
const MOUNTED_FOR_MS = 10_000;

let mounted: { hierarchies: readonly Hierarchy[]; readAtMs: number } | undefined;

/**
 * What is mounted, as of the last ten seconds. The kernel's list names every mount of every container: read anew for each
 * of many containers it would cost the square of their number.
 */
export function mountedHierarchies(): readonly Hierarchy[] {
  const nowMs = performance.now();
  if (mounted === undefined || nowMs - mounted.readAtMs > MOUNTED_FOR_MS) {
    mounted = { hierarchies: parseHierarchies(readFileSync('/proc/self/mounts', 'utf8')), readAtMs: nowMs };
  }
  return mounted.hierarchies;
}

/** The forms of cgroupsPath that the engine writes: a folder, or a scope in a systemd slice; both end in the ID. */
const OWN_GROUP = /^(?:\/.*|[^/:]*:[^/:]*:)[0-9a-f]{64}$/;

/**
 * Where a bundle's group lies below each hierarchy's root; undefined where there is no bundle, or one that was cut
 * while it was written. Throws where it cannot be read. Only a path below a folder of its own counts: never a hierarchy's root or another's group.
 */
export function bundleCgroupsPath(bundle: string): string | undefined {
  const path = specCgroupsPath(bundle);
  return path === undefined ? undefined : cgroupDirectory(path);
}

/** linux.cgroupsPath itself, as a runtime is told it. Throws where the bundle cannot be read. */
export function specCgroupsPath(bundle: string): string | undefined {
  let path: string | undefined;
  try {
    path = (JSON.parse(readFileSync(join(bundle, 'config.json'), 'utf8')) as Spec).linux?.cgroupsPath;
  } catch (error) {
    // No bundle, or a cut one: nothing was started from it.
    if (error instanceof SyntaxError || errnoCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  return path !== undefined && OWN_GROUP.test(path) ? path : undefined;
}

/** No string of JSON has the name with its quotes as they are: where it stands once, it is the key that every spec has. */
const CGROUPS_PATH = /"cgroupsPath":(?:"([^"\\]*)")?/g;

/**
 * `bundleCgroupsPath` of a bundle that something runs from, which therefore is whole. A daemon that starts asks this of
 * every container, and most of a spec is its seccomp profile, which need not be parsed for it.
 */
function runningCgroupsPath(bundle: string): string | undefined {
  const found = [...textOf(join(bundle, 'config.json')).matchAll(CGROUPS_PATH)];
  const [, path = ''] = found[0] ?? [];
  // An annotation may have that key, too.
  return found.length === 1 && OWN_GROUP.test(path) ? cgroupDirectory(path) : bundleCgroupsPath(bundle);
}

/** Empty where it is not there. */
function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return '';
    throw error;
  }
}

/** The cgroups of one container. */
export class ContainerCgroup {
  readonly #path: string;
  readonly #hierarchies: readonly Hierarchy[];

  constructor(path: string, hierarchies: readonly Hierarchy[] = mountedHierarchies()) {
    this.#path = path;
    this.#hierarchies = hierarchies;
  }

  /** Of a running container's bundle. Throws Internal where the bundle does not say. */
  static of(bundle: string, hierarchies?: readonly Hierarchy[]): ContainerCgroup {
    const path = runningCgroupsPath(bundle);
    if (path === undefined) throw new InternalError(`${bundle} names no cgroup`);
    return new ContainerCgroup(path, hierarchies);
  }

  /** The directory in the v1 hierarchy of a controller; undefined where v1 does not have it. */
  v1(controller: string): string | undefined {
    const found = this.#hierarchies.find(
      ({ version, controllers }) => version === 1 && controllers.includes(controller),
    );
    return found === undefined ? undefined : join(found.mount, this.#path);
  }

  /** The directory in the v2 hierarchy. */
  get v2(): string | undefined {
    const found = this.#hierarchies.find(({ version }) => version === 2);
    return found === undefined ? undefined : join(found.mount, this.#path);
  }

  /** All its directories. */
  directories(): string[] {
    return this.#hierarchies.map(({ mount }) => join(mount, this.#path));
  }

  /** The processes of the container, those in cgroups that it made below its own included. */
  pids(): number[] {
    const directory = this.v1('pids') ?? this.v1('memory') ?? this.v1('freezer') ?? this.v2;
    if (directory === undefined) return [];
    return [...new Set(pidsBelow(directory))].sort((a, b) => a - b);
  }
}

function pidsBelow(directory: string): number[] {
  const own = (readCgroupFile(directory, 'cgroup.procs') ?? '')
    .split('\n')
    .filter((line) => line !== '')
    .map(Number);
  return [...own, ...childGroups(directory).flatMap((child) => pidsBelow(child))];
}

function childGroups(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => join(directory, entry.name));
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return [];
    throw error;
  }
}

/** A file's text without the last line feed; undefined where it is not there, or (threaded groups) not supported. */
export function readCgroupFile(directory: string, file: string): string | undefined {
  try {
    return readFileSync(join(directory, file), 'utf8').replace(/\n$/, '');
  } catch (error) {
    if (['ENOENT', 'ENODEV', 'EOPNOTSUPP'].includes(errnoCode(error) ?? '')) return undefined;
    throw error;
  }
}

export function hasCgroupFile(directory: string, file: string): boolean {
  return existsSync(join(directory, file));
}

/** Throws Internal with the kernel's reason. */
export function writeCgroupFile(directory: string, file: string, value: string): void {
  try {
    // Not truncated: cgroup files take one write as one value.
    writeFileSync(join(directory, file), value, { flag: 'r+' });
  } catch (error) {
    throw new InternalError(`failed to write "${value}" to ${join(directory, file)}`, error);
  }
}
