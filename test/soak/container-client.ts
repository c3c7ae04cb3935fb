/**
 * A client's operations on its own containers, each compared with the model. An operation that the daemon's death cuts off
 * is settled afterwards: the object is then as it was before or as it would have been, and the model goes on from there.
 */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { frames } from '../conformance/exchange.ts';
import { Attachment } from './attachment.ts';
import {
  answerOf,
  type ContainerModel,
  command,
  expected,
  found,
  type Inspected,
  NOT_STARTED,
  READY,
} from './container-model.ts';
import type { EventWatch } from './event-watch.ts';
import type { Random } from './random.ts';
import { firstFile, tarOf } from './tar.ts';
import { LostError, type UnsteadyDaemon } from './unsteady-daemon.ts';

const LABEL = 'soak';
const READY_MAX_MS = 60_000;

export class ContainerClient {
  readonly #daemon: UnsteadyDaemon;
  readonly #events: EventWatch;
  readonly #random: Random;
  readonly #owner: string;
  readonly containers = new Map<string, ContainerModel>();
  #count = 0;

  constructor(daemon: UnsteadyDaemon, events: EventWatch, random: Random, owner: string) {
    this.#daemon = daemon;
    this.#events = events;
    this.#random = random;
    this.#owner = owner;
  }

  get labelFilter(): string {
    return `${LABEL}=${this.#owner}`;
  }

  any(states?: readonly string[]): ContainerModel | undefined {
    return this.#random.pick(
      [...this.containers.values()].filter(({ state }) => states?.includes(state) ?? true),
    );
  }

  newName(): string {
    this.#count += 1;
    return `${this.#owner}-${this.#count}`;
  }

  async create(image: string, files: ReadonlyMap<string, string>, volume: string | undefined): Promise<void> {
    const name = this.newName();
    const program = this.#random.chance(40) ? 'short' : 'sleeper';
    const code = this.#random.below(100);
    const body = {
      Image: image,
      Cmd: command(program, code),
      Labels: { [LABEL]: this.#owner },
      HostConfig: {
        NetworkMode: this.#random.chance(50) ? 'none' : 'bridge',
        ...(volume === undefined ? {} : { Binds: [`${volume}:/volume`] }),
      },
    };
    const make = (id: string): void => {
      const model: ContainerModel = {
        name,
        id,
        program,
        code,
        image,
        volume,
        state: 'created',
        exitCode: 0,
        lines: 0,
        cpuShares: 0,
        files: new Map(files),
        networks: new Set(),
        goneNetworks: new Set(),
      };
      this.containers.set(name, model);
    };
    try {
      const answer = await this.#daemon.expect(201, 'POST', `/containers/create?name=${name}`, body);
      make(answer.json<{ Id: string }>().Id);
      this.#events.acknowledge('container', 'create', answer.json<{ Id: string }>().Id);
    } catch (error) {
      if (!(error instanceof LostError)) throw error;
      const there = await this.#inspect(name);
      if (there !== undefined) make(there.Id);
    }
  }

  /** What is there of a container, whatever the model says; also right after the daemon's death. */
  async #inspect(reference: string): Promise<Inspected | undefined> {
    for (;;) {
      try {
        const answer = await this.#daemon.expect([200, 404], 'GET', `/containers/${reference}/json`);
        return answer.status === 404 ? undefined : answer.json<Inspected>();
      } catch (error) {
        if (!(error instanceof LostError)) throw error;
      }
    }
  }

  async verify(model: ContainerModel): Promise<void> {
    const inspected = await this.#inspect(model.id);
    assert.ok(inspected !== undefined, `container ${model.name} (${model.id}) is there`);
    assert.deepEqual(found(inspected), expected(model), `inspect of ${model.name}`);
  }

  /** One that was being changed when the daemon died: any of `outcomes`, first that which was before. */
  async #settle(model: ContainerModel, outcomes: readonly Partial<ContainerModel>[]): Promise<void> {
    const inspected = await this.#inspect(model.id);
    assert.ok(inspected !== undefined, `container ${model.name} is there after the daemon's death`);
    const shown = JSON.stringify(found(inspected));
    const all = outcomes.map((outcome) => ({ ...model, ...outcome }));
    const outcome = all.find((candidate) => JSON.stringify(expected(candidate)) === shown);
    assert.ok(
      outcome !== undefined,
      `${model.name} after the daemon's death: ${shown} is none of ${JSON.stringify(all.map(expected))}`,
    );
    Object.assign(model, outcome);
  }

  /** Asks for a change that leads to `then`, where the state allows it. */
  async #change(
    model: ContainerModel,
    operation: string,
    path: string,
    then: Partial<ContainerModel>,
    between: readonly Partial<ContainerModel>[] = [],
  ): Promise<boolean> {
    const status = answerOf(operation, model.state);
    try {
      await this.#daemon.expect(status, 'POST', `/containers/${model.id}/${path}`);
    } catch (error) {
      if (!(error instanceof LostError)) throw error;
      await this.#settle(model, status === 204 ? [{}, then, ...between] : [{}]);
      return false;
    }
    if (status === 204) Object.assign(model, then);
    return status === 204;
  }

  async start(model: ContainerModel): Promise<void> {
    if (answerOf('start', model.state) !== 204) {
      await this.#change(model, 'start', 'start', {});
      return;
    }
    if (model.goneNetworks.size > 0) {
      await this.#failToStart(model);
      return;
    }
    const lines = model.lines + 1;
    const ends = { state: 'exited', exitCode: model.code, lines } as const;
    const runs = { state: 'running', exitCode: 0, lines } as const;
    let attached: Attachment | undefined;
    try {
      if (model.program === 'short' && this.#random.chance(30)) {
        attached = await Attachment.begin(this.#daemon, model.id);
      }
      await this.#daemon.expect(204, 'POST', `/containers/${model.id}/start`);
      this.#events.acknowledge('container', 'start', model.id);
    } catch (error) {
      attached?.drop();
      if (!(error instanceof LostError)) throw error;
      await this.#settleStart(model, [ends, runs]);
      return;
    }
    const said = await attached?.texts();
    if (said !== undefined) assert.deepEqual(said, [`${READY}\n`], `attached to ${model.name}`);
    if (model.program === 'short') await this.#awaitEnd(model, ends);
    else {
      Object.assign(model, runs);
      await this.#awaitReady(model);
    }
  }

  /** On a network that is not there any more. */
  async #failToStart(model: ContainerModel): Promise<void> {
    const exitCode = NOT_STARTED;
    try {
      const { text } = await this.#daemon.expect(404, 'POST', `/containers/${model.id}/start`);
      assert.match(text, /network \S+ not found/, `start of ${model.name}`);
      model.exitCode = exitCode;
    } catch (error) {
      if (!(error instanceof LostError)) throw error;
      await this.#settle(model, [{}, { exitCode }]);
    }
  }

  /** Is shown what a running container has said, over a connection to its supervisor. */
  async attach(model: ContainerModel): Promise<void> {
    if (model.state !== 'running') return;
    const isWhole = (body: Buffer): boolean => frames(body).length >= model.lines;
    const path = `/containers/${model.id}/attach?logs=1&stream=1&stdout=1`;
    const { body } = await this.#daemon.call({ method: 'POST', path, until: isWhole });
    assert.deepEqual(
      frames(body).map(({ text }) => text),
      Array.from({ length: model.lines }, () => `${READY}\n`),
      `attach to ${model.name}`,
    );
  }

  /** A start that has no answer: not begun, or begun; a program that ends by itself may run on for a moment. */
  async #settleStart(model: ContainerModel, outcomes: readonly Partial<ContainerModel>[]): Promise<void> {
    for (const endMs = Date.now() + READY_MAX_MS; ; await sleep(20)) {
      const inspected = await this.#inspect(model.id);
      const isShortAndUp = model.program === 'short' && inspected?.State.Status === 'running';
      if (!isShortAndUp) break;
      assert.ok(Date.now() < endMs, `${model.name} ends`);
    }
    const before = { ...model };
    await this.#settle(model, [{}, ...outcomes]);
    if (before.state === 'exited' && model.program === 'short' && model.lines === before.lines) {
      // Both outcomes look alike, but for the log.
      model.lines = (await this.#log(model)).length;
      assert.ok(
        [before.lines, before.lines + 1].includes(model.lines),
        `${model.name} was started once or not`,
      );
    }
    if (model.state === 'running') await this.#awaitReady(model);
  }

  async #awaitEnd(model: ContainerModel, ends: Partial<ContainerModel>): Promise<void> {
    let isHeard = true;
    for (;;) {
      try {
        const answer = await this.#daemon.expect(200, 'POST', `/containers/${model.id}/wait`);
        assert.equal(answer.json<{ StatusCode: number }>().StatusCode, model.code, `wait for ${model.name}`);
        break;
      } catch (error) {
        if (!(error instanceof LostError)) throw error;
        // The daemon may have told of the end to nobody.
        isHeard = false;
      }
    }
    Object.assign(model, ends);
    if (isHeard) this.#events.acknowledge('container', 'die', model.id);
  }

  async #awaitReady(model: ContainerModel): Promise<void> {
    for (const endMs = Date.now() + READY_MAX_MS; ; await sleep(20)) {
      const { length } = await this.#log(model);
      if (length >= model.lines) return;
      assert.ok(
        Date.now() < endMs,
        `${model.name} has written ${model.lines} lines to its log and not ${length}`,
      );
    }
  }

  async #log(model: ContainerModel): Promise<string[]> {
    for (;;) {
      try {
        const answer = await this.#daemon.expect(200, 'GET', `/containers/${model.id}/logs?stdout=1`);
        const lines = frames(answer.body).map(({ text }) => text);
        for (const line of lines) assert.equal(line, `${READY}\n`, `log of ${model.name}`);
        return lines;
      } catch (error) {
        if (!(error instanceof LostError)) throw error;
      }
    }
  }

  async logs(model: ContainerModel): Promise<void> {
    assert.equal((await this.#log(model)).length, model.lines, `lines of the log of ${model.name}`);
  }

  async stop(model: ContainerModel): Promise<void> {
    if (model.state === 'paused') return;
    const done = await this.#change(model, 'stop', 'stop?t=60', { state: 'exited', exitCode: 7 });
    if (!done) return;
    this.#events.acknowledge('container', 'die', model.id);
    this.#events.acknowledge('container', 'stop', model.id);
  }

  async kill(model: ContainerModel): Promise<void> {
    const wasUp = model.state === 'running' || model.state === 'paused';
    const done = await this.#change(model, 'kill', 'kill', { state: 'exited', exitCode: 137 });
    if (!done) {
      // The signal may have been sent, and the end of the container be told in a moment.
      if (wasUp && model.state !== 'exited') await this.#settleKill(model);
      return;
    }
    await this.#awaitCode(model);
    this.#events.acknowledge('container', 'die', model.id);
  }

  async #settleKill(model: ContainerModel): Promise<void> {
    await sleep(300);
    await this.#settle(model, [{}, { state: 'exited', exitCode: 137 }]);
  }

  async #awaitCode(model: ContainerModel): Promise<void> {
    for (;;) {
      try {
        const answer = await this.#daemon.expect(200, 'POST', `/containers/${model.id}/wait`);
        assert.equal(
          answer.json<{ StatusCode: number }>().StatusCode,
          model.exitCode,
          `wait for ${model.name}`,
        );
        return;
      } catch (error) {
        if (!(error instanceof LostError)) throw error;
      }
    }
  }

  async pause(model: ContainerModel): Promise<void> {
    if (await this.#change(model, 'pause', 'pause', { state: 'paused' })) {
      this.#events.acknowledge('container', 'pause', model.id);
    }
  }

  async unpause(model: ContainerModel): Promise<void> {
    if (await this.#change(model, 'unpause', 'unpause', { state: 'running' })) {
      this.#events.acknowledge('container', 'unpause', model.id);
    }
  }

  async rename(model: ContainerModel): Promise<void> {
    const other = this.#random.chance(30) ? this.any() : undefined;
    const name = other?.name ?? this.newName();
    const status = other === undefined ? 204 : other === model ? 400 : 409;
    const before = model.name;
    try {
      await this.#daemon.expect(status, 'POST', `/containers/${model.id}/rename?name=${name}`);
      if (status === 204) {
        model.name = name;
        this.#events.acknowledge('container', 'rename', model.id);
      }
    } catch (error) {
      if (!(error instanceof LostError)) throw error;
      await this.#settle(model, status === 204 ? [{}, { name }] : [{}]);
    }
    this.containers.delete(before);
    this.containers.set(model.name, model);
  }

  async update(model: ContainerModel): Promise<void> {
    const cpuShares = 2 + this.#random.below(1000);
    try {
      await this.#daemon.expect(200, 'POST', `/containers/${model.id}/update`, { CpuShares: cpuShares });
      model.cpuShares = cpuShares;
      this.#events.acknowledge('container', 'update', model.id);
    } catch (error) {
      if (!(error instanceof LostError)) throw error;
      await this.#settle(model, [{}, { cpuShares }]);
    }
  }

  async exec(model: ContainerModel): Promise<void> {
    const code = this.#random.below(50);
    const status = answerOf('exec', model.state);
    const body = { Cmd: ['sh', '-c', `echo said; exit ${code}`], AttachStdout: true };
    const { changes } = this.#daemon;
    try {
      const made = await this.#daemon.expect(status, 'POST', `/containers/${model.id}/exec`, body);
      if (status !== 201) return;
      const { Id } = made.json<{ Id: string }>();
      const output = await this.#daemon.expect(200, 'POST', `/exec/${Id}/start`, {});
      assert.deepEqual(frames(output.body), [{ stream: 1, text: 'said\n' }], `exec in ${model.name}`);
      // Which commands there were is in the daemon's memory.
      const inspected = await this.#daemon.expect([200, 404], 'GET', `/exec/${Id}/json`);
      if (this.#daemon.changes !== changes || this.#daemon.isTakenOver) return;
      assert.equal(inspected.status, 200, `exec in ${model.name} is known`);
      const after = inspected.json<{
        ExitCode: number;
        Running: boolean;
      }>();
      assert.deepEqual(
        { code: after.ExitCode, running: after.Running },
        { code, running: false },
        `exec in ${model.name}`,
      );
    } catch (error) {
      if (!(error instanceof LostError)) throw error;
      await this.#settle(model, [{}]);
    }
  }

  async copyIn(model: ContainerModel): Promise<void> {
    const name = `file-${this.#random.below(4)}`;
    const content = `${model.name} ${this.#random.below(1_000_000)}`;
    const path = `/${name}`;
    try {
      const tar = tarOf({ [name]: content });
      await this.#daemon.expect(200, 'PUT', `/containers/${model.id}/archive?path=/`, tar);
      model.files.set(path, content);
    } catch (error) {
      if (!(error instanceof LostError)) throw error;
      const now = await this.#read(model, path);
      assert.ok(
        [model.files.get(path), content, ''].includes(now),
        `${path} of ${model.name} after the daemon's death: ${now}`,
      );
      if (now === undefined) model.files.delete(path);
      else model.files.set(path, now);
    }
  }

  async #read(model: ContainerModel, path: string): Promise<string | undefined> {
    for (;;) {
      try {
        const answer = await this.#daemon.expect(
          [200, 404],
          'GET',
          `/containers/${model.id}/archive?path=${path}`,
        );
        return answer.status === 404 ? undefined : firstFile(answer.body);
      } catch (error) {
        if (!(error instanceof LostError)) throw error;
      }
    }
  }

  async copyOut(model: ContainerModel): Promise<void> {
    const path = this.#random.pick(model.files.keys()) ?? '/not-there';
    assert.equal(await this.#read(model, path), model.files.get(path), `${path} of ${model.name}`);
  }

  async remove(model: ContainerModel, force: boolean): Promise<void> {
    const status = force ? 204 : answerOf('remove', model.state);
    const wasUp = model.state === 'running' || model.state === 'paused';
    try {
      await this.#daemon.expect(status, 'DELETE', `/containers/${model.id}?force=${force}`);
      if (status === 204) this.#events.acknowledge('container', 'destroy', model.id);
    } catch (error) {
      if (!(error instanceof LostError)) throw error;
      if (status === 204 && (await this.#inspect(model.id)) !== undefined) {
        // Killed and not removed is what a forced removal comes by.
        await sleep(wasUp ? 300 : 0);
        await this.#settle(model, [{}, ...(wasUp ? [{ state: 'exited', exitCode: 137 } as const] : [])]);
        return;
      }
    }
    if (status !== 204) return;
    this.containers.delete(model.name);
    assert.equal(await this.#inspect(model.id), undefined, `${model.name} is gone`);
  }

  /** Lists by label and state show what the model has. */
  async list(): Promise<void> {
    const state = this.#random.pick(['created', 'running', 'paused', 'exited'] as const);
    const filters = encodeURIComponent(JSON.stringify({ label: [this.labelFilter], status: [state] }));
    const answer = await this.#daemon.expect(200, 'GET', `/containers/json?all=1&filters=${filters}`);
    const listed = answer.json<{ Id: string; State: string; Names: string[] }[]>();
    const wanted = [...this.containers.values()].filter((model) => model.state === state);
    assert.deepEqual(
      listed.map(({ Id, State, Names }) => `${Id} ${State} ${Names[0]}`).sort(),
      wanted.map(({ id, state: own, name }) => `${id} ${own} /${name}`).sort(),
      `list of ${state} containers of ${this.#owner}`,
    );
  }

  /** Removes what does not run, and nothing else. */
  async prune(): Promise<void> {
    const ended = [...this.containers.values()].filter(
      ({ state }) => state === 'created' || state === 'exited',
    );
    const filters = encodeURIComponent(JSON.stringify({ label: [this.labelFilter] }));
    try {
      // One at a time: another client may be at it.
      const answer = await this.#daemon.expect([200, 409], 'POST', `/containers/prune?filters=${filters}`);
      if (answer.status === 409) return;
      const { ContainersDeleted } = answer.json<{ ContainersDeleted: string[] | null }>();
      assert.deepEqual(
        (ContainersDeleted ?? []).toSorted(),
        ended.map(({ id }) => id).sort(),
        `prune of ${this.#owner}`,
      );
      for (const model of ended) {
        this.containers.delete(model.name);
        this.#events.acknowledge('container', 'destroy', model.id);
      }
    } catch (error) {
      if (!(error instanceof LostError)) throw error;
      for (const model of ended) {
        if ((await this.#inspect(model.id)) === undefined) this.containers.delete(model.name);
      }
    }
  }
}
