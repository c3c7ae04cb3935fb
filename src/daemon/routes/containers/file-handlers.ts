/** Handlers of the operations on containers' files: archive, export, changes, commit. */
import { PassThrough, type Readable } from 'node:stream';
import type { ContainerConfig, ContainerPathStat } from '../../../api/containers.ts';
import { InvalidParameterError } from '../../../base/errors.ts';
import type { ApiRequest } from '../../request.ts';
import type { ApiResponse, ResponseStream } from '../../response.ts';
import type { Handler } from '../../router.ts';
import type { ContainerFilesBackend } from './backend.ts';
import { checkContainerConfig } from './create-request.ts';

const TAR = 'application/x-tar';

export function fileHandlers(
  backend: ContainerFilesBackend,
): Record<'changes' | 'export' | 'stat' | 'copyOut' | 'copyIn' | 'commit', Handler> {
  return {
    changes: async (request, response) => {
      const changes = await backend.changes(request.param('id'));
      response.json(200, changes.length === 0 ? null : changes);
    },

    export: async (request, response) => {
      // The API's definition calls this tar no tar.
      const headers = { 'Content-Type': 'application/octet-stream' };
      await streamTar(response, headers, (begin) =>
        backend.export(request.param('id'), begin, request.signal),
      );
    },

    stat: async (request, response) => {
      const stat = await backend.stat(request.param('id'), pathOf(request));
      response.empty(200, statHeader(stat));
    },

    copyOut: async (request, response) => {
      let stream: ResponseStream | undefined;
      await backend.copyOut(
        request.param('id'),
        pathOf(request),
        (stat) => {
          const opened = response.stream(200, TAR, statHeader(stat));
          stream = opened;
          return (chunk) => opened.write(chunk);
        },
        request.signal,
      );
      stream?.end();
    },

    copyIn: async (request, response) => {
      const options = {
        path: pathOf(request),
        noOverwriteDirNonDir: request.flag('noOverwriteDirNonDir'),
        copyOwner: request.flag('copyUIDGID'),
      };
      await backend.copyIn(request.param('id'), options, bodyOf(request), request.signal);
      response.empty(200);
    },

    commit: async (request, response) => {
      const reference = request.text('container');
      if (reference === '') throw new InvalidParameterError('invalid name or ID supplied: ""');
      const body = await request.json();
      const config: ContainerConfig | undefined = body === undefined ? undefined : checkContainerConfig(body);
      const image = await backend.commit(
        reference,
        {
          repository: request.text('repo'),
          tag: request.text('tag'),
          comment: request.text('comment'),
          author: request.text('author'),
          pause: request.flag('pause', true),
          changes: request.query.getAll('changes').filter((change) => change !== ''),
          config,
        },
        request.signal,
      );
      response.json(201, { Id: image });
    },
  };
}

function pathOf(request: ApiRequest): string {
  const path = request.text('path');
  if (path === '') throw new InvalidParameterError('bad parameter: path cannot be empty');
  if (path.includes('\0')) throw new InvalidParameterError('bad parameter: path holds a NUL byte');
  return path;
}

function statHeader(stat: ContainerPathStat): Record<string, string> {
  return { 'X-Docker-Container-Path-Stat': Buffer.from(JSON.stringify(stat)).toString('base64') };
}

/** The headers go out when the source is known to be there; an error after that cuts the connection. */
async function streamTar(
  response: ApiResponse,
  headers: Record<string, string>,
  run: (begin: () => (chunk: Buffer) => Promise<void>) => Promise<void>,
): Promise<void> {
  let stream: ResponseStream | undefined;
  await run(() => {
    const opened = response.stream(200, TAR, headers);
    stream = opened;
    return (chunk) => opened.write(chunk);
  });
  stream?.end();
}

/** The request's body as a stream. A client that goes away in the middle of it is an error. */
function bodyOf(request: ApiRequest): Readable {
  if (request.upgrade !== null) {
    throw new InvalidParameterError('an archive cannot be sent with an upgrade request');
  }
  return request.message.pipe(abortable(request));
}

function abortable(request: ApiRequest): PassThrough {
  const body = new PassThrough();
  request.message.once('error', (error) => body.destroy(error));
  request.message.once('close', () => {
    if (!request.message.complete)
      body.destroy(new InvalidParameterError('the archive was cut: unexpected EOF'));
  });
  return body;
}
