/** `POST /images/{name}/push`: push, with Docker's progress stream. */
import { errorMessage } from '../../../base/errors.ts';
import { log } from '../../../base/log.ts';
import { decodeRegistryAuth } from '../../../image/registry/credentials.ts';
import { httpStatus } from '../../http-status.ts';
import type { ResponseStream } from '../../response.ts';
import type { Handler } from '../../router.ts';
import type { ImagesBackend } from './backend.ts';
import { requestedPlatform } from './platform.ts';

export function pushHandler(backend: ImagesBackend): Handler {
  return async (request, response) => {
    const name = request.param('name');
    const tag = request.text('tag');
    const auth = request.header('x-registry-auth');
    const platform = request.atLeast('1.46') ? requestedPlatform(request) : undefined;
    // The status is decided by what comes first: a message, or an error before any.
    let stream: ResponseStream | undefined;
    const send = (message: unknown): void => {
      stream ??= response.stream(200, 'application/json');
      stream.message(message);
    };
    try {
      await backend.push({
        reference: tag === '' ? name : `${name}:${tag}`,
        ...(platform === undefined ? {} : { platform }),
        ...(auth === undefined ? {} : { auth: decodeRegistryAuth(auth) }),
        onProgress: send,
        signal: request.signal,
      });
    } catch (error) {
      if (request.signal.aborted) return;
      if (stream === undefined) throw error;
      log.warn({ image: name, error: errorMessage(error) }, 'push failed');
      const message = httpStatus(error).message;
      send({ errorDetail: { message }, error: message });
    }
    stream?.end();
  };
}
