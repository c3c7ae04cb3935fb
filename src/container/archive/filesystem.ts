/**
 * A container's filesystem as its processes see it, volumes and bind mounts included, as a descriptor of its root. Of
 * a running container that is /proc/<pid>/root. For a stopped one the runtime makes the same mounts in a mount
 * namespace of their own, whose init never executes: no other process of the host sees them.
 */
import { closeSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ConflictError, InternalError } from '../../base/errors.ts';
import { makeDirectory } from '../../base/make-directory.ts';
import { removeTreeSync } from '../../image/layers/native-archive.ts';
import type { SupervisorConfig } from '../../native/supervisor-protocol.ts';
import { DEFAULT_CGROUP_PARENT } from '../../oci/cgroup-path.ts';
import { planMounts } from '../../oci/mounts.ts';
import { OCI_VERSION, type Spec } from '../../oci/runtime-spec.ts';
import { lookupUser } from '../../oci/user.ts';
import { containerMounts, prepareMounts, releaseMounts } from '../../volume/run-mounts.ts';
import type { Container } from '../container.ts';
import type { EngineContext } from '../engine-context.ts';
import { fillUnfilledVolumes } from '../fill-volumes.ts';
import { newId } from '../names.ts';
import { containerPaths, seccompCacheDirectory } from '../paths.ts';
import { readRootFile } from '../root-file.ts';
import { withRoot } from '../root-view.ts';
import { isLive } from '../state.ts';
import { Supervisor } from '../supervisor.ts';
import { type EnteredUserNamespace, ownersOf, ownUserNamespace } from '../user-namespace.ts';
import { O_DIRECTORY, O_PATH } from './inside.ts';

const SIGKILL = 9;

/** Calls `use` with an O_PATH descriptor of the root; `signal` fires when the container is about to be removed. */
export async function withFilesystem<T>(
  engine: EngineContext,
  container: Container,
  use: (rootFd: number, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  return await withRoot(engine, container, async (root, signal) => {
    const rootFd = openRunning(container);
    if (rootFd !== undefined) return await closing(rootFd, (fd) => use(fd, signal));
    return await withMounts(engine, container, root, async (fd) => use(fd, signal));
  });
}

async function closing<T>(fd: number, use: (fd: number) => Promise<T>): Promise<T> {
  try {
    return await use(fd);
  } finally {
    closeSync(fd);
  }
}

/** The root of the init; undefined where it does not run. */
function openRunning(container: Container): number | undefined {
  const { state } = container.record;
  if (!isLive(state)) return undefined;
  const fd = openSync(`/proc/${state.pid}/root`, O_PATH | O_DIRECTORY);
  // Its number may be another process's by now; the supervisor reaps the init before it tells of the end.
  if (isLive(container.record.state) && container.supervisor?.open === true) return fd;
  closeSync(fd);
  throw new ConflictError(`container ${container.id} ended meanwhile`);
}

/** A supervisor whose container stays `created`: its mounts are made, its program never starts. */
async function withMounts<T>(
  engine: EngineContext,
  container: Container,
  root: string,
  use: (rootFd: number) => Promise<T>,
): Promise<T> {
  const { settings } = engine;
  const id = newId();
  const paths = containerPaths(settings.dataRoot, settings.execRoot, id);
  makeDirectory(paths.bundle, 0o700);
  // A tmpfs of a stopped container is empty and would be gone at once.
  const lasting = container.record.mounts.filter(({ type }) => type !== 'tmpfs');
  const run = { user: id, bundle: paths.bundle };
  const closed = Promise.withResolvers<void>();
  let release = (): void => undefined;
  try {
    const userNamespace = await ownUserNamespace(engine, container);
    if (userNamespace !== undefined) await fillUnfilledVolumes(engine, container);
    await prepareMounts(lasting, engine, {
      ...run,
      rootfs: root,
      ...(userNamespace === undefined ? {} : { owners: ownersOf(userNamespace) }),
    });
    const made = containerMounts(lasting, paths.bundle, engine.volumes);
    const { mounts } = made;
    release = made.release;
    const spec = mountsOnly(engine, container, { id, root, userNamespace, mounts });
    writeFileSync(join(paths.bundle, 'config.json'), JSON.stringify(spec), { mode: 0o600 });
    const config: SupervisorConfig = {
      id,
      socket: paths.socket,
      exitRecord: paths.exitRecord,
      log: null,
      stdin: false,
      stdinOnce: false,
      seccompCache: seccompCacheDirectory(settings.execRoot),
    };
    writeFileSync(join(paths.bundle, 'supervisor.json'), JSON.stringify(config), { mode: 0o600 });
    const created = Promise.withResolvers<number>();
    const supervisor = await Supervisor.spawn(settings.runtimePath, paths.bundle, {
      onEvent: (message) => {
        if (message.event === 'status') created.resolve(message.payload.pid);
        if (message.event === 'failed') created.reject(new InternalError(message.payload.message));
      },
      onClose: () => {
        created.reject(new InternalError('cannot mount the volumes of the container'));
        closed.resolve();
      },
    });
    try {
      const pid = await created.promise;
      return await closing(openSync(`/proc/${pid}/root`, O_PATH | O_DIRECTORY), use);
    } finally {
      if (supervisor.open) supervisor.send('kill', { process: '', signal: SIGKILL, all: true });
      await closed.promise;
    }
  } finally {
    release();
    await releaseMounts(lasting, engine, run);
    removeTreeSync(paths.bundle);
    rmSync(paths.socket, { force: true });
  }
}

function mountsOnly(
  engine: EngineContext,
  container: Container,
  made: {
    id: string;
    root: string;
    userNamespace: EnteredUserNamespace | undefined;
    mounts: ReturnType<typeof containerMounts>['mounts'];
  },
): Spec {
  const { id, root, userNamespace, mounts } = made;
  const user = () =>
    lookupUser(
      container.record.config.User ?? '',
      readRootFile(root, '/etc/passwd'),
      readRootFile(root, '/etc/group'),
    );
  return {
    ociVersion: OCI_VERSION,
    process: { args: ['/'], cwd: '/', env: [], user: { uid: 0, gid: 0 }, noNewPrivileges: true },
    root: { path: root, readonly: false },
    // Nothing is mounted at /dev: they would be made in the container's own root.
    annotations: { 'mydock.devices': 'none' },
    mounts: planMounts({
      defaults: [],
      mounts,
      readonlyRootfs: false,
      user,
      recursiveReadOnly: engine.host.recursiveReadOnly,
      userNamespace,
    }),
    linux: {
      namespaces: [
        // Mount points that the root lacks are made by root of the container.
        ...(userNamespace === undefined ? [] : [{ type: 'user' as const, path: userNamespace.path }]),
        { type: 'mount' },
        { type: 'pid' },
        { type: 'ipc' },
      ],
      cgroupsPath: `${DEFAULT_CGROUP_PARENT}/${id}`,
    },
  };
}
