/**
 * One mount as a user asked for it: `-v` strings (`source:target[:mode]`) and `--mount` objects, checked with Docker's
 * rules and texts. Nothing is looked up here; mount-points.ts puts the mounts of a container together.
 */
import { posix } from 'node:path';
import type { Mount, MountPropagation, TmpfsOptions } from '../api/mounts.ts';
import { InvalidParameterError, NotImplementedError } from '../base/errors.ts';
import { checkIdMap, OWNER } from '../oci/idmap.ts';
import { cleanPath } from '../oci/mounts.ts';

/**
 * A checked mount. `source` is a host path for binds, a volume's name (empty: anonymous) for volumes, a reference for
 * images.
 */
export interface MountSpec {
  type: 'bind' | 'volume' | 'tmpfs' | 'image';
  source: string;
  destination: string;
  readOnly: boolean;
  /** The words after the second colon, as they were. */
  mode: string;
  propagation: MountPropagation | '';
  nonRecursive: boolean;
  readOnlyNonRecursive: boolean;
  readOnlyForceRecursive: boolean;
  /** A missing host path is made as a folder (`-v`); otherwise it is an error (`--mount`). */
  createSource: boolean;
  /** Binds and volumes: `owner` or ranges (src/oci/idmap.ts); empty, or absent in old records: owners are as they are. */
  idmap?: string;
  /** Volumes: fill an empty one with the image's content. */
  copyUp: boolean;
  /** Volumes and images: the part of it that is mounted; empty for all. */
  subpath: string;
  /** Volumes: driver, its options and labels of one that is made for this mount. */
  driver?: string;
  driverOptions?: Record<string, string>;
  labels: Record<string, string>;
  /** Tmpfs: mount options, comma-separated. */
  tmpfsOptions: string;
}

const PROPAGATIONS = new Set(['private', 'rprivate', 'slave', 'rslave', 'shared', 'rshared']);

/** Each group may be named once. */
const MODE_GROUPS: ReadonlySet<string>[] = [
  new Set(['rw', 'ro']),
  new Set(['z', 'Z']),
  PROPAGATIONS,
  new Set(['nocopy']),
  new Set(['consistent', 'cached', 'delegated']),
];

/** `idmap`, which means the owner, or `idmap=` with a mapping. */
function isIdMap(word: string): boolean {
  return word === 'idmap' || word.startsWith('idmap=');
}

/** The words after the second colon: known ones, and none twice of a group. */
export function isValidMode(mode: string): boolean {
  if (mode === '') return true;
  const words = mode.split(',');
  const known = (word: string) => isIdMap(word) || MODE_GROUPS.some((group) => group.has(word));
  if (!words.every(known) || words.filter(isIdMap).length > 1) return false;
  return MODE_GROUPS.every((group) => words.filter((word) => group.has(word)).length <= 1);
}

export interface MountHost {
  /** SELinux is on: `z` and `Z` would have to relabel, which is not built. */
  selinux: boolean;
  /** Whether a host path is there; asked for `--mount type=bind`. */
  exists(path: string): boolean;
}

/** Reads a `-v` string; `driver` is that of its volume. Throws InvalidParameter with Docker's text. */
export function parseBind(raw: string, host: MountHost, driver = ''): MountSpec {
  const invalid = `invalid volume specification: '${raw}'`;
  const parts = raw.split(':');
  const [first = '', second, third = ''] = parts;
  if (first === '' || parts.length > 3) throw new InvalidParameterError(invalid);
  // A target alone cannot have a mode: `/data:ro`.
  if (parts.length === 2 && isValidMode(second ?? '')) throw new InvalidParameterError(invalid);
  if (!isValidMode(third)) throw new InvalidParameterError(`invalid mode: ${third}`);
  const words = third.split(',');
  refuseRelabel(words, host);
  const source = second === undefined ? '' : first;
  const propagation = words.find((word) => PROPAGATIONS.has(word));
  const idmap = words.find(isIdMap);
  const request: Mount = {
    Type: source.startsWith('/') ? 'bind' : 'volume',
    Source: source,
    Target: second ?? first,
    ReadOnly: words.includes('ro'),
    ...(propagation === undefined ? {} : { BindOptions: { Propagation: propagation as MountPropagation } }),
    ...(words.includes('nocopy') ? { VolumeOptions: { NoCopy: true } } : {}),
  };
  try {
    const spec = checkMount(request, undefined);
    if (idmap !== undefined) spec.idmap = checkedIdMap(idmap === 'idmap' ? OWNER : idmap.slice(6));
    return { ...spec, ...(spec.type === 'volume' ? { driver } : {}), mode: third, createSource: true };
  } catch (error) {
    if (error instanceof InvalidParameterError)
      throw new InvalidParameterError(`${invalid}: ${error.message}`);
    throw error;
  }
}

function refuseRelabel(words: string[], host: MountHost): void {
  const label = words.find((word) => word === 'z' || word === 'Z');
  if (label !== undefined && host.selinux) {
    throw new NotImplementedError(`mount option "${label}": SELinux labels are not implemented`);
  }
}

/** Checks an entry of HostConfig.Mounts. Throws InvalidParameter with Docker's text, NotImplemented by name. */
export function parseMount(request: Mount, host: MountHost): MountSpec {
  return checkMount(request, host);
}

function checkMount(request: Mount, host: MountHost | undefined): MountSpec {
  const fail = (problem: string): never => {
    throw new InvalidParameterError(`invalid mount config for type "${request.Type ?? ''}": ${problem}`);
  };
  const target = request.Target ?? '';
  if (target === '') fail('field Target must not be empty');
  if (`${target}${request.Source ?? ''}`.includes('\0')) fail('a path cannot hold a NUL byte');
  if (cleanPath(target) === '/') fail("invalid specification: destination can't be '/'");
  if (!target.startsWith('/')) fail(`invalid mount path: '${target}' mount path must be absolute`);
  const common: MountSpec = {
    type: 'volume',
    source: request.Source ?? '',
    destination: cleanPath(target),
    readOnly: request.ReadOnly === true,
    mode: '',
    propagation: '',
    nonRecursive: false,
    readOnlyNonRecursive: false,
    readOnlyForceRecursive: false,
    createSource: false,
    copyUp: false,
    subpath: '',
    labels: {},
    tmpfsOptions: '',
  };
  switch (request.Type) {
    case 'bind':
      return bindSpec(request, common, host, fail);
    case 'volume':
      return volumeSpec(request, common, fail);
    case 'tmpfs':
      return tmpfsSpec(request, common, fail);
    case 'image':
      return imageSpec(request, common, fail);
    case 'cluster':
      throw new NotImplementedError(`mount at ${target}: cluster volumes need a swarm, which mydock is not`);
    default:
      return fail('mount type unknown');
  }
}

type Fail = (problem: string) => never;

/** The shape of a request does not look into these options. */
function checkedIdMap(value: unknown): string {
  if (value === undefined || value === null || value === '') return '';
  if (typeof value !== 'string') throw new InvalidParameterError('field IDMap must be a string');
  checkIdMap(value);
  return value;
}

function bindSpec(request: Mount, common: MountSpec, host: MountHost | undefined, fail: Fail): MountSpec {
  const source = common.source;
  if (source === '') fail('field Source must not be empty');
  if (request.VolumeOptions) fail('field VolumeOptions must not be specified');
  if (request.ImageOptions) fail('field ImageOptions must not be specified');
  if (request.TmpfsOptions) fail('field TmpfsOptions must not be specified');
  if (!source.startsWith('/')) fail(`invalid mount path: '${source}' mount path must be absolute`);
  const options = request.BindOptions ?? {};
  const propagation = options.Propagation || 'rprivate';
  if (!PROPAGATIONS.has(propagation)) fail(`invalid propagation mode: ${propagation}`);
  const createSource = options.CreateMountpoint === true;
  if (host !== undefined && !createSource && !host.exists(source))
    fail(`bind source path does not exist: ${source}`);
  return {
    ...common,
    type: 'bind',
    idmap: checkedIdMap(options.IDMap),
    source: cleanPath(source),
    propagation,
    nonRecursive: options.NonRecursive === true,
    readOnlyNonRecursive: options.ReadOnlyNonRecursive === true,
    readOnlyForceRecursive: options.ReadOnlyForceRecursive === true,
    createSource,
  };
}

function volumeSpec(request: Mount, common: MountSpec, fail: Fail): MountSpec {
  if (request.BindOptions) fail('field BindOptions must not be specified');
  if (request.ImageOptions) fail('field ImageOptions must not be specified');
  if (request.TmpfsOptions) fail('field TmpfsOptions must not be specified');
  const options = request.VolumeOptions ?? {};
  const subpath = options.Subpath ?? '';
  if (subpath !== '' && common.source === '') fail('must not set Subpath when using anonymous volumes');
  requireLocal(subpath, fail);
  if (common.readOnly && common.source === '')
    fail('must not set ReadOnly mode when using anonymous volumes');
  return {
    ...common,
    idmap: checkedIdMap(options.IDMap),
    copyUp: options.NoCopy !== true,
    subpath,
    driver: options.DriverConfig?.Name ?? '',
    driverOptions: options.DriverConfig?.Options ?? {},
    labels: options.Labels ?? {},
  };
}

/** What looks as if it led outside is refused at once; where links lead is for the kernel to say, at the start. */
function requireLocal(subpath: string, fail: Fail): void {
  if (subpath === '') return;
  const inside = posix.normalize(subpath);
  if (inside.startsWith('/') || inside === '..' || inside.startsWith('../')) {
    fail('subpath must be a relative path within the volume');
  }
}

function imageSpec(request: Mount, common: MountSpec, fail: Fail): MountSpec {
  if (request.BindOptions) fail('field BindOptions must not be specified');
  if (request.VolumeOptions) fail('field VolumeOptions must not be specified');
  if (request.TmpfsOptions) fail('field TmpfsOptions must not be specified');
  if (common.source === '') fail('field Source must not be empty');
  const subpath = request.ImageOptions?.Subpath ?? '';
  requireLocal(subpath, fail);
  return { ...common, type: 'image', readOnly: true, propagation: 'rprivate', subpath };
}

function tmpfsSpec(request: Mount, common: MountSpec, fail: Fail): MountSpec {
  if (request.BindOptions) fail('field BindOptions must not be specified');
  if (request.VolumeOptions) fail('field VolumeOptions must not be specified');
  if (request.ImageOptions) fail('field ImageOptions must not be specified');
  if (common.source !== '') fail('field Source must not be specified');
  return {
    ...common,
    type: 'tmpfs',
    tmpfsOptions: tmpfsOptions(request.TmpfsOptions ?? {}, common.readOnly, fail),
  };
}

function tmpfsOptions(options: TmpfsOptions, readOnly: boolean, fail: Fail): string {
  const words = readOnly ? ['ro'] : [];
  if ((options.Mode ?? 0) !== 0) words.push(`mode=${(options.Mode ?? 0).toString(8)}`);
  if ((options.SizeBytes ?? 0) !== 0) words.push(`size=${options.SizeBytes}`);
  for (const option of options.Options ?? []) {
    if (option.length < 1 || option.length > 2) fail('invalid option array length');
    if (option[0] !== 'exec' && option[0] !== 'noexec') fail(`invalid option: ${option[0]}`);
    words.push(option.join('='));
  }
  return words.join(',');
}
