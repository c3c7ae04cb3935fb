/**
 * What two image configurations say differently about containers and the platform. When and how an image was made is
 * no difference: creation time, history, author.
 */
import type { ConfigChange } from '../../api/image-difference.ts';
import type { RunConfig } from '../image-config.ts';

/** What a configuration is compared by; of a container, its own with its image's platform. */
export interface ComparedConfig {
  config: RunConfig;
  architecture: string;
  os: string;
  variant: string;
}

/** Fields that are one value; lists are compared in order. */
const VALUES = [
  'Entrypoint',
  'Cmd',
  'User',
  'WorkingDir',
  'StopSignal',
  'StopTimeout',
  'Shell',
  'OnBuild',
  'Healthcheck',
] as const;
/** Fields whose keys are compared one by one. */
const TABLES = ['ExposedPorts', 'Volumes', 'Labels'] as const;
const PLATFORM = [
  ['Architecture', 'architecture'],
  ['Os', 'os'],
  ['Variant', 'variant'],
] as const;

/** In the order of the fields, and by key within one. An empty value is the same as none. */
export function compareConfigs(from: ComparedConfig, to: ComparedConfig): ConfigChange[] {
  return [
    ...PLATFORM.flatMap(([field, key]) => change(field, '', from[key], to[key])),
    ...tableChanges('Env', environment(from.config.Env), environment(to.config.Env)),
    ...VALUES.flatMap((field) => change(field, '', from.config[field], to.config[field])),
    ...TABLES.flatMap((field) => tableChanges(field, table(from.config[field]), table(to.config[field]))),
  ];
}

function table(value: Record<string, unknown> | undefined): Map<string, unknown> {
  return new Map(Object.entries(value ?? {}));
}

/** The last of several settings of one name counts. */
function environment(list: readonly string[] | undefined): Map<string, unknown> {
  return new Map(
    (list ?? []).map((setting) => {
      const equals = setting.indexOf('=');
      return equals < 0 ? [setting, null] : [setting.slice(0, equals), setting.slice(equals + 1)];
    }),
  );
}

/** Here an empty value is one: `A=` is not the same as no A. */
function tableChanges(
  field: string,
  from: ReadonlyMap<string, unknown>,
  to: ReadonlyMap<string, unknown>,
): ConfigChange[] {
  const keys = [...new Set([...from.keys(), ...to.keys()])].sort();
  return keys.flatMap((key) => {
    if (from.has(key) && to.has(key) && canonical(from.get(key)) === canonical(to.get(key))) return [];
    const side = (map: ReadonlyMap<string, unknown>): unknown =>
      map.has(key) ? (map.get(key) ?? '') : undefined;
    return [described(field, key, side(from), side(to))];
  });
}

function change(field: string, key: string, from: unknown, to: unknown): ConfigChange[] {
  const [left, right] = [emptyAsNone(from), emptyAsNone(to)];
  return canonical(left) === canonical(right) ? [] : [described(field, key, left, right)];
}

function described(Field: string, Key: string, From: unknown, To: unknown): ConfigChange {
  return { Field, Key, ...(From === undefined ? {} : { From }), ...(To === undefined ? {} : { To }) };
}

function emptyAsNone(value: unknown): unknown {
  if (value === null || value === '' || (Array.isArray(value) && value.length === 0)) return undefined;
  return value;
}

/** The same text for the same value, whatever the order of its keys; zero in an object (a health check) is none. */
function canonical(value: unknown): string {
  return (
    JSON.stringify(value, (_, part: unknown) => {
      if (typeof part !== 'object' || part === null || Array.isArray(part)) return part;
      const entries = Object.entries(part).filter(([, item]) => item !== 0 && item !== null);
      return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
    }) ?? ''
  );
}
