/**
 * Which user namespace a container is in, decided once, at its creation, from `--userns`, the daemon's
 * `--userns-remap`, and the containers whose other namespaces it shares: a namespace of any kind belongs to a user
 * namespace, and only who is in that has rights in it.
 */
import type { HostConfig } from '../api/host-config.ts';
import { ConflictError, InvalidParameterError } from '../base/errors.ts';
import { parseUsernsMode, sameMapping, type UserMapping } from '../oci/user-mappings.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './engine-context.ts';
import { sharedWith } from './namespaces.ts';
import type { ContainerRecord } from './record.ts';
import { isLive } from './state.ts';
import type { ContainerUserNamespace, EnteredUserNamespace } from './user-namespace.ts';

type Choice =
  | { kind: 'host' }
  | { kind: 'mapped'; mapping: UserMapping }
  | { kind: 'auto'; size: number }
  | { kind: 'joined'; container: Container };

/**
 * Judges a request without changing anything; the answer gives the container its namespace, and for `auto` a range
 * which is the container's until `IdRanges.giveBack`. Throws InvalidParameter and Conflict, with Docker's texts where
 * it has any, and NotImplemented where the host cannot.
 */
export async function judgeUserNamespace(
  engine: EngineContext,
  hostConfig: HostConfig,
): Promise<(containerId: string) => ContainerUserNamespace | undefined> {
  const choice = choose(engine, hostConfig);
  if (choice.kind === 'host') return () => undefined;
  refuseHostsPowers(hostConfig);
  await engine.userNamespaces.require();
  return (containerId) => take(engine, choice, containerId);
}

function take(
  engine: EngineContext,
  choice: Exclude<Choice, { kind: 'host' }>,
  containerId: string,
): ContainerUserNamespace | undefined {
  const { userNamespaces } = engine;
  if (choice.kind === 'mapped') return { uids: choice.mapping.uids, gids: choice.mapping.gids };
  if (choice.kind === 'auto') {
    return userNamespaces.ranges.take(containerId, choice.size, userNamespaces.autoPool());
  }
  const { userNamespace, id } = choice.container.record;
  if (userNamespace === undefined) return undefined;
  return { uids: userNamespace.uids, gids: userNamespace.gids, joins: userNamespace.joins ?? id };
}

function choose(engine: EngineContext, hostConfig: HostConfig): Choice {
  const mode = parseUsernsMode(hostConfig.UsernsMode ?? '');
  if (mode.kind === 'host') return { kind: 'host' };
  const shared = [hostConfig.NetworkMode, hostConfig.PidMode, hostConfig.IpcMode].flatMap(
    (other) => sharedWith(engine, other) ?? [],
  );
  if (mode.kind === 'container') {
    const container = engine.containers.get(mode.name);
    requireSame([container, ...shared]);
    return joined(container);
  }
  const [first] = shared;
  if (mode.kind === 'auto') {
    if (first === undefined) return mode;
    throw new InvalidParameterError(
      `conflicting options: --userns auto and the namespaces of container ${first.record.name}, which belong to its user namespace: use --userns container:${first.record.name}`,
    );
  }
  const { remap } = engine.userNamespaces;
  if (first === undefined) return remap === undefined ? { kind: 'host' } : { kind: 'mapped', mapping: remap };
  requireSame(shared);
  if (remap !== undefined && first.record.userNamespace === undefined) {
    throw new InvalidParameterError(
      `cannot join the namespaces of container ${first.record.name}, which is in the host's user namespace: use --userns host`,
    );
  }
  return joined(first);
}

function joined(container: Container): Choice {
  return container.record.userNamespace === undefined ? { kind: 'host' } : { kind: 'joined', container };
}

/** The container whose user namespace it is in; empty for the host's. */
function ownerOf({ record }: Container): string {
  return record.userNamespace === undefined ? '' : (record.userNamespace.joins ?? record.id);
}

function requireSame(containers: readonly Container[]): void {
  const [first] = containers;
  const other = containers.find((container) => first !== undefined && ownerOf(container) !== ownerOf(first));
  if (first === undefined || other === undefined) return;
  throw new InvalidParameterError(
    `conflicting options: containers ${first.record.name} and ${other.record.name} are in different user namespaces, so that no container can be in namespaces of both`,
  );
}

/** What only root of the host has power over (moby, verifyPlatformContainerSettings). */
function refuseHostsPowers(hostConfig: HostConfig): void {
  const refuse = (message: string): never => {
    throw new InvalidParameterError(message);
  };
  if (hostConfig.Privileged === true) {
    refuse(
      'privileged mode is incompatible with user namespaces.  You must run the container in the host namespace when running privileged mode',
    );
  }
  if (hostConfig.NetworkMode === 'host') {
    refuse("cannot share the host's network namespace when user namespaces are enabled");
  }
  if (hostConfig.PidMode === 'host') {
    refuse('cannot share the host PID namespace when user namespaces are enabled');
  }
}

/**
 * Gives back the range of a container that is no more; one whose namespace others have joined keeps it until the last of
 * them is removed, because they have its IDs. Called when the container's record is gone.
 */
export function releaseRange({ containers, userNamespaces }: EngineContext, record: ContainerRecord): void {
  if (record.userNamespace === undefined) return;
  const owner = record.userNamespace.joins ?? record.id;
  if (!holdsRange(containers, owner)) userNamespaces.ranges.giveBack(owner);
}

/** Some container has the range that was given to the container `owner`: itself, or one that joined it. */
export function holdsRange(containers: EngineContext['containers'], owner: string): boolean {
  return containers.all().some(({ id, record }) => id === owner || record.userNamespace?.joins === owner);
}

/**
 * For a run: pins the container's own namespace, and says which one it is to be in; undefined for the host's. Throws
 * Conflict where it joins that of a container which does not run.
 */
export async function enterUserNamespace(
  engine: EngineContext,
  container: Container,
): Promise<EnteredUserNamespace | undefined> {
  const { userNamespace } = container.record;
  if (userNamespace === undefined) return undefined;
  const { uids, gids, joins } = userNamespace;
  const { userNamespace: path } = await engine.userNamespaces.pin(container.id, userNamespace);
  if (joins === undefined) return { uids, gids, path };
  const owner = engine.containers.find(joins) ?? successor(engine, container, joins);
  if (owner.record.userNamespace === undefined || !sameMapping(owner.record.userNamespace, userNamespace)) {
    throw new ConflictError(
      `container ${owner.record.name} has another user namespace than when ${container.record.name} was created`,
    );
  }
  if (!isLive(owner.record.state)) {
    throw new ConflictError(`cannot join user namespace of a non running container: ${owner.id}`);
  }
  return { uids, gids, path: engine.userNamespaces.path(owner.id) };
}

/** Who has the name of a removed container now, or whose namespace that one has joined: modes name containers. */
function successor(engine: EngineContext, { record }: Container, joins: string): Container {
  const { UsernsMode, NetworkMode, PidMode, IpcMode } = record.hostConfig;
  const [named] = [UsernsMode, NetworkMode, PidMode, IpcMode].flatMap(
    (mode) => sharedWith(engine, mode) ?? [],
  );
  return engine.containers.get(named === undefined ? joins : ownerOf(named) || named.id);
}

/**
 * The same for a step of a build, which has what a container without `--userns` on that network would have; pinned
 * under the step's ID. The range of a container that it joins is held until `leave`.
 */
export async function enterForStep(
  engine: EngineContext,
  stepId: string,
  networkMode: string,
): Promise<{ namespace: EnteredUserNamespace; leave(): void } | undefined> {
  const { userNamespaces } = engine;
  const take = await judgeUserNamespace(engine, { NetworkMode: networkMode });
  const userNamespace = take(stepId);
  if (userNamespace === undefined) return undefined;
  const { uids, gids, joins } = userNamespace;
  if (joins !== undefined) {
    userNamespaces.ranges.hold(joins);
    const leave = () => userNamespaces.ranges.release(joins);
    return { namespace: { uids, gids, path: userNamespaces.path(joins) }, leave };
  }
  const { userNamespace: path } = await userNamespaces.pin(stepId, userNamespace);
  return { namespace: { uids, gids, path }, leave: () => userNamespaces.unpin(stepId) };
}
