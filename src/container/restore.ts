/**
 * What a starting daemon does about containers that an earlier one has left: those that run are taken over, those
 * that ended meanwhile get their exit code, leftovers of interrupted operations are removed, and restart policies
 * have their say.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { errorMessage } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { makeDirectory } from '../base/make-directory.ts';
import { inSpan } from '../base/spans.ts';
import type { EventMessage, ExitRecord } from '../native/supervisor-protocol.ts';
import type { Sandbox } from '../network/model.ts';
import { volumeNames } from '../volume/run-mounts.ts';
import { removeLater } from './after-run.ts';
import { removeCgroupLeftovers } from './cgroup-leftovers.ts';
import { sweepImageTrees } from './changes.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './engine-context.ts';
import { settleExecs } from './exec.ts';
import { handleExit, lostRun } from './exit.ts';
import { watchHealth } from './health-monitor.ts';
import { recallNetworks } from './network.ts';
import {
  bundlesDirectory,
  containerPaths,
  containersDirectory,
  seccompCacheDirectory,
  socketsDirectory,
} from './paths.ts';
import { readPaused } from './pause.ts';
import { removeContainer } from './remove.ts';
import { discardHome, sweepDiscarded } from './removed-homes.ts';
import { shouldStartWithDaemon } from './restart-policy.ts';
import { unmountRoot } from './rootfs.ts';
import { startContainer } from './start.ts';
import { type ContainerState, endOf } from './state.ts';
import { continueEnding } from './stop.ts';
import { Supervisor } from './supervisor.ts';
import { isListening } from './supervisor-lock.ts';
import { holdsRange } from './user-namespace-choice.ts';
import { readExitRecord, superviseHandlers } from './watch.ts';

/** The exit code of a run whose end nobody saw (the machine went down), as with Docker. */
const EXIT_CODE_UNKNOWN = 255;
const STATUS_TIMEOUT_MS = 5000;
const STARTS_AT_ONCE = 4;
const SIGKILL = 9;
const STRAY_TIMEOUT_MS = 10_000;

/** Brings records and reality together; resolves when that is done, starts by restart policy go on behind it. */
export async function restoreContainers(engine: EngineContext): Promise<void> {
  const { dataRoot, execRoot } = engine.settings;
  for (const directory of [
    containersDirectory(dataRoot),
    bundlesDirectory(execRoot),
    socketsDirectory(execRoot),
    seccompCacheDirectory(execRoot),
  ]) {
    makeDirectory(directory, 0o700);
  }
  await inSpan('open', 'supervisors', () =>
    Promise.all(engine.containers.all().map((container) => takeOverSafely(engine, container))),
  );
  const live = new Set(
    engine.containers
      .all()
      .filter(({ running }) => running)
      .map(({ id }) => id),
  );
  log.info({ running: live.size }, 'running containers are taken over');
  releaseStrayReferences(engine);
  await engine.volumes.unmountUnused();
  const sandboxes = await inSpan('open', 'sandboxes', () => engine.networks.reconcile(live));
  for (const [id, sandbox] of sandboxes) {
    const container = engine.containers.find(id);
    if (container?.running === true) adoptSandbox(engine, container, sandbox);
  }
  await inSpan('open', 'bundles', () => sweepBundles(engine, live));
  const { containers, userNamespaces } = engine;
  userNamespaces.sweep({
    runs: (id) => live.has(id) || containers.isUnreadable(id),
    // A record that cannot be read may be of one that has joined.
    exists: (id) => containers.unreadable().size > 0 || holdsRange(containers, id),
  });
  await sweepImageTrees(engine);
  sweepHomes(engine);
  for (const container of engine.containers.all()) await finishRemoval(engine, container);
}

/** Of containers that a crash kept from coming into being, or whose removal it cut short: nobody else lets go of them. */
function releaseStrayReferences({ containers, volumes }: EngineContext): void {
  for (const id of volumes.users()) {
    if (containers.find(id)?.id !== id && !containers.isUnreadable(id)) volumes.releaseReferences(id);
  }
}

/** A daemon that was killed while it connected or disconnected a network may not have stored that. */
function adoptSandbox(engine: EngineContext, container: Container, sandbox: Sandbox): void {
  const { record } = container;
  record.sandbox = sandbox;
  const live = new Set(['none', ...sandbox.endpoints.map(({ networkName }) => networkName)]);
  record.networks = Object.fromEntries(Object.entries(record.networks).filter(([name]) => live.has(name)));
  for (const { networkName, networkId } of sandbox.endpoints) {
    record.networks[networkName] = { ...record.networks[networkName], NetworkID: networkId };
  }
  recallNetworks(engine, container);
}

/** Starts what restart policies want up, and goes on with stops under way. To be called when the API answers. */
export async function startByPolicy(engine: EngineContext): Promise<void> {
  for (const container of engine.containers.all()) continueEnding(engine, container);
  const wanted = engine.containers.all().filter((container) => wantsStart(container));
  const queue = startOrder(engine, wanted);
  const ends = new Map(wanted.map(({ id, record }) => [id, record.state]));
  const started = new Map<string, Promise<void>>();
  const worker = async (): Promise<void> => {
    for (let container = queue.shift(); container !== undefined; container = queue.shift()) {
      const needed = neededBy(engine, container).map((id) => started.get(id));
      const start = Promise.all(needed).then(() => startOne(engine, container, ends.get(container.id)));
      started.set(container.id, start);
      await start;
    }
  };
  await Promise.all(Array.from({ length: STARTS_AT_ONCE }, worker));
}

/** Those whose namespaces or addresses others need come before these; in a circle, one of them does without. */
function startOrder(engine: EngineContext, containers: readonly Container[]): Container[] {
  const waiting = new Map(containers.map((container) => [container.id, container]));
  const ordered: Container[] = [];
  const place = (container: Container): void => {
    waiting.delete(container.id);
    for (const id of neededBy(engine, container)) {
      const needed = waiting.get(id);
      if (needed !== undefined) place(needed);
    }
    ordered.push(container);
  };
  for (const container of containers) if (waiting.has(container.id)) place(container);
  return ordered;
}

/** IDs of the containers that have to run before this one starts. */
function neededBy(engine: EngineContext, { record }: Container): string[] {
  const { NetworkMode, PidMode, IpcMode } = record.hostConfig;
  const shared = [NetworkMode, PidMode, IpcMode].flatMap((mode) => {
    const name = /^container:(.+)$/.exec(mode ?? '')?.[1];
    return (name === undefined ? undefined : engine.containers.find(name)?.id) ?? [];
  });
  const joined = record.userNamespace?.joins ?? [];
  return [...shared, ...[joined].flat(), ...record.links.map(({ containerId }) => containerId)];
}

/** `end`: as its last run had ended when it was found that it is wanted. */
async function startOne(
  engine: EngineContext,
  container: Container,
  end: ContainerState | undefined,
): Promise<void> {
  if (!engine.accepting()) return;
  try {
    await container.mutex.run(async () => {
      // Somebody was quicker than the queue: has started it, or stopped what waited for its start.
      if (container.record.state !== end || !wantsStart(container)) return;
      if (container.record.ending?.restarts === true) container.record.stoppedByUser = false;
      await startContainer(engine, container);
    });
  } catch (error) {
    log.error(
      { container: container.id, error: errorMessage(error) },
      'cannot start a container by its restart policy',
    );
  }
}

function wantsStart({ record, restartTimer }: Container): boolean {
  const { state, hostConfig, restartCount, stoppedByUser } = record;
  if (state.status === 'restarting') return restartTimer === undefined;
  if (state.status !== 'exited') return false;
  // Between the two halves of a restart.
  if (record.ending?.restarts === true) return true;
  return shouldStartWithDaemon(hostConfig.RestartPolicy, {
    exitCode: state.exitCode,
    restartCount,
    stoppedByUser,
  });
}

/** One container that cannot be taken over must not keep the daemon from the others. */
async function takeOverSafely(engine: EngineContext, container: Container): Promise<void> {
  try {
    await takeOver(engine, container);
  } catch (error) {
    log.error({ container: container.id, error: errorMessage(error) }, 'cannot take over a container');
  }
}

/**
 * Whatever the record says, a supervisor that answers has a running container: the last daemon may have died between
 * its start and the record of it.
 */
async function takeOver(engine: EngineContext, container: Container): Promise<void> {
  const paths = containerPaths(engine.settings.dataRoot, engine.settings.execRoot, container.id);
  // Of thousands of stopped containers, none costs a connection.
  if (!(await isListening(paths))) {
    settleEnded(engine, container);
    return;
  }
  const status = Promise.withResolvers<boolean>();
  const handlers = superviseHandlers(engine, container);
  const supervisor = await Supervisor.connect(paths.socket, {
    onEvent: (message: EventMessage) => {
      if (message.event === 'status') {
        const { state, processes, ended = [] } = message.payload;
        if (state === 'running' && !container.running) adoptRun(engine, container, message.payload);
        for (const unheard of engine.unheard(container.id)) {
          if (unheard.event !== 'exited' || unheard.payload.process === '') continue;
          container.execs.get(unheard.payload.process)?.exited(unheard.payload.exitCode);
        }
        settleExecs(container, processes, ended);
        // One that is not running may have been told to start: it does that, or finds that whoever told it has gone.
        if (state === 'running') status.resolve(true);
      } else if (message.event === 'started' && message.payload.process === '') {
        if (!container.running) adoptRun(engine, container, message.payload);
        status.resolve(true);
      } else if (message.event === 'failed' && message.payload.process === '') status.resolve(false);
      handlers.onEvent(message);
    },
    onClose: () => {
      status.resolve(false);
      handlers.onClose();
    },
  });
  if (supervisor === undefined) {
    settleEnded(engine, container);
    return;
  }
  container.supervisor = supervisor;
  // What has come while this process was busy is read first. Who is late to answer has not ended.
  const late = (): unknown => setImmediate(() => status.resolve(container.running));
  const timer = setTimeout(late, STATUS_TIMEOUT_MS);
  const running = await status.promise;
  clearTimeout(timer);
  if (running) {
    recallNetworks(engine, container);
    container.volumesMounted = true;
    engine.volumes.adopt(volumeNames(container.record.mounts), container.id);
    watchHealth(engine, container, true);
    readPaused(engine, container);
    log.debug({ container: container.id }, 'took over a running container');
  } else {
    container.supervisor = undefined;
    supervisor.disconnect();
    settleEnded(engine, container);
  }
}

/** A run whose daemon died between its start and the record of it goes on. */
function adoptRun(
  engine: EngineContext,
  container: Container,
  run: { pid: number; startedAt: string },
): void {
  beginUnrecorded(engine, container);
  container.transition({ to: 'running', pid: run.pid, startedAt: run.startedAt });
}

/** What led to a run that the record does not have is done; where that was a user, its policy counts anew. */
function beginUnrecorded(engine: EngineContext, container: Container): void {
  const { record } = container;
  if (record.state.status !== 'restarting' && record.ending?.restarts !== true) record.restartCount = 0;
  record.stoppedByUser = false;
  delete record.ending;
  engine.events.container(container, 'start');
}

function settleEnded(engine: EngineContext, container: Container): void {
  const left = readExitRecord(engine, container);
  if (!container.running) {
    if (left !== undefined && isUnrecorded(container, left)) settleUnrecorded(engine, container, left);
    return;
  }
  const exit =
    left ??
    lostRun(container, EXIT_CODE_UNKNOWN, 'the container ended while no daemon ran, and left no exit code');
  handleExit(engine, container, exit);
}

/** The record's daemon died between the start of this run and the record of that; it has ended meanwhile. */
function isUnrecorded({ record: { state } }: Container, { startedAt, exitedAt }: ExitRecord): boolean {
  const hasRun = startedAt !== '' && Date.parse(startedAt) > 0;
  return hasRun && state.status !== 'removing' && exitedAt !== endOf(state).finishedAt;
}

function settleUnrecorded(engine: EngineContext, container: Container, exit: ExitRecord): void {
  beginUnrecorded(engine, container);
  handleExit(engine, container, exit);
}

/** Takes run-time folders of containers that do not run, mounts included. */
async function sweepBundles(engine: EngineContext, live: ReadonlySet<string>): Promise<void> {
  for (const id of readdirSync(bundlesDirectory(engine.settings.execRoot))) {
    if (live.has(id) || engine.containers.isUnreadable(id)) continue;
    const container = engine.containers.find(id);
    if (container === undefined) await endStray(engine, id);
    else await container.teardown;
    await removeCgroupLeftovers(join(bundlesDirectory(engine.settings.execRoot), id));
    await unmountRoot(engine, id);
  }
}

/** A supervisor that no record knows: a build's step whose daemon was killed. */
async function endStray(engine: EngineContext, id: string): Promise<void> {
  const { socket } = containerPaths(engine.settings.dataRoot, engine.settings.execRoot, id);
  const closed = Promise.withResolvers<void>();
  const supervisor = await Supervisor.connect(socket, { onEvent: () => undefined, onClose: closed.resolve });
  if (supervisor === undefined) return;
  log.info({ id }, 'ends a process that an earlier daemon has left');
  supervisor.send('kill', { process: '', signal: SIGKILL, all: true });
  const timer = setTimeout(closed.resolve, STRAY_TIMEOUT_MS);
  await closed.promise;
  clearTimeout(timer);
}

function sweepHomes(engine: EngineContext): void {
  sweepDiscarded(engine.settings.dataRoot);
  const directory = containersDirectory(engine.settings.dataRoot);
  for (const id of readdirSync(directory)) {
    if (engine.containers.find(id)?.id === id || engine.containers.isUnreadable(id)) continue;
    discardHome(
      engine.settings.dataRoot,
      containerPaths(engine.settings.dataRoot, engine.settings.execRoot, id),
    );
  }
}

async function finishRemoval(engine: EngineContext, container: Container): Promise<void> {
  const { state, hostConfig, removesVolumes, ending } = container.record;
  const ended = state.status === 'exited' && endOf(state).finishedAt !== '' && ending?.restarts !== true;
  const neverRan = state.status === 'created' && state.error !== '';
  if (state.status !== 'removing' && !(hostConfig.AutoRemove === true && (ended || neverRan))) return;
  const volumes = hostConfig.AutoRemove === true || removesVolumes === true;
  // One that cannot be removed must not keep the daemon from the others.
  await container.mutex
    .run(() => removeContainer(engine, container, { force: false, volumes }))
    .catch((error: unknown) => removeLater(engine, container, { volumes, error }));
}
