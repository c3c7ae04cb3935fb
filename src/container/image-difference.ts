/**
 * `mydock image diff`: what two images, two containers, or one of each do not have in common. A container's tree is
 * that of its layers and its upper directory, without its volumes, as it is at this moment; it may run on.
 */
import type { DifferenceSide, ImageDifference } from '../api/image-difference.ts';
import { InvalidParameterError, NotFoundError } from '../base/errors.ts';
import type { ComparedConfig } from '../image/difference/compare-config.ts';
import { compareConfigs } from '../image/difference/compare-config.ts';
import type { TreeDifference } from '../image/difference/compare-trees.ts';
import type { MountedTreeOptions } from '../image/difference/mounted-tree.ts';
import { compareMountedTrees, type TreeComparisonOptions } from '../image/difference/tree-comparison.ts';
import type { DiffID, ImageID } from '../image/digest.ts';
import type { RunConfig } from '../image/image-config.ts';
import type { Image } from '../image/store/image-store.ts';
import { emptyBaseMountPoints } from './base-mount-points.ts';
import { withLayers } from './changes.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './engine-context.ts';
import { containerPaths } from './paths.ts';
import { withRoot } from './root-view.ts';

export interface DifferenceRequest {
  /** An image, a container, or `container:NAME`. */
  from: string;
  /** Empty: `from` is a container, and its own image is what it is compared with. */
  to: string;
  /** What is compared, and how. */
  options: TreeComparisonOptions & { config: boolean };
  signal: AbortSignal;
}

interface Side {
  shown: DifferenceSide;
  layers: readonly DiffID[];
  /** Undefined where a container's image is gone. */
  config: ComparedConfig | undefined;
  container: Container | undefined;
}

const CONTAINER_PREFIX = 'container:';

/** Throws NotFound for what is neither image nor container, InvalidParameter for one image alone. */
export async function imageDifference(
  engine: EngineContext,
  request: DifferenceRequest,
): Promise<ImageDifference> {
  const { from, to } = sides(engine, request);
  const head = { From: from.shown, To: to.shown };
  if (from.container === to.container && from.shown.ImageID === to.shown.ImageID)
    return { ...head, Identical: true, Equal: true, Notes: [] };
  const { options, signal } = request;
  const hold = await engine.images.hold({ layers: [...from.layers, ...to.layers] });
  try {
    const trees = await treeDifference(engine, from, to, options, signal);
    return summarize(head, trees, options.config ? configDifference(from, to) : undefined);
  } finally {
    await hold.release();
  }
}

function summarize(
  head: Pick<ImageDifference, 'From' | 'To'>,
  trees: TreeDifference,
  config: { changes: ImageDifference['Config']; note?: string } | undefined,
): ImageDifference {
  const { packages, files, notes } = trees;
  const isSame =
    (packages?.Changes.length ?? 0) === 0 &&
    (files === undefined || files.Added + files.Removed + files.Changed === 0) &&
    (config?.changes?.length ?? 0) === 0;
  const all = config?.note === undefined ? notes : [...notes, config.note];
  return {
    ...head,
    Identical: false,
    // What could not be compared may be different.
    Equal: isSame && all.length === 0,
    ...(packages === undefined ? {} : { Packages: packages }),
    ...(files === undefined ? {} : { Files: files }),
    ...(config?.changes === undefined ? {} : { Config: config.changes }),
    Notes: all,
  };
}

function configDifference(from: Side, to: Side): { changes: ImageDifference['Config']; note?: string } {
  if (from.config === undefined || to.config === undefined)
    return { changes: [], note: 'The configuration is not compared: the image of the container is gone' };
  return { changes: compareConfigs(from.config, to.config) };
}

function sides(engine: EngineContext, { from, to }: DifferenceRequest): { from: Side; to: Side } {
  const first = findSide(engine, from);
  if (to !== '') return { from: first, to: findSide(engine, to) };
  if (first.container === undefined)
    throw new InvalidParameterError(`image ${from} has nothing to be compared with: name a second image`);
  const { imageId, layers, image: name } = first.container.record;
  const image = imageOf(engine, imageId);
  const own: Side =
    image === undefined
      ? {
          shown: { Kind: 'image', Name: imageId, ImageID: imageId, Created: '' },
          layers,
          config: undefined,
          container: undefined,
        }
      : imageSide(image, isNameOf(engine, name, image) ? name : (image.repoTags[0] ?? imageId));
  return { from: own, to: first };
}

/** Whether the name that a container was made by still means its image. */
function isNameOf(engine: EngineContext, name: string, image: Image): boolean {
  try {
    return engine.images.tryResolve(name)?.id === image.id;
  } catch {
    // An ID prefix that more images have by now.
    return false;
  }
}

function findSide(engine: EngineContext, name: string): Side {
  if (name.startsWith(CONTAINER_PREFIX))
    return containerSide(engine, engine.containers.get(name.slice(CONTAINER_PREFIX.length)), name);
  let refused: unknown;
  try {
    const image = engine.images.tryResolve(name);
    if (image !== undefined) return imageSide(image, name);
  } catch (error) {
    // A container may have a name that no image can have.
    refused = error;
  }
  try {
    return containerSide(engine, engine.containers.get(name), name);
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error;
    throw refused ?? new NotFoundError(`No such image or container: ${name}`);
  }
}

function imageSide(image: Image, name: string): Side {
  const { id, config, architecture, os, variant } = image;
  return {
    shown: { Kind: 'image', Name: name, ImageID: id, Created: image.createdAt },
    layers: image.diffIds,
    config: { config: config.config, architecture, os, variant },
    container: undefined,
  };
}

function containerSide(engine: EngineContext, container: Container, name: string): Side {
  const { record } = container;
  const image = imageOf(engine, record.imageId);
  return {
    shown: {
      Kind: 'container',
      Name: name,
      ImageID: record.imageId,
      ContainerID: container.id,
      Created: record.createdAt,
    },
    layers: record.layers,
    config:
      image === undefined
        ? undefined
        : {
            config: withoutNulls(record.config),
            architecture: image.architecture,
            os: image.os,
            variant: image.variant,
          },
    container,
  };
}

function imageOf(engine: EngineContext, id: ImageID): Image | undefined {
  return engine.images.tryResolve(id);
}

function withoutNulls(config: object): RunConfig {
  return Object.fromEntries(Object.entries(config).filter(([, value]) => value !== null));
}

async function treeDifference(
  engine: EngineContext,
  from: Side,
  to: Side,
  options: DifferenceRequest['options'],
  signal: AbortSignal,
): Promise<TreeDifference> {
  const sameLayers =
    from.layers.length === to.layers.length && from.layers.every((id, i) => id === to.layers[i]);
  const { packages, files } = options;
  if ((!packages && !files) || (sameLayers && from.container === undefined && to.container === undefined))
    return noDifference(packages, files);
  return await withTree(engine, from, signal, async (left, first) =>
    withTree(engine, to, first, async (right, second) => compareMountedTrees(left, right, options, second)),
  );
}

function noDifference(packages: boolean, files: boolean): TreeDifference {
  const none = { Added: 0, Removed: 0, Changed: 0, TimesOnly: 0, SizeChange: 0, Cut: false };
  return {
    ...(packages ? { packages: { Changes: [], Counts: [] } } : {}),
    ...(files ? { files: { Changes: [], ...none, Directories: [] } } : {}),
    notes: [],
  };
}

/** Mounts one side; the signal that `use` gets also fires when its container is removed. */
async function withTree<T>(
  engine: EngineContext,
  side: Side,
  signal: AbortSignal,
  use: (tree: MountedTreeOptions, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { container, layers } = side;
  if (container === undefined)
    return await withLayers(engine, layers, (root) =>
      use({ root, identity: identity(engine, layers) }, signal),
    );
  const { dataRoot, execRoot } = engine.settings;
  const { upper } = containerPaths(dataRoot, execRoot, container.id);
  return await withRoot(engine, container, async (root, removed) => {
    const hidden = await withLayers(engine, layers, async (lower) => emptyBaseMountPoints(upper, lower));
    const mapping = container.record.userNamespace;
    const tree = {
      root,
      upper,
      hidden,
      identity: identity(engine, layers),
      ...(mapping === undefined ? {} : { mapping: { uids: mapping.uids, gids: mapping.gids } }),
    };
    return await use(tree, AbortSignal.any([signal, removed]));
  });
}

/** Unpacked layers all lie on one file system, so that an inode names a file of a layer, whatever is mounted of it. */
function identity({ snapshotter }: EngineContext, layers: readonly DiffID[]): MountedTreeOptions['identity'] {
  return snapshotter.contentIndex?.(layers) ?? (snapshotter.driver === 'overlay' ? 'inode' : 'none');
}
