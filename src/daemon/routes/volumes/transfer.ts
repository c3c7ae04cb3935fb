/** Volumes as a whole, which Docker's API does not have: export, import, clone, snapshots (docs/architecture.md). */
import { PassThrough, type Readable } from 'node:stream';
import type { Volume, VolumeCloneRequest, VolumeSnapshot } from '../../../api/volumes.ts';
import { InvalidParameterError } from '../../../base/errors.ts';
import { type ExportCompression, parseCompression } from '../../../volume/transfer/compressed-output.ts';
import type { ApiRequest } from '../../request.ts';
import type { ResponseStream } from '../../response.ts';
import type { Route } from '../../router.ts';
import { checkShape, type Shape } from '../../shape.ts';

export interface VolumeTransfersBackend {
  /** `begin` is called where the volume is there; what it returns takes the archive. */
  export(
    name: string,
    compression: ExportCompression,
    begin: () => (chunk: Buffer) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void>;
  import(
    name: string,
    archive: AsyncIterable<Buffer>,
    options: { merge: boolean },
    signal: AbortSignal,
  ): Promise<Volume>;
  clone(name: string, request: VolumeCloneRequest, signal: AbortSignal): Promise<Volume>;
}

export interface VolumeSnapshotsBackend {
  list(volume: string): VolumeSnapshot[];
  create(volume: string, name: string, signal: AbortSignal): Promise<VolumeSnapshot>;
  restore(volume: string, name: string, force: boolean, signal: AbortSignal): Promise<void>;
  remove(volume: string, name: string): Promise<void>;
}

const CLONE: Shape = { object: { Name: 'string', Labels: { map: 'string' } } };
const SNAPSHOT: Shape = { object: { Name: 'string' } };
const MEDIA_TYPES: Record<ExportCompression, string> = {
  none: 'application/x-tar',
  gzip: 'application/gzip',
  zstd: 'application/zstd',
};

export function volumeTransferRoutes(
  transfers: VolumeTransfersBackend,
  snapshots: VolumeSnapshotsBackend,
): Route[] {
  return [
    {
      method: 'POST',
      path: '/volumes/{name}/export',
      handle: async (request, response) => {
        const compression = parseCompression(request.text('compress'));
        let stream: ResponseStream | undefined;
        const begin = () => {
          const opened = response.stream(200, MEDIA_TYPES[compression]);
          stream = opened;
          return (chunk: Buffer) => opened.write(chunk);
        };
        await transfers.export(request.param('name'), compression, begin, request.signal);
        stream?.end();
      },
    },
    {
      method: 'POST',
      path: '/volumes/{name}/import',
      handle: async (request, response) => {
        const options = { merge: request.flag('merge') };
        const archive = bodyOf(request);
        response.json(200, await transfers.import(request.param('name'), archive, options, request.signal));
      },
    },
    {
      method: 'POST',
      path: '/volumes/{name}/clone',
      handle: async (request, response) => {
        const body = (await request.json()) ?? {};
        checkShape(body, CLONE, '');
        const clone = body as Partial<VolumeCloneRequest>;
        if ((clone.Name ?? '') === '')
          throw new InvalidParameterError('Name of the new volume must be given');
        const wanted = { ...clone, Name: clone.Name ?? '' };
        response.json(201, await transfers.clone(request.param('name'), wanted, request.signal));
      },
    },
    {
      method: 'GET',
      path: '/volumes/{name}/snapshots',
      handle: (request, response) => response.json(200, snapshots.list(request.param('name'))),
    },
    {
      method: 'POST',
      path: '/volumes/{name}/snapshots',
      handle: async (request, response) => {
        const body = (await request.json()) ?? {};
        checkShape(body, SNAPSHOT, '');
        const name = (body as { Name?: string | null }).Name ?? '';
        response.json(201, await snapshots.create(request.param('name'), name, request.signal));
      },
    },
    {
      method: 'POST',
      path: '/volumes/{name}/snapshots/{snapshot}/restore',
      handle: async (request, response) => {
        const force = request.flag('force');
        await snapshots.restore(request.param('name'), request.param('snapshot'), force, request.signal);
        response.empty(204);
      },
    },
    {
      method: 'DELETE',
      path: '/volumes/{name}/snapshots/{snapshot}',
      handle: async (request, response) => {
        await snapshots.remove(request.param('name'), request.param('snapshot'));
        response.empty(204);
      },
    },
  ];
}

/** The request's body as a stream. A client that goes away in the middle of it is an error. */
function bodyOf(request: ApiRequest): Readable {
  if (request.upgrade !== null) {
    throw new InvalidParameterError('an archive cannot be sent with an upgrade request');
  }
  const body = new PassThrough();
  // One that breaks off is told to whoever reads it; after a refusal that is nobody.
  body.on('error', () => undefined);
  request.message.once('error', (error) => body.destroy(error));
  request.message.once('close', () => {
    if (!request.message.complete)
      body.destroy(new InvalidParameterError('the archive was cut: unexpected EOF'));
  });
  return request.message.pipe(body);
}
