/** A container's root filesystem: its layers and its own upper directory, mounted while it runs or is looked into. */

import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { makeDirectory } from '../base/make-directory.ts';
import { removeTreeSync } from '../image/layers/native-archive.ts';
import { unmountBundle } from '../volume/run-mounts.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './engine-context.ts';
import { containerPaths } from './paths.ts';
import { releaseSharedMemory } from './shared-memory.ts';
import { mountLimited } from './storage-options.ts';

/**
 * Mounts the root at `<bundle>/rootfs`, for a run or a look into it; a mount that is there already (somebody looks into
 * it) is taken.
 */
export async function mountRoot(
  engine: EngineContext,
  container: Container,
  use: 'run' | 'view',
): Promise<string> {
  const paths = containerPaths(engine.settings.dataRoot, engine.settings.execRoot, container.id);
  if (container.rootMounted) return paths.rootfs;
  makeDirectory(paths.rootfs, 0o700);
  makeDirectory(paths.upper, 0o755);
  makeDirectory(paths.work, 0o700);
  const { userNamespace } = container.record;
  const owners =
    userNamespace === undefined ? undefined : await engine.userNamespaces.pin(container.id, userNamespace);
  const request = {
    layers: container.record.layers,
    upper: paths.upper,
    work: paths.work,
    // Removed at the end of its run, also by the daemon that finds it after a crash. What is copied in before lasts.
    volatile: use === 'run' && container.record.hostConfig.AutoRemove === true,
    target: paths.rootfs,
    ...(owners === undefined ? {} : { owners }),
  };
  await mountLimited(container.record, paths, () => engine.snapshotter.mount(request));
  container.rootMounted = true;
  return paths.rootfs;
}

/**
 * Undoes `mountRoot` and removes the run-time folder; nothing to undo is no error. While somebody looks into the root
 * (root-view.ts), it stays mounted, and all else of the folder goes.
 */
export async function unmountRoot(engine: EngineContext, id: string): Promise<void> {
  const paths = containerPaths(engine.settings.dataRoot, engine.settings.execRoot, id);
  rmSync(paths.socket, { force: true });
  await unmountBundle(engine.snapshotter, paths.bundle);
  releaseSharedMemory(paths.bundle);
  engine.userNamespaces.unpin(id);
  const container = engine.containers.find(id);
  if (container !== undefined && container.views.size > 0) {
    // Mounted by a start, whose record of it a restart of the daemon has lost.
    container.rootMounted = true;
    for (const name of readdirSync(paths.bundle)) {
      if (name !== 'rootfs') removeTreeSync(join(paths.bundle, name));
    }
    return;
  }
  if (container !== undefined) container.rootMounted = false;
  await engine.snapshotter.unmount(paths.rootfs);
  removeTreeSync(paths.bundle);
}
