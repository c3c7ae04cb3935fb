/** A client makes, lists and removes its containers. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  answerOf,
  type ContainerModel,
  command,
  HEALTHY_FILE,
  isUp,
  NO_LIMITS,
  type Program,
} from './container-model.ts';
import type { OwnContainers } from './own-containers.ts';
import { onlyLost } from './unsteady-daemon.ts';

const NANOSECONDS_PER_MS = 1_000_000;
const SIGNAL_TAKES_MS = 1000;
const HEALTH = {
  Test: ['CMD', 'test', '-e', HEALTHY_FILE],
  Interval: 500 * NANOSECONDS_PER_MS,
  Timeout: 60_000 * NANOSECONDS_PER_MS,
  Retries: 1,
};

/** What is wanted of a new container, and is the same in its model. */
type Wanted = Pick<
  ContainerModel,
  'name' | 'program' | 'code' | 'network' | 'hasHealth' | 'retries' | 'policy' | 'image' | 'volume'
>;

export class ContainerExistence {
  readonly #own: OwnContainers;

  constructor(own: OwnContainers) {
    this.#own = own;
  }

  async create(image: string, files: ReadonlyMap<string, string>, volume: string | undefined): Promise<void> {
    const { daemon, events } = this.#own;
    const wanted = this.#choose(image, volume);
    const make = (id: string): void => {
      const networks = new Set<string>();
      const goneNetworks = new Set<string>();
      const fresh = { state: 'created', exitCode: 0, lines: 0, limits: NO_LIMITS } as const;
      const model = { ...wanted, ...fresh, id, files: new Map(files), networks, goneNetworks };
      this.#own.all.set(wanted.name, model);
    };
    const path = `/containers/create?name=${wanted.name}`;
    try {
      const answer = await daemon.expect(201, 'POST', path, this.#request(wanted));
      const { Id } = answer.json<{ Id: string }>();
      make(Id);
      events.acknowledge('container', 'create', Id);
    } catch (error) {
      onlyLost(error);
      const there = await this.#own.inspect(wanted.name);
      if (there !== undefined) make(there.Id);
    }
  }

  #choose(image: string, volume: string | undefined): Wanted {
    const { random } = this.#own;
    const name = this.#own.newName();
    const program: Program = random.chance(10) ? 'failing' : random.chance(40) ? 'short' : 'sleeper';
    const isFailing = program === 'failing';
    // What the policy starts by itself is on no network that could be gone by then.
    const network = isFailing || random.chance(50) ? 'none' : 'bridge';
    return {
      name,
      program,
      code: isFailing ? 1 + random.below(99) : random.below(100),
      network,
      hasHealth: program === 'sleeper' && random.chance(15),
      retries: isFailing ? 1 + random.below(2) : 0,
      policy: isFailing ? 'on-failure' : 'no',
      image,
      volume,
    };
  }

  #request({ image, program, code, network, policy, retries, hasHealth, volume }: Wanted): object {
    return {
      Image: image,
      Cmd: command(program, code),
      Labels: this.#own.labels,
      // An image that was made of a container has the container's.
      Healthcheck: hasHealth ? HEALTH : { Test: ['NONE'] },
      HostConfig: {
        NetworkMode: network,
        RestartPolicy: { Name: policy, MaximumRetryCount: retries },
        ...(volume === undefined ? {} : { Binds: [`${volume}:/volume`] }),
      },
    };
  }

  /** One that goes with its end, as that of `run --rm`. */
  async runOnce(): Promise<void> {
    const { daemon, labels } = this.#own;
    const name = this.#own.newName();
    const request = {
      Image: 'busybox',
      Cmd: command('short', 0),
      Labels: { ...labels, once: 'true' },
      HostConfig: { NetworkMode: 'none', AutoRemove: true },
    };
    let id: string | undefined;
    try {
      const made = await daemon.expect(201, 'POST', `/containers/create?name=${name}`, request);
      id = made.json<{ Id: string }>().Id;
      await daemon.expect(204, 'POST', `/containers/${id}/start`);
    } catch (error) {
      onlyLost(error);
      await sleep(SIGNAL_TAKES_MS);
      id ??= (await this.#own.inspect(name))?.Id;
      const there = id === undefined ? undefined : await this.#own.inspect(id);
      // Made, and not started.
      if (there?.State.Status === 'created') await this.#removeUntilGone(there.Id);
    }
    if (id === undefined) return;
    // Until it ends, and is removed; also where it is both by now.
    const waited = await daemon.read([200, 404], `/containers/${id}/wait?condition=removed`, 'POST');
    if (waited.status === 200) assert.equal(waited.json<{ StatusCode: number }>().StatusCode, 0, name);
    assert.equal(await this.#own.inspect(id), undefined, `${name} (${id}) is removed by itself`);
  }

  async #removeUntilGone(id: string): Promise<void> {
    await this.#own.daemon.read([204, 404], `/containers/${id}?force=1`, 'DELETE');
  }

  async remove(model: ContainerModel, force: boolean): Promise<void> {
    const { daemon, events } = this.#own;
    const status = force ? 204 : answerOf('remove', model.state);
    const wasUp = isUp(model);
    try {
      await daemon.expect(status, 'DELETE', `/containers/${model.id}?force=${force}`);
      if (status === 204) events.acknowledge('container', 'destroy', model.id);
    } catch (error) {
      onlyLost(error);
      if (status === 204 && (await this.#own.inspect(model.id)) !== undefined) {
        // Killed and not removed is what a forced removal comes by.
        await sleep(wasUp ? SIGNAL_TAKES_MS : 0);
        await this.#own.settle(model, [{}, ...(wasUp ? [{ state: 'exited', exitCode: 137 } as const] : [])]);
        return;
      }
    }
    if (status !== 204) return;
    this.#own.all.delete(model.name);
    assert.equal(await this.#own.inspect(model.id), undefined, `${model.name} is gone`);
  }

  /** Lists by label and state show what the model has. */
  async list(): Promise<void> {
    const { daemon, random, owner } = this.#own;
    const state = random.pick(['created', 'running', 'paused', 'exited'] as const) ?? 'running';
    const filters = this.#own.filters({ status: [state] });
    const answer = await daemon.expect(200, 'GET', `/containers/json?all=1&filters=${filters}`);
    const listed = answer.json<{ Id: string; State: string; Names: string[]; Labels: object }[]>();
    const wanted = [...this.#own.all.values()].filter((model) => model.state === state);
    assert.deepEqual(
      listed
        .filter(({ Labels }) => !Object.hasOwn(Labels, 'once'))
        .map(({ Id, State, Names }) => `${Id} ${State} ${Names[0]}`)
        .sort(),
      wanted.map(({ id, state: own, name }) => `${id} ${own} /${name}`).sort(),
      `list of ${state} containers of ${owner}`,
    );
  }

  /** Removes what does not run, and nothing else. */
  async prune(): Promise<void> {
    const { events } = this.#own;
    const ended = [...this.#own.all.values()].filter((model) => !isUp(model));
    try {
      const ids = ended.map(({ id }) => id);
      const path = `/containers/prune?filters=${this.#own.filters()}`;
      const gone = await this.#own.prune(path, ids, (answer) => {
        return answer.json<{ ContainersDeleted: string[] | null }>().ContainersDeleted ?? [];
      });
      for (const model of ended.filter(({ id }) => gone.includes(id))) {
        this.#own.all.delete(model.name);
        events.acknowledge('container', 'destroy', model.id);
      }
    } catch (error) {
      onlyLost(error);
      for (const model of ended) {
        if ((await this.#own.inspect(model.id)) === undefined) this.#own.all.delete(model.name);
      }
    }
  }
}
