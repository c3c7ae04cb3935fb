/** Container operations that answer with one status and one body. */
import { ConflictError, errorMessage, InvalidParameterError } from '../../../base/errors.ts';
import { log } from '../../../base/log.ts';
import type { ApiRequest } from '../../request.ts';
import type { Handler } from '../../router.ts';
import type { ContainersBackend } from './backend.ts';
import { checkCreateRequest } from './create-request.ts';

export type ContainerHandlers = Record<
  'list' | 'create' | 'inspect' | 'start' | 'stop' | 'restart' | 'kill' | 'wait' | 'resize' | 'remove',
  Handler
>;

export function containerHandlers(backend: ContainersBackend): ContainerHandlers {
  return {
    list: async (request, response) => {
      const limit = request.integer('limit') ?? 0;
      const found = backend.list({ all: request.flag('all'), limit, filters: request.filters() });
      if (!request.flag('size')) return response.json(200, found);
      const sized = found.map(async (one) => ({ ...one, ...(await backend.sizes(one.Id)) }));
      const settled = await Promise.allSettled(sized);
      response.json(
        200,
        settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : [])),
      );
    },

    create: async (request, response) => {
      const body = checkCreateRequest(await request.json());
      const created = await backend.create(body, {
        name: request.text('name') || undefined,
        platform: request.text('platform') || undefined,
      });
      response.json(201, created);
    },

    inspect: async (request, response) => {
      const reference = request.param('id');
      const found = backend.inspect(reference);
      const sizes = request.flag('size') ? await backend.sizes(reference) : {};
      response.json(200, { ...found, ...sizes });
    },

    start: async (request, response) => {
      await backend.start(request.param('id'));
      response.empty(204);
    },

    stop: async (request, response) => {
      await backend.stop(request.param('id'), stopOptions(request));
      response.empty(204);
    },

    restart: async (request, response) => {
      await backend.restart(request.param('id'), stopOptions(request));
      response.empty(204);
    },

    kill: (request, response) => {
      backend.kill(request.param('id'), request.text('signal'));
      response.empty(204);
    },

    wait: async (request, response) => {
      // The subscription stands before the headers go out, so that no exit after them is missed.
      const waiting = backend.wait(request.param('id'), request.text('condition'), request.signal);
      const stream = response.stream(200, 'application/json');
      try {
        const { exitCode } = await waiting;
        stream.message({ StatusCode: exitCode });
      } catch (error) {
        if (!request.signal.aborted) {
          log.error({ error: errorMessage(error) }, 'wait failed');
          stream.message({ StatusCode: -1, Error: { Message: errorMessage(error) } });
        }
      }
      stream.end();
    },

    resize: (request, response) => {
      const { rows, cols } = terminalSize(request);
      backend.resize(request.param('id'), rows, cols);
      response.empty(200);
    },

    remove: async (request, response) => {
      if (request.flag('link')) removeLink(backend, request.param('id'));
      await backend.remove(request.param('id'), { force: request.flag('force'), volumes: request.flag('v') });
      response.empty(204);
    },
  };
}

/** Links are no more than their container's own name here; a path of two names is a link that does not exist. */
function removeLink(backend: ContainersBackend, reference: string): never {
  backend.inspect(reference);
  throw new ConflictError('Conflict, cannot remove the default link name of the container');
}

/** Rows and columns of a resize, which may be 0. */
export function terminalSize(request: ApiRequest): { rows: number; cols: number } {
  const size = (name: 'h' | 'w'): number => {
    const value = request.integer(name);
    if (value === undefined || value < 0 || value > 65535) {
      throw new InvalidParameterError(
        `invalid resize ${name === 'h' ? 'height' : 'width'} "${request.text(name)}"`,
      );
    }
    return value;
  };
  return { rows: size('h'), cols: size('w') };
}

function stopOptions(request: ApiRequest): { timeoutSec: number | undefined; signal: string | undefined } {
  return { timeoutSec: request.integer('t'), signal: request.text('signal') || undefined };
}
