/** Archives of folders that the daemon does not see: it pulls them by their IDs. */
import type { ServerCallContext } from '../../../api/grpc/server.ts';
import { GrpcError } from '../../../api/grpc/status.ts';
import type { SessionParts } from './session-parts.ts';

export async function* sendUpload(
  uploads: SessionParts['uploads'],
  { headers }: ServerCallContext,
): AsyncGenerator<{ data: Uint8Array }> {
  const id = String(headers['urlpath'] ?? '').replace(/^\//, '');
  const open = uploads.get(id);
  if (open === undefined) throw new GrpcError('NotFound', `no upload ${id}`);
  for await (const data of await open()) yield { data };
}
