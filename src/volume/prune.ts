/** Removing all volumes that no container has (Engine API, "Delete unused volumes"). */
import type { Volume, VolumePruneResponse } from '../api/volumes.ts';
import { ConflictError, errorMessage } from '../base/errors.ts';
import { log } from '../base/log.ts';
import type { EventBus } from '../events/event-bus.ts';
import { volumeSize } from './volume-size.ts';
import type { VolumeStore } from './volume-store.ts';

export class VolumePruner {
  readonly #store: VolumeStore;
  readonly #events: EventBus;
  #pruning = false;

  constructor(store: VolumeStore, events: EventBus) {
    this.#store = store;
    this.#events = events;
  }

  /**
   * Removes unused volumes that `matches` lets through; one that cannot be removed is logged and stays. Throws Conflict
   * while another prune is under way, and the first reason where nothing could be removed.
   */
  async prune(matches: (volume: Volume) => boolean, signal: AbortSignal): Promise<VolumePruneResponse> {
    if (this.#pruning) throw new ConflictError('a prune operation is already running');
    this.#pruning = true;
    try {
      return await this.#prune(matches, signal);
    } finally {
      this.#pruning = false;
    }
  }

  async #prune(matches: (volume: Volume) => boolean, signal: AbortSignal): Promise<VolumePruneResponse> {
    const report: VolumePruneResponse = { VolumesDeleted: [], SpaceReclaimed: 0 };
    let failure: unknown;
    const unused = (name: string): boolean => this.#store.references(name).length === 0;
    for (const volume of this.#store.list()) {
      if (signal.aborted) break;
      if (!unused(volume.Name) || !matches(volume)) continue;
      try {
        const bytes = await volumeSize(this.#store, volume);
        await this.#store.remove(volume.Name);
        report.VolumesDeleted.push(volume.Name);
        report.SpaceReclaimed += Math.max(0, bytes);
      } catch (error) {
        log.warn({ volume: volume.Name, error: errorMessage(error) }, 'cannot prune a volume');
        if (!(error instanceof ConflictError)) failure ??= error;
      }
    }
    if (report.VolumesDeleted.length === 0 && failure !== undefined) throw failure;
    this.#events.publish('volume', 'prune', '', { reclaimed: String(report.SpaceReclaimed) });
    return report;
  }
}
