/** Container operations that answer with one status and one body. */
import type { ContainerInspectResponse } from '../../../api/containers.ts';
import { errorMessage, InvalidParameterError } from '../../../base/errors.ts';
import { log } from '../../../base/log.ts';
import type { ApiRequest } from '../../request.ts';
import type { Handler } from '../../router.ts';
import type { ContainersBackend } from './backend.ts';
import { checkCreateRequest } from './create-request.ts';
import { adaptMounts } from './mount-request.ts';

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
      const body = adaptMounts(checkCreateRequest(await request.json()), (version) =>
        request.atLeast(version),
      );
      const created = await backend.create(body, {
        name: request.text('name') || undefined,
        platform: request.text('platform') || undefined,
        apiVersion: request.version,
      });
      response.json(201, created);
    },

    inspect: async (request, response) => {
      const reference = request.param('id');
      const found = backend.inspect(reference);
      const sizes = request.flag('size') ? await backend.sizes(reference) : {};
      const egress = await backend.egress(found.Id);
      const shown = { ...found, ...sizes, ...(egress === undefined ? {} : { Egress: egress }) };
      response.json(200, inspectAsOf(request, shown));
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

    kill: async (request, response) => {
      await backend.kill(request.param('id'), request.text('signal'));
      response.empty(204);
    },

    wait: async (request, response) => {
      // The subscription stands before the headers go out, so that no exit after them is missed.
      const [reference, condition] = [request.param('id'), request.text('condition')];
      const waiting = backend.wait(reference, condition, request.signal);
      const stream = response.stream(200, 'application/json');
      response.canPass(() => ({ id: backend.inspect(reference).Id, condition }));
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
      if (request.flag('link')) {
        backend.removeLink(request.param('id'));
        return response.empty(204);
      }
      await backend.remove(request.param('id'), { force: request.flag('force'), volumes: request.flag('v') });
      response.empty(204);
    },
  };
}

/** What older API versions had elsewhere: short ID and hostname among the aliases, and the container's MAC address. */
function inspectAsOf(request: ApiRequest, found: ContainerInspectResponse): ContainerInspectResponse {
  if (!request.atLeast('1.45')) {
    for (const [network, endpoint] of Object.entries(found.NetworkSettings.Networks)) {
      if (['bridge', 'host', 'none'].includes(network)) continue;
      const names = [...(endpoint.Aliases ?? []), found.Id.slice(0, 12), found.Config.Hostname ?? ''];
      endpoint.Aliases = [...new Set(names.filter((name) => name !== ''))];
    }
  }
  if (!request.atLeast('1.44')) {
    const main = found.NetworkSettings.Networks[found.HostConfig.NetworkMode ?? ''];
    found.Config.MacAddress = main?.MacAddress ?? '';
  }
  return found;
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
