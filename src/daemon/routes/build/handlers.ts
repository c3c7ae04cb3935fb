/** Reads a build's query and credentials, and passes its messages on as they come. */
import type { BuildMessage, BuildQuery } from '../../../api/build.ts';
import { errorMessage } from '../../../base/errors.ts';
import { log } from '../../../base/log.ts';
import { parseBuildQuery } from '../../../build/request.ts';
import { RunFailedError } from '../../../build/steps.ts';
import { decodeRegistryConfig } from '../../../image/registry/credentials.ts';
import type { ApiRequest } from '../../request.ts';
import type { ResponseStream } from '../../response.ts';
import type { Handler } from '../../router.ts';
import type { BuildBackend } from './backend.ts';

export function buildHandler(backend: BuildBackend): Handler {
  return async (request, response) => {
    const build = parseBuildQuery(
      query(request),
      decodeRegistryConfig(request.header('x-registry-config') ?? ''),
    );
    // The status is decided by what comes first: a message, or an error before any.
    let stream: ResponseStream | undefined;
    const send = (message: BuildMessage): void => {
      stream ??= response.stream(200, 'application/json');
      stream.message(message);
    };
    try {
      await backend.build(build, request.message, send, request.signal);
    } catch (error) {
      if (request.signal.aborted) return;
      if (stream === undefined) throw error;
      const message = errorMessage(error);
      log.debug({ error: message }, 'build failed');
      const code = error instanceof RunFailedError ? { code: error.exitCode } : {};
      send({ errorDetail: { ...code, message }, error: message });
    }
    stream?.end();
  };
}

function query(request: ApiRequest): BuildQuery {
  const tags = request.query.getAll('t');
  return { ...Object.fromEntries(request.query), t: tags };
}
