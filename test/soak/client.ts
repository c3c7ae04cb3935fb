/** One client of the soak: chooses what to do by its seed, and remembers the last of it for whoever reads a difference. */
import { ContainerClient } from './container-client.ts';
import type { ContainerModel } from './container-model.ts';
import type { EventWatch } from './event-watch.ts';
import { ObjectClient } from './object-client.ts';
import { Random } from './random.ts';
import type { SharedNames } from './shared-name.ts';
import type { UnsteadyDaemon } from './unsteady-daemon.ts';
import { LostError } from './unsteady-daemon.ts';

const CONTAINERS_MAX = 6;
const OBJECTS_MAX = 4;
const REMEMBERED = 25;

interface Choice {
  readonly name: string;
  readonly weight: number;
  act(): Promise<void>;
}

export class SoakClient {
  readonly #owner: string;
  readonly #random: Random;
  readonly #containers: ContainerClient;
  readonly #objects: ObjectClient;
  readonly #choices: readonly Choice[];
  readonly #done: string[] = [];
  operations = 0;

  constructor(daemon: UnsteadyDaemon, events: EventWatch, shared: SharedNames, owner: string, seed: number) {
    this.#owner = owner;
    this.#random = new Random(seed);
    this.#containers = new ContainerClient(daemon, events, this.#random, owner);
    this.#objects = new ObjectClient(daemon, events, this.#random, owner, this.#containers);
    this.#choices = this.#all(shared);
  }

  #all(shared: SharedNames): Choice[] {
    const containers = this.#containers;
    const objects = this.#objects;
    const on = (name: string, weight: number, act: (model: ContainerModel) => Promise<void>): Choice => ({
      name,
      weight,
      act: async () => {
        const model = containers.any();
        if (model === undefined) return;
        this.#done.push(`${name} ${model.name} (${model.program}, ${model.state})`);
        await act(model);
      },
    });
    const any = (name: string, weight: number, act: () => Promise<void>): Choice => ({
      name,
      weight,
      act: async () => {
        this.#done.push(name);
        await act();
      },
    });
    const unless = (isFull: () => boolean, act: () => Promise<void>) => async (): Promise<void> => {
      if (!isFull()) await act();
    };
    return [
      any(
        'create',
        12,
        unless(
          () => containers.containers.size >= CONTAINERS_MAX,
          () => objects.createContainer(),
        ),
      ),
      on('start', 16, (model) => containers.start(model)),
      on('stop', 6, (model) => containers.stop(model)),
      on('kill', 6, (model) => containers.kill(model)),
      on('pause', 4, (model) => containers.pause(model)),
      on('unpause', 6, (model) => containers.unpause(model)),
      on('rename', 3, (model) => containers.rename(model)),
      on('update', 3, (model) => containers.update(model)),
      on('exec', 6, (model) => containers.exec(model)),
      on('attach', 3, (model) => containers.attach(model)),
      on('logs', 5, (model) => containers.logs(model)),
      on('inspect', 6, (model) => containers.verify(model)),
      on('copy in', 4, (model) => containers.copyIn(model)),
      on('copy out', 4, (model) => containers.copyOut(model)),
      on('remove', 5, (model) => containers.remove(model, false)),
      on('force remove', 4, (model) => containers.remove(model, true)),
      any('list', 6, () => containers.list()),
      any('prune', 1, () => containers.prune()),
      on('commit', 2, async (model) => {
        if (objects.images.size < OBJECTS_MAX) await objects.commit(model);
      }),
      any(
        'build',
        2,
        unless(
          () => objects.images.size >= OBJECTS_MAX,
          () => objects.build(),
        ),
      ),
      any(
        'tag',
        2,
        unless(
          () => objects.images.size >= OBJECTS_MAX,
          () => objects.tag(),
        ),
      ),
      any('remove image', 3, () => objects.removeImage()),
      any('inspect image', 2, () => objects.verifyImage()),
      any(
        'create volume',
        2,
        unless(
          () => objects.volumes.size >= OBJECTS_MAX,
          () => objects.createVolume(),
        ),
      ),
      any('remove volume', 2, () => objects.removeVolume()),
      any('list volumes', 2, () => objects.listVolumes()),
      any(
        'create network',
        2,
        unless(
          () => objects.networks.size >= OBJECTS_MAX,
          () => objects.createNetwork(),
        ),
      ),
      any('remove network', 2, () => objects.removeNetwork()),
      on('connect', 4, (model) => objects.connect(model)),
      any('prune volumes', 1, () => objects.pruneVolumes()),
      any('prune networks', 1, () => objects.pruneNetworks()),
      any('prune images', 1, () => objects.pruneImages()),
      any('shared', 8, () => shared.act(this.#random)),
    ];
  }

  /** Works until `signal` fires; then looks at everything that it has. Throws at the first difference. */
  async work(signal: AbortSignal): Promise<void> {
    await this.#explained(async () => {
      while (!signal.aborted) {
        this.operations += 1;
        await this.#random.weighted(this.#choices).act().catch(ignoreLost);
      }
      for (const model of this.#containers.containers.values()) {
        await this.#containers.verify(model);
        await this.#containers.logs(model);
      }
    });
  }

  /** Removes all that is left, which must be possible; with no kills any more. */
  async clear(): Promise<void> {
    await this.#explained(async () => {
      for (const model of [...this.#containers.containers.values()])
        await this.#containers.remove(model, true);
      while (this.#objects.images.size > 0) await this.#objects.removeImage();
      while (this.#objects.volumes.size > 0) await this.#objects.removeVolume();
      while (this.#objects.networks.size > 0) await this.#objects.removeNetwork();
    });
  }

  async #explained(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      throw new Error(`client ${this.#owner}: ${text}\nafter: ${this.#done.slice(-REMEMBERED).join('; ')}`);
    }
  }
}

/** Reads that were cut off say nothing. */
function ignoreLost(error: unknown): void {
  if (!(error instanceof LostError)) throw error;
}
