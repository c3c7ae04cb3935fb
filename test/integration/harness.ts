/**
 * A daemon of a test's own: `Daemon.start()` in a `before` hook, `close()` in `after`, which removes all containers,
 * stops it and fails the test where anything was left on the machine (leftovers.ts). Needs the sandbox that
 * `make test` puts around every integration test (test/run/sandbox.sh).
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { imageArchive } from '../fixtures/archive.ts';
import { busyboxImage } from '../fixtures/catalog.ts';
import type { Image } from '../fixtures/image.ts';
import { type Registry, startRegistry } from '../fixtures/registry.ts';
import { timeLimitMs } from '../run/time-limit.ts';
import { type ApiAnswer, apiRequest } from './api-request.ts';
import { type CommandOptions, eventually, LiveCommand, type Result, run } from './command.ts';
import { CLIENT, daemonCommand, type EnginePlace, TESTING_DOCKER } from './engine.ts';
import { firewall, leftovers } from './leftovers.ts';

if (process.env['MYDOCK_TEST_SANDBOX'] !== '1') {
  throw new Error('integration tests run in a sandbox: use `make test ONLY=path`');
}

let daemonCount = 0;

export class Daemon implements EnginePlace {
  readonly folder: string;
  readonly dataRoot: string;
  readonly execRoot: string;
  readonly socket: string;
  /** HOME of the clients: holds their configuration. */
  readonly home: string;
  readonly #args: readonly string[];
  #process: ChildProcess | undefined;
  #firewallBefore = '';

  private constructor(args: readonly string[]) {
    daemonCount += 1;
    this.folder = mkdtempSync(join(tmpdir(), 'daemon-'));
    this.dataRoot = join(this.folder, 'data');
    // Short, for the sockets below it; /run is the sandbox's own.
    this.execRoot = `/run/mydock-${daemonCount}`;
    this.socket = `/run/mydock-${daemonCount}.sock`;
    this.home = mkdtempSync(join(this.folder, 'home-'));
    this.#args = args;
  }

  /** Starts a daemon and waits until it answers. `args` are added to its command line. */
  static async start(args: readonly string[] = []): Promise<Daemon> {
    const daemon = new Daemon(args);
    await daemon.launch().catch(async (error: unknown) => {
      await daemon.stop('SIGKILL');
      throw error;
    });
    return daemon;
  }

  get pid(): number {
    assert.ok(this.#process?.pid !== undefined, 'the daemon runs');
    return this.#process.pid;
  }

  /** What the daemon logged since it was first started. */
  get log(): string {
    return readFileSync(join(this.folder, 'log'), 'utf8');
  }

  /** Starts the daemon's process (again). */
  async launch(): Promise<void> {
    const [file = '', ...args] = daemonCommand(this, this.#args);
    const log = openSync(join(this.folder, 'log'), 'a');
    const child = spawn(file, args, {
      stdio: ['ignore', log, log],
      env: { ...process.env, HOME: this.home },
    });
    closeSync(log);
    this.#process = child;
    await eventually(
      'the daemon answers',
      async () => {
        if (child.exitCode !== null || child.signalCode !== null) {
          throw new Error(
            `the daemon ended with ${child.exitCode ?? child.signalCode}:\n${this.log.slice(-4000)}`,
          );
        }
        if (!existsSync(this.socket)) return false;
        return (await this.api('GET', '/_ping').catch(() => undefined))?.status === 200;
      },
      timeLimitMs(60_000),
    );
    this.#firewallBefore ||= firewall(this);
  }

  /**
   * Starts another daemon that takes over from the running one; resolves when it does, and the first one has ended.
   * `args` come in addition. Rejects with what it said where it ends instead: the running one then is the old one.
   */
  async takeOver(args: readonly string[] = []): Promise<void> {
    await this.takeOverWhile(async () => undefined, args);
  }

  /** The same; `use` runs when the new one serves, and before the first one must have ended. */
  async takeOverWhile(use: () => Promise<void>, args: readonly string[] = []): Promise<void> {
    const before = this.#process;
    assert.ok(before !== undefined, 'a daemon runs');
    const [file = '', ...words] = daemonCommand(this, [...this.#args, '--takeover', ...args]);
    const logPath = join(this.folder, 'log');
    const from = readFileSync(logPath, 'utf8').length;
    const log = openSync(logPath, 'a');
    const child = spawn(file, words, {
      stdio: ['ignore', log, log],
      env: { ...process.env, HOME: this.home },
    });
    closeSync(log);
    const pidFile = join(this.execRoot, 'mydockd.pid');
    await eventually(
      'the daemon is taken over',
      () => {
        if (child.exitCode === null) return readFileSync(pidFile, 'utf8').trim() === String(child.pid);
        throw new Error(readFileSync(logPath, 'utf8').slice(from));
      },
      timeLimitMs(60_000),
    );
    this.#process = child;
    await use();
    await eventually('the first daemon ends', () => before.exitCode !== null, timeLimitMs(60_000));
  }

  /** Ends the daemon's process: `SIGKILL` as a crash would, `SIGTERM` as an orderly stop. */
  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exit = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), timeLimitMs(60_000));
    await exit;
    clearTimeout(timer);
    if (signal === 'SIGTERM' && child.signalCode === 'SIGKILL')
      throw new Error('the daemon ignored SIGTERM for a minute');
  }

  #environment(options: CommandOptions): NodeJS.ProcessEnv {
    const host = `unix://${this.socket}`;
    return { ...process.env, HOME: this.home, MYDOCK_HOST: host, DOCKER_HOST: host, ...options.env };
  }

  /** Runs the client to its end. */
  async mydock(args: readonly string[], options: CommandOptions = {}): Promise<Result> {
    return await run([CLIENT, ...args], { ...options, env: this.#environment(options) });
  }

  /** Runs a `docker` program against this daemon. */
  async docker(program: string, args: readonly string[], options: CommandOptions = {}): Promise<Result> {
    return await run([program, ...args], { ...options, env: this.#environment(options) });
  }

  /** The client, left running. */
  live(args: readonly string[], options: CommandOptions = {}): LiveCommand {
    return new LiveCommand([CLIENT, ...args], { ...options, env: this.#environment(options) });
  }

  /** Runs the client, which must end with `code`. */
  async ends(code: number, args: readonly string[], options: CommandOptions = {}): Promise<Result> {
    const result = await this.mydock(args, options);
    assert.equal(
      result.code,
      code,
      `${args.join(' ')}: ended with ${result.code} and not ${code}\nstderr: ${result.stderr}\nstdout: ${result.stdout}`,
    );
    return result;
  }

  /** Runs the client, which must succeed; returns its stdout without the last line feed. */
  async ok(...args: string[]): Promise<string> {
    return (await this.ends(0, args)).stdout.replace(/\n$/, '');
  }

  /** Runs the client, which must fail with `code` and an error that matches. */
  async fails(code: number, message: RegExp, ...args: string[]): Promise<void> {
    const result = await this.mydock(args);
    assert.match(result.stderr, message, `${args.join(' ')}: no ${message} in: ${result.stderr}`);
    assert.equal(result.code, code, `exit code of ${args.join(' ')}: ${result.stderr}`);
  }

  /** One Engine API request on the socket. */
  async api(method: string, path: string, body?: unknown): Promise<ApiAnswer> {
    return await apiRequest(this.socket, method, path, body);
  }

  /** One field of `inspect`, by a Go template. */
  async inspect(object: string, template: string): Promise<string> {
    return await this.ok('inspect', '--format', template, object);
  }

  /** One Engine API request on the socket, which must succeed. A command would cost ten times the processor time. */
  async #done(method: string, path: string): Promise<ApiAnswer> {
    const answer = await this.api(method, path);
    assert.ok(answer.status < 300, `${method} ${path}: ${answer.status} ${answer.text}`);
    return answer;
  }

  /** Waits until the container's state is `status` (`running`, `exited`, …). */
  async reaches(container: string, status: string): Promise<void> {
    await eventually(`${container} is ${status}`, async () => {
      const answer = await this.#done('GET', `/containers/${container}/json`);
      return answer.json<{ State: { Status: string } }>().State.Status === status;
    });
  }

  async removeContainers(): Promise<void> {
    const listed = (await this.#done('GET', '/containers/json?all=1')).json<{ Id: string }[]>();
    await Promise.all(
      listed.map(async ({ Id }) => {
        const path = `/containers/${Id}`;
        const { status, text } = await this.api('DELETE', `${path}?force=1`);
        // One with --rm may have gone by itself, or be about to.
        if (status === 409 && /already in progress/.test(text)) {
          await eventually('it is gone', async () => (await this.api('GET', `${path}/json`)).status === 404);
        } else assert.ok(status === 204 || status === 404, `removing container ${Id}: ${status} ${text}`);
      }),
    );
  }

  /** Gives it an image without a registry. */
  async load(image: Image, reference: string): Promise<void> {
    const archive = imageArchive(image, reference);
    const type = { 'content-type': 'application/x-tar' };
    const { status, text } = await apiRequest(this.socket, 'POST', '/images/load?quiet=1', archive, type);
    assert.equal(status, 200, text);
    assert.doesNotMatch(text, /"error"/);
  }

  /** Removes all containers and fails where anything of them was left; stops the daemon, and looks again. */
  async close(): Promise<void> {
    try {
      if (this.#process === undefined) await this.launch();
      await this.removeContainers();
      if (!TESTING_DOCKER) await this.#assertClean('after the last container');
      await this.stop();
      if (!TESTING_DOCKER) await this.#assertClean('after the daemon has stopped');
    } catch (error) {
      process.stderr.write(`daemon log:\n${this.log.slice(-6000)}\n`);
      throw error;
    } finally {
      await this.stop('SIGKILL');
      rmSync(this.folder, { recursive: true, force: true });
    }
  }

  async #assertClean(when: string): Promise<void> {
    const found = (): string[] => [
      ...leftovers(this, this.#process !== undefined),
      ...(firewall(this) === this.#firewallBefore ? [] : [`firewall changed:\n${firewall(this)}`]),
    ];
    await eventually('nothing is left', () => found().length === 0, timeLimitMs(30_000)).catch(() => {
      assert.deepEqual(found(), [], `left ${when}`);
    });
  }
}

/** A daemon that has the busybox image as `busybox`. */
export async function daemonWithBusybox(
  args: readonly string[] = [],
): Promise<{ daemon: Daemon; close(): Promise<void> }> {
  const daemon = await Daemon.start(args);
  await daemon.load(await busyboxImage({ compression: 'none' }), 'busybox:latest');
  return { daemon, close: async () => await daemon.close() };
}

/** The same, pulled from a registry, which is there for more. */
export async function daemonWithRegistry(
  args: readonly string[] = [],
): Promise<{ daemon: Daemon; registry: Registry; close(): Promise<void> }> {
  const registry = await startRegistry();
  const reference = await registry.push('busybox', 'latest', await busyboxImage());
  const daemon = await Daemon.start(args).catch(async (error: unknown) => {
    // A child that lives on keeps the test's process from ending.
    await registry.stop();
    throw error;
  });
  await daemon.ok('pull', '-q', reference);
  await daemon.ok('tag', reference, 'busybox');
  return {
    daemon,
    registry,
    close: async () => {
      try {
        await daemon.close();
      } finally {
        await registry.stop();
      }
    },
  };
}
