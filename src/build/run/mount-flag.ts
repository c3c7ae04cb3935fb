/**
 * The value of `RUN --mount`: comma-separated fields as in a line of CSV, with BuildKit's keys, defaults and texts.
 * Where mounts come from is not looked at here, only what they say.
 */
import { InvalidParameterError } from '../../base/errors.ts';
import { csvFields } from './mount-fields.ts';
import { baseName, boolean, bytes, cleanPath, id, mode, oneOf } from './mount-values.ts';

export type MountType = 'bind' | 'cache' | 'tmpfs' | 'secret' | 'ssh';

/** A mount as the Dockerfile has it, with defaults filled in. Stages and contexts are still names. */
export interface RunMountSpec {
  type: MountType;
  /** A stage, an image or a named context; empty: the build context for `bind`, nothing for `cache`. */
  from: string;
  /** Inside `from`. */
  source: string;
  /** Absolute. Undefined for secrets that are in the environment alone, and for ssh agents at their usual place. */
  target?: string;
  readOnly: boolean;
  id: string;
  sharing: 'shared' | 'private' | 'locked';
  required: boolean;
  /** tmpfs. */
  sizeBytes?: number;
  /** Undefined where the flag does not say. */
  mode?: number;
  uid?: number;
  gid?: number;
  /** secret: the variable that gets it. */
  env?: string;
}

export interface MountFlagOptions {
  /** Expands variables in a value. */
  expand(text: string): string;
  /** What relative targets count from. */
  workingDir: string;
}

const TYPES: readonly string[] = ['bind', 'cache', 'tmpfs', 'secret', 'ssh'];
const SHARING: readonly string[] = ['shared', 'private', 'locked'];
const KEYS: Readonly<Record<string, string>> = {
  type: 'type',
  from: 'from',
  source: 'source',
  src: 'source',
  target: 'target',
  dst: 'target',
  destination: 'target',
  readonly: 'readonly',
  ro: 'readonly',
  readwrite: 'readwrite',
  rw: 'readwrite',
  required: 'required',
  size: 'size',
  id: 'id',
  sharing: 'sharing',
  mode: 'mode',
  uid: 'uid',
  gid: 'gid',
  env: 'env',
};

/** Throws InvalidParameter, naming key and value. */
export function parseRunMount(value: string, options: MountFlagOptions): RunMountSpec {
  return settle(readFields(value, options.expand), options.workingDir);
}

/**
 * What `--mount` takes from, before any variable is known: the name decides which stages a build needs. Empty where it
 * takes from nothing else. Throws InvalidParameter for a name with variables in it.
 */
export function mountFrom(value: string): string {
  let from = '';
  for (const field of csvFields(value)) {
    const { key, text } = splitField(field);
    if (key !== 'from' || text === undefined) continue;
    if (/\$./.test(text)) {
      throw new InvalidParameterError(
        "'from' doesn't support variable expansion, define alias stage instead",
      );
    }
    from = text;
  }
  return from;
}

/** Keys, in lower case, with their values as they are; undefined for a key that stands alone. Throws InvalidParameter. */
export function mountFields(value: string): [key: string, text: string | undefined][] {
  return csvFields(value).map((field) => {
    const { key, text } = splitField(field);
    return [key, text];
  });
}

interface RawMount {
  type: MountType;
  from: string;
  source: string;
  target: string;
  readOnly?: boolean;
  id: string;
  sharing: string;
  required: boolean;
  sizeBytes?: number;
  mode?: number;
  uid?: number;
  gid?: number;
  env?: string;
}

function readFields(value: string, expand: (text: string) => string): RawMount {
  const mount: RawMount = {
    type: 'bind',
    from: mountFrom(value),
    source: '',
    target: '',
    id: '',
    sharing: '',
    required: false,
  };
  for (const field of csvFields(value)) {
    const { key, text } = splitField(field);
    if (text === undefined) readWord(mount, key, field);
    else if (key !== 'from') readPair(mount, key, expand(text), field);
  }
  return mount;
}

/** A key that stands alone. */
function readWord(mount: RawMount, key: string, field: string): void {
  const name = KEYS[key];
  if (name === 'readonly') mount.readOnly = true;
  else if (name === 'readwrite') mount.readOnly = false;
  else if (name === 'required') readRequired(mount, key, 'true');
  else throw new InvalidParameterError(`invalid field '${field}' must be a key=value pair`);
}

function readPair(mount: RawMount, key: string, text: string, field: string): void {
  switch (KEYS[key]) {
    case 'type':
      mount.type = oneOf(text, TYPES, `unsupported mount type "${text}"`) as MountType;
      return;
    case 'source':
      mount.source = text;
      return;
    case 'target':
      mount.target = text;
      return;
    case 'readonly':
      mount.readOnly = boolean(key, text);
      return;
    case 'readwrite':
      mount.readOnly = !boolean(key, text);
      return;
    case 'required':
      readRequired(mount, key, text);
      return;
    case 'size':
      if (mount.type !== 'tmpfs') throw unexpected(key, mount);
      mount.sizeBytes = bytes(key, text);
      return;
    case 'id':
      mount.id = text;
      return;
    case 'sharing':
      mount.sharing = oneOf(text, SHARING, `unsupported sharing value "${text}"`);
      return;
    case 'mode':
      mount.mode = mode(text);
      return;
    case 'uid':
      mount.uid = id('uid', text);
      return;
    case 'gid':
      mount.gid = id('gid', text);
      return;
    case 'env':
      mount.env = text;
      return;
    default:
      throw new InvalidParameterError(
        `unexpected key '${key}' in '${field}' (expected one of ${Object.keys(KEYS).join(', ')})`,
      );
  }
}

function readRequired(mount: RawMount, key: string, text: string): void {
  if (mount.type !== 'secret' && mount.type !== 'ssh') throw unexpected(key, mount);
  mount.required = boolean(key, text);
}

function unexpected(key: string, { type }: RawMount): InvalidParameterError {
  return new InvalidParameterError(`unexpected key '${key}' for mount type '${type}'`);
}

/** Judges the whole, and fills in what follows from the type. */
function settle(raw: RawMount, workingDir: string): RunMountSpec {
  const { type, from, source, sizeBytes, mode: bits, uid, gid, env } = raw;
  if (type === 'bind' || type === 'tmpfs') {
    for (const [key, given] of Object.entries({ mode: bits, uid, gid })) {
      if (given !== undefined)
        throw new InvalidParameterError(`${key} not allowed for "${type}" type mounts`);
    }
  }
  if (raw.sharing !== '' && type !== 'cache') {
    throw new InvalidParameterError(`invalid cache sharing set for ${type} mount`);
  }
  if (env !== undefined && type !== 'secret') throw unexpected('env', raw);
  if (from !== '' && type !== 'bind' && type !== 'cache') {
    throw new InvalidParameterError(`${type} mount should not have a from`);
  }
  const target = targetOf(raw, workingDir);
  return {
    type,
    from,
    source,
    readOnly: raw.readOnly ?? (type !== 'cache' && type !== 'tmpfs'),
    id: idOf(raw),
    sharing: (raw.sharing === '' ? 'shared' : raw.sharing) as RunMountSpec['sharing'],
    required: raw.required,
    ...(target === undefined ? {} : { target }),
    ...(sizeBytes === undefined ? {} : { sizeBytes }),
    ...(bits === undefined ? {} : { mode: bits }),
    ...(uid === undefined ? {} : { uid }),
    ...(gid === undefined ? {} : { gid }),
    ...(env === undefined ? {} : { env }),
  };
}

function targetOf(raw: RawMount, workingDir: string): string | undefined {
  const { type, target, env } = raw;
  if (type === 'ssh' && target === '') return undefined;
  if (type === 'secret' && target === '') {
    return env === undefined ? `/run/secrets/${baseName(idOf(raw))}` : undefined;
  }
  const path = cleanPath(target.startsWith('/') ? target : `${workingDir}/${target}`);
  if (path === '/')
    throw new InvalidParameterError(`invalid mount target "${target === '' ? path : target}"`);
  return path;
}

function idOf({ type, id: given, source, target }: RawMount): string {
  if (type === 'ssh') return given === '' ? 'default' : given;
  if (type === 'cache') return given === '' ? cleanPath(target) : given;
  if (type !== 'secret') return given;
  if (given !== '' && source !== '') throw new InvalidParameterError("both source and id can't be set");
  const named = given === '' ? source : given;
  if (named !== '') return named;
  if (target === '') {
    throw new InvalidParameterError('invalid secret mount. one of source, target required');
  }
  return baseName(target);
}

function splitField(field: string): { key: string; text?: string } {
  const at = field.indexOf('=');
  if (at < 0) return { key: field.toLowerCase() };
  return { key: field.slice(0, at).toLowerCase(), text: field.slice(at + 1) };
}
