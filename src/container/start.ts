/**
 * From a stored container to a running one: root filesystem, network, files, config.json, supervisor. Everything
 * that is made here is undone by `releaseRun`, at the end of the run or where a step fails.
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { EngineError, errorMessage, InternalError, InvalidParameterError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { makeDirectory } from '../base/make-directory.ts';
import { step, stepSync } from '../base/steps.ts';
import { configPlatform } from '../image/image-config.ts';
import { whyNotExecuted } from '../image/runnable-platforms.ts';
import type { SupervisorConfig } from '../native/supervisor-protocol.ts';
import { editsOfRequests } from '../oci/cdi/device-requests.ts';
import type { ContainerEdits } from '../oci/cdi/spec.ts';
import { foreignSpecText } from '../oci/foreign-spec.ts';
import { generateSpec, type NamespaceChoice } from '../oci/generate.ts';
import type { ContainerMount } from '../oci/mounts.ts';
import type { Spec } from '../oci/runtime-spec.ts';
import { containerMounts, prepareMounts } from '../volume/run-mounts.ts';
import { handOverPending } from './attach.ts';
import { makeBaseMountPoints } from './base-mount-points.ts';
import { removeCgroupLeftovers } from './cgroup-leftovers.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './engine-context.ts';
import { releaseLater, releaseRun, settleRun } from './exit.ts';
import { fillUnfilledVolumes } from './fill-volumes.ts';
import { watchHealth } from './health-monitor.ts';
import { withDefaultUlimits } from './limit-defaults.ts';
import { linkEnvironment, tellLinkAddresses } from './links.ts';
import { supervisorLog } from './log-config.ts';
import { namespaceOf, sharedWith } from './namespaces.ts';
import { attachNetworks, containerHostname } from './network.ts';
import { writeNetworkFiles } from './network-files.ts';
import { type ContainerPaths, containerPaths, seccompCacheDirectory } from './paths.ts';
import { makeRootDirectory, readRootFile } from './root-file.ts';
import { mountRoot } from './rootfs.ts';
import { FOREIGN_STEP, foreignRuntime } from './runtimes.ts';
import { sharedMemory } from './shared-memory.ts';
import { requireStartable } from './state.ts';
import { Supervisor } from './supervisor.ts';
import { asRootOf, type EnteredUserNamespace, ownersOf } from './user-namespace.ts';
import { enterUserNamespace } from './user-namespace-choice.ts';
import { tellVolumesMounted } from './volume-events.ts';
import { superviseHandlers } from './watch.ts';

const SIGKILL = 9;

/** A start that failed in the container's program, not in the engine: 126 and 127 are the user's, 125 is ours. */
export class StartFailure extends EngineError {
  readonly exitCode: number;

  constructor(exitCode: number, message: string) {
    super(exitCode === 125 ? 'Internal' : 'InvalidParameter', message);
    this.exitCode = exitCode;
  }
}

/**
 * Starts a container; the caller holds its mutex. Resolves when its program executes. Throws NotModified where it
 * runs; any other failure leaves nothing of the run behind and is kept as the container's error.
 */
export async function startContainer(engine: EngineContext, container: Container): Promise<void> {
  requireStartable(container.record.state, container.id);
  clearTimeout(container.restartTimer);
  container.oomKilled = false;
  delete container.record.pausedForCommit;
  delete container.record.ending;
  const { promise: over, resolve } = Promise.withResolvers<void>();
  container.starting = over;
  try {
    await settleRun(engine, container);
    await run(engine, container);
  } catch (error) {
    await fail(engine, container, error);
    throw error;
  } finally {
    container.starting = undefined;
    resolve();
  }
}

async function run(engine: EngineContext, container: Container): Promise<void> {
  const paths = containerPaths(engine.settings.dataRoot, engine.settings.execRoot, container.id);
  const { id } = container;
  stepSync('start/bundle', id, () => makeDirectory(paths.bundle, 0o700));
  const userNamespace = await step('start/user-namespace', id, () => enterUserNamespace(engine, container));
  const [rootfs, network] = await bothOf(
    prepareRoot(engine, container, paths, userNamespace),
    step('start/network', id, () => attachNetworks(engine, container, userNamespace?.path)),
  );
  stepSync('start/network-files', id, () => writeNetworkFiles(engine, container, paths));
  tellVolumesMounted(engine, container);
  const { mounts, release } = containerMounts(container.record.mounts, paths.bundle, engine.volumes);
  try {
    const deviceEdits = await editsOfRequests(engine.cdi, container.record.hostConfig.DeviceRequests ?? []);
    const shmPath = stepSync('start/shm', id, () => sharedMemory(engine, container, paths.bundle));
    const apparmor = await step('start/apparmor', id, () =>
      engine.apparmor.forRun(container.record.hostConfig),
    );
    const spec = buildSpec(engine, container, {
      rootfs,
      network,
      userNamespace,
      mounts,
      deviceEdits,
      ...apparmor,
      ...(shmPath === undefined ? {} : { shmPath }),
    });
    rememberApparmor(container, spec);
    await step('start/config', id, () => writeBundle(engine, container, paths, spec));
    await step('start/launch', id, () => launch(engine, container, paths.bundle));
    tellLinkAddresses(engine, container);
  } finally {
    release();
  }
}

/** Waits for both also where one fails: what undoes a start must not meet the other half of it at work. */
async function bothOf<A, B>(one: Promise<A>, other: Promise<B>): Promise<[A, B]> {
  await Promise.allSettled([one, other]);
  return [await one, await other];
}

/** The mounted root with the places for mounts in it, and their sources. */
async function prepareRoot(
  engine: EngineContext,
  container: Container,
  { bundle }: ContainerPaths,
  userNamespace: EnteredUserNamespace | undefined,
): Promise<string> {
  const { id } = container;
  const rootfs = await step('start/root', id, () => mountRoot(engine, container, 'run'));
  stepSync('start/mount-points', id, () =>
    asRootOf(userNamespace, () => {
      makeBaseMountPoints(rootfs);
      prepareWorkingDirectory(rootfs, container);
    }),
  );
  if (userNamespace !== undefined) await step('start/fill', id, () => fillUnfilledVolumes(engine, container));
  await step('start/mounts', id, () =>
    prepareMounts(container.record.mounts, engine, {
      user: id,
      bundle,
      rootfs,
      ...(userNamespace === undefined ? {} : { owners: ownersOf(userNamespace) }),
    }),
  );
  return rootfs;
}

/** Docker makes a working directory that the image lacks. */
function prepareWorkingDirectory(rootfs: string, container: Container): void {
  const directory = container.record.config.WorkingDir ?? '';
  if (directory === '' || directory === '/') return;
  makeRootDirectory(rootfs, directory);
}

function buildSpec(
  engine: EngineContext,
  container: Container,
  made: {
    rootfs: string;
    network: NamespaceChoice;
    userNamespace: EnteredUserNamespace | undefined;
    mounts: ContainerMount[];
    deviceEdits: ContainerEdits[];
    /** Host folder of its /dev/shm, where that is shared. */
    shmPath?: string;
    apparmorDefault?: string;
  },
): Spec {
  const { config, hostConfig } = container.record;
  const { network, userNamespace, ...others } = made;
  const pid = sharedWith(engine, hostConfig.PidMode);
  const ipc = sharedWith(engine, hostConfig.IpcMode);
  const files = networkFileOwner(engine, container);
  const links = linkEnvironment(engine, container);
  return generateSpec({
    id: container.id,
    config: links.length === 0 ? config : { ...config, Env: [...links, ...(config.Env ?? [])] },
    hostConfig: withDefaultUlimits(hostConfig, engine.settings.limits),
    hostname: containerHostname(engine, container),
    ...others,
    files: { hosts: files.hosts, hostname: files.hostname, resolvConf: files.resolvConf },
    ...(userNamespace === undefined ? {} : { userNamespace }),
    namespaces: {
      network,
      ...(pid === undefined ? {} : { pid: { path: namespaceOf(pid, 'pid') } }),
      ...(ipc === undefined ? {} : { ipc: { path: namespaceOf(ipc, 'ipc') } }),
    },
    initBinary: engine.settings.initPath,
    accounts: {
      passwd: readRootFile(made.rootfs, '/etc/passwd'),
      group: readRootFile(made.rootfs, '/etc/group'),
    },
    host: engine.host,
    securityDefaults: engine.settings.security,
    cgroups: engine.settings.cgroups,
  });
}

/** Stored with the state that the start leads to. */
function rememberApparmor({ record }: Container, { process }: Spec): void {
  if (process?.apparmorProfile === undefined) delete record.apparmorProfile;
  else record.apparmorProfile = process.apparmorProfile;
}

/** A container in another's network also has that one's hosts, hostname and resolv.conf. */
function networkFileOwner(engine: EngineContext, container: Container): ContainerPaths {
  const other = sharedWith(engine, container.record.hostConfig.NetworkMode);
  return containerPaths(engine.settings.dataRoot, engine.settings.execRoot, (other ?? container).id);
}

async function writeBundle(
  engine: EngineContext,
  container: Container,
  paths: ContainerPaths,
  spec: Spec,
): Promise<void> {
  const { config } = container.record;
  const foreign = engine.runtimes.find(container.record.hostConfig.Runtime);
  const supervisor: SupervisorConfig = {
    id: container.id,
    socket: paths.socket,
    exitRecord: paths.exitRecord,
    log: await supervisorLog(container.record, paths),
    stdin: config.OpenStdin === true,
    stdinOnce: config.StdinOnce === true,
    seccompCache: seccompCacheDirectory(engine.settings.execRoot),
    ...(engine.settings.cgroups.driver === 'systemd' ? { systemdCgroup: true } : {}),
    ...(foreign === undefined ? {} : { runtime: foreignRuntime(foreign, paths.bundle) }),
  };
  const text = foreign === undefined ? JSON.stringify(spec) : foreignSpecText(spec);
  writeFileSync(join(paths.bundle, 'config.json'), text, { mode: 0o600 });
  writeFileSync(join(paths.bundle, 'supervisor.json'), JSON.stringify(supervisor), { mode: 0o600 });
}

/** Spawns the supervisor and lets the init run; connections that wait get its output from the first byte. */
async function launch(engine: EngineContext, container: Container, bundle: string): Promise<void> {
  const begun = Promise.withResolvers<void>();
  const handlers = superviseHandlers(engine, container, {
    started: ({ pid, startedAt }) => {
      try {
        stepSync('start/record', container.id, () => container.transition({ to: 'running', pid, startedAt }));
        // Now and not when the promise is heard: the end of a short run may be the next message.
        watchHealth(engine, container);
        engine.events.container(container, 'start');
        begun.resolve();
      } catch (error) {
        begun.reject(error);
      }
    },
    failed: ({ exitCode, step, message }) =>
      begun.reject(new StartFailure(exitCode, startErrorText(step, explained(engine, container, message)))),
    lost: () =>
      begun.reject(new InternalError(`supervisor of container ${container.id} ended before the start`)),
  });
  const supervisor = await step('start/spawn', container.id, () =>
    Supervisor.spawn(engine.settings.runtimePath, bundle, handlers),
  );
  container.supervisor = supervisor;
  try {
    stepSync('start/attach', container.id, () => handOverPending(container, supervisor));
    stepSync('start/command', container.id, () => supervisor.send('start', {}));
  } catch (error) {
    // It has left: why is in what it has sent before, or it is lost. Either ends the start.
    log.debug({ container: container.id, error: errorMessage(error) }, 'the supervisor takes no command');
  }
  await begun.promise;
}

/** With what keeps this machine from executing programs of the image's platform, where it was that. */
function explained({ images }: EngineContext, { record }: Container, message: string): string {
  const image = images.get(record.imageId);
  const foreign = image && whyNotExecuted(message, configPlatform(image.config));
  return foreign === undefined ? message : `${message}: ${foreign}`;
}

/** Docker's frame around the runtime's message: scripts match on it. */
function startErrorText(step: string, message: string): string {
  const frame = 'failed to create task for container: failed to create shim task: OCI runtime';
  const foreign = FOREIGN_STEP.exec(step)?.[1];
  if (foreign !== undefined) return `${frame} ${foreign} failed: ${message}`;
  return `${frame} create failed: unable to start container process: ${message}`;
}

/** Ends whatever a start that failed has brought to life, and lets go of it. */
function abandon(container: Container): void {
  const { supervisor } = container;
  container.supervisor = undefined;
  if (supervisor === undefined) return;
  try {
    if (supervisor.open) supervisor.send('kill', { process: '', signal: SIGKILL, all: true });
  } catch (error) {
    log.debug({ container: container.id, error: errorMessage(error) }, 'the supervisor has left already');
  }
  supervisor.disconnect();
}

async function fail(engine: EngineContext, container: Container, error: unknown): Promise<void> {
  const exitCode =
    error instanceof StartFailure ? error.exitCode : error instanceof InvalidParameterError ? 126 : 128;
  abandon(container);
  try {
    // A supervisor that was killed before it could listen has left its groups, and no socket to tell it by.
    await removeCgroupLeftovers(
      containerPaths(engine.settings.dataRoot, engine.settings.execRoot, container.id).bundle,
    );
    await releaseRun(engine, container);
    container.owesRelease = false;
  } catch (cleanup) {
    releaseLater(engine, container, cleanup);
  }
  for (const pending of container.pendingAttachments) pending.close();
  container.pendingAttachments.clear();
  if (container.record.state.status === 'removing') return;
  container.transition({
    to: 'failed',
    finishedAt: new Date().toISOString(),
    exitCode,
    error: errorMessage(error),
  });
  engine.afterRun(container, 0);
}
