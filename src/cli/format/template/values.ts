/**
 * The values that templates work on. The Engine's answers are JSON, but users know them as Go types: a struct
 * prints as `{a b}`, a map as `map[k:v]`, an empty list as `[]`, a missing pointer as `<nil>`. The conversion keeps
 * these kinds apart by the field's name.
 */

/** A struct or a table row. A field that is a function is a method; what is not there cannot be evaluated. */
export class GoStruct {
  readonly fields: ReadonlyMap<string, Value | Method>;
  /** Message for a field that does not exist; `%` stands for its name. */
  readonly missing: string;
  /** True for table rows, whose JSON escapes `<`, `>` and `&`, as Go's marshaller does by itself. */
  readonly escapes: boolean;
  /** The value as JSON, where its names there are not those of the fields. */
  readonly json: string | undefined;

  constructor(fields: ReadonlyMap<string, Value | Method>, missing: string, escapes = false, json?: string) {
    this.fields = fields;
    this.missing = missing;
    this.escapes = escapes;
    this.json = json;
  }
}

export class GoMap {
  readonly entries: ReadonlyMap<string, Value>;

  constructor(entries: ReadonlyMap<string, Value>) {
    this.entries = entries;
  }
}

export type NilKind = 'map' | 'slice' | 'pointer' | 'absent';

/** A nil of a known kind: it prints as that kind's empty value, and is null in JSON. */
export class GoNil {
  readonly kind: NilKind;

  constructor(kind: NilKind) {
    this.kind = kind;
  }
}

/** What a missing map key gives: prints `<no value>`. */
export const NO_VALUE = new GoNil('absent');

export type Value = string | number | bigint | boolean | GoNil | GoStruct | GoMap | readonly Value[];

export type Method = (...args: Value[]) => Value;

/** Fields of the Engine API that are maps with keys of the user's. */
const MAP_FIELDS = new Set([
  'Annotations',
  'Attributes',
  'AuxiliaryAddresses',
  'Containers',
  'DriverOpts',
  'EndpointsConfig',
  'ExposedPorts',
  'IndexConfigs',
  'Labels',
  'Networks',
  'Options',
  'PortBindings',
  'Ports',
  'Runtimes',
  'Status',
  'StorageOpt',
  'Sysctls',
  'Tmpfs',
  'Volumes',
  'annotations',
  'status',
]);

/** The same where the parent decides: `LogConfig.Config` is a map, `Config` of a container is not. */
const MAP_PATHS = new Set(['LogConfig.Config', 'GraphDriver.Data', 'Components.Details']);

const POINTER_FIELDS = new Set([
  'BindOptions',
  'ConfigFrom',
  'ContainerdCommit',
  'Descriptor',
  'Health',
  'Healthcheck',
  'IPAMConfig',
  'ImageManifestDescriptor',
  'Init',
  'MemorySwappiness',
  'OomKillDisable',
  'PidsLimit',
  'SizeRootFs',
  'SizeRw',
  'StopTimeout',
  'TmpfsOptions',
  'UsageData',
  'VolumeOptions',
]);

/** Stands for the field's name at the top of an answer. */
const ROOT = '<root>';

/** Fields that the daemon leaves out where they are empty, by the struct that has them, with their empty value. */
const OMITTED: Readonly<Record<string, Readonly<Record<string, Value>>>> = {
  [ROOT]: { SizeRw: new GoNil('pointer'), SizeRootFs: new GoNil('pointer') },
  State: { Health: new GoNil('pointer') },
  Config: {
    Healthcheck: new GoNil('pointer'),
    StopSignal: '',
    StopTimeout: new GoNil('pointer'),
    Shell: new GoNil('slice'),
    ExposedPorts: new GoNil('map'),
    MacAddress: '',
    NetworkDisabled: false,
    ArgsEscaped: false,
  },
  HostConfig: {
    Init: new GoNil('pointer'),
    Mounts: new GoNil('slice'),
    Tmpfs: new GoNil('map'),
    Sysctls: new GoNil('map'),
    StorageOpt: new GoNil('map'),
    Annotations: new GoNil('map'),
  },
  Mounts: { Name: '', Driver: '' },
};

/** A value of the Engine's JSON as Go's client would hold it. `field` and `parent` name where it stands. */
export function goValue(json: unknown, field = ROOT, parent = ''): Value {
  if (json === null || json === undefined) return new GoNil(nilKind(field, parent));
  if (Array.isArray(json)) return json.map((item) => goValue(item, field, parent));
  if (typeof json !== 'object') return json as string | number | bigint | boolean;
  if (isMap(field, parent)) {
    return new GoMap(
      new Map(
        Object.entries(json)
          .toSorted(byKey)
          .map(([key, value]) => [key, goValue(value, '', field)]),
      ),
    );
  }
  const fields = new Map<string, Value>();
  for (const [key, value] of Object.entries(json)) fields.set(key, goValue(value, key, field));
  return new GoStruct(withOmitted(fields, field), 'map has no entry for key "%"');
}

function withOmitted(fields: Map<string, Value>, field: string): ReadonlyMap<string, Value> {
  // `Config` is also the list of address ranges of a network.
  if (field === 'Config' && fields.has('Subnet')) return fields;
  const omitted = Object.entries(OMITTED[field] ?? {}).filter(([name]) => !fields.has(name));
  if (omitted.length === 0) return fields;
  return new OmittingMap([...fields, ...omitted], new Set(omitted.map(([name]) => name)));
}

/** Remembers which fields the daemon left out: they can be asked for, and JSON leaves them out again. */
class OmittingMap extends Map<string, Value> {
  readonly omitted: ReadonlySet<string>;

  constructor(entries: [string, Value][], omitted: ReadonlySet<string>) {
    super(entries);
    this.omitted = omitted;
  }
}

function byKey([a]: [string, unknown], [b]: [string, unknown]): number {
  return a < b ? -1 : 1;
}

function isMap(field: string, parent: string): boolean {
  return MAP_PATHS.has(`${parent}.${field}`) || (MAP_FIELDS.has(field) && field !== parent);
}

function nilKind(field: string, parent: string): NilKind {
  if (isMap(field, parent)) return 'map';
  return POINTER_FIELDS.has(field) || field === ROOT ? 'pointer' : 'slice';
}

const NIL_TEXT: Readonly<Record<NilKind, string>> = {
  map: 'map[]',
  slice: '[]',
  pointer: '<nil>',
  absent: '<no value>',
};

/** Go's `%v`. */
export function printValue(value: Value): string {
  if (typeof value === 'number') return printNumber(value);
  if (typeof value !== 'object') return String(value);
  if (value instanceof GoNil) return NIL_TEXT[value.kind];
  if (value instanceof GoMap) {
    return `map[${[...value.entries].map(([key, item]) => `${key}:${printValue(item)}`).join(' ')}]`;
  }
  if (value instanceof GoStruct) return `{${[...value.fields.values()].map(printField).join(' ')}}`;
  return `[${value.map(printValue).join(' ')}]`;
}

function printField(field: Value | Method): string {
  return printValue(typeof field === 'function' ? field() : field);
}

function printNumber(value: number): string {
  if (Number.isInteger(value) || Math.abs(value) < 1e21) return String(value);
  return value.toExponential().replace(/e([+-])(\d)$/, 'e$10$2');
}

/** JSON with the fields in their order; maps by key. Rows escape HTML, other values do not. */
export function jsonText(value: Value): string {
  if (value instanceof GoNil) return 'null';
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object') return JSON.stringify(value);
  if (value instanceof GoMap) {
    return `{${[...value.entries].map(([key, item]) => `${JSON.stringify(key)}:${jsonText(item)}`).join(',')}}`;
  }
  if (value instanceof GoStruct) return structJson(value);
  return `[${value.map(jsonText).join(',')}]`;
}

function structJson(struct: GoStruct): string {
  if (struct.json !== undefined) return struct.json;
  const omitted = struct.fields instanceof OmittingMap ? struct.fields.omitted : new Set<string>();
  const parts: string[] = [];
  for (const [name, field] of struct.fields) {
    if (omitted.has(name) || (typeof field === 'function' && field.length > 0)) continue;
    parts.push(`${JSON.stringify(name)}:${jsonText(typeof field === 'function' ? field() : field)}`);
  }
  const text = `{${parts.join(',')}}`;
  return struct.escapes ? escapeHtml(text) : text;
}

function escapeHtml(text: string): string {
  return text.replace(/[<>&]/g, (char) => `\\u00${char.charCodeAt(0).toString(16)}`);
}

/** Go's truth: false, zero and everything empty are false. */
export function isTrue(value: Value): boolean {
  if (value instanceof GoNil) return false;
  if (value instanceof GoMap) return value.entries.size > 0;
  if (value instanceof GoStruct) return true;
  if (typeof value === 'object') return value.length > 0;
  return Boolean(value);
}

/** The type's name as Go's messages give it. */
export function typeName(value: Value): string {
  if (typeof value === 'string') return 'string';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'bigint') return 'int64';
  if (typeof value === 'number') return Number.isInteger(value) ? 'int' : 'float64';
  if (value instanceof GoMap) return 'map[string]interface {}';
  if (Array.isArray(value)) return '[]interface {}';
  return 'interface {}';
}
