/**
 * Names that all clients fight for. Who wins is open; but whoever was told that a container was made under a name has made
 * it, nobody else can until it is removed, and what is there in the end is the one that nobody removed.
 */
import assert from 'node:assert/strict';
import { command } from './container-model.ts';
import type { Random } from './random.ts';
import { LostError, type UnsteadyDaemon } from './unsteady-daemon.ts';

export class SharedNames {
  readonly #daemon: UnsteadyDaemon;
  readonly #names: readonly string[];
  readonly #made = new Set<string>();
  /** Those whose removal was acknowledged. */
  readonly #removed = new Set<string>();
  /** Calls without an answer: what they did is unknown. */
  #lost = 0;

  constructor(daemon: UnsteadyDaemon, count: number) {
    this.#daemon = daemon;
    this.#names = Array.from({ length: count }, (_, index) => `shared-${index}`);
  }

  async act(random: Random): Promise<void> {
    const name = random.pick(this.#names) ?? '';
    try {
      switch (random.below(4)) {
        case 0:
          await this.#create(name, random);
          break;
        case 1:
          await this.#remove(name);
          break;
        case 2:
          await this.#daemon.expect([204, 304, 404, 409], 'POST', `/containers/${name}/start`);
          break;
        default:
          await this.#daemon.expect([204, 304, 404, 409], 'POST', `/containers/${name}/stop?t=0`);
      }
    } catch (error) {
      if (!(error instanceof LostError)) throw error;
      this.#lost += 1;
    }
  }

  async #create(name: string, random: Random): Promise<void> {
    const body = {
      Image: 'busybox',
      Cmd: command('sleeper', 0),
      HostConfig: { NetworkMode: random.chance(50) ? 'none' : 'bridge' },
    };
    const answer = await this.#daemon.expect([201, 409], 'POST', `/containers/create?name=${name}`, body);
    if (answer.status === 201) this.#made.add(answer.json<{ Id: string }>().Id);
  }

  /** By ID, so that it is known what was removed. */
  async #remove(name: string): Promise<void> {
    const there = await this.#daemon.expect([200, 404], 'GET', `/containers/${name}/json`);
    if (there.status === 404) return;
    const { Id } = there.json<{ Id: string }>();
    const answer = await this.#daemon.expect([204, 404, 409], 'DELETE', `/containers/${Id}?force=1`);
    if (answer.status === 409) {
      assert.match(answer.text, /removal of container \w+ is already in progress/, `${name} (${Id})`);
    }
    if (answer.status !== 204) return;
    assert.ok(!this.#removed.has(Id), `${name} (${Id}) was removed again`);
    this.#removed.add(Id);
  }

  /** With no client at work any more: compares what is there, and removes it. */
  async settle(): Promise<void> {
    const left = [...this.#made].filter((id) => !this.#removed.has(id));
    const there: string[] = [];
    for (const name of this.#names) {
      const answer = await this.#daemon.expect([200, 404], 'GET', `/containers/${name}/json`);
      if (answer.status === 200) there.push(answer.json<{ Id: string }>().Id);
    }
    for (const id of there) {
      assert.ok(!this.#removed.has(id), `${id} is there and was removed`);
      if (this.#lost === 0) assert.ok(this.#made.has(id), `${id} is there and nobody made it`);
      await this.#daemon.expect(204, 'DELETE', `/containers/${id}?force=1`);
      this.#removed.add(id);
    }
    const gone = left.filter((id) => !there.includes(id));
    for (const id of gone) this.#removed.add(id);
    assert.ok(gone.length <= this.#lost, `made and gone without being removed: ${gone.join(', ')}`);
  }
}
