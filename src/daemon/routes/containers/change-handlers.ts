/** Handlers of the verbs that change a running container or look into it: pause, update, rename, top, stats, prune. */
import type { PublishedPortsUpdate } from '../../../api/containers.ts';
import type { HostConfig, Resources } from '../../../api/host-config.ts';
import type { ContainerStats } from '../../../api/stats.ts';
import { InvalidParameterError } from '../../../base/errors.ts';
import type { Handler } from '../../router.ts';
import { checkShape, type Shape } from '../../shape.ts';
import type { ContainersBackend } from './backend.ts';
import { HOST_CONFIG } from './create-request.ts';

const UPDATE: Shape = {
  object: { ...HOST_CONFIG.object, PublishAdd: { list: 'string' }, PublishRemove: { list: 'string' } },
};

type UpdateRequest = Resources & Pick<HostConfig, 'RestartPolicy'> & PublishedPortsUpdate;

/** What the next daemon must know of a stream of samples, where that is handed over. */
interface StatsState {
  id: string;
  /** The last sample, from which CPU shares are reckoned. */
  before?: ContainerStats | undefined;
}

export function changeHandlers(
  backend: ContainersBackend,
): Record<'top' | 'stats' | 'update' | 'rename' | 'pause' | 'unpause' | 'prune', Handler> {
  return {
    top: async (request, response) => {
      response.json(200, await backend.top(request.param('id'), request.text('ps_args')));
    },

    stats: async (request, response) => {
      const options = { stream: request.flag('stream', true), oneShot: request.flag('one-shot') };
      if (options.stream && options.oneShot) {
        throw new InvalidParameterError('cannot have stream=true and one-shot=true');
      }
      const resumed = response.resumed as StatsState | undefined;
      const reference = resumed?.id ?? request.param('id');
      let before = resumed?.before;
      const samples = backend.stats(reference, { ...options, before }, request.signal);
      const stream = response.stream(200, 'application/json');
      const idOf = (): string => before?.id ?? backend.inspect(reference).Id;
      if (options.stream) response.canContinue((): StatsState => ({ id: idOf(), before }));
      for await (const sample of samples) {
        before = sample;
        await stream.write(`${JSON.stringify(sample)}\n`);
      }
      stream.end();
    },

    update: async (request, response) => {
      const body = await request.json();
      if (body === undefined)
        throw new InvalidParameterError('invalid JSON: got EOF while reading request body');
      checkShape(body, UPDATE, '');
      const { PublishAdd, PublishRemove, ...update } = body as UpdateRequest;
      const ports = { add: PublishAdd ?? [], remove: PublishRemove ?? [] };
      // Limits first: they are judged before anything changes, and a failure leaves the ports as they were.
      const changesPorts = ports.add.length + ports.remove.length > 0;
      const changesLimits = !changesPorts || Object.keys(update).length > 0;
      const warnings = changesLimits ? await backend.update(request.param('id'), update) : [];
      if (changesPorts) await backend.changePorts(request.param('id'), ports);
      response.json(200, { Warnings: warnings });
    },

    rename: async (request, response) => {
      await backend.rename(request.param('id'), request.text('name'));
      response.empty(204);
    },

    pause: async (request, response) => {
      await backend.pause(request.param('id'));
      response.empty(204);
    },

    unpause: (request, response) => {
      backend.unpause(request.param('id'));
      response.empty(204);
    },

    prune: async (request, response) => {
      response.json(200, await backend.prune(request.filters(), request.signal));
    },
  };
}
