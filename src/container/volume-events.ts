/** `mount` and `unmount` events of the volumes that a container's run uses. */
import type { Container } from './container.ts';
import type { EngineContext } from './engine-context.ts';

export function tellVolumesMounted(engine: EngineContext, container: Container): void {
  container.volumesMounted = true;
  for (const { type, name, destination, readOnly, propagation } of container.record.mounts) {
    if (type !== 'volume') continue;
    engine.events.publish('volume', 'mount', name, {
      container: container.id,
      destination,
      driver: 'local',
      propagation,
      'read/write': String(!readOnly),
    });
  }
}

/** Tells nothing for a run that ended before its mounts were made. */
export function tellVolumesUnmounted(engine: EngineContext, container: Container): void {
  if (!container.volumesMounted) return;
  container.volumesMounted = false;
  for (const { type, name } of container.record.mounts) {
    if (type !== 'volume') continue;
    engine.events.publish('volume', 'unmount', name, { container: container.id, driver: 'local' });
  }
}
