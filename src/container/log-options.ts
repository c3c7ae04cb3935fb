/**
 * `--log-driver` and `--log-opt`: which there are, and the judgement over them at create, with Docker's texts. Logs
 * are rotated by default, so that no container fills a disk. What the supervisor makes of them: log-config.ts.
 */
import { existsSync, statSync } from 'node:fs';
import type { LogConfig } from '../api/host-config.ts';
import { InvalidParameterError, NotImplementedError } from '../base/errors.ts';
import { compileExpression } from '../base/expression/expression.ts';
import { checkTag } from './log-tag.ts';

export const LOG_DRIVERS = ['journald', 'json-file', 'local', 'none', 'syslog'] as const;
export type LogDriver = (typeof LOG_DRIVERS)[number];

export const JOURNAL_SOCKET = '/run/systemd/journal/socket';
export const SYSLOG_FACILITIES = [
  ...['kern', 'user', 'mail', 'daemon', 'auth', 'syslog', 'lpr', 'news', 'uucp', 'cron', 'authpriv', 'ftp'],
  ...['', '', '', '', 'local0', 'local1', 'local2', 'local3', 'local4', 'local5', 'local6', 'local7'],
];
const SYSLOG_FORMATS = ['', 'rfc3164', 'rfc5424', 'rfc5424micro'];

const ATTRIBUTES = ['labels', 'labels-regex', 'env', 'env-regex', 'tag'];
const CACHE = ['cache-disabled', 'cache-max-size', 'cache-max-file', 'cache-compress'];
const SYSLOG = ['syslog-address', 'syslog-facility', 'syslog-format'];
const SYSLOG_TLS = ['syslog-tls-ca-cert', 'syslog-tls-cert', 'syslog-tls-key', 'syslog-tls-skip-verify'];
/** Of every driver. */
const COMMON = ['mode', 'max-buffer-size'];
const OPTIONS: Record<LogDriver, readonly string[]> = {
  'json-file': ['max-size', 'max-file', 'compress', ...ATTRIBUTES],
  local: ['max-size', 'max-file', 'compress'],
  journald: [...ATTRIBUTES, ...CACHE],
  syslog: [...ATTRIBUTES, ...CACHE, ...SYSLOG, ...SYSLOG_TLS],
  none: [],
};
const NOT_BUILT = ['gelf', 'fluentd', 'awslogs', 'splunk', 'gcplogs', 'etwlogs'];

const DEFAULT_MAX_BYTES = 20_000_000;
const DEFAULT_MAX_FILES = 5;

/** The log configuration of a new container: the daemon's driver where it names none, with that driver's options. */
export function withLogDefaults(
  config: LogConfig | null | undefined,
  defaults: { logDriver: string; logOpts: Record<string, string> },
): LogConfig {
  const Type = config?.Type || defaults.logDriver;
  const inherited = Type === defaults.logDriver ? defaults.logOpts : {};
  return { Type, Config: { ...inherited, ...(config?.Config ?? {}) } };
}

/** Throws InvalidParameter or NotImplemented naming the driver or option. */
export function validateLogConfig(config: LogConfig | undefined): void {
  const driver = logDriver(config);
  const options = config?.Config ?? {};
  // As with Docker, options of no log at all do not matter.
  if (driver === 'none') return;
  checkMode(options);
  for (const name of Object.keys(options)) {
    if (!OPTIONS[driver].includes(name) && !COMMON.includes(name)) throw unknownOption(driver, name);
  }
  logLimits(driver, options);
  for (const name of ['labels-regex', 'env-regex']) checkExpression(name, options[name]);
  if (options['tag'] !== undefined) checkTag(options['tag']);
  if (driver === 'journald' && !existsSync(JOURNAL_SOCKET)) {
    throw new InvalidParameterError('journald is not enabled on this host');
  }
  if (driver === 'syslog') checkSyslog(options);
}

/** Throws InvalidParameter or NotImplemented for a driver that is not one of ours. */
export function logDriver(config: LogConfig | undefined): LogDriver {
  const name = config?.Type || 'json-file';
  const driver = LOG_DRIVERS.find((known) => known === name);
  if (driver !== undefined) return driver;
  if (NOT_BUILT.includes(name)) throw new NotImplementedError(`log driver "${name}" is not implemented`);
  throw new InvalidParameterError(`logger: no log driver named '${name}' is registered`);
}

function unknownOption(driver: LogDriver, name: string): InvalidParameterError {
  return new InvalidParameterError(
    driver === 'local'
      ? `unknown log opt '${name}' for log driver local`
      : `unknown log opt '${name}' for ${driver} log driver`,
  );
}

function checkMode(options: Record<string, string>): void {
  const { mode = '', 'max-buffer-size': size } = options;
  if (!['', 'blocking', 'non-blocking'].includes(mode)) {
    throw new InvalidParameterError(`logger: logging mode not supported: ${mode}`);
  }
  if (size === undefined) return;
  if (mode !== 'non-blocking') {
    throw new InvalidParameterError(
      "logger: max-buffer-size option is only supported with 'mode=non-blocking'",
    );
  }
  if (bufferBytes(size) === undefined) {
    throw new InvalidParameterError(`error parsing option max-buffer-size: invalid size: '${size}'`);
  }
}

function checkExpression(name: string, text: string | undefined): void {
  if (text === undefined) return;
  try {
    compileExpression(text);
  } catch (error) {
    throw new InvalidParameterError(`invalid log opt ${name}: "${text}" is no regular expression`, error);
  }
}

function checkSyslog(options: Record<string, string>): void {
  for (const name of SYSLOG_TLS) {
    if (options[name] !== undefined) throw new NotImplementedError(`log opt ${name} is not implemented`);
  }
  parseSyslogAddress(options['syslog-address'] ?? '');
  syslogFacility(options['syslog-facility'] ?? '');
  if (!SYSLOG_FORMATS.includes(options['syslog-format'] ?? '')) {
    throw new InvalidParameterError('Invalid syslog format');
  }
}

export interface SyslogAddress {
  /** Empty for the host's own syslog. */
  protocol: '' | 'unix' | 'unixgram' | 'udp' | 'tcp';
  path: string;
  host: string;
  port: number;
}

const SYSLOG_PORT = 514;

/** `tcp://host:514`, `udp://[::1]`, `unix:///dev/log`; empty is the host's own. */
export function parseSyslogAddress(text: string): SyslogAddress {
  if (text === '') return { protocol: '', path: '', host: '', port: 0 };
  const parsed = /^([a-z+]+):\/\/(.*)$/.exec(text);
  const [, protocol = '', rest = ''] = parsed ?? [];
  if (protocol === 'unix' || protocol === 'unixgram') {
    if (statSync(rest, { throwIfNoEntry: false }) === undefined) {
      throw new InvalidParameterError(`stat ${rest}: no such file or directory`);
    }
    return { protocol, path: rest, host: '', port: 0 };
  }
  if (protocol === 'tcp+tls') throw new NotImplementedError('syslog over TLS is not implemented');
  if (protocol !== 'tcp' && protocol !== 'udp') {
    throw new InvalidParameterError(`syslog-address should be in form proto://address, got ${text}`);
  }
  const place = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:/[\]]+))(?::(\d{1,5}))?$/.exec(rest);
  const port = Number(place?.[3] ?? SYSLOG_PORT);
  if (place === null || port < 1 || port > 65535) {
    throw new InvalidParameterError(`syslog-address: invalid address "${rest}"`);
  }
  return { protocol, path: '', host: place[1] ?? place[2] ?? '', port };
}

/** The number of a facility given by name or number; the default is daemon. */
export function syslogFacility(text: string): number {
  if (text === '') return SYSLOG_FACILITIES.indexOf('daemon');
  const number = /^\d{1,2}$/.test(text) ? Number(text) : SYSLOG_FACILITIES.indexOf(text);
  if (number < 0 || number >= SYSLOG_FACILITIES.length) {
    throw new InvalidParameterError('invalid syslog facility');
  }
  return number;
}

export interface LogLimits {
  /** 0: no limit. */
  maxBytes: number;
  maxFiles: number;
  compress: boolean;
}

/** Size, number and form of the files that a driver keeps; for journald and syslog of the copy that `logs` reads. */
export function logLimits(driver: LogDriver, options: Record<string, string>): LogLimits {
  const prefix = driver === 'journald' || driver === 'syslog' ? 'cache-' : '';
  const files = options[`${prefix}max-file`];
  const maxFiles = files === undefined ? DEFAULT_MAX_FILES : Number(files);
  if (files !== undefined && !/^[+-]?\d+$/.test(files)) {
    throw new InvalidParameterError(`strconv.Atoi: parsing "${files}": invalid syntax`);
  }
  if (maxFiles < 1) throw new InvalidParameterError(`${prefix}max-file cannot be less than 1`);
  const size = options[`${prefix}max-size`];
  const maxBytes = size === undefined ? DEFAULT_MAX_BYTES : size === '-1' ? 0 : fileBytes(size, prefix);
  const asked = options[`${prefix}compress`];
  const compress = asked === undefined ? driver !== 'json-file' : parseBoolean(asked);
  if (asked !== undefined && compress && (maxFiles < 2 || maxBytes === 0)) {
    throw new InvalidParameterError(
      `${prefix}compress cannot be true when max-file is less than 2 or max-size is not set`,
    );
  }
  return { maxBytes, maxFiles, compress: compress && maxFiles > 1 && maxBytes > 0 };
}

/** Go's reading of a boolean. */
export function parseBoolean(text: string): boolean {
  if (['1', 't', 'T', 'TRUE', 'true', 'True'].includes(text)) return true;
  if (['0', 'f', 'F', 'FALSE', 'false', 'False'].includes(text)) return false;
  throw new InvalidParameterError(`strconv.ParseBool: parsing "${text}": invalid syntax`);
}

const POWERS = ['', 'k', 'm', 'g', 't', 'p'];

function parseSize(text: string, unit: number): number | undefined {
  const parsed = /^(\d+(?:\.\d+)?) ?([kmgtp]?)(?:i?b)?$/i.exec(text);
  if (parsed === null) return undefined;
  return Math.floor(Number(parsed[1]) * unit ** POWERS.indexOf((parsed[2] ?? '').toLowerCase()));
}

/** Sizes of files count in thousands, as Docker's do. */
function fileBytes(text: string, prefix: string): number {
  const bytes = parseSize(text, 1000);
  if (bytes === undefined) throw new InvalidParameterError(`invalid size: '${text}'`);
  if (bytes < 1) throw new InvalidParameterError(`${prefix}max-size must be a positive number`);
  return bytes;
}

/** Sizes of memory count in powers of two; undefined for what is no size. */
export function bufferBytes(text: string): number | undefined {
  return parseSize(text, 1024);
}
