/**
 * Commands inside running containers. A session is made by `createExec`, runs once, and is remembered for an hour after
 * its end, so that its exit code can be asked for, unless thousands have ended since; one that was never started is
 * remembered as long as its container.
 */

import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecCreateRequest, ExecInspectResponse, ExecStartRequest } from '../api/exec.ts';
import { encodeFrame, STREAM_STDOUT } from '../api/stream.ts';
import { writeFileAtomic } from '../base/atomic-file.ts';
import {
  ConflictError,
  EngineError,
  errorMessage,
  InvalidParameterError,
  NotFoundError,
} from '../base/errors.ts';
import { log } from '../base/log.ts';
import { step, stepSync } from '../base/steps.ts';
import type { Events } from '../native/supervisor-protocol.ts';
import { DEFAULT_APPARMOR_PROFILE } from '../oci/apparmor-profile.ts';
import { execProcess } from '../oci/process.ts';
import type { Process, Spec } from '../oci/runtime-spec.ts';
import { type ClientConnection, lendTo, parseDetachKeys } from './attach.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './engine-context.ts';
import { ExecJournal } from './exec-journal.ts';
import { linkVariablesIn } from './links.ts';
import { newId } from './names.ts';
import { containerHostname } from './network.ts';
import { containerPaths } from './paths.ts';
import { readRootFile } from './root-file.ts';
import { FOREIGN_STEP } from './runtimes.ts';
import { isLive, requireRunning } from './state.ts';

const KEEP_ENDED_MS = 60 * 60 * 1000;
/** Somebody who runs a command every second should find the last hour's; nobody's take more than some megabytes. */
const ENDED_MAX = 5000;
const EXIT_CODE_LOST = 137;

type ExecState =
  | { status: 'created' }
  | { status: 'starting' }
  | { status: 'running'; pid: number }
  | { status: 'ended'; pid: number; exitCode: number };

/** What one daemon leaves to the next of a session. */
interface StoredExec {
  id: string;
  containerId: string;
  request: ExecCreateRequest;
  state: ExecState;
}

const STORED_MAX = 5000;

export class ExecSession {
  readonly id: string;
  readonly container: Container;
  readonly request: ExecCreateRequest;
  readonly detachKeys: number[];
  state: ExecState = { status: 'created' };

  readonly #start = Promise.withResolvers<void>();
  readonly #onEnd: (session: ExecSession, exitCode: number) => void;

  constructor(
    container: Container,
    request: ExecCreateRequest,
    onEnd: (session: ExecSession, exitCode: number) => void,
    id = newId(),
  ) {
    this.id = id;
    this.container = container;
    this.request = request;
    this.detachKeys = parseDetachKeys(request.DetachKeys ?? '');
    this.#onEnd = onEnd;
    this.#start.promise.catch(() => undefined);
  }

  /** Resolves when the program executes; rejects where it cannot. */
  get executing(): Promise<void> {
    return this.#start.promise;
  }

  started(pid: number): void {
    this.state = { status: 'running', pid };
    this.#start.resolve();
  }

  failed(event: Events['failed']): void {
    this.state = { status: 'ended', pid: 0, exitCode: event.exitCode };
    const kind = event.exitCode === 125 ? 'Internal' : 'InvalidParameter';
    this.#start.reject(new EngineError(kind, execErrorText(event)));
  }

  exited(exitCode: number): void {
    const pid = this.state.status === 'running' ? this.state.pid : 0;
    this.state = { status: 'ended', pid, exitCode };
    this.#onEnd(this, exitCode);
  }

  /** Its container has ended, and it with that. */
  abandoned(): void {
    if (this.state.status === 'ended') return;
    if (this.state.status === 'created') return;
    this.#start.reject(new ConflictError(`container ${this.container.id} is not running`));
    this.exited(EXIT_CODE_LOST);
  }
}

/** Docker's frame around the runtime's message; another runtime than ours has the rest of it in its own. */
function execErrorText({ step, message }: Events['failed']): string {
  const ours = FOREIGN_STEP.test(step) ? '' : 'exec failed: unable to start container process: ';
  return `OCI runtime exec failed: ${ours}${message}`;
}

/** Every session, by its ID. */
export class ExecSessions {
  readonly #sessions = new Map<string, ExecSession>();
  /** When those that have ended did so (milliseconds of the monotonic clock), the first first. */
  readonly #endedMs = new Map<string, number>();
  /** For a daemon that comes after a crash of this one. */
  readonly #journal: ExecJournal<StoredExec>;
  /** So many sessions, and those are looked for that belong to no container any more. */
  #lookAt = ENDED_MAX;

  constructor(execRoot: string) {
    this.#journal = new ExecJournal(join(execRoot, 'execs.jsonl'));
  }

  /** Throws NotFound with Docker's text. */
  get(id: string): ExecSession {
    const session = this.#sessions.get(id);
    if (session === undefined) throw new NotFoundError(`No such exec instance: ${id}`);
    return session;
  }

  /** Declares a command. Throws Conflict where the container does not run, InvalidParameter for an empty command. */
  create(engine: EngineContext, container: Container, request: ExecCreateRequest): ExecSession {
    requireRunning(container.record.state, container.id);
    if ((request.Cmd ?? []).length === 0) throw new InvalidParameterError('No exec command specified');
    this.#forgetOrphans();
    const session = this.#add(engine, container, request);
    this.#note(session);
    engine.events.container(container, `exec_create: ${(request.Cmd ?? []).join(' ')}`, {
      execID: session.id,
    });
    return session;
  }

  #add(engine: EngineContext, container: Container, request: ExecCreateRequest, id?: string): ExecSession {
    const onEnd = (ended: ExecSession, exitCode: number): void => {
      engine.events.container(container, 'exec_die', { execID: ended.id, exitCode: String(exitCode) });
      container.execs.delete(ended.id);
      this.#note(ended);
      this.#rememberEnd(ended);
    };
    const session = new ExecSession(container, request, onEnd, id);
    this.#sessions.set(session.id, session);
    container.execs.set(session.id, session);
    return session;
  }

  #note(session: ExecSession): void {
    this.#journal.note(stored(session), () => this.#all());
  }

  /** Those that a next daemon may be asked for. */
  #all(): StoredExec[] {
    const running = [...this.#sessions.values()].filter(({ container }) => container.running);
    return running.slice(-STORED_MAX).map(stored);
  }

  /** `startExec`, for a session of these. One that could not be started has ended. */
  async start(
    engine: EngineContext,
    id: string,
    start: ExecStartRequest,
    connection: ClientConnection | null,
  ): Promise<void> {
    const session = this.get(id);
    try {
      await startExec(engine, session, start, connection);
    } finally {
      if (session.state.status === 'ended') this.#rememberEnd(session);
    }
  }

  #rememberEnd({ id }: ExecSession): void {
    const nowMs = performance.now();
    if (!this.#endedMs.has(id)) this.#endedMs.set(id, nowMs);
    for (const [oldest, endedMs] of this.#endedMs) {
      if (this.#endedMs.size <= ENDED_MAX && nowMs - endedMs < KEEP_ENDED_MS) break;
      this.#endedMs.delete(oldest);
      this.#sessions.delete(oldest);
    }
  }

  /** Those that were never started, in containers that are removed. */
  #forgetOrphans(): void {
    if (this.#sessions.size < this.#lookAt) return;
    for (const [id, { state, container }] of this.#sessions) {
      if (state.status === 'created' && container.record.state.status === 'removing')
        this.#sessions.delete(id);
    }
    this.#lookAt = Math.max(ENDED_MAX, 2 * this.#sessions.size);
  }

  /** For the next daemon, whose clients ask for the exit codes of what they have started here. */
  store(execRoot: string): void {
    const all = this.#all();
    if (all.length > 0) writeFileAtomic(sessionsFile(execRoot), JSON.stringify(all), { sync: false });
    this.#journal.end();
  }

  /** Takes what the last daemon has stored. Call it before supervisors say which processes run. */
  restore(engine: EngineContext): void {
    const path = sessionsFile(engine.settings.execRoot);
    try {
      const left = existsSync(path)
        ? (JSON.parse(readFileSync(path, 'utf8')) as StoredExec[])
        : this.#journal.read();
      for (const one of new Map(left.map((exec) => [exec.id, exec])).values()) this.#recall(engine, one);
    } catch (error) {
      log.warn(
        { path, error: errorMessage(error) },
        'commands that the last mydockd has started are not known',
      );
    }
    rmSync(path, { force: true });
    this.#journal.begin([...this.#sessions.values()].map(stored));
  }

  #recall(engine: EngineContext, { id, containerId, request, state }: StoredExec): void {
    const container = engine.containers.find(containerId);
    if (container?.id !== containerId) return;
    const session = this.#add(engine, container, request, id);
    session.state = state;
    if (state.status !== 'ended') return;
    container.execs.delete(id);
    this.#rememberEnd(session);
  }
}

function stored({ id, container, request, state }: ExecSession): StoredExec {
  return { id, containerId: container.id, request, state };
}

function sessionsFile(execRoot: string): string {
  return join(execRoot, 'execs.json');
}

/**
 * What has become of the last daemon's sessions while there was none: their supervisor says which run, and how others
 * have ended. Of one that it does not know, nobody does.
 */
export function settleExecs(
  container: Container,
  running: readonly { process: string; pid: number }[],
  ended: readonly { process: string; exitCode: number }[],
): void {
  for (const { process, exitCode } of ended) container.execs.get(process)?.exited(exitCode);
  const live = new Map(running.map(({ process, pid }) => [process, pid]));
  for (const session of container.execs.values()) {
    const pid = live.get(session.id);
    if (pid === undefined) session.abandoned();
    else if (session.state.status !== 'running') session.started(pid);
  }
}

/** Checks that a session can start now; to be called before a connection is taken out of HTTP. */
export function requireExecStartable(session: ExecSession): void {
  requireRunning(session.container.record.state, session.container.id);
  if (session.state.status !== 'created') {
    throw new ConflictError(`Error: Exec command ${session.id} is already running`);
  }
}

/**
 * Runs a session, with `connection` attached (null: detached). Resolves when the program executes; what the program
 * does with the connection from then on is between supervisor and client. An error of an attached start goes to the
 * connection, as Docker does it, and is not thrown.
 */
export async function startExec(
  engine: EngineContext,
  session: ExecSession,
  start: ExecStartRequest,
  connection: ClientConnection | null,
): Promise<void> {
  try {
    requireExecStartable(session);
    // Before anything is waited for: whoever comes second neither starts it again nor ends it.
    session.state = { status: 'starting' };
    await startOnce(engine, session, start, connection);
    connection?.release();
  } catch (error) {
    if (connection === null) throw error;
    const text = Buffer.from(`${errorMessage(error)}\r\n`);
    await connection.write(session.request.Tty === true ? text : encodeFrame(STREAM_STDOUT, text));
    connection.close();
  }
}

async function startOnce(
  engine: EngineContext,
  session: ExecSession,
  start: ExecStartRequest,
  connection: ClientConnection | null,
): Promise<void> {
  const { container } = session;
  try {
    await container.freezeGate.start(() => execute(engine, session, start, connection));
  } catch (error) {
    if (session.state.status === 'starting') session.state = { status: 'ended', pid: 0, exitCode: 126 };
    container.execs.delete(session.id);
    throw error;
  }
}

/** Resolves when the program executes. */
async function execute(
  engine: EngineContext,
  session: ExecSession,
  start: ExecStartRequest,
  connection: ClientConnection | null,
): Promise<void> {
  const { container, request } = session;
  const tty = request.Tty === true;
  requireRunning(container.record.state, container.id);
  // Removed from the kernel, it could not be applied; see DefaultApparmor.
  if (container.record.apparmorProfile === DEFAULT_APPARMOR_PROFILE) await engine.apparmor.require();
  const supervisor = container.supervisor;
  if (supervisor === undefined) throw new ConflictError(`container ${container.id} is not running`);
  const spec = execSpec(engine, session, start);
  stepSync('exec/create', container.id, () =>
    supervisor.send('exec', {
      process: session.id,
      spec,
      stdin: request.AttachStdin === true && connection !== null,
    }),
  );
  if (connection !== null) {
    stepSync('exec/attach', container.id, () =>
      lendTo(supervisor, session.id, connection, {
        stdin: request.AttachStdin === true,
        stdout: request.AttachStdout === true,
        stderr: request.AttachStderr === true,
        detachKeys: tty ? session.detachKeys : [],
        framed: !tty,
      }),
    );
  }
  // Before the start: a short command's end may be heard in the same read as its beginning.
  engine.events.container(container, `exec_start: ${(request.Cmd ?? []).join(' ')}`, {
    execID: session.id,
  });
  stepSync('exec/command', container.id, () => supervisor.send('startExec', { process: session.id }));
  await step('exec/executing', container.id, () => session.executing);
}

function execSpec(engine: EngineContext, session: ExecSession, start: ExecStartRequest): Process {
  const { container, request } = session;
  const { config, hostConfig, state } = container.record;
  const paths = containerPaths(engine.settings.dataRoot, engine.settings.execRoot, container.id);
  const init = initProcess(container, paths.bundle);
  const root = isLive(state) ? `/proc/${state.pid}/root` : paths.rootfs;
  return execProcess({
    config: {
      ...config,
      Env: [...linkVariablesIn(container, init.env ?? []), ...(config.Env ?? [])],
    },
    hostConfig,
    init,
    hostname: containerHostname(engine, container),
    accounts: { passwd: readRootFile(root, '/etc/passwd'), group: readRootFile(root, '/etc/group') },
    cmd: request.Cmd ?? [],
    env: request.Env ?? [],
    user: request.User ?? '',
    workingDir: request.WorkingDir ?? '',
    tty: request.Tty === true,
    privileged: request.Privileged === true,
    available: engine.host.capabilities,
    consoleSize: start.ConsoleSize ?? request.ConsoleSize ?? null,
  });
}

/** Of each container's run, the first process as its bundle has it: health checks need it every few seconds. */
const initProcesses = new WeakMap<Container, { startedAt: string; process: Process }>();

function initProcess(container: Container, bundle: string): Process {
  const { state } = container.record;
  const startedAt = isLive(state) ? state.startedAt : '';
  const known = initProcesses.get(container);
  if (known !== undefined && known.startedAt === startedAt) return known.process;
  const { process } = JSON.parse(readFileSync(join(bundle, 'config.json'), 'utf8')) as Spec;
  if (process === undefined) throw new ConflictError(`container ${container.id} has no process`);
  if (startedAt !== '') initProcesses.set(container, { startedAt, process });
  return process;
}

export function inspectExec(session: ExecSession): ExecInspectResponse {
  const { request, state, container } = session;
  const [entrypoint = '', ...rest] = request.Cmd ?? [];
  return {
    ID: session.id,
    Running: state.status === 'running' || state.status === 'starting',
    ExitCode: state.status === 'ended' ? state.exitCode : null,
    ProcessConfig: {
      tty: request.Tty === true,
      entrypoint,
      arguments: rest,
      privileged: request.Privileged === true,
      ...(request.User ? { user: request.User } : {}),
    },
    OpenStdin: request.AttachStdin === true,
    OpenStderr: request.AttachStderr === true,
    OpenStdout: request.AttachStdout === true,
    CanRemove: false,
    ContainerID: container.id,
    DetachKeys: Buffer.from(session.detachKeys).toString('latin1'),
    Pid: state.status === 'running' || state.status === 'ended' ? state.pid : 0,
  };
}
