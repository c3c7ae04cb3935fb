/**
 * Making a container from a request: everything is judged before anything changes, then ID, name, volumes and record
 * come into being together or not at all.
 */

import type { ContainerConfig, ContainerCreateRequest, ContainerCreateResponse } from '../api/containers.ts';
import type { HostConfig } from '../api/host-config.ts';
import { API_VERSION, compareApiVersions } from '../api/version.ts';
import { transaction } from '../base/database.ts';
import { errorMessage, InternalError, InvalidParameterError, NotFoundError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { makeDirectory } from '../base/make-directory.ts';
import { step, stepSync } from '../base/steps.ts';
import { parsePlatform } from '../image/platform.ts';
import type { Image } from '../image/store/image-store.ts';
import { checkCgroupParent } from '../oci/cgroup-path.ts';
import { validateCreate } from '../oci/validate.ts';
import { collectMounts, createVolumes, type RequestedMount, realMountHost } from '../volume/mount-points.ts';
import { removeLater } from './after-run.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './engine-context.ts';
import { expectFilling, fillNewVolumes } from './fill-volumes.ts';
import { mergeHealthcheck } from './health-rules.ts';
import { withLimitDefaults } from './limit-defaults.ts';
import { requestedLinks } from './links.ts';
import { validateLogConfig, withLogDefaults } from './log-options.ts';
import { newId, parseName, randomName } from './names.ts';
import { sharedWith } from './namespaces.ts';
import { networkKind } from './network-mode.ts';
import { containerPaths } from './paths.ts';
import { portMappings, portRequests } from './port-bindings.ts';
import type { ContainerRecord } from './record.ts';
import { releaseVolumes } from './remove.ts';
import { requestedNetworks } from './requested-networks.ts';
import { refuseIdMaps, refuseUserNamespace } from './runtimes.ts';
import { createdState } from './state.ts';
import { checkStorageOptions, removeHome } from './storage-options.ts';
import { judgeUserNamespace, releaseRange } from './user-namespace-choice.ts';

export interface CreateOptions {
  /** Undefined or empty: a random one. */
  name: string | undefined;
  /** `os[/arch[/variant]]` that the image must be for; undefined for any. */
  platform: string | undefined;
  /** Of the API that the client speaks; the newest where left out. */
  apiVersion?: string;
  /** What the client may have, asked once all mounts are known and nothing is made yet. Throws Forbidden. */
  limitMounts?: (mounts: readonly RequestedMount[]) => RequestedMount[];
}

/** Creates a container. Throws NotFound for its image, Conflict for its name, InvalidParameter or NotImplemented. */
export async function createContainer(
  engine: EngineContext,
  request: ContainerCreateRequest,
  options: CreateOptions,
): Promise<ContainerCreateResponse> {
  const { HostConfig: hostRequest, NetworkingConfig: networking, ...configRequest } = request;
  const mountHost = await realMountHost(engine.host.selinux, hostRequest?.Mounts);
  const name = options.name ? parseName(options.name) : undefined;
  if (name !== undefined) engine.containers.requireFreeName(name);
  const image = requestedImage(engine, configRequest, options.platform);
  const LogConfig = withLogDefaults(hostRequest?.LogConfig, engine.settings);
  checkCgroupParent(hostRequest?.CgroupParent ?? '', engine.settings.cgroups.driver);
  checkStorageOptions(hostRequest?.StorageOpt, engine.settings.dataRoot);
  const wanted = withLimitDefaults({ ...hostRequest, LogConfig }, engine.settings.limits);
  // Removed in API 1.42: newer clients' values are passed over, as Docker does.
  if (compareApiVersions(options.apiVersion ?? API_VERSION, '1.42') >= 0) delete wanted.KernelMemory;
  const judged = validateCreate(configRequest, wanted, engine.host);
  const hostConfig = completeHostConfig(engine, judged.hostConfig, configRequest.NetworkDisabled === true);
  requireShared(engine, hostConfig);
  const takeUserNamespace = await judgeUserNamespace(engine, hostConfig);
  const asked = requestedNetworks(engine.networks, {
    config: judged.config,
    hostConfig,
    networking: networking ?? {},
    apiVersion: options.apiVersion ?? API_VERSION,
  });
  hostConfig.NetworkMode = asked.mode;
  const links = requestedLinks(engine, hostConfig);
  validateLogConfig(hostConfig.LogConfig);
  const id = newId();
  const { config, warnings: healthWarnings } = mergeConfig(judged.config, image, hostConfig, id);
  const mounts = collectMounts({
    config,
    hostConfig,
    mountPointsOf: (reference) => engine.containers.get(reference).record.mounts,
    imageOf: (reference) => engine.images.resolve(reference),
    host: mountHost,
    readOnlyNonRecursive: compareApiVersions(options.apiVersion ?? API_VERSION, '1.44') < 0,
  });
  const runtime = engine.runtimes.find(hostConfig.Runtime);
  refuseIdMaps(runtime, mounts);
  const record: ContainerRecord = {
    id,
    name: name ?? randomName((candidate) => engine.containers.nameTaken(candidate)),
    createdAt: new Date().toISOString(),
    imageId: image.id,
    image: config.Image ?? '',
    layers: image.diffIds,
    config,
    hostConfig,
    networks: asked.networks,
    links,
    mounts: [],
    state: createdState(),
    restartCount: 0,
    stoppedByUser: false,
    sandbox: null,
  };
  const made: { container?: Container } = {};
  try {
    makeHome(engine, id);
    // The container, its volumes and its range come to last together. The folders are made before: what has no record
    // is removed when a daemon starts.
    const container = transaction(engine.database, () => {
      stepSync('create/volumes', id, () => {
        createVolumes(options.limitMounts?.(mounts) ?? mounts, engine.volumes, id, record.mounts);
        expectFilling(engine, record.mounts);
      });
      const userNamespace = takeUserNamespace(id);
      if (userNamespace !== undefined) {
        refuseUserNamespace(runtime);
        record.userNamespace = userNamespace;
      }
      made.container = stepSync('create/record', id, () => engine.containers.add(record));
      return made.container;
    });
    await step('create/fill', id, () => fillNewVolumes(engine, container));
    engine.events.container(container, 'create');
  } catch (error) {
    await undo(engine, record, made.container);
    throw error;
  }
  return { Id: id, Warnings: [...judged.warnings, ...asked.warnings, ...healthWarnings] };
}

function requestedImage(engine: EngineContext, config: ContainerConfig, platform: string | undefined): Image {
  const name = config.Image ?? '';
  if (name === '') throw new InvalidParameterError('no image specified');
  const image = engine.images.resolve(name);
  if (platform === undefined || platform === '') return image;
  const [os = '', architecture, variant] = platform.split('/');
  const fits =
    image.os === os &&
    (architecture === undefined || image.architecture === architecture) &&
    (variant === undefined || image.variant === '' || image.variant === variant);
  const found = fits ? image : engine.images.forPlatform(image, parsePlatform(platform));
  if (found !== undefined) return found;
  const own = [image.os, image.architecture, image.variant].filter((part) => part !== '').join('/');
  throw new NotFoundError(
    `image with reference ${name} was found but its platform (${own}) does not match the specified platform (${platform})`,
  );
}

/** A container whose network is disabled has the network `none`. */
function completeHostConfig(
  engine: EngineContext,
  hostConfig: HostConfig,
  networkDisabled: boolean,
): HostConfig {
  const mode = hostConfig.NetworkMode ?? '';
  return {
    ...hostConfig,
    NetworkMode: networkDisabled ? 'none' : mode === '' || mode === 'default' ? 'bridge' : mode,
    Init: hostConfig.Init ?? (engine.settings.init ? true : null),
    Runtime: engine.runtimes.nameFor(hostConfig.Runtime),
  };
}

/** Containers whose namespaces are shared must exist, and ports must be such that a host can publish them. */
function requireShared(engine: EngineContext, hostConfig: HostConfig): void {
  for (const mode of [hostConfig.NetworkMode, hostConfig.PidMode, hostConfig.IpcMode])
    sharedWith(engine, mode);
  if (networkKind(hostConfig.NetworkMode) !== 'own') return;
  engine.networks.validatePorts(portMappings(portRequests(hostConfig, null)));
}

/** The request over the image's defaults (moby's rules for Entrypoint and Cmd: a new entrypoint drops the image's command). */
export function mergeConfig(
  request: ContainerConfig,
  image: Image,
  hostConfig: HostConfig,
  id: string,
): { config: ContainerConfig; warnings: string[] } {
  const defaults = image.config.config;
  const config: ContainerConfig = { ...request };
  config.User ||= defaults.User ?? '';
  config.WorkingDir ||= defaults.WorkingDir ?? '';
  config.StopSignal ||= defaults.StopSignal ?? '';
  config.Env = mergeEnv(defaults.Env ?? [], request.Env ?? []);
  config.Labels = { ...(defaults.Labels ?? {}), ...(request.Labels ?? {}) };
  config.ExposedPorts = { ...keys(defaults.ExposedPorts), ...keys(request.ExposedPorts) };
  for (const port of Object.keys(hostConfig.PortBindings ?? {})) config.ExposedPorts[withProtocol(port)] = {};
  config.Volumes = { ...keys(defaults.Volumes), ...keys(request.Volumes) };
  if ((config.Entrypoint ?? []).length === 0) {
    if ((config.Cmd ?? []).length === 0) config.Cmd = defaults.Cmd ?? null;
    if (config.Entrypoint === undefined || config.Entrypoint === null)
      config.Entrypoint = defaults.Entrypoint ?? null;
  }
  if (defaults.Shell !== undefined && !config.Shell) config.Shell = defaults.Shell;
  const kind = networkKind(hostConfig.NetworkMode);
  if (kind !== 'host' && kind !== 'container') config.Hostname ||= id.slice(0, 12);
  const health = mergeHealthcheck(request.Healthcheck, defaults.Healthcheck);
  if (health !== undefined) config.Healthcheck = health;
  const [test] = config.Healthcheck?.Test ?? [];
  const warnings = ['CMD', 'CMD-SHELL', 'NONE', undefined].includes(test)
    ? []
    : [`The health check is not run: unknown type '${test}' (expected 'CMD')`];
  requireCommand(config);
  return { config, warnings };
}

function requireCommand(config: ContainerConfig): void {
  const entrypoint = (config.Entrypoint ?? []).filter((word, index) => index > 0 || word !== '');
  if (entrypoint.length + (config.Cmd ?? []).length === 0)
    throw new InvalidParameterError('no command specified');
}

function mergeEnv(image: readonly string[], request: readonly string[]): string[] {
  const names = new Set(request.map((entry) => entry.split('=', 1)[0]));
  return [...request, ...image.filter((entry) => !names.has(entry.split('=', 1)[0]))];
}

function keys(set: Record<string, unknown> | null | undefined): Record<string, Record<string, never>> {
  return Object.fromEntries(Object.keys(set ?? {}).map((key) => [key, {}]));
}

function withProtocol(port: string): string {
  return port.includes('/') ? port : `${port}/tcp`;
}

function makeHome({ settings }: EngineContext, id: string): void {
  const { home } = containerPaths(settings.dataRoot, settings.execRoot, id);
  stepSync('create/home', id, () => makeDirectory(home, 0o710));
}

/** Never rejects: the client hears why there is no container. */
async function undo(
  engine: EngineContext,
  record: ContainerRecord,
  container: Container | undefined,
): Promise<void> {
  try {
    const kept = await releaseVolumes(engine, record, true);
    if (container !== undefined && kept.length > 0) {
      leaveForRemoval(engine, container, kept);
      return;
    }
    if (container !== undefined) engine.containers.delete(container);
    // Before the folder, which a machine without descriptors cannot remove: the next start does that.
    for (const { type, name } of record.mounts) if (type === 'volume') engine.volumes.removeUnrecorded(name);
    releaseRange(engine, record);
    removeHome(containerPaths(engine.settings.dataRoot, engine.settings.execRoot, record.id));
  } catch (error) {
    log.warn({ container: record.id, error: errorMessage(error) }, 'cannot undo a create');
  }
}

/**
 * Volumes that were made for it cannot be removed, as on a disk that cannot be written: they are known as its own as long
 * as it is there. It gives its name back.
 */
function leaveForRemoval(engine: EngineContext, container: Container, kept: readonly string[]): void {
  container.record.removesVolumes = true;
  engine.containers.rename(container, container.id);
  container.transition({ to: 'removing' });
  removeLater(engine, container, { volumes: true, error: new InternalError(kept.join('; ')) });
}
