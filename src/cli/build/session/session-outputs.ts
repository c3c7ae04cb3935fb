/**
 * Outputs that the daemon sends: one file, which is there whole or not at all, stdout, or the files of a folder, which come
 * as an archive. Nothing in that is trusted (see extract.ts).
 */
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import type { ServerCallContext } from '../../../api/grpc/server.ts';
import { GrpcError } from '../../../api/grpc/status.ts';
import { errorMessage } from '../../../base/errors.ts';
import { extractArchive } from '../../archive/extract.ts';
import type { Io } from '../../io.ts';
import { writeStream, writeStreamToFile } from '../../terminal/write-stream.ts';
import type { OutputSink } from '../output-flag.ts';

interface Piece {
  readonly data: Uint8Array;
}

export async function* receiveOutput(
  sinks: ReadonlyMap<number, OutputSink>,
  pieces: AsyncIterable<Piece>,
  { headers }: ServerCallContext,
  io: Io,
): AsyncGenerator<Piece> {
  const sink = sinks.get(Number(headers['buildkit-attachable-exporter-id'] ?? '0'));
  if (sink === undefined) throw new GrpcError('NotFound', 'no such output was asked for');
  try {
    await receive(sink, bytesOf(pieces), io);
  } catch (error) {
    throw new GrpcError('Unknown', errorMessage(error), [], error);
  }
  // The call's end alone says that everything is written.
  yield* [];
}

async function receive(sink: OutputSink, bytes: AsyncIterable<Uint8Array>, io: Io): Promise<void> {
  const options = { rootName: '.', newName: '.', keepOwners: false };
  switch (sink.kind) {
    case 'folder':
      await mkdir(sink.path, { recursive: true });
      await extractArchive(bytes, sink.path, options);
      break;
    case 'file':
      await mkdir(dirname(sink.path), { recursive: true });
      await writeStreamToFile(Readable.from(bytes, { objectMode: false }), sink.path);
      break;
    default:
      await writeStream(Readable.from(bytes, { objectMode: false }), io.stdout);
  }
}

async function* bytesOf(pieces: AsyncIterable<Piece>): AsyncGenerator<Uint8Array> {
  for await (const { data } of pieces) yield data;
}
