/** `POST /images/{name}/push`: push, with Docker's progress stream. */
import { errorMessage, InvalidParameterError } from '../../../base/errors.ts';
import { log } from '../../../base/log.ts';
import { JsonReader } from '../../../image/json.ts';
import { type Platform, parsePlatform } from '../../../image/platform.ts';
import { decodeRegistryAuth } from '../../../image/registry/credentials.ts';
import { httpStatus } from '../../http-status.ts';
import type { ApiRequest } from '../../request.ts';
import type { ResponseStream } from '../../response.ts';
import type { Handler } from '../../router.ts';
import type { ImagesBackend } from './backend.ts';

export function pushHandler(backend: ImagesBackend): Handler {
  return async (request, response) => {
    const name = request.param('name');
    const tag = request.text('tag');
    const auth = request.header('x-registry-auth');
    const platform = pushPlatform(request);
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

/** A platform as JSON, or as `os/arch[/variant]`; clients before 1.46 send one that was never read. */
function pushPlatform(request: ApiRequest): Platform | undefined {
  const text = request.text('platform');
  if (text === '' || !request.atLeast('1.46')) return undefined;
  if (!text.startsWith('{')) return parsePlatform(text);
  const json = JsonReader.parse(Buffer.from(text), 'platform');
  const [os = '', architecture = '', variant = ''] = ['os', 'architecture', 'variant'].map((key) =>
    json.string(key),
  );
  if (os === '' || architecture === '') {
    throw new InvalidParameterError('failed to parse platform: both OS and Architecture must be provided');
  }
  return { os, architecture, ...(variant === '' ? {} : { variant }) };
}
