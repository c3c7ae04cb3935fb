/**
 * A daemon that can be struck: a copy of the built programs (a build beside a long run must not change them), with the
 * module that hears labelled steps preloaded, and the Engine API to it. Needs the sandbox of test/run/sandbox.sh.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { busyboxImage } from '../fixtures/catalog.ts';
import { startRegistry } from '../fixtures/registry.ts';
import { type ApiAnswer, apiRequest } from '../integration/api-request.ts';
import { eventually, run } from '../integration/command.ts';
import { ROOT } from '../run/discovery.ts';
import { timeLimitMs } from '../run/time-limit.ts';
import { LyingRegistry } from './lying-registry.ts';
import { heldFile, ORDER_VARIABLE, type Order, type Point } from './order.ts';

const PROGRAMS = [
  'mydock.cjs',
  'mydock.pack',
  'client.node',
  'mydockd.cjs',
  'layer-worker.cjs',
  'difference-worker.cjs',
  'transfer-worker.cjs',
  'addon.node',
  'libisal.so.2',
  'mydock-runtime',
  'mydock-init',
];
const STRIKE_MODULE = 'strike-module.mjs';
/** A point may lie behind the answer. */
const BEHIND_ANSWER_MS = timeLimitMs(3000);
/** Time after an operation in which what it does behind its answer begins. */
const QUIET_MS = 60;

/** An answer that is no success. */
export class Refusal extends Error {
  readonly status: number;

  constructor(what: string, { status, text }: ApiAnswer) {
    super(`${what}: ${status} ${text.trim()}`);
    this.status = status;
  }
}

export interface Asked {
  body?: unknown;
  /** Statuses other than 2xx that are as good. */
  allowed?: readonly number[];
  headers?: Record<string, string>;
}

export interface StartOptions {
  args?: readonly string[];
  /** Takes the place of the built mydock-runtime. */
  runtime?: string;
  /** Environment variables on top of the harness's. */
  env?: Record<string, string>;
  beforeStart?: (daemon: FaultedDaemon) => void;
}

export class FaultedDaemon {
  readonly folder = mkdtempSync(join(tmpdir(), 'faults-'));
  readonly dataRoot = join(this.folder, 'data');
  readonly execRoot = '/run/mydock-f';
  readonly socket = '/run/mydock-f.sock';
  readonly orderFile = join(this.folder, 'order');
  readonly #programs = join(this.folder, 'programs');
  readonly #args: readonly string[];
  readonly #env: Record<string, string>;
  #process: ChildProcess | undefined;
  #registry: LyingRegistry | undefined;

  private constructor({ args = [], env = {} }: StartOptions) {
    this.#args = args;
    this.#env = env;
  }

  /** Starts one that has the busybox image as `busybox`. */
  static async start(options: StartOptions = {}): Promise<FaultedDaemon> {
    const daemon = new FaultedDaemon(options);
    mkdirSync(daemon.#programs);
    for (const name of PROGRAMS) cpSync(join(ROOT, 'dist', name), join(daemon.#programs, name));
    if (options.runtime !== undefined)
      cpSync(options.runtime, join(daemon.#programs, 'mydock-runtime'), { force: true });
    daemon.#bundleStrikeModule();
    options.beforeStart?.(daemon);
    try {
      await daemon.launch();
      await daemon.#bringBusybox();
      return daemon;
    } catch (error) {
      await daemon.close();
      throw error;
    }
  }

  /** Node would take the types out of it at every start. */
  #bundleStrikeModule(): void {
    execFileSync(join(ROOT, `node_modules/@esbuild/linux-${process.arch}/bin/esbuild`), [
      join(import.meta.dirname, 'strike-module.ts'),
      ...['--bundle', '--platform=node', '--format=esm', '--log-level=warning'],
      `--outfile=${join(this.#programs, STRIKE_MODULE)}`,
    ]);
  }

  async #bringBusybox(): Promise<void> {
    this.#registry = await LyingRegistry.before(await startRegistry());
    const reference = await this.#registry.push('busybox', 'latest', await busyboxImage());
    await this.ask('POST', `/images/create?fromImage=${encodeURIComponent(reference)}`);
    await this.ask('POST', `/images/${encodeURIComponent(reference)}/tag?repo=busybox&tag=latest`);
    await this.ask('DELETE', `/images/${encodeURIComponent(reference)}`);
  }

  /** The registry that the image came from, for scenarios that pull and push; honest unless it is told to lie. */
  get registry(): LyingRegistry {
    if (this.#registry === undefined) throw new Error('the registry runs');
    return this.#registry;
  }

  get pid(): number {
    const pid = this.#process?.pid;
    if (pid === undefined) throw new Error('the daemon runs');
    return pid;
  }

  get running(): boolean {
    return (
      this.#process !== undefined && this.#process.exitCode === null && this.#process.signalCode === null
    );
  }

  /** What it logged since the first start. */
  get log(): string {
    return readFileSync(join(this.folder, 'log'), 'utf8');
  }

  /** Starts the daemon's process (again); resolves when it answers. */
  async launch(): Promise<void> {
    const log = openSync(join(this.folder, 'log'), 'a');
    const child = spawn(
      process.execPath,
      [
        '--disable-warning=ExperimentalWarning',
        `--import=${join(this.#programs, STRIKE_MODULE)}`,
        join(this.#programs, 'mydockd.cjs'),
        ...['--data-root', this.dataRoot, '--exec-root', this.execRoot],
        ...['--host', `unix://${this.socket}`, '--group', 'root'],
        ...this.#args,
      ],
      {
        stdio: ['ignore', log, log],
        env: {
          ...process.env,
          ...this.#env,
          HOME: this.folder,
          NODE_COMPILE_CACHE: join(this.folder, 'compiled'),
          [ORDER_VARIABLE]: this.orderFile,
        },
      },
    );
    closeSync(log);
    this.#process = child;
    await eventually(
      'the daemon answers',
      async () => {
        if (!this.running) throw new Error(`the daemon ended:\n${this.log.slice(-4000)}`);
        if (!existsSync(this.socket)) return false;
        return (await apiRequest(this.socket, 'GET', '/_ping').catch(() => undefined))?.status === 200;
      },
      timeLimitMs(60_000),
    );
  }

  /** Waits for its end by a strike; false where it lives on. */
  async ended(limitMs: number): Promise<boolean> {
    const child = this.#process;
    if (child === undefined || !this.running) return true;
    const { promise, resolve } = Promise.withResolvers<void>();
    child.once('exit', resolve);
    const timer = setTimeout(resolve, limitMs);
    await promise;
    clearTimeout(timer);
    child.off('exit', resolve);
    return !this.running;
  }

  async kill(): Promise<void> {
    if (!this.running) return;
    this.#process?.kill('SIGKILL');
    await this.ended(timeLimitMs(60_000));
  }

  order(order: Order): void {
    writeFileSync(this.orderFile, JSON.stringify(order));
  }

  /** Takes an order back, and lets go of a daemon that is held. */
  relax(): void {
    rmSync(this.orderFile, { force: true });
    rmSync(heldFile(this.orderFile), { force: true });
  }

  /** Waits until the daemon is held; false where it is not some time after `answered`. */
  async held(answered: Promise<unknown>): Promise<boolean> {
    let answeredAt = Number.POSITIVE_INFINITY;
    void answered.then(() => {
      answeredAt = performance.now();
    });
    while (!existsSync(heldFile(this.orderFile))) {
      if (performance.now() > answeredAt + BEHIND_ANSWER_MS) return false;
      await sleep(2);
    }
    return true;
  }

  /** The points that `operation` passes, in their order, with those behind its answer. */
  async record(operation: () => Promise<unknown>): Promise<Point[]> {
    const path = join(this.folder, 'points');
    writeFileSync(path, '');
    this.order({ kind: 'record', path });
    try {
      await operation();
      for (let before = -1, now = 0; now !== before; ) {
        before = readFileSync(path).length;
        await sleep(QUIET_MS);
        now = readFileSync(path).length;
      }
    } finally {
      this.relax();
    }
    const lines = readFileSync(path, 'utf8').split('\n');
    return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Point);
  }

  /** One request that must succeed. Throws Refusal, or what the connection says where it ends. */
  async ask(method: string, path: string, { body, allowed = [], headers }: Asked = {}): Promise<ApiAnswer> {
    const answer = await apiRequest(this.socket, method, path, body, headers);
    const failed = answer.status >= 400 && !allowed.includes(answer.status);
    // Streams of progress say at their end what went wrong.
    const error = answer.status === 200 ? /^\{"error.*/m.exec(answer.text) : null;
    if (failed || error !== null) throw new Refusal(`${method} ${path}`, answer);
    return answer;
  }

  /** Our client, for what it does in several requests; rejects with what it printed where it fails. */
  async mydock(...args: readonly string[]): Promise<string> {
    const program = join(this.#programs, 'mydock.cjs');
    const env = { ...process.env, HOME: this.folder, DOCKER_HOST: `unix://${this.socket}` };
    const { code, stdout, stderr } = await run([process.execPath, program, ...args], { env });
    if (code !== 0) throw new Error(`mydock ${args.join(' ')}: ${code}: ${stderr.trim()}`);
    return stdout;
  }

  async close(): Promise<void> {
    await this.kill();
    await this.#registry?.stop();
    // It may be a file system of its own, or several.
    while (spawnSync('umount', ['-l', this.dataRoot], { stdio: 'ignore' }).status === 0);
    rmSync(this.folder, { recursive: true, force: true });
  }
}
