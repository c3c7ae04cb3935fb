/** A client reads the logs of its containers, attaches to them, and runs commands in them. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { frames } from '../conformance/exchange.ts';
import { answerOf, type ContainerModel, READY } from './container-model.ts';
import { HijackedCall } from './hijacked-call.ts';
import type { OwnContainers } from './own-containers.ts';
import { onlyLost } from './unsteady-daemon.ts';

const INPUT_MAX_BYTES = 300_000;

export class ContainerStreams {
  readonly #own: OwnContainers;

  constructor(own: OwnContainers) {
    this.#own = own;
  }

  /** Is shown what a running container has said, over a connection to its supervisor. */
  async attach(model: ContainerModel): Promise<void> {
    if (model.state !== 'running') return;
    await this.#until(model, `attach?logs=1&stream=1&stdout=1`, 'POST', model.lines);
  }

  /** Reads a stream that goes on until so many frames are there. */
  async #until(model: ContainerModel, request: string, method: string, count: number): Promise<void> {
    const until = (body: Buffer): boolean => frames(body).length >= count;
    const path = `/containers/${model.id}/${request}`;
    const { body } = await this.#own.daemon.call({ method, path, until });
    assert.deepEqual(
      frames(body).map(({ text }) => text),
      Array.from({ length: count }, () => `${READY}\n`),
      `${request} of ${model.name}`,
    );
  }

  async logs(model: ContainerModel): Promise<void> {
    assert.equal((await this.#own.log(model)).length, model.lines, `lines of the log of ${model.name}`);
  }

  /** A part of the log, by number or by time. */
  async partOfLog(model: ContainerModel): Promise<void> {
    const { random } = this.#own;
    const tail = random.below(model.lines + 2);
    const last = await this.#part(model, `tail=${tail}`);
    assert.equal(last.length, Math.min(tail, model.lines), `tail=${tail} of ${model.name}`);
    const all = await this.#part(model, '');
    assert.equal(all.length, model.lines, `lines of the log of ${model.name}`);
    assert.deepEqual(all, all.toSorted(), `order of the log of ${model.name}`);
    if (all.length === 0) return;
    const from = random.below(all.length);
    const since = await this.#part(model, `since=${unixTime(all[from] ?? '')}`);
    assert.deepEqual(since, all.slice(from), `log of ${model.name} since ${all[from]}`);
    const until = await this.#part(model, `until=${unixTime(all[from] ?? '')}`);
    assert.deepEqual(until, all.slice(0, from + 1), `log of ${model.name} until ${all[from]}`);
  }

  /** The times of the lines. */
  async #part(model: ContainerModel, query: string): Promise<string[]> {
    const path = `/containers/${model.id}/logs?stdout=1&timestamps=1&${query}`;
    const { body } = await this.#own.daemon.expect(200, 'GET', path);
    return frames(body).map(({ text }) => {
      const [time = '', line] = text.split(' ', 2);
      assert.equal(line, `${READY}\n`, `log of ${model.name}`);
      return time;
    });
  }

  /** A log that is followed has all lines, and ends with the container. */
  async followLog(model: ContainerModel): Promise<void> {
    if (model.state === 'created') return;
    await this.#until(model, 'logs?stdout=1&follow=1', 'GET', model.lines);
  }

  async exec(model: ContainerModel): Promise<void> {
    const { daemon, random } = this.#own;
    const code = random.below(50);
    const status = answerOf('exec', model.state);
    const body = { Cmd: ['sh', '-c', `echo said; exit ${code}`], AttachStdout: true };
    try {
      const made = await daemon.expect(status, 'POST', `/containers/${model.id}/exec`, body);
      if (status !== 201) return;
      const { Id } = made.json<{ Id: string }>();
      const output = await daemon.expect(200, 'POST', `/exec/${Id}/start`, {});
      assert.deepEqual(frames(output.body), [{ stream: 1, text: 'said\n' }], `exec in ${model.name}`);
      await this.#verifyExec(Id, model, code);
    } catch (error) {
      onlyLost(error);
      await this.#own.settle(model, [{}]);
    }
  }

  /** How it has ended is known to whoever is the daemon by now. */
  async #verifyExec(id: string, model: ContainerModel, code: number): Promise<void> {
    const inspected = await this.#own.daemon.read(200, `/exec/${id}/json`);
    const { ExitCode, Running } = inspected.json<{ ExitCode: number; Running: boolean }>();
    assert.deepEqual({ ExitCode, Running }, { ExitCode: code, Running: false }, `exec in ${model.name}`);
  }

  /** A command that reads all of what it is sent, and says what that was. */
  async execWithInput(model: ContainerModel): Promise<void> {
    if (model.state !== 'running') return;
    const { daemon, random } = this.#own;
    const input = Buffer.alloc(1 + random.below(INPUT_MAX_BYTES), `${random.below(1_000_000)} `);
    const body = { Cmd: ['sha256sum'], AttachStdin: true, AttachStdout: true };
    try {
      const made = await daemon.expect(201, 'POST', `/containers/${model.id}/exec`, body);
      const { Id } = made.json<{ Id: string }>();
      const call = await HijackedCall.begin(daemon, `/exec/${Id}/start`, { Detach: false, Tty: false });
      const said = await call.texts(input);
      const digest = createHash('sha256').update(input).digest('hex');
      if (said !== undefined) assert.equal(said.join(''), `${digest}  -\n`, `input of exec in ${model.name}`);
    } catch (error) {
      onlyLost(error);
    }
  }
}

/** Seconds with nanoseconds, of an RFC 3339 time. */
function unixTime(time: string): string {
  const [, fraction = '0'] = /\.(\d+)Z$/.exec(time) ?? [];
  return `${Math.floor(Date.parse(time) / 1000)}.${fraction.padEnd(9, '0')}`;
}
