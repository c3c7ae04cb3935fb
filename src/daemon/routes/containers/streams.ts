/** Container operations that stream: logs, and attach, which leaves HTTP. */
import {
  encodeFrame,
  MULTIPLEXED_STREAM_TYPE,
  RAW_STREAM_TYPE,
  STREAM_STDERR,
  STREAM_STDOUT,
} from '../../../api/stream.ts';
import { InvalidParameterError } from '../../../base/errors.ts';
import { unixSecondsNs } from '../../../base/time.ts';
import { parseDetachKeys } from '../../../container/attach.ts';
import type { LogPlace } from '../../../container/log-files.ts';
import { LogCursor } from '../../../container/log-reader.ts';
import type { ApiRequest } from '../../request.ts';
import type { Handler } from '../../router.ts';
import type { ContainersBackend, LogLine } from './backend.ts';

/** What the next daemon must know of a log's reader, where that is handed over. */
interface LogState {
  id: string;
  begun: boolean;
  place?: LogPlace | undefined;
}

export function streamHandlers(backend: ContainersBackend): Record<'logs' | 'clearLogs' | 'attach', Handler> {
  return {
    logs: async (request, response) => {
      const wanted = { stdout: request.flag('stdout'), stderr: request.flag('stderr') };
      if (!wanted.stdout && !wanted.stderr) {
        throw new InvalidParameterError('Bad parameters: you must choose at least one stream');
      }
      const resumed = response.resumed as LogState | undefined;
      const found = backend.inspect(resumed?.id ?? request.param('id'));
      const tty = found.Config.Tty === true;
      const format = {
        ...wanted,
        timestamps: request.flag('timestamps'),
        details: request.flag('details'),
        framed: !tty,
      };
      const cursor = new LogCursor(resumed);
      const lines = backend.logs(found.Id, { ...logRange(request), cursor }, request.signal);
      const stream = response.stream(200, streamType(request, tty));
      response.canContinue((): LogState => ({ id: found.Id, begun: cursor.begun, place: cursor.place }));
      for await (const batch of lines) {
        const written = stream.write(formatLines(batch, format));
        cursor.told();
        await written;
      }
      stream.end();
    },

    /** Our own: Docker has no way to empty a log. */
    clearLogs: (request, response) => {
      backend.clearLogs(request.param('id'));
      response.empty(204);
    },

    attach: async (request, response) => {
      const reference = request.param('id');
      const container = backend.inspect(reference);
      const tty = container.Config.Tty === true;
      const detachKeys = tty ? parseDetachKeys(request.text('detachKeys')) : [];
      const wanted = { stdout: request.flag('stdout'), stderr: request.flag('stderr') };
      const connection = await response.hijack(request, streamType(request, tty));
      if (request.flag('logs')) {
        const format = { ...wanted, timestamps: false, framed: !tty };
        for await (const batch of backend.logs(reference, { follow: false }, request.signal)) {
          await connection.write(formatLines(batch, format));
        }
      }
      if (!request.flag('stream')) return connection.close();
      const stdin = request.flag('stdin') && container.Config.OpenStdin === true;
      backend.attach(reference, connection, { ...wanted, stdin, detachKeys, framed: !tty });
    },
  };
}

/** Clients older than 1.42 know only one media type for both kinds of stream. */
export function streamType(request: ApiRequest, tty: boolean): string {
  return tty || !request.atLeast('1.42') ? RAW_STREAM_TYPE : MULTIPLEXED_STREAM_TYPE;
}

interface LineFormat {
  stdout: boolean;
  stderr: boolean;
  timestamps: boolean;
  /** The line's attributes in front of its text. */
  details?: boolean;
  framed: boolean;
}

function formatLines(lines: readonly LogLine[], format: LineFormat): Buffer {
  const parts: Buffer[] = [];
  for (const { stream, time, text, attributes } of lines) {
    if (!format[stream]) continue;
    const detailed = format.details === true ? `${detailsText(attributes ?? {})} ${text}` : text;
    const payload = Buffer.from(format.timestamps ? `${time} ${detailed}` : detailed);
    parts.push(
      format.framed ? encodeFrame(stream === 'stdout' ? STREAM_STDOUT : STREAM_STDERR, payload) : payload,
    );
  }
  return Buffer.concat(parts);
}

/** `key=value,…`, escaped as in a query, in order of the keys. */
function detailsText(attributes: Record<string, string>): string {
  const quoted = (text: string): string => new URLSearchParams([['', text]]).toString().slice(1);
  return Object.entries(attributes)
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([name, value]) => `${quoted(name)}=${quoted(value)}`)
    .join(',');
}

function logRange(request: ApiRequest): {
  sinceNs?: bigint;
  untilNs?: bigint;
  tail?: number;
  follow: boolean;
} {
  const sinceNs = timeNs(request, 'since');
  const untilNs = timeNs(request, 'until');
  const tail = request.text('tail');
  // As Docker: what is no number stands for all lines.
  const lines = /^\d+$/.test(tail) ? Number(tail) : undefined;
  return {
    follow: request.flag('follow'),
    ...(sinceNs === undefined ? {} : { sinceNs }),
    ...(untilNs === undefined ? {} : { untilNs }),
    ...(lines === undefined ? {} : { tail: lines }),
  };
}

/** Unix seconds with an optional fraction; 0 and absent are no bound. */
function timeNs(request: ApiRequest, name: string): bigint | undefined {
  const text = request.text(name);
  if (text === '' || text === '0') return undefined;
  const ns = unixSecondsNs(text);
  if (ns === undefined) {
    throw new InvalidParameterError(`invalid value for "${name}": "${text}": expected Unix seconds`);
  }
  return ns;
}
