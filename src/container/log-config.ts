/**
 * From a container's log options to what its supervisor writes and sends. Every driver but `none` keeps a file that
 * `logs` reads: json-file and local their own, journald and syslog a bounded copy beside what they send, as Docker's
 * dual logging does.
 */
import { lookup } from 'node:dns/promises';
import { existsSync } from 'node:fs';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { InternalError } from '../base/errors.ts';
import { compileExpression } from '../base/expression/expression.ts';
import { makeDirectory } from '../base/make-directory.ts';
import type { LogForward, SupervisorLog } from '../native/supervisor-protocol.ts';
import {
  bufferBytes,
  JOURNAL_SOCKET,
  type LogDriver,
  logDriver,
  logLimits,
  parseBoolean,
  parseSyslogAddress,
  syslogFacility,
} from './log-options.ts';
import { expandTag } from './log-tag.ts';
import type { ContainerPaths } from './paths.ts';
import type { ContainerRecord } from './record.ts';

const DEFAULT_TAG = '{{.ID}}';
const DEFAULT_BUFFER_BYTES = 1024 * 1024;
/** With room for what one read of a blocking container's output becomes. */
const BLOCKING_QUEUE_BYTES = 4 * 1024 * 1024;
const LOCAL_SYSLOG = ['/dev/log', '/var/run/syslog', '/var/run/log'];

/** The file that holds a container's log; undefined where nothing is kept. */
export function logFile(record: ContainerRecord, paths: ContainerPaths): string | undefined {
  const options = record.hostConfig.LogConfig?.Config ?? {};
  switch (logDriver(record.hostConfig.LogConfig)) {
    case 'none':
      return undefined;
    case 'json-file':
      return paths.log;
    case 'local':
      return join(paths.home, 'local-logs', 'container.log');
    default:
      return parseBoolean(options['cache-disabled'] ?? 'false')
        ? undefined
        : join(paths.home, 'container-cached.log');
  }
}

/** The supervisor's log configuration; null without a log. Throws Internal where the receiver cannot be found. */
export async function supervisorLog(
  record: ContainerRecord,
  paths: ContainerPaths,
): Promise<SupervisorLog | null> {
  const driver = logDriver(record.hostConfig.LogConfig);
  if (driver === 'none') return null;
  const options = record.hostConfig.LogConfig?.Config ?? {};
  const path = logFile(record, paths) ?? null;
  if (path !== null) makeDirectory(dirname(path), 0o710);
  const extra = extraAttributes(record, options);
  const tag = options['tag'];
  const attributes =
    driver === 'json-file' ? { ...extra, ...(tag ? { tag: expandTag(tag, record) } : {}) } : {};
  return {
    path,
    ...logLimits(driver, options),
    attributes: Object.keys(attributes).length === 0 ? null : attributes,
    forward: await forwardOf(driver, record, options, extra),
  };
}

async function forwardOf(
  driver: LogDriver,
  record: ContainerRecord,
  options: Record<string, string>,
  extra: Record<string, string>,
): Promise<LogForward | null> {
  if (driver !== 'journald' && driver !== 'syslog') return null;
  const blocking = options['mode'] !== 'non-blocking';
  const buffer = bufferBytes(options['max-buffer-size'] ?? '') ?? DEFAULT_BUFFER_BYTES;
  const queue = { blocking, maxQueueBytes: blocking ? BLOCKING_QUEUE_BYTES : buffer };
  const tag = expandTag(options['tag'] || DEFAULT_TAG, record);
  if (driver === 'journald') {
    const place = { path: JOURNAL_SOCKET, address: '', port: 0, stream: false };
    return { ...place, ...queue, style: 'journald', fields: journalFields(record, tag, extra) };
  }
  const place = await syslogPlace(options['syslog-address'] ?? '');
  const style = options['syslog-format'] as 'rfc3164' | 'rfc5424' | 'rfc5424micro' | '' | undefined;
  const facility = syslogFacility(options['syslog-facility'] ?? '');
  return { ...place, ...queue, style: style || 'local', facility, hostname: hostname(), tag };
}

/** Labels and variables of the container that the options ask for. */
function extraAttributes(record: ContainerRecord, options: Record<string, string>): Record<string, string> {
  const labels = Object.entries(record.config.Labels ?? {});
  const variables = (record.config.Env ?? []).flatMap((entry): [string, string][] => {
    const at = entry.indexOf('=');
    return at < 0 ? [] : [[entry.slice(0, at), entry.slice(at + 1)]];
  });
  return Object.fromEntries([
    ...labels.filter(wanted(options['labels'], options['labels-regex'])),
    ...variables.filter(wanted(options['env'], options['env-regex'])),
  ]);
}

function wanted(
  names: string | undefined,
  expression: string | undefined,
): (entry: [string, string]) => boolean {
  const listed = (names ?? '').split(',');
  const matches = expression === undefined ? undefined : compileExpression(expression);
  return ([name]) => listed.includes(name) || matches?.(name) === true;
}

/** The fields of Docker's journal entries. Others have to be upper case, and must not begin with an underscore. */
function journalFields(
  record: ContainerRecord,
  tag: string,
  extra: Record<string, string>,
): Record<string, string> {
  const own = Object.entries(extra).map(([name, value]): [string, string] => [
    name
      .toUpperCase()
      .replace(/[^A-Z0-9_]/g, '_')
      .replace(/^_+/, ''),
    value,
  ]);
  return {
    ...Object.fromEntries(own.filter(([name]) => /^[A-Z]/.test(name))),
    CONTAINER_ID: record.id.slice(0, 12),
    CONTAINER_ID_FULL: record.id,
    CONTAINER_NAME: record.name,
    CONTAINER_TAG: tag,
    IMAGE_NAME: record.image,
    SYSLOG_IDENTIFIER: tag,
  };
}

async function syslogPlace(text: string): Promise<Pick<LogForward, 'path' | 'address' | 'port' | 'stream'>> {
  const { protocol, path, host, port } = parseSyslogAddress(text);
  if (protocol === '') {
    const found = LOCAL_SYSLOG.find((candidate) => existsSync(candidate));
    if (found === undefined) {
      throw new InternalError('failed to initialize logging driver: Unix syslog delivery error');
    }
    return { path: found, address: '', port: 0, stream: false };
  }
  if (path !== '') return { path, address: '', port: 0, stream: protocol === 'unix' };
  try {
    const address = isIP(host) === 0 ? (await lookup(host)).address : host;
    return { path: '', address, port, stream: protocol === 'tcp' };
  } catch (error) {
    throw new InternalError(`failed to initialize logging driver: dial ${protocol} ${host}`, error);
  }
}
