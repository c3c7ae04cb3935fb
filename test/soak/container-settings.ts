/** A client renames its containers, and changes their limits, restart policies and health, and sees that these hold. */
import assert from 'node:assert/strict';
import { frames } from '../conformance/exchange.ts';
import { type ContainerModel, HEALTHY_FILE, isUp, type Limits, type Policy } from './container-model.ts';
import type { OwnContainers } from './own-containers.ts';
import { onlyLost } from './unsteady-daemon.ts';

const MEBIBYTE = 1 << 20;

export class ContainerSettings {
  readonly #own: OwnContainers;

  constructor(own: OwnContainers) {
    this.#own = own;
  }

  async rename(model: ContainerModel): Promise<void> {
    const { daemon, events, random, all } = this.#own;
    const other = random.chance(30) ? this.#own.any() : undefined;
    const name = other?.name ?? this.#own.newName();
    const status = other === undefined ? 204 : other === model ? 400 : 409;
    const before = model.name;
    try {
      await daemon.expect(status, 'POST', `/containers/${model.id}/rename?name=${name}`);
      if (status === 204) {
        model.name = name;
        events.acknowledge('container', 'rename', model.id);
      }
    } catch (error) {
      onlyLost(error);
      await this.#own.settle(model, status === 204 ? [{}, { name }] : [{}]);
    }
    all.delete(before);
    all.set(model.name, model);
  }

  async updateLimits(model: ContainerModel): Promise<void> {
    const { random } = this.#own;
    const limits: Limits = {
      cpuShares: 2 + random.below(1000),
      memoryBytes: (64 + random.below(64)) * MEBIBYTE,
      pids: 50 + random.below(100),
    };
    const { cpuShares: CpuShares, memoryBytes: Memory, pids: PidsLimit } = limits;
    await this.#update(model, { CpuShares, Memory, MemorySwap: 2 * Memory, PidsLimit }, { limits });
    await this.lookInside(model);
  }

  /** Of those that end only when they are told to, and are up: what does not run would be started by the next daemon. */
  async updatePolicy(model: ContainerModel): Promise<void> {
    if (model.program !== 'sleeper' || !isUp(model)) return;
    const policy: Policy = model.policy === 'no' ? 'unless-stopped' : 'no';
    await this.#update(model, { RestartPolicy: { Name: policy } }, { policy });
  }

  async #update(model: ContainerModel, body: object, then: Partial<ContainerModel>): Promise<void> {
    try {
      await this.#own.daemon.expect(200, 'POST', `/containers/${model.id}/update`, body);
      Object.assign(model, then);
      this.#own.events.acknowledge('container', 'update', model.id);
    } catch (error) {
      onlyLost(error);
      await this.#own.settle(model, [{}, then]);
    }
  }

  /** What a process of a running container is said: its limits, and on how many networks it is. */
  async lookInside(model: ContainerModel): Promise<void> {
    if (model.state !== 'running') return;
    const { limits, network, networks } = model;
    // Either version of cgroups; the files of the other are not there.
    const script = [
      'cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null',
      'cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null',
      'grep -c eth /proc/net/dev; true',
    ].join('; ');
    const said = await this.#say(model, script);
    if (said === undefined) return;
    const [memory, pids, interfaces] = said.split('\n');
    if (limits.memoryBytes > 0) assert.equal(Number(memory), limits.memoryBytes, `memory of ${model.name}`);
    if (limits.pids > 0) assert.equal(Number(pids), limits.pids, `pids of ${model.name}`);
    const wanted = network === 'none' ? 0 : 1 + networks.size;
    assert.equal(Number(interfaces), wanted, `interfaces of ${model.name} (${model.id})`);
  }

  /** What a command in the container says; undefined where the daemon died. */
  async #say(model: ContainerModel, script: string): Promise<string | undefined> {
    const { daemon } = this.#own;
    const body = { Cmd: ['sh', '-c', script], AttachStdout: true };
    try {
      const made = await daemon.expect(201, 'POST', `/containers/${model.id}/exec`, body);
      const { Id } = made.json<{ Id: string }>();
      const { body: output } = await daemon.expect(200, 'POST', `/exec/${Id}/start`, {});
      return frames(output)
        .map(({ text }) => text)
        .join('');
    } catch (error) {
      onlyLost(error);
      return undefined;
    }
  }

  /** Makes a container well or ill, which its health check must see. */
  async changeHealth(model: ContainerModel): Promise<void> {
    if (!model.hasHealth || model.state !== 'running') return;
    const { daemon, events, random } = this.#own;
    const isWell = random.chance(50);
    const status = isWell ? 'healthy' : 'unhealthy';
    const before = (await this.#own.inspectKnown(model)).State.Health?.Status;
    const { kills } = daemon;
    if ((await this.#say(model, `${isWell ? 'touch' : 'rm -f'} ${HEALTHY_FILE}`)) === undefined) return;
    await this.#own.reach(model, `gets ${status}`, ({ State }) => State.Health?.Status === status);
    const isSeen = before === (isWell ? 'unhealthy' : 'healthy');
    if (isSeen && daemon.kills === kills) events.acknowledge('container', 'health_status', model.id);
  }
}
