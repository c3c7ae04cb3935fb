/**
 * `docker commit`: an image of what a container has changed. Its upper directory becomes a layer over the layers that
 * the container was made of; the configuration is the container's, with the request's changes.
 */

import type { ContainerConfig } from '../api/containers.ts';
import { errorMessage, InvalidParameterError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { step, stepSync } from '../base/steps.ts';
import { applyChanges } from '../build/apply-changes.ts';
import { ConfigState } from '../build/solve/config-state.ts';
import { scratchConfig } from '../build/solve/scratch-config.ts';
import type { DiffID } from '../image/digest.ts';
import type { ImageConfig, RunConfig } from '../image/image-config.ts';
import type { CommittedLayer } from '../image/layers/snapshotter.ts';
import { familiarString, parseReference, withDefaultTag } from '../image/reference.ts';
import type { AddLayer, Image } from '../image/store/image-store.ts';
import { emptyBaseMountPoints } from './base-mount-points.ts';
import { withImageTree } from './changes.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './engine-context.ts';
import { containerPaths } from './paths.ts';
import { pauseContainer, unpauseContainer } from './pause.ts';
import { withRoot } from './root-view.ts';
import { requirePausable } from './state.ts';

/** The digest of a tar without entries: such a layer is left out, as by Docker. */
const EMPTY_LAYER = 'sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef';

export interface CommitRequest {
  /** Empty for an image without a name. */
  repository: string;
  tag: string;
  comment: string;
  author: string;
  /** Freeze a running container meanwhile. */
  pause: boolean;
  /** Dockerfile instructions. */
  changes: readonly string[];
  /** In place of the container's configuration. */
  config: ContainerConfig | undefined;
}

/** Throws InvalidParameter for a bad name or change, before anything is made. Returns the image. */
export async function commitContainer(
  engine: EngineContext,
  container: Container,
  request: CommitRequest,
  signal: AbortSignal,
): Promise<Image> {
  const reference = imageName(request);
  const parent = engine.images.tryResolve(container.record.imageId);
  const config = changedConfig(container, request);
  // The container holds its own layers; nothing else holds the new one until the image is stored.
  const hold = engine.images.holdNew();
  try {
    const layer = await step('commit/layer', container.id, () =>
      commitUpper(engine, container, request.pause, { onStored: hold.onStored, signal }),
    );
    const stored = await step('commit/blob', container.id, () => engine.images.keepBlob(layer));
    const image = stepSync('commit/image', container.id, () =>
      addImage(engine, container, { parent, config, layer: stored, request, reference }),
    );
    engine.events.container(container, 'commit', {
      comment: request.comment,
      imageID: image.id,
      imageRef: reference ?? '',
    });
    return image;
  } finally {
    // An image leaves an empty layer out, and one that was refused leaves any: nobody else would take it away.
    await hold.release();
  }
}

function imageName({ repository, tag }: CommitRequest): string | undefined {
  if (repository === '') return undefined;
  const reference = parseReference(tag === '' ? repository : `${repository}:${tag}`);
  if (reference.digest !== undefined) {
    throw new InvalidParameterError('refusing to create a tag with a digest reference');
  }
  return familiarString(withDefaultTag(reference));
}

/** Docker pauses so that the layer shows one moment. */
async function commitUpper(
  engine: EngineContext,
  container: Container,
  pause: boolean,
  { onStored, signal }: { onStored: (diffId: DiffID) => void; signal: AbortSignal },
): Promise<CommittedLayer> {
  const { upper } = containerPaths(engine.settings.dataRoot, engine.settings.execRoot, container.id);
  return await withRoot(engine, container, async (_, removed) => {
    const end = AbortSignal.any([signal, removed]);
    const exclude = await withImageTree(engine, container, async (lower) =>
      emptyBaseMountPoints(upper, lower),
    );
    if (!pause || container.record.state.status !== 'running') {
      return await engine.snapshotter.commit(upper, end, { exclude, onStored });
    }
    await container.mutex.run(() => pauseForCommit(engine, container));
    try {
      return await engine.snapshotter.commit(upper, end, { exclude, onStored });
    } finally {
      resume(engine, container);
    }
  });
}

async function pauseForCommit(engine: EngineContext, container: Container): Promise<void> {
  requirePausable(container.record.state, container.id);
  container.record.pausedForCommit = true;
  stepSync('commit/pause', container.id, () => container.save());
  try {
    await pauseContainer(engine, container);
  } catch (error) {
    delete container.record.pausedForCommit;
    throw error;
  }
}

/** Somebody may have resumed, killed or stopped it meanwhile. */
function resume(engine: EngineContext, container: Container): void {
  // What somebody has resumed and paused again meanwhile stays paused.
  if (container.record.state.status !== 'paused' || container.record.pausedForCommit !== true) {
    delete container.record.pausedForCommit;
    return;
  }
  try {
    unpauseContainer(engine, container);
  } catch (error) {
    log.warn({ container: container.id, error: errorMessage(error) }, 'cannot resume after a commit');
  }
}

function changedConfig(container: Container, request: CommitRequest): RunConfig {
  const state = new ConfigState(undefined);
  state.config = runConfig(container.record.config);
  if (request.config !== undefined) state.config = mergeConfigs(runConfig(request.config), state.config);
  // A CMD that is there stays when ENTRYPOINT changes: it is the user's.
  state.cmdSet = true;
  applyChanges(state, request.changes);
  return state.config;
}

/** Null and empty values are not for an image's configuration. */
function runConfig(config: ContainerConfig): RunConfig {
  const kept = Object.entries(structuredClone(config)).filter(
    ([, value]) => value !== null && value !== undefined,
  );
  return Object.fromEntries(kept) as RunConfig;
}

/** The request's configuration, with the container's where it says nothing; lists of names are joined. */
function mergeConfigs(wanted: RunConfig, own: RunConfig): RunConfig {
  const merged: RunConfig = { ...own };
  for (const [name, value] of Object.entries(wanted)) {
    if (value === '' || (Array.isArray(value) && value.length === 0)) continue;
    merged[name] = value;
  }
  const names = new Set((wanted.Env ?? []).map((entry) => entry.split('=', 1)[0]));
  merged.Env = [
    ...(wanted.Env ?? []),
    ...(own.Env ?? []).filter((entry) => !names.has(entry.split('=', 1)[0])),
  ];
  merged.Labels = { ...own.Labels, ...wanted.Labels };
  merged.ExposedPorts = { ...own.ExposedPorts, ...wanted.ExposedPorts };
  merged.Volumes = { ...own.Volumes, ...wanted.Volumes };
  return merged;
}

function addImage(
  engine: EngineContext,
  container: Container,
  made: {
    parent: Image | undefined;
    config: RunConfig;
    layer: AddLayer;
    request: CommitRequest;
    reference: string | undefined;
  },
): Image {
  const { parent, layer, request, reference } = made;
  const { record } = container;
  const isEmpty = layer.diffId === EMPTY_LAYER;
  const created = new Date().toISOString();
  const base = parent?.config ?? scratchConfig({ os: 'linux', architecture: 'amd64' });
  const optional = (name: string, value: string) => (value === '' ? {} : { [name]: value });
  const { container_config: _, container: __, parent: ___, id: ____, ...inherited } = base;
  const config: ImageConfig = {
    ...(inherited as ImageConfig),
    created,
    ...optional('author', request.author),
    ...optional('comment', request.comment),
    config: made.config,
    rootfs: { type: 'layers', diff_ids: isEmpty ? [...record.layers] : [...record.layers, layer.diffId] },
    history: [
      ...base.history,
      {
        created,
        created_by: (record.config.Cmd ?? []).join(' '),
        ...optional('author', request.author),
        ...optional('comment', request.comment),
        ...(isEmpty ? { empty_layer: true } : {}),
      },
    ],
  };
  return engine.images.add({
    configBytes: Buffer.from(JSON.stringify(config)),
    layers: config.rootfs.diff_ids.map((diffId) => (diffId === layer.diffId ? layer : { diffId })),
    ...(parent === undefined ? {} : { parent: parent.id }),
    ...(reference === undefined ? {} : { references: [reference] }),
  });
}
