/** A client's operations on its networks, and on who is on them, each compared with the model. */
import assert from 'node:assert/strict';
import { type ContainerModel, isUp } from './container-model.ts';
import type { OwnContainers } from './own-containers.ts';
import { onlyLost } from './unsteady-daemon.ts';

export class NetworkClient {
  readonly #own: OwnContainers;
  /** Names to IDs. */
  readonly networks = new Map<string, string>();
  #count = 0;

  constructor(own: OwnContainers) {
    this.#own = own;
  }

  #newName(): string {
    this.#count += 1;
    return `${this.#own.owner}-${this.#count}`;
  }

  /** The ID of what is there under a name; undefined where nothing is. */
  async #there(name: string): Promise<string | undefined> {
    const answer = await this.#own.daemon.read([200, 404], `/networks/${name}`);
    return answer.status === 404 ? undefined : answer.json<{ Id: string }>().Id;
  }

  async create(): Promise<void> {
    const { daemon, events, labels: Labels, random } = this.#own;
    const again = random.chance(20) ? random.pick(this.networks.keys()) : undefined;
    const Name = again ?? this.#newName();
    try {
      const body = { Name, CheckDuplicate: true, Labels };
      const answer = await daemon.expect(again === undefined ? 201 : 409, 'POST', '/networks/create', body);
      if (again !== undefined) return;
      const { Id } = answer.json<{ Id: string }>();
      this.networks.set(Name, Id);
      events.acknowledge('network', 'create', Id);
    } catch (error) {
      onlyLost(error);
      const id = await this.#there(Name);
      if (id !== undefined) this.networks.set(Name, id);
    }
  }

  async remove(): Promise<void> {
    const { daemon, events, owner, random } = this.#own;
    const [name = `${owner}-none`, id] = random.pick(this.networks) ?? [];
    const status = id === undefined ? 404 : this.#isActive(name) ? 403 : 204;
    try {
      await daemon.expect(status, 'DELETE', `/networks/${name}`);
      if (status !== 204 || id === undefined) return;
      this.#forget(name);
      events.acknowledge('network', 'destroy', id);
    } catch (error) {
      onlyLost(error);
      const there = await this.#there(name);
      if (status !== 204) assert.equal(there === undefined, status === 404, name);
      else if (there === undefined) this.#forget(name);
    }
  }

  #isActive(network: string): boolean {
    return [...this.#own.all.values()].some((model) => model.networks.has(network) && isUp(model));
  }

  /** Containers that do not run stay on it, in their records. */
  #forget(name: string): void {
    this.networks.delete(name);
    for (const { networks, goneNetworks } of this.#own.all.values()) {
      if (networks.has(name)) goneNetworks.add(name);
    }
  }

  async list(): Promise<void> {
    const answer = await this.#own.daemon.expect(200, 'GET', `/networks?filters=${this.#own.filters()}`);
    const listed = answer.json<{ Name: string; Id: string }[]>();
    assert.deepEqual(
      listed.map(({ Name, Id }) => `${Name} ${Id}`).sort(),
      [...this.networks].map(([name, id]) => `${name} ${id}`).sort(),
    );
  }

  /** Removes those that no running container is on. */
  async prune(): Promise<void> {
    const { events } = this.#own;
    const unused = [...this.networks].filter(([name]) => !this.#isActive(name));
    const names = unused.map(([name]) => name);
    try {
      const gone = await this.#own.prune(
        `/networks/prune?filters=${this.#own.filters()}`,
        names,
        (answer) => {
          return answer.json<{ NetworksDeleted: string[] | null }>().NetworksDeleted ?? [];
        },
      );
      for (const [name, id] of unused.filter(([name]) => gone.includes(name))) {
        events.acknowledge('network', 'destroy', id);
        this.#forget(name);
      }
    } catch (error) {
      onlyLost(error);
      for (const name of names) if ((await this.#there(name)) === undefined) this.#forget(name);
    }
  }

  /** Connects a container, or disconnects it where it is on the network, which need not be there any more. */
  async connect(model: ContainerModel): Promise<void> {
    const { daemon, random } = this.#own;
    const name = random.pick(model.goneNetworks) ?? random.pick(this.networks.keys());
    // Containers without any network cannot have one beside.
    if (name === undefined || model.network === 'none' || model.state === 'paused') return;
    const isOn = model.networks.has(name);
    const change = (): void => {
      if (isOn) model.networks.delete(name);
      else model.networks.add(name);
      model.goneNetworks.delete(name);
    };
    try {
      const verb = isOn ? 'disconnect' : 'connect';
      await daemon.expect(200, 'POST', `/networks/${name}/${verb}`, { Container: model.id });
      change();
    } catch (error) {
      onlyLost(error);
      const { NetworkSettings } = await this.#own.inspectKnown(model);
      if (Object.hasOwn(NetworkSettings.Networks, name) !== isOn) change();
    }
  }
}
