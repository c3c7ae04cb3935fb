/** Images in and out of archives: `GET /images/get`, `POST /images/load`, and the import branch of `POST /images/create`. */
import { PassThrough } from 'node:stream';
import { EngineError, errorMessage, InvalidParameterError } from '../../../base/errors.ts';
import { log } from '../../../base/log.ts';
import { type Platform, parsePlatform } from '../../../image/platform.ts';
import type { OnProgress } from '../../../image/progress.ts';
import { httpStatus } from '../../http-status.ts';
import type { ApiRequest } from '../../request.ts';
import type { ResponseStream } from '../../response.ts';
import type { Handler } from '../../router.ts';
import { requestedPlatform } from './platform.ts';

/** What these handlers need of the engine. */
export interface ArchivesBackend {
  /** `begin` is called when all names are known; errors after that cut the connection. */
  save(request: {
    names: readonly string[];
    platform: Platform | undefined;
    begin: () => (chunk: Buffer) => Promise<void>;
    signal: AbortSignal;
  }): Promise<void>;
  load(request: {
    source: AsyncIterable<Buffer>;
    platform: Platform | undefined;
    onProgress: OnProgress;
    onText: (line: string) => void;
    signal: AbortSignal;
  }): Promise<unknown>;
  import(request: {
    from: string;
    body: AsyncIterable<Buffer>;
    repository: string;
    tag: string;
    message: string;
    changes: readonly string[];
    platform: Platform | undefined;
    onStatus: (status: string) => void;
    signal: AbortSignal;
  }): Promise<{ id: string }>;
}

export function archiveHandlers(
  backend: ArchivesBackend,
): Record<'saveOne' | 'saveMany' | 'load' | 'import', Handler> {
  const save = async (
    names: readonly string[],
    ...[request, response]: Parameters<Handler>
  ): Promise<void> => {
    let stream: ResponseStream | undefined;
    try {
      await backend.save({
        names,
        platform: requestedPlatform(request),
        begin: () => {
          const opened = response.stream(200, 'application/x-tar');
          stream = opened;
          return (chunk) => opened.write(chunk);
        },
        signal: request.signal,
      });
    } catch (error) {
      // The client has gone: nobody is left to be told.
      if (request.signal.aborted) return;
      throw error;
    }
    stream?.end();
  };

  return {
    saveOne: (request, response) => save([request.param('name')], request, response),

    saveMany: async (request, response) => {
      const names = request.query.getAll('names').filter((name) => name !== '');
      if (names.length === 0) throw new InvalidParameterError('no image names given: names is empty');
      await save(names, request, response);
    },

    load: async (request, response) => {
      const platform = requestedPlatform(request);
      const source = bodyOf(request);
      const quiet = request.flag('quiet');
      // As with Docker, an archive that cannot be loaded is told in the stream, not by the status.
      const stream = response.stream(200, 'application/json');
      try {
        await backend.load({
          source,
          platform,
          onProgress: (message) => {
            if (!quiet) stream.message(message);
          },
          onText: (line) => stream.message({ stream: `${line}\n` }),
          signal: request.signal,
        });
      } catch (error) {
        if (request.signal.aborted) return;
        tellError(stream, 'load', error);
      }
      stream.end();
      discardBody(request);
    },

    import: async (request, response) => {
      const from = request.text('fromSrc');
      const platform = request.text('platform');
      let stream: ResponseStream | undefined;
      const send = (message: unknown): void => {
        stream ??= response.stream(200, 'application/json');
        stream.message(message);
      };
      try {
        const image = await backend.import({
          from,
          body: from === '-' ? bodyOf(request) : new PassThrough().end(),
          repository: request.text('repo'),
          tag: request.text('tag'),
          message: request.text('message'),
          changes: request.query.getAll('changes').filter((change) => change !== ''),
          platform: platform === '' ? undefined : parsePlatform(platform),
          onStatus: (status) => send({ status }),
          signal: request.signal,
        });
        send({ status: image.id });
      } catch (error) {
        if (request.signal.aborted) return;
        if (stream === undefined) response.error(error);
        else tellError(stream, 'import', error);
      }
      stream?.end();
      discardBody(request);
    },
  };
}

function tellError(stream: ResponseStream, action: string, error: unknown): void {
  if (!(error instanceof EngineError) || error.kind === 'Internal') {
    log.warn({ error: errorMessage(error) }, `${action} failed`);
  }
  const { message } = httpStatus(error);
  stream.message({ errorDetail: { message }, error: message });
}

/**
 * The body as it comes. It outlives a reader that stops early: the connection closes with the body, and the answer has
 * to go out first. A client that goes away in the middle is an error.
 */
function bodyOf(request: ApiRequest): AsyncIterable<Buffer> {
  if (request.upgrade !== null) {
    throw new InvalidParameterError('an archive cannot be sent with an upgrade request');
  }
  const { message } = request;
  return (async function* () {
    try {
      for await (const chunk of message.iterator({ destroyOnReturn: false })) yield chunk as Buffer;
    } catch (error) {
      throw new InvalidParameterError('the archive was cut: unexpected EOF', error);
    }
  })();
}

/** What a failed request left unread, so that the client gets to read the answer. */
function discardBody(request: ApiRequest): void {
  request.message.on('error', () => {
    // Nobody waits for these bytes.
  });
  request.message.resume();
}
