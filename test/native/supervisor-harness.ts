/**
 * Drives the real mydock-runtime the way mydockd does: a bundle with a busybox root in a temporary folder, a control
 * connection on a socket pair, attachments on others. Owns everything it makes; `stop` removes it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import {
  closeSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { connect, Socket } from 'node:net';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { addon, libraryDirectory } from '../../src/native/addon.ts';
import {
  COMMAND_TYPES,
  type Commands,
  EventDecoder,
  type EventMessage,
  type Events,
  type ExitRecord,
  encodeMessage,
  type LogForward,
  type SupervisorConfig,
} from '../../src/native/supervisor-protocol.ts';
import type { Process, Spec } from '../../src/oci/runtime-spec.ts';

export const RUNTIME = process.env['MYDOCK_TEST_RUNTIME'] ?? join(libraryDirectory(), 'mydock-runtime');
/** Another OCI runtime's program, for containers whose options name none: `MYDOCK_TEST_OCI_RUNTIME=/usr/sbin/runc`. */
const OCI_RUNTIME = process.env['MYDOCK_TEST_OCI_RUNTIME'];
const BUSYBOX = process.env['MYDOCK_TEST_BUSYBOX'] ?? '/bin/busybox';
const CGROUP = 'mydock-supervisor-test';
const EVENT_TIMEOUT_MS = 60_000;

export interface ContainerOptions {
  args: string[];
  terminal?: boolean;
  consoleSize?: { height: number; width: number };
  stdin?: boolean;
  stdinOnce?: boolean;
  log?: {
    maxBytes?: number;
    maxFiles?: number;
    attributes?: Record<string, string> | null;
    path?: string | null;
    compress?: boolean;
    forward?: LogForward;
  } | null;
  /** Share the host's pid namespace. */
  hostPids?: boolean;
  env?: string[];
  /** Program of another OCI runtime. */
  runtime?: string;
  /** Adds to the folder's name, for long socket paths. */
  folder?: string;
}

/** An OCI process object that runs `args` as root. */
export function processSpec(args: string[], terminal = false): Process {
  return {
    terminal,
    user: { uid: 0, gid: 0 },
    args,
    env: ['PATH=/bin', 'TERM=xterm'],
    cwd: '/',
  };
}

function containerSpec(id: string, root: string, options: ContainerOptions): Spec {
  const namespaces = (['mount', 'ipc', 'uts', 'network', 'pid'] as const)
    .filter((type) => type !== 'pid' || options.hostPids !== true)
    .map((type) => ({ type }));
  const spec = processSpec(options.args, options.terminal);
  if (options.consoleSize !== undefined) spec.consoleSize = options.consoleSize;
  return {
    ociVersion: '1.0.2',
    process: spec,
    root: { path: root },
    hostname: 'supervised',
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
      { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755', 'size=65536k'] },
      {
        destination: '/dev/pts',
        type: 'devpts',
        source: 'devpts',
        options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
      },
    ],
    linux: { namespaces, cgroupsPath: `/${CGROUP}/${id}` },
  };
}

/** A control connection: commands out, events in. */
export class Control {
  readonly socket: Socket;
  readonly fd: number;
  readonly events: EventMessage[] = [];
  closed = false;
  #wake: (() => void) | undefined;

  constructor(socket: Socket, fd = -1) {
    this.socket = socket;
    this.fd = fd;
    const decoder = new EventDecoder();
    const wake = (): void => this.#wake?.();
    socket.on('data', (chunk: Buffer) => {
      this.events.push(...decoder.push(chunk));
      wake();
    });
    socket.on('error', () => {});
    for (const event of ['end', 'close'])
      socket.on(event, () => {
        this.closed = true;
        wake();
      });
  }

  send<K extends keyof Commands>(command: K, payload: Commands[K]): void {
    this.socket.write(encodeMessage(COMMAND_TYPES[command], payload));
  }

  /** Waits for and removes the next event of that kind (and process). */
  async next<K extends keyof Events>(event: K, process?: string): Promise<Events[K]> {
    const deadline = Date.now() + EVENT_TIMEOUT_MS;
    for (;;) {
      const index = this.events.findIndex(
        (at) =>
          at.event === event && (process === undefined || Reflect.get(at.payload, 'process') === process),
      );
      const found = index < 0 ? undefined : this.events.splice(index, 1)[0];
      if (found !== undefined) return found.payload as Events[K];
      if (this.closed)
        throw new Error(`connection closed before "${event}"; have ${JSON.stringify(this.events)}`);
      await this.#activity(deadline, event);
    }
  }

  async untilClosed(): Promise<void> {
    const deadline = Date.now() + EVENT_TIMEOUT_MS;
    while (!this.closed) await this.#activity(deadline, 'close');
  }

  async #activity(deadline: number, what: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`no "${what}" in time; have ${JSON.stringify(this.events)}`)),
        Math.max(0, deadline - Date.now()),
      );
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** The client's end of an attachment. */
export class Client {
  readonly socket: Socket;
  readonly chunks: Buffer[] = [];
  bytes = 0;
  readonly ended: Promise<void>;
  #wake: (() => void) | undefined;

  constructor(fd: number, keep = true) {
    this.socket = new Socket({ fd, allowHalfOpen: true });
    this.socket.on('data', (chunk: Buffer) => {
      this.bytes += chunk.length;
      if (keep) this.chunks.push(chunk);
      this.#wake?.();
    });
    this.socket.on('error', () => {});
    this.ended = new Promise((resolve) => {
      this.socket.on('end', resolve);
      this.socket.on('close', () => resolve());
    });
    void this.ended.then(() => this.#wake?.());
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString('latin1');
  }

  /** Waits until the output holds `text`. */
  async until(text: string): Promise<void> {
    const deadline = Date.now() + EVENT_TIMEOUT_MS;
    while (!this.text.includes(text)) {
      if (Date.now() > deadline || this.socket.readableEnded)
        throw new Error(`no ${JSON.stringify(text)} in ${JSON.stringify(this.text)}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 500);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}

/** Cuts Docker's stream framing: the bytes of each stream. Throws where the frames are not whole. */
export function unframe(data: Buffer): { stdout: string; stderr: string } {
  const streams = { 1: [] as Buffer[], 2: [] as Buffer[] };
  for (let at = 0; at < data.length; ) {
    const stream = data.readUInt8(at);
    const end = at + 8 + data.readUInt32BE(at + 4);
    if ((stream !== 1 && stream !== 2) || data.readUIntBE(at + 1, 3) !== 0 || end > data.length)
      throw new Error(`bad frame at byte ${at}`);
    streams[stream].push(data.subarray(at + 8, end));
    at = end;
  }
  return {
    stdout: Buffer.concat(streams[1]).toString('latin1'),
    stderr: Buffer.concat(streams[2]).toString('latin1'),
  };
}

/** A supervisor that was killed leaves its container's cgroups: removes them in every hierarchy. */
function removeCgroups(id: string): void {
  const root = '/sys/fs/cgroup';
  for (const hierarchy of [root, ...readdirSync(root).map((name) => join(root, name))]) {
    for (const path of [join(hierarchy, CGROUP, id), join(hierarchy, CGROUP)]) {
      try {
        rmdirSync(path);
      } catch {
        /* Not there, or in use by another test. */
      }
    }
  }
}

let serial = 0;

export class Container {
  readonly folder: string;
  readonly config: SupervisorConfig;
  readonly pid: number;
  readonly control: Control;
  readonly #process: ChildProcess;
  #attachments = 0;
  readonly #sockets: Socket[] = [];

  constructor(options: ContainerOptions) {
    const base = mkdtempSync(join(tmpdir(), 'mydock-supervisor-'));
    this.folder = options.folder === undefined ? base : join(base, options.folder);
    const bundle = join(this.folder, 'bundle');
    mkdirSync(join(bundle, 'rootfs/bin'), { recursive: true });
    for (const name of ['proc', 'dev', 'tmp', 'etc']) mkdirSync(join(bundle, 'rootfs', name));
    cpSync(BUSYBOX, join(bundle, 'rootfs/bin/busybox'));
    const id = Buffer.from(`${process.pid}-${++serial}`.padEnd(32, 'x')).toString('hex');
    const runtime = options.runtime ?? OCI_RUNTIME;
    this.config = {
      id,
      socket: join(this.folder, 'control.sock'),
      exitRecord: join(this.folder, 'exit.json'),
      log:
        options.log === null
          ? null
          : {
              path: join(this.folder, 'log.json'),
              maxBytes: 0,
              maxFiles: 1,
              attributes: null,
              ...options.log,
            },
      stdin: options.stdin ?? false,
      stdinOnce: options.stdinOnce ?? false,
      seccompCache: '',
      ...(runtime === undefined
        ? {}
        : { runtime: { path: runtime, arguments: [], root: join(bundle, 'runtime') } }),
    };
    writeFileSync(
      join(bundle, 'config.json'),
      JSON.stringify(containerSpec(id, join(bundle, 'rootfs'), options)),
    );
    writeFileSync(join(bundle, 'supervisor.json'), JSON.stringify(this.config));
    const [ours, theirs] = addon().socketPair();
    const nothing = openSync('/dev/null', 'r+');
    const messages = openSync(join(this.folder, 'messages'), 'a');
    this.#process = spawn(RUNTIME, ['supervise', '--bundle', bundle], {
      env: Object.fromEntries((options.env ?? []).map((entry) => entry.split(/=(.*)/s, 2))),
      cwd: '/',
      detached: true,
      stdio: [nothing, nothing, messages, theirs],
    });
    if (this.#process.pid === undefined) throw new Error(`${RUNTIME} cannot be started`);
    this.pid = this.#process.pid;
    for (const fd of [nothing, messages, theirs]) closeSync(fd);
    this.control = new Control(new Socket({ fd: ours, allowHalfOpen: true }), ours);
  }

  /** Waits for STATUS, and starts. */
  async start(): Promise<Events['started']> {
    await this.control.next('status');
    this.control.send('start', {});
    return this.control.next('started', '');
  }

  attach(options: Partial<Commands['attach']> = {}, keep = true): Client {
    const [ours, theirs] = addon().socketPair();
    const message = encodeMessage(COMMAND_TYPES.attach, {
      process: '',
      attachment: ++this.#attachments,
      stdin: false,
      stdout: true,
      stderr: true,
      framed: false,
      detachKeys: [],
      head: '',
      ...options,
    });
    addon().sendWithFds(this.control.fd, message, [theirs]);
    closeSync(theirs);
    const client = new Client(ours, keep);
    this.#sockets.push(client.socket);
    return client;
  }

  /** A later control connection, as a restarted daemon makes it. */
  async reconnect(): Promise<Control> {
    const socket = connect({ path: this.config.socket, allowHalfOpen: true });
    this.#sockets.push(socket);
    const control = new Control(socket);
    await control.next('status');
    return control;
  }

  record(): ExitRecord {
    return JSON.parse(readFileSync(this.config.exitRecord, 'utf8')) as ExitRecord;
  }

  log(suffix = ''): { log: string; stream: string; time: string; attrs?: Record<string, string> }[] {
    const lines = readFileSync(`${this.config.log?.path}${suffix}`, 'utf8').split('\n');
    if (lines.pop() !== '') throw new Error('the log does not end with a whole line');
    return lines.map((line) => JSON.parse(line));
  }

  messages(): string {
    return readFileSync(join(this.folder, 'messages'), 'utf8');
  }

  /** Waits until the supervisor is gone; its exit code. */
  async gone(): Promise<number> {
    const deadline = Date.now() + EVENT_TIMEOUT_MS;
    for (;;) {
      const code = this.#exitCode();
      if (code !== null) return code;
      if (Date.now() > deadline) throw new Error('the supervisor does not leave');
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** 128+n after signal n; null while it runs. */
  #exitCode(): number | null {
    const { exitCode, signalCode } = this.#process;
    return signalCode === null ? exitCode : 128 + constants.signals[signalCode];
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    if (this.#exitCode() === null) {
      this.control.send('kill', { process: '', signal: 9, all: false });
      const ended = await Promise.race([
        this.gone().then(() => true),
        new Promise<boolean>((resolve) => setTimeout(resolve, 3000, false)),
      ]);
      if (!ended) {
        process.kill(this.pid, 'SIGKILL');
        await this.gone();
      }
    }
    this.control.socket.destroy();
    removeCgroups(this.config.id);
    const base = this.folder
      .split('/')
      .slice(0, tmpdir().split('/').length + 1)
      .join('/');
    rmSync(base, { recursive: true, force: true });
  }
}
