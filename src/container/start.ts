/**
 * From a stored container to a running one: root filesystem, network, files, config.json, supervisor. Everything
 * that is made here is undone by `releaseRun`, at the end of the run or where a step fails.
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errorMessage, InvalidParameterError } from '../base/errors.ts';
import { makeDirectory } from '../base/make-directory.ts';
import { step, stepSync } from '../base/steps.ts';
import type { SupervisorConfig } from '../native/supervisor-protocol.ts';
import { editsOfRequests } from '../oci/cdi/device-requests.ts';
import type { ContainerEdits } from '../oci/cdi/spec.ts';
import { foreignSpecText } from '../oci/foreign-spec.ts';
import { generateSpec, type NamespaceChoice } from '../oci/generate.ts';
import type { ContainerMount } from '../oci/mounts.ts';
import type { Spec } from '../oci/runtime-spec.ts';
import { rootOf } from '../oci/user-mappings.ts';
import { containerMounts, prepareMounts } from '../volume/run-mounts.ts';
import { makeBaseMountPoints } from './base-mount-points.ts';
import { removeCgroupLeftovers } from './cgroup-leftovers.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './engine-context.ts';
import { releaseLater, releaseRun, settleRun } from './exit.ts';
import { fillUnfilledVolumes } from './fill-volumes.ts';
import { abandon, launch, StartFailure } from './launch.ts';
import { withDefaultUlimits } from './limit-defaults.ts';
import { linkEnvironment, tellLinkAddresses } from './links.ts';
import { supervisorLog } from './log-config.ts';
import { namespaceOf, sharedWith } from './namespaces.ts';
import { attachNetworks, containerHostname } from './network.ts';
import { writeNetworkFiles } from './network-files.ts';
import { type ContainerPaths, containerPaths, seccompCacheDirectory } from './paths.ts';
import { makeRootDirectory, readRootFile } from './root-file.ts';
import { mountRoot } from './rootfs.ts';
import { foreignRuntime } from './runtimes.ts';
import { sharedMemory } from './shared-memory.ts';
import { requireStartable } from './state.ts';
import { asRootOf, type EnteredUserNamespace, ownersOf } from './user-namespace.ts';
import { enterUserNamespace } from './user-namespace-choice.ts';
import { tellVolumesMounted } from './volume-events.ts';

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
  const namespace = Promise.withResolvers<NamespaceChoice>();
  // Its interfaces are made while the supervisor and the init are.
  const network = step('start/network', id, () =>
    attachNetworks(engine, container, namespace.resolve, userNamespace?.path),
  );
  network.catch(namespace.reject);
  try {
    const [rootfs, choice] = await bothOf(
      prepareRoot(engine, container, paths, userNamespace),
      namespace.promise,
    );
    await runInside(engine, container, paths, { rootfs, userNamespace, network: choice }, network);
  } finally {
    // What undoes a start must not meet the making of its network.
    await Promise.allSettled([network]);
  }
}

/** The rest of a start: `made.network` is where the network's interfaces will be, `network` tells when they are there. */
async function runInside(
  engine: EngineContext,
  container: Container,
  paths: ContainerPaths,
  made: Pick<Made, 'rootfs' | 'userNamespace' | 'network'>,
  network: Promise<void>,
): Promise<void> {
  const { id } = container;
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
      ...made,
      mounts,
      deviceEdits,
      ...apparmor,
      ...(shmPath === undefined ? {} : { shmPath }),
    });
    rememberApparmor(container, spec);
    await step('start/config', id, () => writeBundle(engine, container, paths, spec));
    if (meetsNetwork(engine, container, spec)) await network;
    await step('start/launch', id, () => launch(engine, container, paths.bundle, network));
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

/** Settings of interfaces, hooks and runtimes of others are made or run at the init's making: they want a whole network. */
function meetsNetwork(engine: EngineContext, { record }: Container, { hooks }: Spec): boolean {
  const { Sysctls, Runtime } = record.hostConfig;
  return (
    Object.keys(Sysctls ?? {}).length > 0 ||
    hooks !== undefined ||
    engine.runtimes.find(Runtime) !== undefined
  );
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
  await step('start/mount-points', id, async () => {
    await makeBaseMountPoints(rootfs, userNamespace && rootOf(userNamespace));
    asRootOf(userNamespace, () => prepareWorkingDirectory(rootfs, container));
  });
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

/** What a start has made when the init's configuration is written. */
interface Made {
  rootfs: string;
  network: NamespaceChoice;
  userNamespace: EnteredUserNamespace | undefined;
  mounts: ContainerMount[];
  deviceEdits: ContainerEdits[];
  /** Host folder of its /dev/shm, where that is shared. */
  shmPath?: string;
  apparmorDefault?: string;
}

function buildSpec(engine: EngineContext, container: Container, made: Made): Spec {
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
