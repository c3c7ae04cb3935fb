/** What the volume routes need of the engine. Errors are EngineErrors with Docker's texts. */
import type { Volume, VolumeCreateRequest, VolumePruneResponse } from '../../../api/volumes.ts';

export interface VolumesBackend {
  create(request: VolumeCreateRequest): Volume;
  /** With its status. */
  get(name: string): Volume;
  list(): Volume[];
  /** IDs of the containers that have it among their mounts. */
  references(name: string): string[];
  remove(name: string, force: boolean): Promise<void>;
  /** Removes those without a container that `matches` lets through; ends early when the client has gone. */
  prune(matches: (volume: Volume) => boolean, signal: AbortSignal): Promise<VolumePruneResponse>;
}
