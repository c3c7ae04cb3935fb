/**
 * The containers of one daemon: every operation that the API has on them, each with its lock. What an operation does
 * stands in the file of its name.
 */

import { closeSync } from 'node:fs';
import type {
  ContainerCreateRequest,
  ContainerCreateResponse,
  ContainerInspectResponse,
  ContainerPruneResponse,
  ContainerSummary,
  ContainerTopResponse,
  EgressState,
  WaitCondition,
} from '../api/containers.ts';
import type { ExecCreateRequest, ExecInspectResponse, ExecStartRequest } from '../api/exec.ts';
import type { Filters } from '../api/filters.ts';
import type { ImageDifference } from '../api/image-difference.ts';
import type { EndpointSettings } from '../api/networks.ts';
import type { ContainerStats } from '../api/stats.ts';
import type { CheckRun } from '../base/check.ts';
import { ConflictError, InvalidParameterError, NotFoundError, NotImplementedError } from '../base/errors.ts';
import type { EventMessage } from '../native/supervisor-protocol.ts';
import { afterRun } from './after-run.ts';
import {
  type AttachRequest,
  attachConnection,
  type ClientConnection,
  continueAttachment,
  passAttachments,
} from './attach.ts';
import { changePorts, type PortsRequest } from './change-ports.ts';
import { checkContainers } from './check.ts';
import { connectNetwork, disconnectNetwork } from './connect-network.ts';
import type { Container, ExitStatus } from './container.ts';
import { ContainerSet } from './container-set.ts';
import { type CreateOptions, createContainer } from './create.ts';
import type { EngineContext } from './engine-context.ts';
import { ExecSessions, inspectExec, requireExecStartable } from './exec.ts';
import { ContainerFiles } from './files.ts';
import { type DifferenceRequest, imageDifference } from './image-difference.ts';
import { inspectContainer } from './inspect.ts';
import { egressState } from './inspect-network.ts';
import { removeLink } from './links.ts';
import { type ListOptions, listContainers } from './list.ts';
import { logFile } from './log-config.ts';
import { clearLogFiles } from './log-files.ts';
import { type LogLine, type LogRange, readLog } from './log-reader.ts';
import { defaultGateway } from './network-files.ts';
import { containerPaths } from './paths.ts';
import { pauseContainer, unpauseContainer } from './pause.ts';
import { pruneContainers } from './prune.ts';
import { RecordTable } from './record.ts';
import { onlyRemoval, type RemoveOptions, removeContainer } from './remove.ts';
import { renameContainer } from './rename.ts';
import { restoreContainers, startByPolicy } from './restore.ts';
import { writtenBytes } from './size.ts';
import { startContainer } from './start.ts';
import { isRunning, requireLive, requireStartable } from './state.ts';
import { containerStats, type StatsOptions } from './stats.ts';
import { EngineStepRunner } from './step-runner.ts';
import {
  continueEnding,
  interruptStop,
  killContainer,
  restartContainer,
  type StopOptions,
  stopContainer,
} from './stop.ts';
import { remainingEvents } from './supervisor.ts';
import { topContainer } from './top.ts';
import { type UpdateRequest, updateContainer } from './update.ts';

export type ContainerEngineOptions = Omit<
  EngineContext,
  'containers' | 'restored' | 'accepting' | 'stopsGivenUp' | 'unheard' | 'afterRun'
>;

export class ContainerEngine {
  readonly #context: EngineContext;
  readonly #execs: ExecSessions;
  readonly files: ContainerFiles;
  #pruning = false;
  #restored = false;
  #accepting = true;
  /** Runs that have ended. */
  #ends = 0;
  #stopsGivenUp = new AbortController();
  /** Connections of the daemon before this one, by container. */
  #inherited = new Map<string, number>();

  constructor(options: ContainerEngineOptions) {
    const context: EngineContext = {
      ...options,
      containers: new ContainerSet(new RecordTable(options.database)),
      restored: () => this.#restored,
      accepting: () => this.#accepting,
      stopsGivenUp: () => this.#stopsGivenUp.signal,
      unheard: (id) => this.#unheard(id),
      afterRun: (container, ranMs) => {
        this.#ends += 1;
        afterRun(context, container, ranMs);
      },
    };
    this.#context = context;
    this.#execs = new ExecSessions(context.settings.execRoot);
    this.files = new ContainerFiles(context);
  }

  /** Looks for what is wrong with records and folders; returns how many containers were looked at. */
  async check(run: CheckRun): Promise<number> {
    return await checkContainers(this.#context, run);
  }

  /** Brings what an earlier daemon has left in order. Call once, before the API answers. */
  async restore(supervisors: ReadonlyMap<string, number> = new Map()): Promise<void> {
    this.#inherited = new Map(supervisors);
    this.#execs.restore(this.#context);
    try {
      await restoreContainers(this.#context);
    } finally {
      for (const fd of this.#inherited.values()) closeSync(fd);
      this.#inherited.clear();
    }
    this.#restored = true;
  }

  /** Starts what restart policies want up. */
  startByPolicy(): Promise<void> {
    return startByPolicy(this.#context);
  }

  /** Leaves stops that wait for their containers to the next daemon; their callers get `reason`. */
  giveUpStops(reason: Error): void {
    this.#stopsGivenUp.abort(reason);
    this.#stopsGivenUp = new AbortController();
  }

  /** Goes on with those after all. */
  continueStops(): void {
    for (const container of this.all()) continueEnding(this.#context, container);
  }

  /** From now on nothing begins by itself; false where what is under way has not ended after `timeoutMs`. */
  async settle(timeoutMs: number): Promise<boolean> {
    this.#quiet();
    const { promise: late, resolve } = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => resolve(false), timeoutMs);
    try {
      return await Promise.race([this.#idle().then(() => true), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Resolves when nothing is under way, also nothing that a run's end has brought meanwhile. */
  async #idle(): Promise<void> {
    for (let ends = -1; ends !== this.#ends; ) {
      ends = this.#ends;
      await Promise.all(this.all().map((container) => container.mutex.run(() => container.teardown)));
    }
  }

  #quiet(): void {
    this.#accepting = false;
    for (const container of this.#context.containers.all()) {
      clearTimeout(container.restartTimer);
      container.healthMonitor?.stop();
    }
  }

  #unheard(id: string): EventMessage[] {
    const fd = this.#inherited.get(id);
    if (fd === undefined) return [];
    this.#inherited.delete(id);
    return remainingEvents(fd);
  }

  /** To be called right before `shutdown`: connections of containers with commands whose ends somebody will ask for. */
  passSupervisors(): Map<string, number> {
    const passed = new Map<string, number>();
    for (const { id, execs, supervisor } of this.all()) {
      const fd = execs.size === 0 ? undefined : supervisor?.pass();
      if (fd !== undefined) passed.set(id, fd);
    }
    return passed;
  }

  /** Lets go of all supervisors; the containers live on. */
  shutdown(): void {
    this.#quiet();
    for (const container of this.#context.containers.all()) {
      // Between changes of status, results are in memory only.
      if (container.record.health !== undefined) container.save();
      const supervisor = container.supervisor;
      container.supervisor = undefined;
      supervisor?.disconnect();
    }
    this.#execs.store(this.#context.settings.execRoot);
  }

  /** Throws NotFound. */
  get(reference: string): Container {
    return this.#context.containers.get(reference);
  }

  all(): Container[] {
    return this.#context.containers.all();
  }

  nameTaken(name: string): boolean {
    return this.#context.containers.nameTaken(name);
  }

  list(options: ListOptions): ContainerSummary[] {
    return listContainers(this.#context, options);
  }

  inspect(reference: string): ContainerInspectResponse {
    return inspectContainer(this.#context, this.get(reference));
  }

  /** Bytes that the container has written, and those with its image's. */
  async sizes(reference: string): Promise<{ SizeRw: number; SizeRootFs: number }> {
    const { id, record } = this.get(reference);
    const { settings, images } = this.#context;
    const written = await writtenBytes(containerPaths(settings.dataRoot, settings.execRoot, id).upper);
    return { SizeRw: written, SizeRootFs: written + (images.tryResolve(record.imageId)?.sizeBytes ?? 0) };
  }

  create(request: ContainerCreateRequest, options: CreateOptions): Promise<ContainerCreateResponse> {
    return createContainer(this.#context, request, options);
  }

  /** Runs `work` in the container's turn. Throws NotFound, also where it has been removed by then. */
  #inTurn<T>(reference: string, work: (container: Container) => Promise<T> | T): Promise<T> {
    const container = this.get(reference);
    return container.mutex.run(() => {
      if (this.#context.containers.find(container.id) !== container) {
        throw new NotFoundError(`No such container: ${reference}`);
      }
      return work(container);
    });
  }

  start(reference: string): Promise<void> {
    return this.#inTurn(reference, (container) => {
      // Before anything of the run that goes on is forgotten.
      requireStartable(container.record.state, container.id);
      container.record.stoppedByUser = false;
      container.record.restartCount = 0;
      container.restartDelayMs = 0;
      return startContainer(this.#context, container);
    });
  }

  stop(reference: string, options: StopOptions): Promise<void> {
    return this.#inTurn(reference, (container) => stopContainer(this.#context, container, options));
  }

  restart(reference: string, options: StopOptions): Promise<void> {
    return this.#inTurn(reference, (container) => restartContainer(this.#context, container, options));
  }

  /** Not serialised with the others: a stop that waits can be cut short by a kill. */
  async kill(reference: string, signal: string): Promise<void> {
    await killContainer(this.#context, this.get(reference), signal);
  }

  remove(reference: string, options: RemoveOptions): Promise<void> {
    const container = this.get(reference);
    // A stop that waits for its timeout holds the lock: a forced removal does not wait for that.
    if (options.force) interruptStop(container);
    return onlyRemoval(container, reference, () =>
      container.mutex.run(() => removeContainer(this.#context, container, options)),
    );
  }

  /** Subscribes now; the promise resolves when the condition is met. Throws InvalidParameter for an unknown one. */
  wait(reference: string, condition: string, signal: AbortSignal): Promise<ExitStatus> {
    const container = this.get(reference);
    switch (condition as WaitCondition | '') {
      case '':
      case 'not-running':
        if (isRunning(container.record.state)) {
          return container.nextExit(signal);
        }
        return Promise.resolve(container.exitStatus());
      case 'next-exit':
        return container.nextExit(signal);
      case 'removed':
        return container.removal(signal);
      default:
        throw new InvalidParameterError(`invalid condition: "${condition}"`);
    }
  }

  attach(reference: string, connection: ClientConnection, request: AttachRequest): void {
    const container = this.get(reference);
    attachConnection(container, connection, request);
    this.#context.events.container(container, 'attach');
  }

  /** See attach.ts: clients that wait for a start, to the next daemon. */
  passAttachments(): Map<string, number> {
    return passAttachments(this.all());
  }

  continueAttachment(key: string, adopt: (head: Buffer) => ClientConnection): void {
    continueAttachment((id) => this.#context.containers.find(id), key, adopt);
  }

  pause(reference: string): Promise<void> {
    return this.#inTurn(reference, (container) => pauseContainer(this.#context, container));
  }

  /** Not serialised: a stop of a paused container that waits for its timeout holds the lock. */
  unpause(reference: string): void {
    unpauseContainer(this.#context, this.get(reference));
  }

  rename(reference: string, name: string): Promise<void> {
    return this.#inTurn(reference, async (container) => renameContainer(this.#context, container, name));
  }

  /** Returns warnings. */
  update(reference: string, request: UpdateRequest): Promise<string[]> {
    return this.#inTurn(reference, async (container) => updateContainer(this.#context, container, request));
  }

  /** Publishes and withdraws ports, of a running container at once. All or nothing. */
  changePorts(reference: string, request: PortsRequest): Promise<void> {
    return this.#inTurn(reference, (container) => changePorts(this.#context, container, request));
  }

  connectNetwork(reference: string, network: string, settings: EndpointSettings): Promise<void> {
    return this.#inTurn(reference, (container) =>
      connectNetwork(this.#context, container, network, settings),
    );
  }

  disconnectNetwork(reference: string, network: string, force: boolean): Promise<void> {
    return this.#inTurn(reference, (container) =>
      disconnectNetwork(this.#context, container, network, force),
    );
  }

  /** What may leave a container; undefined where nothing restricts that, or it does not run. */
  egress(reference: string): Promise<EgressState | undefined> {
    return egressState(this.#context, this.get(reference));
  }

  /** Takes away a link by its name `parent/alias`. Throws NotFound, and Conflict for a container's own name. */
  removeLink(reference: string): void {
    removeLink(this.#context, reference);
  }

  top(reference: string, psArgs: string): Promise<ContainerTopResponse> {
    return topContainer(this.#context, this.get(reference), psArgs);
  }

  stats(reference: string, options: StatsOptions, signal: AbortSignal): AsyncGenerator<ContainerStats> {
    return containerStats(this.#context, this.get(reference), options, signal);
  }

  /** Throws Conflict while another one is under way. */
  async prune(filters: Filters, signal: AbortSignal): Promise<ContainerPruneResponse> {
    if (this.#pruning) throw new ConflictError('a prune operation is already running');
    this.#pruning = true;
    try {
      return await pruneContainers(this.#context, filters, signal);
    } finally {
      this.#pruning = false;
    }
  }

  resize(reference: string, rows: number, cols: number): void {
    const container = this.get(reference);
    requireLive(container.record.state, container.id);
    container.supervisor?.send('resize', { process: '', rows, cols });
    this.#context.events.container(container, 'resize', { height: String(rows), width: String(cols) });
  }

  /** The log's lines. Throws NotImplemented for a log driver that cannot be read. */
  logs(reference: string, range: LogRange, signal: AbortSignal): AsyncGenerator<LogLine[]> {
    const container = this.get(reference);
    const { settings } = this.#context;
    const paths = containerPaths(settings.dataRoot, settings.execRoot, container.id);
    const log = logFile(container.record, paths);
    if (log === undefined) {
      throw new NotImplementedError('configured logging driver does not support reading');
    }
    const ended = (): boolean => !isRunning(container.record.state);
    return readLog(log, range, ended, signal);
  }

  /** Empties the log, also of a container that runs. Throws InvalidParameter where none is kept. */
  clearLogs(reference: string): void {
    const container = this.get(reference);
    const { settings } = this.#context;
    const paths = containerPaths(settings.dataRoot, settings.execRoot, container.id);
    const log = logFile(container.record, paths);
    if (log === undefined) {
      throw new InvalidParameterError('configured logging driver does not support reading');
    }
    clearLogFiles(log);
  }

  createExec(reference: string, request: ExecCreateRequest): string {
    return this.#execs.create(this.#context, this.get(reference), request).id;
  }

  /** Throws NotFound or Conflict; call it before the connection leaves HTTP. Says whether the exec has a terminal. */
  checkExec(id: string): { tty: boolean } {
    const session = this.#execs.get(id);
    requireExecStartable(session);
    return { tty: session.request.Tty === true };
  }

  startExec(id: string, start: ExecStartRequest, connection: ClientConnection | null): Promise<void> {
    return this.#execs.start(this.#context, id, start, connection);
  }

  resizeExec(id: string, rows: number, cols: number): void {
    const session = this.#execs.get(id);
    session.container.supervisor?.send('resize', { process: id, rows, cols });
  }

  inspectExec(id: string): ExecInspectResponse {
    return inspectExec(this.#execs.get(id));
  }

  /** What builds run their RUN steps with. */
  stepRunner(): EngineStepRunner {
    return new EngineStepRunner(this.#context);
  }

  /** By which address what is on the default bridge reaches this machine. */
  hostGateway(): string {
    return defaultGateway(this.#context);
  }

  /** What two images or containers do not have in common. */
  difference(request: DifferenceRequest): Promise<ImageDifference> {
    return imageDifference(this.#context, request);
  }

  /** IDs of the containers of an image, and of those that mount it; running ones are told apart for `rmi`. */
  usersOfImage(imageId: string): { containerId: string; running: boolean }[] {
    return this.all()
      .filter(
        ({ record }) =>
          record.imageId === imageId || record.mounts.some(({ image }) => image?.id === imageId),
      )
      .map((container) => ({ containerId: container.id, running: container.running }));
  }
}
