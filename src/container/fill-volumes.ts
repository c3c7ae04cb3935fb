/** Filling new volumes with what the image has in their places, from the image's own tree: owners as on the disk. */
import type { ContainerMountPoint } from '../volume/mount-points.ts';
import { fillsWhole, fillVolumes } from '../volume/run-mounts.ts';
import { withImageTree } from './changes.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './engine-context.ts';

/** To be called before a new container is stored: where a crash comes before they are filled, its first start does it. */
export function expectFilling({ volumes }: EngineContext, mounts: readonly ContainerMountPoint[]): void {
  for (const { name } of mounts.filter(fillsWhole)) volumes.expectFilling(name);
}

/** Fills those of a new container. */
export async function fillNewVolumes(engine: EngineContext, container: Container): Promise<void> {
  const mounts = container.record.mounts.filter(fillsWhole);
  await fill(engine, container, mounts, `create ${container.id}`);
}

/** Fills those that a crash has kept from it. A container's mounted root may show other owners than the volume is to have. */
export async function fillUnfilledVolumes(engine: EngineContext, container: Container): Promise<void> {
  const mounts = container.record.mounts.filter(
    (mount) => fillsWhole(mount) && engine.volumes.isUnfilled(mount.name),
  );
  await fill(engine, container, mounts, `fill ${container.id}`);
}

async function fill(
  engine: EngineContext,
  container: Container,
  mounts: readonly ContainerMountPoint[],
  user: string,
): Promise<void> {
  if (mounts.length === 0) return;
  await withImageTree(engine, container, (rootfs) => fillVolumes(mounts, engine.volumes, { user, rootfs }));
}
