/**
 * The containers of one client, each with its model, and how both are compared. An operation that the daemon's death cuts
 * off is settled afterwards: the object is then as it was before or as it would have been, and the model goes on from there.
 */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Answer, frames } from '../conformance/exchange.ts';
import { timeLimitMs } from '../run/time-limit.ts';
import { answerOf, type ContainerModel, expected, found, type Inspected, READY } from './container-model.ts';
import type { EventWatch } from './event-watch.ts';
import type { Random } from './random.ts';
import { onlyLost, type UnsteadyDaemon } from './unsteady-daemon.ts';

const LABEL = 'soak';
const REACH_MAX_MS = timeLimitMs(180_000);
const POLL_MS = 20;

export interface ClientParts {
  readonly daemon: UnsteadyDaemon;
  readonly events: EventWatch;
  readonly random: Random;
  /** The client's name, which its objects bear as a label and at the begin of theirs. */
  readonly owner: string;
}

export class OwnContainers {
  readonly daemon: UnsteadyDaemon;
  readonly events: EventWatch;
  readonly random: Random;
  readonly owner: string;
  /** By name. */
  readonly all = new Map<string, ContainerModel>();
  #count = 0;

  constructor({ daemon, events, random, owner }: ClientParts) {
    this.daemon = daemon;
    this.events = events;
    this.random = random;
    this.owner = owner;
  }

  get labels(): Record<string, string> {
    return { [LABEL]: this.owner };
  }

  /** For queries: what has the client's label, and `more`. */
  filters(more: Record<string, string[]> = {}): string {
    return encodeURIComponent(JSON.stringify({ label: [`${LABEL}=${this.owner}`], ...more }));
  }

  any(): ContainerModel | undefined {
    return this.random.pick(this.all.values());
  }

  newName(): string {
    this.#count += 1;
    return `${this.owner}-${this.#count}`;
  }

  /** What is there of a container, whatever the model says; also right after the daemon's death. */
  async inspect(reference: string): Promise<Inspected | undefined> {
    const answer = await this.daemon.read([200, 404], `/containers/${reference}/json`);
    return answer.status === 404 ? undefined : answer.json<Inspected>();
  }

  async inspectKnown(model: ContainerModel): Promise<Inspected> {
    const inspected = await this.inspect(model.id);
    assert.ok(inspected !== undefined, `container ${model.name} (${model.id}) is there`);
    return inspected;
  }

  async verify(model: ContainerModel): Promise<void> {
    assert.deepEqual(
      found(await this.inspectKnown(model)),
      expected(model),
      `inspect of ${model.name} (${model.id})`,
    );
  }

  /** Waits for whatever a daemon does to it of its own accord, as finishing a restart: changes come one after the other. */
  async untilFree(model: ContainerModel): Promise<void> {
    for (;;) {
      try {
        await this.daemon.expect(200, 'POST', `/containers/${model.id}/update`, {});
        return;
      } catch (error) {
        onlyLost(error);
      }
    }
  }

  /** Inspects until `isReached`, which must be some time. */
  async reach(
    model: ContainerModel,
    what: string,
    isReached: (inspected: Inspected) => boolean,
  ): Promise<Inspected> {
    for (const endMs = Date.now() + REACH_MAX_MS; ; await sleep(POLL_MS)) {
      const inspected = await this.inspectKnown(model);
      if (isReached(inspected)) return inspected;
      assert.ok(
        Date.now() < endMs,
        `${model.name} (${model.id}) ${what}: ${JSON.stringify(inspected.State)}`,
      );
    }
  }

  /** One that was being changed when the daemon died: any of `outcomes`, first that which was before. */
  async settle(model: ContainerModel, outcomes: readonly Partial<ContainerModel>[]): Promise<void> {
    const shown = JSON.stringify(found(await this.inspectKnown(model)));
    const all = outcomes.map((outcome) => ({ ...model, ...outcome }));
    const outcome = all.find((candidate) => JSON.stringify(expected(candidate)) === shown);
    assert.ok(
      outcome !== undefined,
      `${model.name} (${model.id}) after the daemon's death: ${shown} is none of ${JSON.stringify(all.map(expected))}`,
    );
    Object.assign(model, outcome);
  }

  /** Asks for a change that leads to `then`, where the state allows it. Whether it was done, and heard to be. */
  async change(
    model: ContainerModel,
    operation: string,
    path: string,
    then: Partial<ContainerModel>,
    settleAfterMs = 0,
  ): Promise<boolean> {
    const status = answerOf(operation, model.state);
    try {
      await this.daemon.expect(status, 'POST', `/containers/${model.id}/${path}`);
    } catch (error) {
      onlyLost(error);
      await sleep(settleAfterMs);
      await this.settle(model, status === 204 ? [{}, then] : [{}]);
      return false;
    }
    if (status === 204) Object.assign(model, then);
    return status === 204;
  }

  /**
   * Prunes what has the client's label, which is `wanted`; gives what went. One that meets a takeover may have ended early,
   * and one that another client's prune is in the way of is refused.
   */
  async prune(
    path: string,
    wanted: readonly string[],
    removed: (body: Answer) => string[],
  ): Promise<string[]> {
    const { changes } = this.daemon;
    const wasTakenOver = this.daemon.isTakenOver;
    const answer = await this.daemon.expect([200, 409], 'POST', path);
    if (answer.status === 409) return [];
    const gone = removed(answer);
    const isWhole = !wasTakenOver && this.daemon.changes === changes;
    assert.deepEqual(
      gone.toSorted(),
      (isWhole ? wanted : wanted.filter((one) => gone.includes(one))).toSorted(),
      `prune of ${this.owner}: ${path}`,
    );
    return gone;
  }

  /** The lines of a container's log. */
  async log(model: ContainerModel): Promise<string[]> {
    const answer = await this.daemon.read(200, `/containers/${model.id}/logs?stdout=1`);
    const lines = frames(answer.body).map(({ text }) => text);
    for (const line of lines) assert.equal(line, `${READY}\n`, `log of ${model.name}`);
    return lines;
  }

  /** Waits until it has written what it says at its start. */
  async awaitReady(model: ContainerModel): Promise<void> {
    for (const endMs = Date.now() + REACH_MAX_MS; ; await sleep(POLL_MS)) {
      const { length } = await this.log(model);
      if (length >= model.lines) return;
      assert.ok(
        Date.now() < endMs,
        `${model.name} has written ${model.lines} lines to its log and not ${length}`,
      );
    }
  }
}
