/**
 * `--log-driver` and `--log-opt`: checked at create, turned into what the supervisor writes at start. Logs are
 * rotated by default, so that no container fills a disk.
 */
import type { LogConfig } from '../api/host-config.ts';
import { InvalidParameterError, NotImplementedError } from '../base/errors.ts';
import type { SupervisorConfig } from '../native/supervisor-protocol.ts';

export const LOG_DRIVERS = ['json-file', 'none'] as const;
const DEFAULT_MAX_BYTES = 20 * 1024 * 1024;
const DEFAULT_MAX_FILES = 5;
const OPTIONS = new Set(['max-size', 'max-file', 'labels']);
const KNOWN_DRIVERS = new Set([
  'local',
  'journald',
  'syslog',
  'gelf',
  'fluentd',
  'awslogs',
  'splunk',
  'gcplogs',
  'etwlogs',
]);

/** Throws InvalidParameter or NotImplemented naming the driver or option. */
export function validateLogConfig(config: LogConfig | undefined, defaults: Record<string, string>): void {
  const driver = config?.Type || 'json-file';
  if (KNOWN_DRIVERS.has(driver)) throw new NotImplementedError(`log driver "${driver}" is not implemented`);
  if (driver !== 'json-file' && driver !== 'none') {
    throw new InvalidParameterError(`logger: no log driver named '${driver}' is registered`);
  }
  const options = { ...(driver === 'json-file' ? defaults : {}), ...(config?.Config ?? {}) };
  for (const name of Object.keys(options)) {
    if (driver === 'none' || !OPTIONS.has(name)) {
      throw new InvalidParameterError(`unknown log opt '${name}' for ${driver} log driver`);
    }
  }
  limits(options);
}

/** The supervisor's log configuration; null for the driver `none`. */
export function supervisorLog(
  config: LogConfig | undefined,
  defaults: Record<string, string>,
  path: string,
  labels: Record<string, string>,
): SupervisorConfig['log'] {
  if (config?.Type === 'none') return null;
  const options = { ...defaults, ...(config?.Config ?? {}) };
  const wanted = (options['labels'] ?? '').split(',').filter((name) => labels[name] !== undefined);
  const attributes = Object.fromEntries(wanted.map((name) => [name, labels[name] ?? '']));
  return { path, ...limits(options), attributes: wanted.length === 0 ? null : attributes };
}

function limits(options: Record<string, string>): { maxBytes: number; maxFiles: number } {
  const maxFiles = options['max-file'] === undefined ? DEFAULT_MAX_FILES : Number(options['max-file']);
  if (!Number.isInteger(maxFiles) || maxFiles < 1) {
    throw new InvalidParameterError(`max-file cannot be less than 1: "${options['max-file']}"`);
  }
  const text = options['max-size'];
  if (text === undefined) return { maxBytes: DEFAULT_MAX_BYTES, maxFiles };
  return { maxBytes: text === '-1' ? 0 : parseSize(text), maxFiles };
}

const UNITS: Record<string, number> = { '': 1, b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };

function parseSize(text: string): number {
  const parsed = /^(\d+(?:\.\d+)?)\s*([bkmg]?)b?$/i.exec(text.trim());
  const unit = UNITS[parsed?.[2]?.toLowerCase() ?? ''];
  if (parsed === null || unit === undefined) throw new InvalidParameterError(`invalid size: '${text}'`);
  const bytes = Math.floor(Number(parsed[1]) * unit);
  if (bytes < 1) throw new InvalidParameterError(`max-size must be larger than 0: "${text}"`);
  return bytes;
}
