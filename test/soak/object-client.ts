/**
 * A client's operations on its own images, volumes and networks, compared with the model as those on containers are.
 */
import assert from 'node:assert/strict';
import type { ContainerClient } from './container-client.ts';
import type { ContainerModel } from './container-model.ts';
import type { EventWatch } from './event-watch.ts';
import type { Random } from './random.ts';
import { tarOf } from './tar.ts';
import { LostError, type UnsteadyDaemon } from './unsteady-daemon.ts';

interface ImageModel {
  readonly id: string;
  readonly files: ReadonlyMap<string, string>;
  /** It bears the client's label, which no other client's images do. */
  readonly own: boolean;
}

export const BASE_IMAGE = 'busybox';

export class ObjectClient {
  readonly #daemon: UnsteadyDaemon;
  readonly #events: EventWatch;
  readonly #random: Random;
  readonly #owner: string;
  readonly #containers: ContainerClient;
  /** By tag. */
  readonly images = new Map<string, ImageModel>();
  readonly volumes = new Set<string>();
  /** Names to IDs. */
  readonly networks = new Map<string, string>();
  #count = 0;

  constructor(
    daemon: UnsteadyDaemon,
    events: EventWatch,
    random: Random,
    owner: string,
    containers: ContainerClient,
  ) {
    this.#daemon = daemon;
    this.#events = events;
    this.#random = random;
    this.#owner = owner;
    this.#containers = containers;
  }

  #name(): string {
    this.#count += 1;
    return `${this.#owner}-${this.#count}`;
  }

  /** The ID of what is there under a path; undefined where nothing is. Asks again when the daemon dies. */
  async #there(path: string): Promise<string | undefined> {
    for (;;) {
      try {
        const answer = await this.#daemon.expect([200, 404], 'GET', path);
        const { Id, Name } = answer.json<{ Id?: string; Name?: string }>();
        return answer.status === 404 ? undefined : (Id ?? Name);
      } catch (error) {
        if (!(error instanceof LostError)) throw error;
      }
    }
  }

  // --- images ---

  async createContainer(): Promise<void> {
    const [tag, image] = this.#random.chance(40) ? (this.#random.pick(this.images) ?? []) : [];
    const volume = this.#random.chance(30) ? this.#random.pick(this.volumes) : undefined;
    await this.#containers.create(tag ?? BASE_IMAGE, image?.files ?? new Map(), volume);
  }

  async commit(model: ContainerModel): Promise<void> {
    const tag = `${this.#name()}:latest`;
    try {
      const [repo] = tag.split(':');
      const answer = await this.#daemon.expect(
        201,
        'POST',
        `/commit?container=${model.id}&repo=${repo}&tag=latest`,
        {},
      );
      const { Id } = answer.json<{ Id: string }>();
      this.images.set(tag, { id: Id, files: new Map(model.files), own: true });
      this.#events.acknowledge('container', 'commit', model.id);
    } catch (error) {
      if (!(error instanceof LostError)) throw error;
      const id = await this.#there(`/images/${tag}/json`);
      if (id !== undefined) this.images.set(tag, { id, files: new Map(model.files), own: true });
    }
    await this.#containers.verify(model);
  }

  async build(): Promise<void> {
    const tag = `${this.#name()}:latest`;
    const content = `built ${this.#random.below(1000)}`;
    const run = this.#random.chance(40) ? `RUN echo -n '${content}' > /ran\n` : '';
    // Without the label, others may build the same image at the same time.
    const own = this.#random.chance(30);
    const label = own ? `LABEL soak=${this.#owner}\n` : '';
    const Dockerfile = `FROM ${BASE_IMAGE}\nCOPY file /copied\n${run}${label}`;
    const files = new Map([['/copied', content], ...(run === '' ? [] : ([['/ran', content]] as const))]);
    try {
      const context = tarOf({ Dockerfile, file: content });
      await this.#daemon.long(async () => {
        const answer = await this.#daemon.expect(200, 'POST', `/build?t=${tag}`, context);
        assert.match(answer.text, /Successfully tagged/, `build of ${tag}: ${answer.text.slice(-1000)}`);
      });
    } catch (error) {
      if (!(error instanceof LostError)) throw error;
    }
    const lost = this.images.has(tag);
    const id = await this.#there(`/images/${tag}/json`);
    assert.ok(id !== undefined || !lost, `${tag} is there`);
    if (id !== undefined) this.images.set(tag, { id, files, own });
  }

  async tag(): Promise<void> {
    const [from, image] = this.#random.pick(this.images) ?? [];
    if (from === undefined || image === undefined) return;
    const repo = this.#name();
    try {
      await this.#daemon.expect(201, 'POST', `/images/${from}/tag?repo=${repo}&tag=latest`);
      this.images.set(`${repo}:latest`, image);
      this.#events.acknowledge('image', 'tag', image.id);
    } catch (error) {
      if (!(error instanceof LostError)) throw error;
      if ((await this.#there(`/images/${repo}:latest/json`)) !== undefined)
        this.images.set(`${repo}:latest`, image);
    }
  }

  async removeImage(): Promise<void> {
    const [tag, image] = this.#random.pick(this.images) ?? [];
    if (tag === undefined || image === undefined) return;
    const isLast = [...this.images.values()].filter(({ id }) => id === image.id).length === 1;
    const users = [...this.#containers.containers.values()].filter((one) => this.#imageOf(one) === image.id);
    // Others may have built the same image: it then has more names than this client knows, or their containers.
    const statuses = isLast && (users.length > 0 || !image.own) ? [200, 409] : [200];
    try {
      const answer = await this.#daemon.expect(statuses, 'DELETE', `/images/${tag}`);
      if (answer.status === 200) this.#forgetImage(tag, image);
    } catch (error) {
      if (!(error instanceof LostError)) throw error;
      if ((await this.#there(`/images/${tag}/json`)) === undefined) this.#forgetImage(tag, image);
    }
  }

  readonly #removed = new Map<string, string>();

  #forgetImage(tag: string, image: ImageModel): void {
    this.images.delete(tag);
    this.#removed.set(tag, image.id);
    this.#events.acknowledge('image', 'untag', image.id);
  }

  #imageOf(model: ContainerModel): string | undefined {
    return this.images.get(model.image)?.id ?? this.#removed.get(model.image);
  }

  /** Removes those with the client's label that no container was made of, under all their names. */
  async pruneImages(): Promise<void> {
    const used = new Set(
      [...this.#containers.containers.values()].map((container) => this.#imageOf(container)),
    );
    const unused = [...this.images].filter(([, { id, own }]) => own && !used.has(id));
    try {
      const path = `/images/prune?filters=${this.#filters({ dangling: ['0'] })}`;
      const answer = await this.#daemon.expect([200, 409], 'POST', path);
      if (answer.status === 409) return;
      const { ImagesDeleted } = answer.json<{ ImagesDeleted: { Untagged?: string }[] | null }>();
      const untagged = (ImagesDeleted ?? []).flatMap(({ Untagged }) => Untagged ?? []);
      const tags = unused.map(([tag]) => tag);
      assert.deepEqual(untagged.toSorted(), tags.toSorted(), `prune of the images of ${this.#owner}`);
      for (const [tag, image] of unused) this.#forgetImage(tag, image);
    } catch (error) {
      if (!(error instanceof LostError)) throw error;
      for (const [tag, image] of unused) {
        if ((await this.#there(`/images/${tag}/json`)) === undefined) this.#forgetImage(tag, image);
      }
    }
  }

  /** Of a query: what has the client's label. */
  #filters(more: Record<string, string[]>): string {
    return encodeURIComponent(JSON.stringify({ label: [this.#containers.labelFilter], ...more }));
  }

  async verifyImage(): Promise<void> {
    const [tag, image] = this.#random.pick(this.images) ?? [];
    if (tag === undefined) return;
    assert.equal(await this.#there(`/images/${tag}/json`), image?.id, tag);
  }

  // --- volumes ---

  async createVolume(): Promise<void> {
    const Name = this.#random.pick(this.#random.chance(20) ? this.volumes : []) ?? this.#name();
    const isNew = !this.volumes.has(Name);
    try {
      const answer = await this.#daemon.expect(201, 'POST', '/volumes/create', {
        Name,
        Labels: { soak: this.#owner },
      });
      assert.equal(answer.json<{ Name: string }>().Name, Name);
      this.volumes.add(Name);
      if (isNew) this.#events.acknowledge('volume', 'create', Name);
    } catch (error) {
      if (!(error instanceof LostError)) throw error;
      if ((await this.#there(`/volumes/${Name}`)) !== undefined) this.volumes.add(Name);
    }
  }

  async removeVolume(): Promise<void> {
    const name = this.#random.pick(this.volumes) ?? `${this.#owner}-none`;
    const isUsed = [...this.#containers.containers.values()].some(({ volume }) => volume === name);
    const status = !this.volumes.has(name) ? 404 : isUsed ? 409 : 204;
    try {
      await this.#daemon.expect(status, 'DELETE', `/volumes/${name}`);
      if (status !== 204) return;
      this.volumes.delete(name);
      this.#events.acknowledge('volume', 'destroy', name);
    } catch (error) {
      if (!(error instanceof LostError)) throw error;
      const there = await this.#there(`/volumes/${name}`);
      if (status !== 204) assert.equal(there === undefined, status === 404, name);
      else if (there === undefined) this.volumes.delete(name);
    }
  }

  async listVolumes(): Promise<void> {
    const filters = encodeURIComponent(JSON.stringify({ label: [this.#containers.labelFilter] }));
    const answer = await this.#daemon.expect(200, 'GET', `/volumes?filters=${filters}`);
    const { Volumes } = answer.json<{ Volumes: { Name: string }[] | null }>();
    assert.deepEqual((Volumes ?? []).map(({ Name }) => Name).sort(), [...this.volumes].sort());
  }

  /** Removes those that no container has. */
  async pruneVolumes(): Promise<void> {
    const used = new Set([...this.#containers.containers.values()].map(({ volume }) => volume));
    const unused = [...this.volumes].filter((name) => !used.has(name));
    try {
      const path = `/volumes/prune?filters=${this.#filters({ all: ['1'] })}`;
      const answer = await this.#daemon.expect([200, 409], 'POST', path);
      if (answer.status === 409) return;
      const { VolumesDeleted } = answer.json<{ VolumesDeleted: string[] | null }>();
      assert.deepEqual(
        (VolumesDeleted ?? []).toSorted(),
        unused.toSorted(),
        `prune of the volumes of ${this.#owner}`,
      );
      for (const name of unused) {
        this.volumes.delete(name);
        this.#events.acknowledge('volume', 'destroy', name);
      }
    } catch (error) {
      if (!(error instanceof LostError)) throw error;
      for (const name of unused) {
        if ((await this.#there(`/volumes/${name}`)) === undefined) this.volumes.delete(name);
      }
    }
  }

  // --- networks ---

  async createNetwork(): Promise<void> {
    const again = this.#random.chance(20) ? this.#random.pick(this.networks.keys()) : undefined;
    const Name = again ?? this.#name();
    try {
      const body = { Name, CheckDuplicate: true, Labels: { soak: this.#owner } };
      const answer = await this.#daemon.expect(
        again === undefined ? 201 : 409,
        'POST',
        '/networks/create',
        body,
      );
      if (again !== undefined) return;
      const { Id } = answer.json<{ Id: string }>();
      this.networks.set(Name, Id);
      this.#events.acknowledge('network', 'create', Id);
    } catch (error) {
      if (!(error instanceof LostError)) throw error;
      const id = await this.#there(`/networks/${Name}`);
      if (id !== undefined) this.networks.set(Name, id);
    }
  }

  async removeNetwork(): Promise<void> {
    const [name = `${this.#owner}-none`, id] = this.#random.pick(this.networks) ?? [];
    const isActive = this.#isActive(name);
    const status = id === undefined ? 404 : isActive ? 403 : 204;
    try {
      await this.#daemon.expect(status, 'DELETE', `/networks/${name}`);
      if (status !== 204 || id === undefined) return;
      this.#forgetNetwork(name);
      this.#events.acknowledge('network', 'destroy', id);
    } catch (error) {
      if (!(error instanceof LostError)) throw error;
      const there = await this.#there(`/networks/${name}`);
      if (status !== 204) assert.equal(there === undefined, status === 404, name);
      else if (there === undefined) this.#forgetNetwork(name);
    }
  }

  #isActive(network: string): boolean {
    return [...this.#containers.containers.values()].some(
      ({ networks, state }) => networks.has(network) && (state === 'running' || state === 'paused'),
    );
  }

  /** Containers that do not run stay on it, in their records. */
  #forgetNetwork(name: string): void {
    this.networks.delete(name);
    for (const { networks, goneNetworks } of this.#containers.containers.values()) {
      if (networks.has(name)) goneNetworks.add(name);
    }
  }

  /** Removes those that no running container is on. */
  async pruneNetworks(): Promise<void> {
    const unused = [...this.networks.keys()].filter((name) => !this.#isActive(name));
    try {
      const answer = await this.#daemon.expect(200, 'POST', `/networks/prune?filters=${this.#filters({})}`);
      const { NetworksDeleted } = answer.json<{ NetworksDeleted: string[] | null }>();
      assert.deepEqual(
        (NetworksDeleted ?? []).toSorted(),
        unused.toSorted(),
        `prune of the networks of ${this.#owner}`,
      );
      for (const name of unused) {
        this.#events.acknowledge('network', 'destroy', this.networks.get(name) ?? '');
        this.#forgetNetwork(name);
      }
    } catch (error) {
      if (!(error instanceof LostError)) throw error;
      for (const name of unused) {
        if ((await this.#there(`/networks/${name}`)) === undefined) this.#forgetNetwork(name);
      }
    }
  }

  /** Connects a container, or disconnects it where it is on the network, which need not be there any more. */
  async connect(model: ContainerModel): Promise<void> {
    const gone = this.#random.pick(model.goneNetworks);
    const name = gone ?? this.#random.pick(this.networks.keys());
    if (name === undefined) return;
    const isOn = model.networks.has(name);
    const verb = isOn ? 'disconnect' : 'connect';
    // Containers without any network cannot have one beside.
    const { HostConfig } = (await this.#daemon.expect(200, 'GET', `/containers/${model.id}/json`)).json<{
      HostConfig: { NetworkMode: string };
    }>();
    if (HostConfig.NetworkMode === 'none' || model.state === 'paused') return;
    const change = (): void => {
      if (isOn) model.networks.delete(name);
      else model.networks.add(name);
      model.goneNetworks.delete(name);
    };
    try {
      await this.#daemon.expect(200, 'POST', `/networks/${name}/${verb}`, { Container: model.id });
      change();
    } catch (error) {
      if (!(error instanceof LostError)) throw error;
      const answer = await this.#daemon.expect(200, 'GET', `/containers/${model.id}/json`);
      const { NetworkSettings } = answer.json<{ NetworkSettings: { Networks: Record<string, unknown> } }>();
      if (Object.hasOwn(NetworkSettings.Networks, name) !== isOn) change();
    }
  }
}
