/**
 * The engines that are timed: mydock always, Docker where it was fetched (the newest that Debian has) or is installed, and
 * Podman where it is installed. Each gets a data root of its
 * own inside the sandbox, is started and stopped by the benchmark, and is driven through its own command, which for
 * all of them takes Docker's words.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, openSync, symlinkSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { buildkitPeerFolders, newestBuildxProgram } from '../fixtures/buildkit-peer.ts';
import { buildxProgram } from '../fixtures/compose.ts';

/** For one command that is not timed, and for a daemon's end. */
const COMMAND_LIMIT_MS = 300_000;
const STOP_LIMIT_MS = 60_000;
const CNI_STATE = '/var/lib/cni';
const ROOT = resolve(import.meta.dirname, '../..');

/** The engine that the others are compared with. */
export const OWN = 'mydock';

export interface Engine {
  readonly name: string;
  readonly version: string;
  /** The command and its global flags. */
  readonly command: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** Where the Engine API is served; undefined where it is not. */
  readonly socket?: string | undefined;
  /** Flags of `pull` for a registry without TLS. */
  readonly pullFlags: readonly string[];
  /** Whether its client's `build` uses BuildKit where it is told to; others than Docker's build as they always do. */
  readonly hasBuildkit: boolean;
  /** Whether it has an older builder too, which its client uses where it is told not to use BuildKit. */
  readonly hasClassicBuilder: boolean;
  /** Words that remove all that it keeps of builds. */
  readonly pruneBuilds: readonly string[];
  /** Names (comm) of its daemons, and of the processes that it keeps for each container. */
  readonly daemonNames: readonly string[];
  readonly helperNames: readonly string[];
  start(): Promise<void>;
  /** Starts it anew where it has died. */
  revive(): Promise<void>;
  stop(): Promise<void>;
}

export const hasProgram = (name: string): boolean =>
  (process.env['PATH'] ?? '').split(':').some((folder) => existsSync(join(folder, name)));

/** Runs an engine's command to its end; throws with its output where it fails. Output goes nowhere else. */
export function drive(engine: Engine, ...args: string[]): string {
  const [file = '', ...flags] = engine.command;
  const result = spawnSync(file, [...flags, ...args], {
    env: engine.env,
    encoding: 'utf8',
    timeout: COMMAND_LIMIT_MS,
    killSignal: 'SIGKILL',
  });
  if (result.status !== 0) {
    throw new Error(`${engine.name} ${args.join(' ')}: ${result.status}: ${result.stderr}`);
  }
  return result.stdout.trim();
}

interface DaemonOptions {
  readonly name: string;
  readonly daemon: readonly string[];
  readonly command: readonly string[];
  readonly socket: string;
  readonly versionFormat: string;
  readonly daemonNames: readonly string[];
  readonly helperNames: readonly string[];
  readonly folder: string;
  /** Folders that its programs are looked for in first. */
  readonly path?: readonly string[];
  /** Docker's client needs it to build with BuildKit; null where there is none. */
  readonly buildx?: string | null;
  readonly hasClassicBuilder?: boolean;
}

const hasEnded = (child: ChildProcess | undefined): boolean =>
  child === undefined || child.exitCode !== null || child.signalCode !== null;

/** An engine with a daemon, which answers on a Unix socket. */
class DaemonEngine implements Engine {
  readonly name: string;
  version = '';
  readonly command: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly socket: string;
  readonly pullFlags = [];
  readonly hasBuildkit: boolean;
  readonly hasClassicBuilder: boolean;
  readonly pruneBuilds = ['builder', 'prune', '-af'];
  readonly daemonNames: readonly string[];
  readonly helperNames: readonly string[];
  readonly #options: DaemonOptions;
  #process: ChildProcess | undefined;

  constructor(options: DaemonOptions) {
    const host = `unix://${options.socket}`;
    this.#options = options;
    this.name = options.name;
    this.socket = options.socket;
    this.hasBuildkit = options.buildx !== null;
    this.hasClassicBuilder = options.hasClassicBuilder === true;
    this.command = options.command;
    this.daemonNames = options.daemonNames;
    this.helperNames = options.helperNames;
    const path = [...(options.path ?? []), process.env['PATH'] ?? ''].join(':');
    this.env = { ...process.env, PATH: path, MYDOCK_HOST: host, DOCKER_HOST: host, HOME: options.folder };
  }

  async start(): Promise<void> {
    const { daemon, folder, versionFormat, buildx } = this.#options;
    const [file = '', ...args] = daemon;
    mkdirSync(folder, { recursive: true });
    const plugin = join(folder, '.docker/cli-plugins/docker-buildx');
    if (buildx && !existsSync(plugin)) {
      mkdirSync(dirname(plugin), { recursive: true });
      symlinkSync(buildx, plugin);
    }
    const log = openSync(join(folder, 'log'), 'a');
    const child = spawn(file, args, { stdio: ['ignore', log, log], env: this.env });
    this.#process = child;
    for (let attempt = 0; attempt < 300 && !hasEnded(child); attempt++) {
      if (existsSync(this.#options.socket)) {
        try {
          this.version = drive(this, 'version', '--format', versionFormat);
          return;
        } catch {
          // It does not answer yet.
        }
      }
      await sleep(100);
    }
    throw new Error(`${this.name} does not start: see ${folder}/log`);
  }

  async revive(): Promise<void> {
    if (hasEnded(this.#process)) await this.start();
  }

  async stop(): Promise<void> {
    const child = this.#process;
    if (child === undefined || hasEnded(child)) return;
    const exit = new Promise((done) => child.once('exit', done));
    child.kill('SIGTERM');
    // The sandbox ends whatever stays.
    await Promise.race([exit, sleep(STOP_LIMIT_MS, undefined, { ref: false })]);
  }
}

/** Podman has no daemon; conmon stays beside each container. */
class Podman implements Engine {
  readonly name = 'Podman';
  version = '';
  readonly command: readonly string[];
  readonly env = process.env;
  readonly socket = undefined;
  readonly pullFlags = ['--tls-verify=false'];
  readonly hasBuildkit = true;
  readonly hasClassicBuilder = false;
  readonly pruneBuilds = ['image', 'prune', '-f'];
  readonly daemonNames = [];
  readonly helperNames = ['conmon', 'slirp4netns', 'rootlessport'];

  constructor(folder: string) {
    const storage = ['--root', join(folder, 'root'), '--runroot', '/run/podman-bench'];
    // crun refuses machines that have both versions of cgroups mounted.
    const isHybrid = existsSync('/sys/fs/cgroup/unified') && hasProgram('runc');
    const runtime = isHybrid ? ['--runtime', 'runc'] : [];
    const manager = ['--cgroup-manager', 'cgroupfs', '--events-backend', 'none'];
    this.command = ['podman', ...storage, ...runtime, ...manager];
  }

  start(): Promise<void> {
    // The machine's own is read-only in the sandbox, where this mount stays.
    if (existsSync(CNI_STATE)) spawnSync('mount', ['-t', 'tmpfs', 'tmpfs', CNI_STATE]);
    this.version = drive(this, 'version', '--format', '{{.Client.Version}}');
    return Promise.resolve();
  }

  revive(): Promise<void> {
    return Promise.resolve();
  }

  stop(): Promise<void> {
    drive(this, 'rm', '-fa');
    return Promise.resolve();
  }
}

/** Docker's client, of the Engine that is timed; undefined where there is none. */
export function dockerProgram(): string | undefined {
  const fetched = buildkitPeerFolders().map((folder) => join(folder, 'docker'));
  return fetched.find((path) => existsSync(path)) ?? (hasProgram('docker') ? 'docker' : undefined);
}

export function engines(folder: string): Engine[] {
  const found: Engine[] = [
    new DaemonEngine({
      name: OWN,
      daemon: [
        join(ROOT, 'bin/mydockd'),
        ...[
          '--data-root',
          join(folder, 'mydock/data'),
          '--exec-root',
          '/run/mydock-bench',
          '--group',
          'root',
        ],
        ...['--host', 'unix:///run/mydock-bench.sock'],
      ],
      command: [join(ROOT, 'bin/mydock')],
      socket: '/run/mydock-bench.sock',
      versionFormat: '{{.Server.Version}}',
      daemonNames: ['mydockd'],
      helperNames: ['mydock-runtime'],
      folder: join(folder, 'mydock'),
    }),
  ];
  const fetched = buildkitPeerFolders();
  const docker = dockerProgram();
  if (docker !== undefined && (fetched.length > 0 || hasProgram('dockerd'))) {
    found.push(
      new DaemonEngine({
        name: 'Docker',
        daemon: [
          'dockerd',
          ...[
            '--data-root',
            join(folder, 'docker/data'),
            '--exec-root',
            '/run/docker-bench',
            '--group',
            'root',
          ],
          ...[
            '--host',
            'unix:///run/docker-bench.sock',
            '--pidfile',
            '/run/docker-bench.pid',
            '--bip',
            '10.98.0.1/24',
          ],
        ],
        command: [docker],
        path: fetched,
        socket: '/run/docker-bench.sock',
        versionFormat: '{{.Server.Version}}',
        daemonNames: ['dockerd', 'containerd'],
        helperNames: ['containerd-shim', 'docker-proxy'],
        folder: join(folder, 'docker'),
        buildx: (fetched.length > 0 ? newestBuildxProgram() : buildxProgram()) ?? null,
        hasClassicBuilder: true,
      }),
    );
  }
  if (hasProgram('podman')) found.push(new Podman(join(folder, 'podman')));
  return found;
}
