/** WORKDIR's layer: the folders that are missing in the parent's root. */
import { InvalidParameterError } from '../../base/errors.ts';
import type { CommittedLayer, Snapshotter } from '../../image/layers/snapshotter.ts';
import { byteString } from '../../image/layers/tar/byte-string.ts';
import type { NewLayers } from '../new-layers.ts';
import { type Owner, resolveOwner } from './copy-owner.ts';
import type { ParentRoot } from './copy-step.ts';
import { Destination } from './destination.ts';
import { TreeFiles } from './tree-files.ts';

export interface WorkdirRequest {
  /** Absolute. */
  path: string;
  /** The stage's USER, who gets what is made; empty is root. */
  user: string;
  /** Time of what is made. Seconds since 1970. */
  epochSeconds: number;
}

export interface WorkdirEnvironment {
  snapshotter: Pick<Snapshotter, 'create'>;
  newLayers: NewLayers;
  signal: AbortSignal;
}

/**
 * Undefined where all is there. Links on the way are followed inside the root. Throws InvalidParameter where something
 * else is in the way.
 */
export async function makeWorkdir(
  request: WorkdirRequest,
  parent: ParentRoot,
  env: WorkdirEnvironment,
): Promise<CommittedLayer | undefined> {
  const root = new TreeFiles({ path: parent.path });
  try {
    const destination = new Destination((path) => root.look(path));
    const path = destination.resolve(byteString(request.path));
    const place = destination.place(path);
    if (place?.isDirectory === true) return undefined;
    const owner = ownerOf(request.user, parent.path);
    destination.makeDirectories(path, { mode: 0o755, uid: 0, ...owner, mtimeSec: request.epochSeconds });
    return await env.snapshotter.create((layer) => destination.write(layer), env.newLayers, env.signal);
  } finally {
    root.close();
  }
}

/** Whom the parent does not know makes the folder root's, as BuildKit has it: USER may name somebody that comes later. */
function ownerOf(user: string, root: string): Owner | undefined {
  try {
    return resolveOwner(user, root);
  } catch (error) {
    if (error instanceof InvalidParameterError) return undefined;
    throw error;
  }
}
