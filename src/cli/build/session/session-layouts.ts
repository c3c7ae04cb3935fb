/** Blobs of OCI layouts on this machine, by the names that the daemon has for the layouts, read as it asks for them. */
import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ServerCallContext } from '../../../api/grpc/server.ts';
import { GrpcError } from '../../../api/grpc/status.ts';
import { errnoCode } from '../../../base/errors.ts';
import type { SessionParts } from './session-parts.ts';

const STORE_HEADER = 'buildkit-attachable-store-id';
const PIECE_BYTES = 1 << 20;

/** Throws GrpcError NotFound for what there is not. */
export async function layoutBlobSize(
  layouts: SessionParts['layouts'],
  digest: string,
  { headers }: ServerCallContext,
): Promise<number> {
  const path = blobPath(layouts, digest, headers);
  const stats = await stat(path).catch((error: unknown) => {
    throw errnoCode(error) === 'ENOENT' ? notFound(digest) : error;
  });
  if (!stats.isFile()) throw notFound(digest);
  return stats.size;
}

export async function* readLayoutBlob(
  layouts: SessionParts['layouts'],
  { digest, offset }: { digest: string; offset: bigint },
  context: ServerCallContext,
): AsyncGenerator<{ offset: bigint; data: Uint8Array }> {
  const size = await layoutBlobSize(layouts, digest, context);
  const file = await open(blobPath(layouts, digest, context.headers));
  try {
    for (let at = Number(offset); at < size; ) {
      const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(PIECE_BYTES), 0, PIECE_BYTES, at);
      if (bytesRead === 0) return;
      yield { offset: BigInt(at), data: buffer.subarray(0, bytesRead) };
      at += bytesRead;
    }
  } finally {
    await file.close();
  }
}

function blobPath(
  layouts: SessionParts['layouts'],
  digest: string,
  headers: ServerCallContext['headers'],
): string {
  const store = String(headers[STORE_HEADER] ?? '');
  const folder = layouts.get(store);
  if (folder === undefined) throw new GrpcError('NotFound', `unknown store ${store}`);
  const [, hex] = /^sha256:([0-9a-f]{64})$/.exec(digest) ?? [];
  if (hex === undefined) throw new GrpcError('InvalidArgument', `invalid digest ${digest}`);
  return join(folder, 'blobs/sha256', hex);
}

function notFound(digest: string): GrpcError {
  return new GrpcError('NotFound', `blob ${digest}: not found`);
}
