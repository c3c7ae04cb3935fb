/**
 * Reads the text of a CDI specification file: strictly, so that a misspelt field is an error that names it and not a
 * device that lacks something. Fields are those of SPEC.md; each version may use what it introduced and no later one.
 */
import { errorMessage, InvalidParameterError } from '../../base/errors.ts';
import type { Hooks } from '../runtime-spec.ts';
import { isDeviceName, isKind } from './names.ts';
import type { CdiDevice, CdiHook, CdiMount, CdiSpec, ContainerEdits, DeviceNode } from './spec.ts';

const VERSIONS = ['0.3.0', '0.4.0', '0.5.0', '0.6.0', '0.7.0', '0.8.0', '1.0.0', '1.1.0'];
const HOOK_NAMES: readonly (keyof Hooks)[] = [
  'prestart',
  'createRuntime',
  'createContainer',
  'startContainer',
  'poststart',
  'poststop',
];

/** Throws InvalidParameter naming the field. `yaml` is chosen by the file's name. */
export async function parseCdiSpec(text: string, format: 'json' | 'yaml'): Promise<CdiSpec> {
  const root = new Reader(await parseText(text, format), '');
  root.only(['cdiVersion', 'kind', 'annotations', 'devices', 'containerEdits']);
  const version = root.text('cdiVersion').replace(/^v/, '');
  if (!VERSIONS.includes(version)) root.fail('cdiVersion', `is "${version}", which is not supported`);
  const kind = root.text('kind');
  if (!isKind(kind)) root.fail('kind', `is "${kind}", expected vendor/class`);
  const needs = new VersionCheck(version);
  if (kind.split('/')[1]?.includes('.')) needs.atLeast('0.6.0', 'a dot in the class');
  const annotations = annotationsOf(root, needs);
  const global = root.optionalObject('containerEdits');
  const spec: CdiSpec = {
    cdiVersion: version,
    kind,
    ...annotations,
    devices: root.objects('devices').map((device) => readDevice(device, needs)),
    ...(global === undefined ? {} : { containerEdits: readEdits(global, needs) }),
  };
  if (spec.devices.length === 0) root.fail('devices', 'is empty');
  const names = new Set<string>();
  for (const { name } of spec.devices) {
    if (names.has(name)) root.fail('devices', `has the device "${name}" twice`);
    names.add(name);
  }
  return spec;
}

/** `fileMode: 0660`, as YAML 1.1 has it and vendors write it. */
const OLD_OCTAL = {
  tag: 'tag:yaml.org,2002:int',
  default: true,
  test: /^0[0-7]+$/,
  resolve: (text: string) => Number.parseInt(text, 8),
};

async function parseText(text: string, format: 'json' | 'yaml'): Promise<unknown> {
  try {
    if (format === 'json') return JSON.parse(text);
    // Loaded where it is needed alone: it is large.
    const { parse } = await import('yaml');
    // Warnings would go to the daemon's stderr.
    return parse(text, { maxAliasCount: 100, logLevel: 'error', customTags: (tags) => [OLD_OCTAL, ...tags] });
  } catch (error) {
    throw new InvalidParameterError(`is no ${format === 'json' ? 'JSON' : 'YAML'}: ${errorMessage(error)}`);
  }
}

class VersionCheck {
  readonly #version: string;

  constructor(version: string) {
    this.#version = version;
  }

  atLeast(minimum: string, what: string): void {
    if (VERSIONS.indexOf(this.#version) < VERSIONS.indexOf(minimum)) {
      throw new InvalidParameterError(`cdiVersion is ${this.#version}, and ${what} needs ${minimum}`);
    }
  }
}

/** They are the vendor's notes and change nothing in a container. */
function annotationsOf(from: Reader, needs: VersionCheck): { annotations?: Record<string, string> } {
  const given = from.optionalObject('annotations');
  if (given === undefined) return {};
  needs.atLeast('0.6.0', 'annotations');
  return { annotations: Object.fromEntries(given.keys().map((key) => [key, given.text(key)])) };
}

function readDevice(from: Reader, needs: VersionCheck): CdiDevice {
  from.only(['name', 'annotations', 'containerEdits']);
  const name = from.text('name');
  if (!isDeviceName(name)) from.fail('name', `is "${name}", which is no device name`);
  if (/^\d/.test(name)) needs.atLeast('0.5.0', `the device name "${name}"`);
  const edits = from.optionalObject('containerEdits');
  if (edits === undefined || edits.keys().length === 0) from.fail('containerEdits', 'is empty');
  return { name, ...annotationsOf(from, needs), containerEdits: readEdits(edits, needs) };
}

function readEdits(from: Reader, needs: VersionCheck): ContainerEdits {
  from.only(['env', 'deviceNodes', 'mounts', 'hooks', 'additionalGids', 'intelRdt', 'netDevices']);
  for (const field of ['intelRdt', 'netDevices']) {
    if (from.has(field)) from.fail(field, 'is not supported');
  }
  const gids = from.optionalNumbers('additionalGids');
  if (gids !== undefined) needs.atLeast('0.7.0', 'additionalGids');
  return {
    env: environment(from),
    deviceNodes: from.objects('deviceNodes').map((node) => readNode(node, needs)),
    mounts: from.objects('mounts').map((mount) => readMount(mount, needs)),
    hooks: from.objects('hooks').map(readHook),
    ...(gids === undefined ? {} : { additionalGids: gids }),
  };
}

function environment(from: Reader): string[] {
  const env = from.texts('env') ?? [];
  const wrong = env.find((entry) => entry.indexOf('=') < 1);
  if (wrong !== undefined) from.fail('env', `has "${wrong}", expected NAME=value`);
  return env;
}

function readNode(from: Reader, needs: VersionCheck): DeviceNode {
  from.only(['path', 'hostPath', 'type', 'major', 'minor', 'fileMode', 'permissions', 'uid', 'gid']);
  const hostPath = from.optionalPath('hostPath');
  if (hostPath !== undefined) needs.atLeast('0.5.0', 'hostPath of a device node');
  const type = from.optionalText('type');
  if (type !== undefined && !/^[bcup]$/.test(type)) from.fail('type', `is "${type}", expected b, c, u or p`);
  const permissions = from.optionalText('permissions');
  if (permissions !== undefined && !/^[rwm]{1,3}$/.test(permissions)) {
    from.fail('permissions', `is "${permissions}", expected any of r, w, m`);
  }
  return {
    path: from.path('path'),
    ...defined('hostPath', hostPath),
    ...defined('type', type as DeviceNode['type']),
    ...defined('major', from.optionalNumber('major')),
    ...defined('minor', from.optionalNumber('minor')),
    ...defined('fileMode', from.optionalNumber('fileMode', 0o7777)),
    ...defined('permissions', permissions),
    ...defined('uid', from.optionalNumber('uid')),
    ...defined('gid', from.optionalNumber('gid')),
  };
}

function readMount(from: Reader, needs: VersionCheck): CdiMount {
  from.only(['hostPath', 'containerPath', 'options', 'type']);
  const type = from.optionalText('type');
  if (type !== undefined) needs.atLeast('0.4.0', 'type of a mount');
  return {
    // That of a tmpfs is a word and not a path.
    hostPath: from.text('hostPath'),
    containerPath: from.path('containerPath'),
    ...defined('options', from.texts('options')),
    ...defined('type', type),
  };
}

function readHook(from: Reader): CdiHook {
  from.only(['hookName', 'path', 'args', 'env', 'timeout']);
  const given = from.text('hookName');
  const hookName = HOOK_NAMES.find((name) => name === given);
  if (hookName === undefined)
    from.fail('hookName', `is "${given}", expected one of ${HOOK_NAMES.join(', ')}`);
  const env = environment(from);
  return {
    hookName,
    path: from.path('path'),
    ...defined('args', from.texts('args')),
    ...(env.length === 0 ? {} : { env }),
    ...defined('timeout', from.optionalNumber('timeout')),
  };
}

function defined<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { [P in K]?: V });
}

/** An object of the file and where it stands, for messages: `devices[2].containerEdits`. Null counts as absent. */
class Reader {
  readonly #object: Record<string, unknown>;
  readonly #where: string;

  constructor(value: unknown, where: string) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new InvalidParameterError(`${where === '' ? 'the file' : where} is not an object`);
    }
    this.#object = value as Record<string, unknown>;
    this.#where = where;
  }

  fail(key: string, what: string): never {
    throw new InvalidParameterError(`${this.#path(key)} ${what}`);
  }

  #path(key: string): string {
    return this.#where === '' ? key : `${this.#where}.${key}`;
  }

  keys(): string[] {
    return Object.keys(this.#object);
  }

  only(known: readonly string[]): void {
    for (const key of this.keys()) if (!known.includes(key)) this.fail(key, 'is unknown');
  }

  has(key: string): boolean {
    return this.#get(key) !== undefined;
  }

  #get(key: string): unknown {
    return Object.hasOwn(this.#object, key) ? (this.#object[key] ?? undefined) : undefined;
  }

  optionalText(key: string): string | undefined {
    const value = this.#get(key);
    if (value === undefined || value === '') return undefined;
    if (typeof value !== 'string' || value.includes('\0')) this.fail(key, 'is no text');
    return value;
  }

  text(key: string): string {
    return this.optionalText(key) ?? this.fail(key, 'is missing');
  }

  optionalPath(key: string): string | undefined {
    const value = this.optionalText(key);
    if (value !== undefined && !value.startsWith('/'))
      this.fail(key, `is "${value}", expected an absolute path`);
    return value;
  }

  path(key: string): string {
    return this.optionalPath(key) ?? this.fail(key, 'is missing');
  }

  optionalNumber(key: string, maximum = 0xffffffff): number | undefined {
    const value = this.#get(key);
    return value === undefined ? undefined : this.#number(key, value, maximum);
  }

  #number(key: string, value: unknown, maximum: number): number {
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= maximum) return value;
    this.fail(key, `is ${JSON.stringify(value)}, expected a whole number from 0 to ${maximum}`);
  }

  #list(key: string): unknown[] | undefined {
    const value = this.#get(key);
    if (value !== undefined && !Array.isArray(value)) this.fail(key, 'is no list');
    return value;
  }

  texts(key: string): string[] | undefined {
    return this.#list(key)?.map((item, index) => {
      if (typeof item === 'string' && !item.includes('\0')) return item;
      return this.fail(`${key}[${index}]`, 'is no text');
    });
  }

  optionalNumbers(key: string): number[] | undefined {
    return this.#list(key)?.map((item, index) => this.#number(`${key}[${index}]`, item, 0xfffffffe));
  }

  objects(key: string): Reader[] {
    return (this.#list(key) ?? []).map((item, index) => new Reader(item, this.#path(`${key}[${index}]`)));
  }

  optionalObject(key: string): Reader | undefined {
    const value = this.#get(key);
    return value === undefined ? undefined : new Reader(value, this.#path(key));
  }
}
