/**
 * OCI bundles and calls of `mydock-runtime` for the tests of this folder: a root file system of busybox, a config.json
 * made by `spec` and changed by the test, and a --root of the test's own, which `close` looks through for leftovers.
 */
import assert from 'node:assert/strict';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type CommandOptions, eventually, LiveCommand, type Result, run } from '../command.ts';

if (process.env['MYDOCK_TEST_SANDBOX'] !== '1') {
  throw new Error('integration tests run in a sandbox: use `make test ONLY=path`');
}

export const RUNTIME =
  process.env['MYDOCK_TEST_RUNTIME'] ?? resolve(import.meta.dirname, '../../../dist/mydock-runtime');

const BUSYBOX = process.env['MYDOCK_TEST_BUSYBOX'] ?? '/bin/busybox';
const APPLETS =
  'sh grep cat echo true false sleep id ls ps env tty stty kill mount test readlink touch head dd wc';

export interface Process {
  terminal?: boolean;
  user: { uid: number; gid: number; additionalGids?: number[]; umask?: number };
  args: string[];
  env: string[];
  cwd: string;
  capabilities?: Record<string, string[]>;
  rlimits?: { type: string; soft: number; hard: number }[];
  noNewPrivileges?: boolean;
  [key: string]: unknown;
}

export interface Hook {
  path: string;
  args?: string[];
  env?: string[];
  timeout?: number;
}

export interface Config {
  process: Process;
  root: { path: string; readonly?: boolean };
  mounts: { destination: string; type?: string; source?: string; options?: string[] }[];
  hooks?: Record<string, Hook[]>;
  annotations?: Record<string, string>;
  linux: {
    namespaces: { type: string; path?: string }[];
    resources: Record<string, unknown>;
    cgroupsPath?: string;
    [key: string]: unknown;
  };
  [key: string]: unknown;
}

export interface State {
  ociVersion: string;
  id: string;
  pid: number;
  status: string;
  bundle: string;
  rootfs: string;
  created: string;
  annotations?: Record<string, string>;
}

export class Bundle {
  readonly folder: string;
  readonly rootfs: string;
  readonly root: string;

  private constructor() {
    this.folder = mkdtempSync(join(tmpdir(), 'bundle-'));
    this.rootfs = join(this.folder, 'rootfs');
    this.root = join(this.folder, 'states');
  }

  static async make(): Promise<Bundle> {
    const bundle = new Bundle();
    for (const name of ['bin', 'etc', 'tmp']) mkdirSync(join(bundle.rootfs, name), { recursive: true });
    copyFileSync(BUSYBOX, join(bundle.rootfs, 'bin/busybox'));
    for (const applet of APPLETS.split(' ')) symlinkSync('busybox', join(bundle.rootfs, 'bin', applet));
    await bundle.succeeds(['spec', '--bundle', bundle.folder]);
    return bundle;
  }

  /** Writes config.json: spec's, without a terminal, running `sh -c script`, as `change` leaves it. */
  configure(script: string, change: (config: Config) => void = () => {}): void {
    const path = join(this.folder, 'spec.json');
    if (!existsSync(path)) copyFileSync(join(this.folder, 'config.json'), path);
    const config = JSON.parse(readFileSync(path, 'utf8')) as Config;
    config.process.terminal = false;
    config.process.args = ['sh', '-c', script];
    config.root.readonly = false;
    change(config);
    writeFileSync(join(this.folder, 'config.json'), JSON.stringify(config));
  }

  command(args: readonly string[]): string[] {
    return [RUNTIME, '--root', this.root, ...args];
  }

  async call(args: readonly string[], options: CommandOptions = {}): Promise<Result> {
    return await run(this.command(args), options);
  }

  /** Calls and expects success; returns the output. */
  async succeeds(args: readonly string[], options: CommandOptions = {}): Promise<string> {
    const result = await this.call(args, options);
    assert.equal(result.code, 0, `${args.join(' ')}: ${result.stderr}`);
    return result.stdout;
  }

  /** Calls and expects an error: one line on stderr that matches. */
  async fails(args: readonly string[], message: RegExp, code = 1): Promise<void> {
    const result = await this.call(args);
    assert.equal(result.code, code, `${args.join(' ')}: ${result.stdout}${result.stderr}`);
    assert.match(result.stderr, /^mydock-runtime: [^\n]+\n$/);
    assert.match(result.stderr, message);
  }

  live(args: readonly string[], options: CommandOptions = {}): LiveCommand {
    return new LiveCommand(this.command(args), options);
  }

  /**
   * Creates a container with its output in the file `output` of the bundle. (Its init outlives create: on pipes, create
   * would seem to go on.)
   */
  async create(id: string, args: readonly string[] = []): Promise<void> {
    const line = [...this.command(['create', '--bundle', this.folder, ...args, id])];
    const output = join(this.folder, 'output');
    await this.#toFile(line, output);
  }

  /** The same for run --detach. */
  async runDetached(id: string, args: readonly string[] = []): Promise<void> {
    const line = this.command(['run', '--detach', '--bundle', this.folder, ...args, id]);
    await this.#toFile(line, join(this.folder, 'output'));
  }

  async #toFile(line: readonly string[], output: string): Promise<void> {
    const result = await run([
      'sh',
      '-c',
      'out=$1; shift; exec "$@" < /dev/null >> "$out" 2>&1',
      'sh',
      output,
      ...line,
    ]);
    assert.equal(result.code, 0, `${line.join(' ')}: ${this.output}`);
  }

  get output(): string {
    const path = join(this.folder, 'output');
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  }

  async state(id: string): Promise<State> {
    return JSON.parse(await this.succeeds(['state', id])) as State;
  }

  async becomes(id: string, status: string): Promise<void> {
    await eventually(`${id} is ${status}`, async () => (await this.state(id)).status === status);
  }

  /** Removes all; fails where a container or a process of one is left. */
  close(): void {
    const left = existsSync(this.root) ? readdirSync(this.root).filter((name) => name !== ':seccomp') : [];
    assert.deepEqual(left, [], 'containers are left');
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Whether a process runs; one that only waits to be reaped does not. */
export function runs(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
