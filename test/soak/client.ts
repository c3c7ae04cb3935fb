/** One client of the soak: chooses what to do by its seed, and remembers the last of it for whoever reads a difference. */
import { inspect } from 'node:util';
import { ContainerExistence } from './container-existence.ts';
import { ContainerFiles } from './container-files.ts';
import { ContainerLife } from './container-life.ts';
import type { ContainerModel } from './container-model.ts';
import { ContainerSettings } from './container-settings.ts';
import { ContainerStreams } from './container-streams.ts';
import type { EventWatch } from './event-watch.ts';
import { ImageClient } from './image-client.ts';
import { NetworkClient } from './network-client.ts';
import { OwnContainers } from './own-containers.ts';
import { Random } from './random.ts';
import type { SharedNames } from './shared-name.ts';
import { onlyLost, type UnsteadyDaemon } from './unsteady-daemon.ts';
import { VolumeClient } from './volume-client.ts';

const CONTAINERS_MAX = 6;
const OBJECTS_MAX = 4;
const REMEMBERED = 25;

interface Choice {
  readonly name: string;
  readonly weight: number;
  act(): Promise<void>;
}

/** Name and weight, and what is done: with any container of the client, or without one. */
type Operation = readonly [name: string, weight: number, act: () => Promise<void>];
type ContainerOperation = readonly [
  name: string,
  weight: number,
  act: (model: ContainerModel) => Promise<void>,
];

export class SoakClient {
  readonly #own: OwnContainers;
  readonly #existence: ContainerExistence;
  readonly #life: ContainerLife;
  readonly #streams: ContainerStreams;
  readonly #settings: ContainerSettings;
  readonly #files: ContainerFiles;
  readonly #images: ImageClient;
  readonly #volumes: VolumeClient;
  readonly #networks: NetworkClient;
  readonly #shared: SharedNames;
  readonly #choices: readonly Choice[];
  readonly #done: string[] = [];
  operations = 0;

  constructor(daemon: UnsteadyDaemon, events: EventWatch, shared: SharedNames, owner: string, seed: number) {
    this.#own = new OwnContainers({ daemon, events, owner, random: new Random(seed) });
    this.#existence = new ContainerExistence(this.#own);
    this.#life = new ContainerLife(this.#own);
    this.#streams = new ContainerStreams(this.#own);
    this.#settings = new ContainerSettings(this.#own);
    this.#files = new ContainerFiles(this.#own);
    this.#images = new ImageClient(this.#own);
    this.#volumes = new VolumeClient(this.#own, this.#files);
    this.#networks = new NetworkClient(this.#own);
    this.#shared = shared;
    this.#choices = [
      ...this.#onContainers().map((operation) => this.#onAny(operation)),
      ...this.#others().map(([name, weight, act]) => this.#choice(name, weight, act)),
    ];
  }

  #onContainers(): ContainerOperation[] {
    return [
      ['start', 16, (model) => this.#life.start(model)],
      ['stop', 6, (model) => this.#life.stop(model)],
      ['kill', 6, (model) => this.#life.kill(model)],
      ['pause', 4, (model) => this.#life.pause(model)],
      ['unpause', 6, (model) => this.#life.unpause(model)],
      ['restart', 3, (model) => this.#life.restart(model)],
      ['end itself', 3, (model) => this.#life.endItself(model)],
      ['rename', 3, (model) => this.#settings.rename(model)],
      ['update limits', 3, (model) => this.#settings.updateLimits(model)],
      ['update policy', 3, (model) => this.#settings.updatePolicy(model)],
      ['look inside', 4, (model) => this.#settings.lookInside(model)],
      ['change health', 4, (model) => this.#settings.changeHealth(model)],
      ['exec', 6, (model) => this.#streams.exec(model)],
      ['exec with input', 4, (model) => this.#streams.execWithInput(model)],
      ['attach', 3, (model) => this.#streams.attach(model)],
      ['logs', 5, (model) => this.#streams.logs(model)],
      ['part of log', 4, (model) => this.#streams.partOfLog(model)],
      ['follow log', 3, (model) => this.#streams.followLog(model)],
      ['inspect', 6, (model) => this.#own.verify(model)],
      ['copy in', 4, (model) => this.#files.copyIn(model)],
      ['copy out', 4, (model) => this.#files.copyOut(model)],
      ['write to volume', 4, (model) => this.#volumes.writeThrough(model)],
      ['remove', 5, (model) => this.#existence.remove(model, false)],
      ['force remove', 4, (model) => this.#existence.remove(model, true)],
      ['connect', 4, (model) => this.#networks.connect(model)],
      ['commit', 2, (model) => this.#ifRoom(this.#images.images, () => this.#images.commit(model))],
    ];
  }

  #others(): Operation[] {
    const { images } = this.#images;
    const { volumes } = this.#volumes;
    const { networks } = this.#networks;
    return [
      ['create', 12, () => this.#create()],
      ['run once', 2, () => this.#existence.runOnce()],
      ['list', 6, () => this.#existence.list()],
      ['prune', 1, () => this.#existence.prune()],
      ['build', 2, () => this.#ifRoom(images, () => this.#images.build())],
      ['tag', 2, () => this.#ifRoom(images, () => this.#images.tag())],
      ['remove image', 3, () => this.#images.remove()],
      ['inspect image', 2, () => this.#images.verify()],
      ['save and load image', 1, () => this.#images.saveAndLoad()],
      ['prune images', 1, () => this.#images.prune()],
      ['prune builds', 1, () => this.#images.pruneBuilds()],
      ['create volume', 2, () => this.#ifRoom(volumes, () => this.#volumes.create())],
      ['remove volume', 2, () => this.#volumes.remove()],
      ['list volumes', 2, () => this.#volumes.list()],
      ['export volume', 2, () => this.#volumes.verifyFiles()],
      ['import into volume', 2, () => this.#volumes.import()],
      ['clone volume', 1, () => this.#ifRoom(volumes, () => this.#volumes.clone())],
      ['snapshot of volume', 3, () => this.#volumes.snapshot()],
      ['prune volumes', 1, () => this.#volumes.prune()],
      ['create network', 2, () => this.#ifRoom(networks, () => this.#networks.create())],
      ['remove network', 2, () => this.#networks.remove()],
      ['list networks', 2, () => this.#networks.list()],
      ['prune networks', 1, () => this.#networks.prune()],
      ['shared', 8, () => this.#shared.act(this.#own.random)],
    ];
  }

  #choice(name: string, weight: number, act: () => Promise<void>): Choice {
    return {
      name,
      weight,
      act: async () => {
        this.#done.push(name);
        await act();
      },
    };
  }

  #onAny([name, weight, act]: ContainerOperation): Choice {
    return {
      name,
      weight,
      act: async () => {
        const model = this.#own.any();
        if (model === undefined) return;
        this.#done.push(`${name} ${model.name} (${model.program}, ${model.policy}, ${model.state})`);
        await act(model);
      },
    };
  }

  async #ifRoom(objects: ReadonlyMap<string, unknown>, act: () => Promise<void>): Promise<void> {
    if (objects.size < OBJECTS_MAX) await act();
  }

  async #create(): Promise<void> {
    if (this.#own.all.size >= CONTAINERS_MAX) return;
    const { name, files } = this.#images.choose();
    await this.#existence.create(name, files, this.#volumes.choose());
  }

  /** Works until `signal` fires; then looks at everything that it has. Throws at the first difference. */
  async work(signal: AbortSignal): Promise<void> {
    await this.#explained(async () => {
      while (!signal.aborted) {
        this.operations += 1;
        await this.#own.random.weighted(this.#choices).act().catch(onlyLost);
        this.#done.splice(0, this.#done.length - REMEMBERED);
      }
      for (const model of this.#own.all.values()) {
        await this.#own.verify(model);
        await this.#streams.logs(model);
      }
    });
  }

  /** Removes all that is left, which must be possible; with no kills any more. */
  async clear(): Promise<void> {
    await this.#explained(async () => {
      for (const model of [...this.#own.all.values()]) await this.#existence.remove(model, true);
      while (this.#images.images.size > 0) await this.#images.remove();
      while (this.#volumes.volumes.size > 0) await this.#volumes.remove();
      while (this.#networks.networks.size > 0) await this.#networks.remove();
    });
  }

  async #explained(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      // With its causes.
      throw new Error(
        `client ${this.#own.owner} at ${new Date().toISOString()}: ${inspect(error)}\nafter: ${this.#done.join('; ')}`,
      );
    }
  }
}
