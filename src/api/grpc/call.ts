/**
 * One gRPC call as either side sees it: messages out, with the peer's flow control as the limit, and messages in, read
 * as fast as they are asked for.
 */
import { once } from 'node:events';
import { constants, type Http2Stream } from 'node:http2';
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { FrameReader, frame } from './frames.ts';
import { GrpcError } from './status.ts';

export function encode<D extends DescMessage>(schema: D, message: MessageInitShape<D>): Buffer {
  return frame(toBinary(schema, create(schema, message)));
}

export function decode<D extends DescMessage>(schema: D, bytes: Uint8Array): MessageShape<D> {
  try {
    return fromBinary(schema, bytes);
  } catch (error) {
    throw new GrpcError('Internal', `invalid message ${schema.typeName}`, [], error);
  }
}

/** Resolves when there is room for more. Rejects with Canceled where the stream is gone. */
export async function writeBytes(stream: Http2Stream, bytes: Buffer): Promise<void> {
  if (stream.destroyed || !stream.writable) throw gone(stream);
  if (stream.write(bytes)) return;
  const controller = new AbortController();
  try {
    const { signal } = controller;
    await Promise.race([once(stream, 'drain', { signal }), once(stream, 'close', { signal })]);
  } finally {
    controller.abort();
  }
  if (stream.destroyed) throw gone(stream);
}

/** The messages of a stream until the peer ends its half. Leaving the loop early leaves the stream as it is. */
export async function* readMessages<D extends DescMessage>(
  stream: Http2Stream,
  schema: D,
): AsyncGenerator<MessageShape<D>> {
  const reader = new FrameReader();
  try {
    const chunks: AsyncIterable<Buffer> = stream.iterator({ destroyOnReturn: false });
    for await (const chunk of chunks) {
      for (const message of reader.push(chunk)) yield decode(schema, message);
    }
  } catch (error) {
    if (error instanceof GrpcError) throw error;
    throw gone(stream, error);
  }
  if (stream.aborted) throw gone(stream);
  reader.end();
}

/** Why a stream that was cut off ended. */
export function gone(stream: Http2Stream, cause?: unknown): GrpcError {
  const connected = stream.session !== undefined && !stream.session.destroyed;
  const canceled = connected && stream.rstCode === constants.NGHTTP2_CANCEL;
  return new GrpcError(
    canceled ? 'Canceled' : 'Unavailable',
    canceled ? 'the call was canceled' : 'the connection was closed',
    [],
    cause,
  );
}
