/** `--mount type=bind,source=/a,target=/b,readonly`: one line of comma-separated fields to a `Mount`. */
import { resolve } from 'node:path';
import type {
  BindOptions,
  ImageOptions,
  Mount,
  MountType,
  TmpfsOptions,
  VolumeOptions,
} from '../../api/mounts.ts';
import { splitCsv } from './csv.ts';
import { splitPair } from './environment.ts';
import { parseBytes } from './quantity.ts';

interface Draft {
  type: string;
  source: string;
  target: string;
  readOnly: boolean;
  consistency: string;
  idmap: string;
  bind: BindOptions;
  volume: VolumeOptions;
  image: ImageOptions;
  tmpfs: TmpfsOptions;
}

type FieldReader = (draft: Draft, value: string, field: string) => void;

/** Throws with Docker's messages. Relative bind sources (`.`, `./x`) are resolved against the working directory. */
export function parseMount(spec: string, cwd = process.cwd()): Mount {
  const draft: Draft = {
    type: 'volume',
    source: '',
    target: '',
    readOnly: false,
    consistency: '',
    idmap: '',
    bind: {},
    volume: {},
    image: {},
    tmpfs: {},
  };
  if (spec === '') throw new Error('EOF');
  for (const field of splitCsv(spec)) readField(draft, field);
  return finish(draft, cwd);
}

const FLAG_FIELDS = ['readonly', 'ro', 'volume-nocopy', 'bind-nonrecursive', 'bind-create-src', 'idmap'];

function readField(draft: Draft, field: string): void {
  const [rawKey, value] = splitPair(field);
  const key = rawKey.toLowerCase();
  if (!field.includes('=') && !FLAG_FIELDS.includes(key)) {
    throw new Error(`invalid field '${field}' must be a key=value pair`);
  }
  const reader = FIELDS[key];
  if (reader === undefined) throw new Error(`unexpected key '${key}' in '${field}'`);
  reader(draft, field.includes('=') ? value : 'true', field);
}

const source: FieldReader = (draft, value) => {
  draft.source = value;
};
const target: FieldReader = (draft, value) => {
  draft.target = value;
};
const readOnly: FieldReader = (draft, value, field) => {
  draft.readOnly = parseFlag(value, field);
};

const FIELDS: Record<string, FieldReader> = {
  type: (draft, value) => {
    draft.type = value.toLowerCase();
  },
  source,
  src: source,
  target,
  dst: target,
  destination: target,
  readonly: readOnly,
  ro: readOnly,
  consistency: (draft, value) => {
    draft.consistency = value.toLowerCase();
  },
  'bind-propagation': (draft, value) => {
    draft.bind.Propagation = value.toLowerCase() as NonNullable<BindOptions['Propagation']>;
  },
  'bind-nonrecursive': (draft, value, field) => {
    draft.bind.NonRecursive = parseFlag(value, field);
  },
  'bind-recursive': bindRecursive,
  'bind-create-src': (draft, value, field) => {
    draft.bind.CreateMountpoint = parseFlag(value, field);
  },
  // Ours, of binds and volumes: alone it is `owner`.
  idmap: (draft, value, field) => {
    draft.idmap = field.includes('=') ? value : 'owner';
  },
  'volume-nocopy': (draft, value, field) => {
    draft.volume.NoCopy = parseFlag(value, field);
  },
  'volume-label': (draft, value) => {
    draft.volume.Labels = withPair(draft.volume.Labels, value);
  },
  'volume-driver': (draft, value) => {
    draft.volume.DriverConfig = { ...draft.volume.DriverConfig, Name: value };
  },
  'volume-opt': (draft, value) => {
    const Options = withPair(draft.volume.DriverConfig?.Options, value);
    draft.volume.DriverConfig = { ...draft.volume.DriverConfig, Options };
  },
  'volume-subpath': (draft, value) => {
    draft.volume.Subpath = value;
  },
  'image-subpath': (draft, value) => {
    draft.image.Subpath = value;
  },
  'tmpfs-size': (draft, value) => {
    draft.tmpfs.SizeBytes = parseSize(value);
  },
  'tmpfs-mode': (draft, value) => {
    if (!/^[0-7]+$/.test(value)) throw new Error(`invalid value for tmpfs-mode: ${value}`);
    draft.tmpfs.Mode = Number.parseInt(value, 8);
  },
  // Ours: one word, as `exec`; several fields add up.
  'tmpfs-options': (draft, value) => {
    draft.tmpfs.Options = [...(draft.tmpfs.Options ?? []), value.split('=', 2)];
  },
};

/** A pair without a key is none. */
function withPair(map: Record<string, string> | null | undefined, pair: string): Record<string, string> {
  const [key, value] = splitPair(pair);
  return key === '' ? { ...map } : { ...map, [key]: value };
}

function bindRecursive(draft: Draft, value: string): void {
  switch (value) {
    case 'enabled':
      return;
    case 'disabled':
      draft.bind.NonRecursive = true;
      return;
    case 'writable':
      draft.bind.ReadOnlyNonRecursive = true;
      return;
    case 'readonly':
      draft.bind.ReadOnlyForceRecursive = true;
      return;
    default:
      throw new Error(
        `invalid value for bind-recursive: ${value} (must be "enabled", "disabled", "writable", or "readonly")`,
      );
  }
}

function finish(draft: Draft, cwd: string): Mount {
  if (draft.type === '') throw new Error('type is required');
  if (draft.target === '') throw new Error('target is required');
  if (draft.idmap !== '') {
    if (draft.type !== 'bind' && draft.type !== 'volume')
      throw new Error(`cannot mix 'idmap' with mount type '${draft.type}'`);
    draft[draft.type].IDMap = draft.idmap;
  }
  const groups = {
    bind: { BindOptions: draft.bind },
    volume: { VolumeOptions: draft.volume },
    image: { ImageOptions: draft.image },
    tmpfs: { TmpfsOptions: draft.tmpfs },
  };
  const mount: Mount = { Type: draft.type as MountType, Target: draft.target };
  const relative = draft.source.startsWith('.');
  if (draft.source !== '') mount.Source = relative ? resolve(cwd, draft.source) : draft.source;
  if (draft.readOnly) mount.ReadOnly = true;
  if (draft.consistency !== '') mount.Consistency = draft.consistency;
  for (const [type, group] of Object.entries(groups)) {
    const used = Object.values(group).some((options) => Object.keys(options).length > 0);
    if (!used) continue;
    if (type !== draft.type)
      throw new Error(`cannot mix '${type}-*' options with mount type '${draft.type}'`);
    Object.assign(mount, group);
  }
  checkRecursion(mount);
  return mount;
}

/** Told here in the words of the flag, before the daemon would. */
function checkRecursion({ ReadOnly: readOnly, BindOptions: bind }: Mount): void {
  const needs = (word: string, what: string): void => {
    throw new Error(`option 'bind-recursive=${word}' requires '${what}' to be specified in conjunction`);
  };
  if (bind?.ReadOnlyNonRecursive === true && readOnly !== true) needs('writable', 'readonly');
  if (bind?.ReadOnlyForceRecursive !== true) return;
  if (readOnly !== true) needs('readonly', 'readonly');
  if (bind.Propagation !== 'rprivate') needs('readonly', 'bind-propagation=rprivate');
}

function parseSize(value: string): number {
  try {
    return parseBytes(value);
  } catch {
    throw new Error(`invalid value for tmpfs-size: ${value}`);
  }
}

function parseFlag(value: string, field: string): boolean {
  if (['1', 't', 'T', 'true', 'TRUE', 'True'].includes(value)) return true;
  if (['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(value)) return false;
  throw new Error(`invalid value for ${splitPair(field)[0]}: ${value}`);
}
