/** `POST /images/create`: pull, with Docker's progress stream. Import (`fromSrc`) is in archive.ts. */
import { errorMessage, InvalidParameterError } from '../../../base/errors.ts';
import { log } from '../../../base/log.ts';
import { parseReference, repositoryName } from '../../../image/reference.ts';
import { decodeRegistryAuth, decodeRegistryConfig } from '../../../image/registry/credentials.ts';
import { httpStatus } from '../../http-status.ts';
import type { ResponseStream } from '../../response.ts';
import type { Handler } from '../../router.ts';
import { archiveHandlers } from './archive.ts';
import type { ImagesBackend } from './backend.ts';
import { answerRefusal } from './registry-refusal.ts';

export function pullHandler(backend: ImagesBackend): Handler {
  const archives = archiveHandlers(backend.archives);
  return async (request, response) => {
    if (request.text('fromSrc') !== '') return await archives.import(request, response);
    const name = request.text('fromImage');
    if (name === '') throw new InvalidParameterError('invalid reference format: fromImage is empty');
    const wanted = wantedReference(name, request.text('tag'));
    const auth = request.header('x-registry-auth');
    const authConfigs = request.header('x-registry-config');
    // The status is decided by what comes first: a message, or an error before any.
    let stream: ResponseStream | undefined;
    const send = (message: unknown): void => {
      stream ??= response.stream(200, 'application/json');
      stream.message(message);
    };
    try {
      await backend.pull({
        reference: wanted,
        // A bare name is the whole repository: clients that want `latest` say so.
        allTags: true,
        ...(request.text('platform') === '' ? {} : { platform: request.text('platform') }),
        ...(auth === undefined ? {} : { auth: decodeRegistryAuth(auth) }),
        ...(authConfigs === undefined ? {} : { authConfigs: decodeRegistryConfig(authConfigs) }),
        // Ours: whether the local copy will do while the registry is out of order.
        ...(request.query.has('stale') ? { stale: request.flag('stale') } : {}),
        onProgress: send,
        signal: request.signal,
      });
    } catch (error) {
      if (request.signal.aborted) return;
      if (stream === undefined) return answerRefusal(response, error);
      log.warn({ image: name, error: errorMessage(error) }, 'pull failed');
      const message = httpStatus(error).message;
      send({ errorDetail: { message }, error: message });
    }
    stream?.end();
  };
}

/** As Docker reads the two: `tag` (a tag or a digest) goes before what `name` has itself; a colon at the end is none. */
function wantedReference(name: string, tag: string): string {
  const given = name.replace(/:$/, '');
  if (tag === '') return given;
  const repository = repositoryName(parseReference(given));
  return tag.includes(':') ? `${repository}@${tag}` : `${repository}:${tag}`;
}
