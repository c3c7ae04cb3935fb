/** A client starts, ends, pauses and restarts its containers, and sees what restart policies make of them. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { answerOf, type ContainerModel, isUp, NOT_STARTED, READY, TERMINATED } from './container-model.ts';
import { HijackedCall } from './hijacked-call.ts';
import type { OwnContainers } from './own-containers.ts';
import { onlyLost } from './unsteady-daemon.ts';

/** A signal that was sent has had its effect by then, and a daemon that has just come begun to do what policies want. */
const SIGNAL_TAKES_MS = 1000;

export class ContainerLife {
  readonly #own: OwnContainers;

  constructor(own: OwnContainers) {
    this.#own = own;
  }

  async start(model: ContainerModel): Promise<void> {
    if (answerOf('start', model.state) !== 204) {
      await this.#own.change(model, 'start', 'start', {});
      return;
    }
    if (model.goneNetworks.size > 0) {
      await this.#failToStart(model);
      return;
    }
    await this.#run(model, 'start', 204);
  }

  /** Asks for a run of one that does not run, and sees what becomes of it. */
  async #run(model: ContainerModel, verb: 'start' | 'restart', status: number): Promise<void> {
    const { daemon, events, random } = this.#own;
    let attached: HijackedCall | undefined;
    try {
      if (model.program === 'short' && random.chance(30)) {
        attached = await HijackedCall.begin(daemon, `/containers/${model.id}/attach?stream=1&stdout=1`);
      }
      await daemon.expect(status, 'POST', `/containers/${model.id}/${verb}`);
      // The end of a short one may be told before that of the restart.
      events.acknowledge('container', 'start', model.id);
    } catch (error) {
      attached?.drop();
      onlyLost(error);
      await this.#settleRun(model);
      return;
    }
    // What was attached to a daemon that was killed before the start is no promise.
    if (attached?.isCutOff === true) {
      attached.drop();
      attached = undefined;
    }
    const said = await attached?.texts();
    if (said !== undefined) assert.deepEqual(said, [`${READY}\n`], `attached to ${model.name}`);
    if (model.program === 'short') await this.#awaitEnd(model);
    else if (model.program === 'failing') await this.#awaitGivenUp(model, 1);
    else {
      Object.assign(model, { state: 'running', exitCode: 0, lines: model.lines + 1 });
      await this.#own.awaitReady(model);
    }
  }

  /** On a network that is not there any more. */
  async #failToStart(model: ContainerModel): Promise<void> {
    // The next daemon would try again, and could succeed.
    if (model.policy !== 'no') return;
    const exitCode = NOT_STARTED;
    try {
      const { text } = await this.#own.daemon.expect(404, 'POST', `/containers/${model.id}/start`);
      assert.match(text, /network \S+ not found/, `start of ${model.name}`);
      model.exitCode = exitCode;
    } catch (error) {
      onlyLost(error);
      await this.#own.settle(model, [{}, { exitCode }]);
    }
  }

  /** A start that has no answer: not begun, or begun; a program that ends by itself may run on for a moment. */
  async #settleRun(model: ContainerModel): Promise<void> {
    await sleep(model.policy === 'no' ? 0 : SIGNAL_TAKES_MS);
    if (model.program === 'failing') {
      await this.#awaitGivenUp(model, 0);
      return;
    }
    if (model.program === 'short') {
      await this.#own.reach(model, 'ends', ({ State }) => State.Status !== 'running');
    }
    const before = { ...model };
    const lines = model.lines + 1;
    const ends = { state: 'exited', exitCode: model.code, lines } as const;
    await this.#own.settle(model, [{}, ends, { state: 'running', exitCode: 0, lines }]);
    if (before.state === 'exited' && model.program === 'short' && model.lines === before.lines) {
      // Both outcomes look alike, but for the log.
      model.lines = (await this.#own.log(model)).length;
      assert.ok([before.lines, lines].includes(model.lines), `${model.name} was started once or not`);
    }
    if (model.state === 'running') await this.#own.awaitReady(model);
  }

  async #awaitEnd(model: ContainerModel): Promise<void> {
    Object.assign(model, { state: 'exited', exitCode: model.code, lines: model.lines + 1 });
    // A daemon that was killed may have told of the end to nobody.
    if (await this.#awaitCode(model)) this.#own.events.acknowledge('container', 'die', model.id);
  }

  /**
   * Waits until the policy starts it no more, which is after as many runs as it says, whatever became of the daemon
   * meanwhile. `least`: runs that have been acknowledged.
   */
  async #awaitGivenUp(model: ContainerModel, least: 0 | 1): Promise<void> {
    const ended = await this.#own.reach(model, 'is given up', ({ State }) =>
      ['created', 'exited'].includes(State.Status),
    );
    const before = model.lines;
    model.lines = (await this.#own.log(model)).length;
    const runs = model.lines - before;
    if (runs === 0 && least === 0) {
      await this.#own.settle(model, [{}]);
      return;
    }
    assert.equal(runs, model.retries + 1, `runs of ${model.name} (${model.id})`);
    assert.equal(ended.RestartCount, model.retries, `restarts of ${model.name} (${model.id})`);
    Object.assign(model, { state: 'exited', exitCode: model.code });
    await this.#own.verify(model);
  }

  async stop(model: ContainerModel): Promise<void> {
    if (model.state === 'paused') return;
    const then = { state: 'exited', exitCode: TERMINATED } as const;
    if (!(await this.#own.change(model, 'stop', 'stop?t=60', then, SIGNAL_TAKES_MS))) return;
    this.#own.events.acknowledge('container', 'die', model.id);
    this.#own.events.acknowledge('container', 'stop', model.id);
  }

  async kill(model: ContainerModel): Promise<void> {
    const then = { state: 'exited', exitCode: 137 } as const;
    const settleAfterMs = isUp(model) ? SIGNAL_TAKES_MS : 0;
    if (!(await this.#own.change(model, 'kill', 'kill', then, settleAfterMs))) return;
    await this.#awaitCode(model);
    this.#own.events.acknowledge('container', 'die', model.id);
  }

  /** Whether the first answer came. */
  async #awaitCode(model: ContainerModel): Promise<boolean> {
    const { kills } = this.#own.daemon;
    const answer = await this.#own.daemon.read(200, `/containers/${model.id}/wait`, 'POST');
    assert.equal(answer.json<{ StatusCode: number }>().StatusCode, model.exitCode, `wait for ${model.name}`);
    return this.#own.daemon.kills === kills;
  }

  async pause(model: ContainerModel): Promise<void> {
    if (await this.#own.change(model, 'pause', 'pause', { state: 'paused' })) {
      this.#own.events.acknowledge('container', 'pause', model.id);
    }
  }

  async unpause(model: ContainerModel): Promise<void> {
    if (await this.#own.change(model, 'unpause', 'unpause', { state: 'running' })) {
      this.#own.events.acknowledge('container', 'unpause', model.id);
    }
  }

  async restart(model: ContainerModel): Promise<void> {
    const { daemon, events } = this.#own;
    if (model.state === 'paused' || model.goneNetworks.size > 0) return;
    // A restart does not begin the count of a policy's restarts anew.
    if (model.program === 'failing') return;
    if (model.state !== 'running') {
      await this.#run(model, 'restart', 204);
      return;
    }
    const { StartedAt } = (await this.#own.inspectKnown(model)).State;
    try {
      await daemon.expect(204, 'POST', `/containers/${model.id}/restart?t=60`);
      model.lines += 1;
      for (const action of ['die', 'stop', 'start', 'restart']) {
        events.acknowledge('container', action, model.id);
      }
    } catch (error) {
      onlyLost(error);
      await this.#settleRunningAgain(model, StartedAt);
    }
    await this.#own.awaitReady(model);
  }

  /** Not begun; or whoever is the daemon starts it again, some time. */
  async #settleRunningAgain(model: ContainerModel, startedAtBefore: string): Promise<void> {
    await sleep(SIGNAL_TAKES_MS);
    await this.#own.untilFree(model);
    const { State } = await this.#own.reach(model, 'runs again', (now) => now.State.Status === 'running');
    if (State.StartedAt !== startedAtBefore) model.lines += 1;
  }

  /** Its program ends, without that anybody has asked the daemon for it: its policy decides what follows. */
  async endItself(model: ContainerModel): Promise<void> {
    const { daemon, events } = this.#own;
    if (model.program !== 'sleeper' || model.state !== 'running') return;
    const { StartedAt } = (await this.#own.inspectKnown(model)).State;
    const isStartedAgain = model.policy === 'unless-stopped';
    try {
      const body = { Cmd: ['kill', '-TERM', '1'] };
      const made = await daemon.expect(201, 'POST', `/containers/${model.id}/exec`, body);
      const { Id } = made.json<{ Id: string }>();
      // The container may have ended before the command is said to have begun.
      await daemon.call({ method: 'POST', path: `/exec/${Id}/start`, body: { Detach: true } });
    } catch (error) {
      onlyLost(error);
      if (isStartedAgain) await this.#settleRunningAgain(model, StartedAt);
      else {
        await sleep(SIGNAL_TAKES_MS);
        await this.#own.settle(model, [{}, { state: 'exited', exitCode: TERMINATED }]);
      }
      if (model.state === 'running') await this.#own.awaitReady(model);
      return;
    }
    if (!isStartedAgain) {
      Object.assign(model, { state: 'exited', exitCode: TERMINATED });
      if (await this.#awaitCode(model)) events.acknowledge('container', 'die', model.id);
      return;
    }
    const { kills } = daemon;
    await this.#own.reach(
      model,
      'is started again',
      ({ State }) => State.Status === 'running' && State.StartedAt !== StartedAt,
    );
    model.lines += 1;
    if (daemon.kills === kills) {
      events.acknowledge('container', 'die', model.id);
      events.acknowledge('container', 'start', model.id);
    }
    await this.#own.awaitReady(model);
  }
}
