/** A container's root filesystem: its layers and its own upper directory, mounted while it runs or is looked into. */
import { mkdirSync, rmSync } from 'node:fs';
import type { Container } from './container.ts';
import type { EngineContext } from './engine-context.ts';
import { containerPaths } from './paths.ts';

/** Mounts the root at `<bundle>/rootfs`. Idempotent only after `unmountRoot`. */
export async function mountRoot(engine: EngineContext, container: Container): Promise<string> {
  const paths = containerPaths(engine.settings.dataRoot, engine.settings.execRoot, container.id);
  mkdirSync(paths.rootfs, { recursive: true, mode: 0o700 });
  mkdirSync(paths.upper, { recursive: true, mode: 0o755 });
  mkdirSync(paths.work, { recursive: true, mode: 0o700 });
  await engine.snapshotter.mount({
    layers: container.record.layers,
    upper: paths.upper,
    work: paths.work,
    target: paths.rootfs,
  });
  return paths.rootfs;
}

/** Undoes `mountRoot` and removes the run-time folder; nothing to undo is no error. */
export async function unmountRoot(engine: EngineContext, id: string): Promise<void> {
  const paths = containerPaths(engine.settings.dataRoot, engine.settings.execRoot, id);
  await engine.snapshotter.unmount(paths.rootfs);
  rmSync(paths.bundle, { recursive: true, force: true });
  rmSync(paths.socket, { force: true });
}
