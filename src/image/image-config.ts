/**
 * The image configuration (OCI image-spec config.md, with Docker's additions). Its bytes are the image's identity, so
 * they are kept as they came; the parsed form here is a checked view on them that keeps fields it does not know.
 */
import { createHash } from 'node:crypto';
import { InvalidParameterError } from '../base/errors.ts';
import { type DiffID, parseDiffID } from './digest.ts';
import { JsonReader } from './json.ts';
import type { Platform } from './platform.ts';

/** How containers of the image run by default. Field names are the wire's. */
export interface RunConfig {
  Hostname?: string;
  Domainname?: string;
  User?: string;
  ExposedPorts?: Record<string, unknown>;
  Env?: string[];
  Entrypoint?: string[];
  Cmd?: string[];
  Volumes?: Record<string, unknown>;
  WorkingDir?: string;
  Labels?: Record<string, string>;
  StopSignal?: string;
  StopTimeout?: number;
  Shell?: string[];
  OnBuild?: string[];
  ArgsEscaped?: boolean;
  Healthcheck?: Healthcheck;
  [unknown: string]: unknown;
}

export interface Healthcheck {
  Test?: string[];
  /** Durations are nanoseconds; zero means inherit. */
  Interval?: number;
  Timeout?: number;
  StartPeriod?: number;
  StartInterval?: number;
  Retries?: number;
  [unknown: string]: unknown;
}

export interface HistoryEntry {
  created?: string;
  created_by?: string;
  author?: string;
  comment?: string;
  /** True where the step made no layer. */
  empty_layer?: boolean;
}

export interface ImageConfig {
  created?: string;
  author?: string;
  architecture: string;
  os: string;
  variant?: string;
  'os.version'?: string;
  'os.features'?: string[];
  config: RunConfig;
  rootfs: { type: 'layers'; diff_ids: DiffID[] };
  history: HistoryEntry[];
  [unknown: string]: unknown;
}

const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/;

/**
 * Parses and checks a configuration. Null fields are dropped from the known part, absent `config` and `history`
 * become empty. Throws InvalidParameter, naming the field.
 */
export function parseImageConfig(bytes: Uint8Array): ImageConfig {
  const json = JsonReader.parse(bytes, 'image configuration');
  const created = json.string('created');
  if (created !== undefined && !RFC3339.test(created)) json.fail('created', 'an RFC 3339 time');
  for (const key of ['author', 'architecture', 'os', 'variant', 'os.version']) json.string(key);
  json.strings('os.features');
  const rootfs = json.object('rootfs');
  if (rootfs === undefined || rootfs.string('type') !== 'layers') {
    throw new InvalidParameterError('image configuration: invalid rootfs: expected type "layers"');
  }
  const run = json.object('config');
  const known = {
    architecture: json.string('architecture') ?? '',
    os: json.string('os') ?? '',
    config: run === undefined ? {} : checkRunConfig(run),
    rootfs: { type: 'layers' as const, diff_ids: (rootfs.strings('diff_ids') ?? []).map(parseDiffID) },
    history: (json.objects('history') ?? []).map(checkHistory),
  };
  return { ...withoutNulls(json.value), ...known };
}

function withoutNulls(value: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== null));
}

function checkRunConfig(json: JsonReader): RunConfig {
  for (const key of ['Hostname', 'Domainname', 'User', 'WorkingDir', 'StopSignal']) json.string(key);
  for (const key of ['Env', 'Shell', 'OnBuild']) json.strings(key);
  for (const key of ['ExposedPorts', 'Volumes']) json.object(key);
  json.stringMap('Labels');
  json.integer('StopTimeout');
  json.boolean('ArgsEscaped');
  const health = json.object('Healthcheck');
  if (health !== undefined) checkHealthcheck(health);
  const words: RunConfig = {};
  // Images from before Docker 1.0 hold a bare string here.
  for (const key of ['Entrypoint', 'Cmd'] as const) {
    const value = json.value[key];
    const list = typeof value === 'string' ? [value] : json.strings(key);
    if (list !== undefined) words[key] = list;
  }
  return { ...withoutNulls(json.value), ...words };
}

function checkHealthcheck(json: JsonReader): void {
  json.strings('Test');
  for (const key of ['Interval', 'Timeout', 'StartPeriod', 'StartInterval', 'Retries']) json.integer(key);
}

function checkHistory(json: JsonReader): HistoryEntry {
  for (const key of ['created', 'created_by', 'author', 'comment']) json.string(key);
  json.boolean('empty_layer');
  return withoutNulls(json.value);
}

/** The platform that the configuration claims. */
export function configPlatform(config: ImageConfig): Platform {
  const variant = config.variant ?? '';
  return { os: config.os, architecture: config.architecture, ...(variant === '' ? {} : { variant }) };
}

/** Chain IDs of a stack of layers, base first (OCI image-spec config.md, "Layer ChainID"). */
export function chainIds(diffIds: readonly DiffID[]): string[] {
  const chain: string[] = [];
  for (const diffId of diffIds) chain.push(chainAfter(chain.at(-1) ?? '', diffId));
  return chain;
}

/** The chain ID with one layer more; `below` is empty below the first. */
export function chainAfter(below: string, diffId: DiffID): string {
  if (below === '') return diffId;
  return `sha256:${createHash('sha256').update(`${below} ${diffId}`).digest('hex')}`;
}
