/** Progress of builds as BuildKit's StatusResponse, from the API's own form of it. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { BuildSourceRange, BuildStatus } from '../../api/build-status.ts';
import type { StatusResponseSchema } from '../../api/buildkit/control_pb.ts';

export type StatusMessage = MessageInitShape<typeof StatusResponseSchema>;

export function statusMessage({ vertexes, statuses, logs, warnings }: BuildStatus): StatusMessage {
  return {
    vertexes: (vertexes ?? []).map(({ started, completed, ...vertex }) => ({
      ...vertex,
      ...time('started', started),
      ...time('completed', completed),
    })),
    statuses: (statuses ?? []).map(({ total, current, timestamp, started, completed, ...status }) => ({
      ...status,
      current: whole(current),
      total: whole(total ?? 0),
      ...time('timestamp', timestamp),
      ...time('started', started),
      ...time('completed', completed),
    })),
    logs: (logs ?? []).map(({ vertex, stream, data, timestamp }) => ({
      vertex,
      stream: BigInt(stream),
      msg: bytes(data),
      ...time('timestamp', timestamp),
    })),
    warnings: (warnings ?? []).map(({ vertex, level, short, detail, url, sourceInfo, range }) => ({
      vertex,
      level: BigInt(level),
      short: bytes(short),
      detail: (detail ?? []).map(bytes),
      url: url ?? '',
      ...(sourceInfo === undefined
        ? {}
        : { info: { filename: sourceInfo.filename, data: bytes(sourceInfo.data), language: 'Dockerfile' } }),
      ranges: (range ?? []).map(sourceRange),
    })),
  };
}

export function sourceRange({ start, end }: BuildSourceRange): {
  start: { line: number; character: number };
  end: { line: number; character: number };
} {
  const position = ({ line, character }: BuildSourceRange['start']): { line: number; character: number } => ({
    line,
    character: character ?? 0,
  });
  return { start: position(start), end: position(end) };
}

function bytes(base64: string): Buffer {
  return Buffer.from(base64, 'base64');
}

function whole(amount: number): bigint {
  return BigInt(Math.max(0, Math.trunc(amount)));
}

function time<Name extends string>(
  name: Name,
  text: string | undefined,
): { [Key in Name]?: { seconds: bigint; nanos: number } } {
  if (text === undefined) return {};
  const milliseconds = Date.parse(text);
  if (Number.isNaN(milliseconds)) return {};
  const fraction = /\.(\d{1,9})/.exec(text)?.[1] ?? '';
  const value = {
    seconds: BigInt(Math.floor(milliseconds / 1000)),
    nanos: Number(fraction.padEnd(9, '0')),
  };
  return { [name]: value } as { [Key in Name]?: typeof value };
}
