/**
 * The images of this machine: which there are, what they are called, which layers and blobs they need. Everything
 * is in SQLite and changes in one transaction; layers and blobs are made before and removed after it, so that a crash
 * leaves garbage at worst, which `sweep` collects. Removal rules stand in image-removal.ts.
 */

import type { CheckRun } from '../../base/check.ts';
import { type Database, transaction } from '../../base/database.ts';
import { ConflictError, InternalError, InvalidParameterError, NotFoundError } from '../../base/errors.ts';
import { step, stepSync } from '../../base/steps.ts';
import type { EventBus } from '../../events/event-bus.ts';
import { type DiffID, type Digest, digestOf, type ImageID, parseImageID } from '../digest.ts';
import { chainIds, configPlatform, type ImageConfig, parseImageConfig } from '../image-config.ts';
import type { CommittedLayer, Snapshotter } from '../layers/snapshotter.ts';
import { MAX_MANIFEST_BYTES } from '../manifest.ts';
import { OCI_LAYER_GZIP } from '../media-types.ts';
import { imageMatchesPlatform, type Platform, platformRank } from '../platform.ts';
import { familiarString, parseReference, type Reference, repositoryName } from '../reference.ts';
import type { ContentStore } from './content-store.ts';
import { checkImages, type ImagesChecked } from './image-check.ts';
import { type Hold, type HoldRequest, ImageHolds, type NewLayersHold } from './image-holds.ts';
import { familiarNameRow, ImageList, type ListedImage } from './image-list.ts';
import { digestTarget, IMAGE_ID, missingName, nameKey, tagTarget } from './image-names.ts';
import { type PruneOptions, type PruneResult, pruneImages } from './image-prune.ts';
import { ImageRemover, type Removal, type RemovedItem, type RemoveOptions } from './image-removal.ts';
import { type ImageRow, ImageTables, type LayerBlob, type NameRow } from './image-tables.ts';
import { restoreLayers } from './layer-restore.ts';

export type { Hold, HoldRequest, NewLayersHold } from './image-holds.ts';
export { familiarNameRow, type ListedImage } from './image-list.ts';
export { nameKey } from './image-names.ts';
export type { PruneOptions, PruneResult } from './image-prune.ts';
export type { ImageUser, Removal, RemovedItem, RemoveOptions } from './image-removal.ts';
export { IMAGE_MIGRATIONS } from './image-schema.ts';
export type { LayerBlob } from './image-tables.ts';

export interface Image extends ListedImage {
  config: ImageConfig;
  /** The configuration as it came: its digest is the ID. */
  configBytes: Buffer;
  /** Base first. */
  diffIds: DiffID[];
}

export interface BlobInput {
  bytes: Buffer;
  mediaType: string;
  digest: Digest;
}

export interface AddLayer {
  diffId: DiffID;
  /** The compressed form, where there is one; kept in the content store as long as an image has it. */
  blobDigest?: Digest;
  blobSizeBytes?: number;
  mediaType?: string;
  /** False where nobody has seen this blob unpack to this layer. Default true. */
  verified?: boolean;
}

export interface AddImage {
  configBytes: Buffer;
  manifest?: BlobInput;
  /** The index that led to the manifest. */
  index?: BlobInput;
  /** Base first, in the order of the configuration's diff_ids. */
  layers: readonly AddLayer[];
  parent?: ImageID;
  /** Tags to set, in any form that a user may type. */
  references?: readonly string[];
  /** `name@sha256:…` in any such form. */
  repoDigest?: string;
}

/** Of images looked up last: a small part of what a data root may hold, and more than what starts at a time. */
const MAX_PARSED_CONFIGS = 128;
const ID_PREFIX = /^(?:sha256:)?([0-9a-f]{1,64})$/;

export class ImageStore {
  readonly #db: Database;
  readonly #events: EventBus | undefined;
  readonly #content: ContentStore;
  readonly #snapshotter: Snapshotter;
  readonly #tables: ImageTables;
  readonly #holds: ImageHolds;
  readonly #remover: ImageRemover;
  readonly #list: ImageList;
  readonly #configs = new Map<ImageID, ImageConfig>();
  #pruning = false;
  #layerUsers: () => Iterable<DiffID> = () => [];

  constructor(options: {
    database: Database;
    contentStore: ContentStore;
    snapshotter: Snapshotter;
    /** Hears of tags and removals. */
    events?: EventBus;
  }) {
    this.#db = options.database;
    this.#events = options.events;
    this.#content = options.contentStore;
    this.#snapshotter = options.snapshotter;
    this.#tables = new ImageTables(options.database);
    this.#list = new ImageList(this.#tables);
    this.#holds = new ImageHolds({
      tables: this.#tables,
      contentStore: options.contentStore,
      snapshotter: options.snapshotter,
      layersInUse: () => this.#layerUsers(),
    });
    this.#remover = new ImageRemover({ database: this.#db, tables: this.#tables, holds: this.#holds });
  }

  /**
   * Tells which layers containers and builds need even when no image has them any more. Without it, removing an
   * image by force takes the layers from its stopped containers. Call `collectLayers` when a user of layers is gone.
   */
  setLayerUsers(users: () => Iterable<DiffID>): void {
    this.#layerUsers = users;
  }

  /**
   * Finds an image by `name[:tag][@digest]`, full ID or unambiguous ID prefix. Throws NotFound with Docker's text, and
   * InvalidParameter for a malformed name or an ambiguous prefix.
   */
  resolve(nameOrId: string): Image {
    const id = this.#find(nameOrId);
    const image = id === undefined ? undefined : this.get(id);
    if (image === undefined) throw new NotFoundError(`No such image: ${missingName(nameOrId)}`);
    return image;
  }

  /** The same, with undefined in place of NotFound. */
  tryResolve(nameOrId: string): Image | undefined {
    const id = this.#find(nameOrId);
    return id === undefined ? undefined : this.get(id);
  }

  /** The image that a name means now, without reading what it is; undefined also where the name can be none's. */
  tryFind(nameOrId: string): ImageID | undefined {
    try {
      return this.#find(nameOrId);
    } catch (error) {
      if (error instanceof InvalidParameterError) return undefined;
      throw error;
    }
  }

  #find(nameOrId: string): ImageID | undefined {
    const full = IMAGE_ID.exec(nameOrId)?.[1];
    if (full !== undefined) return this.#tables.idsWithPrefix(full)[0];
    const prefix = ID_PREFIX.exec(nameOrId)?.[1];
    let name: NameRow | undefined;
    try {
      name = nameKey(parseReference(nameOrId));
    } catch (error) {
      if (prefix === undefined) throw error;
    }
    const named = name === undefined ? undefined : this.#byName(name);
    if (named !== undefined || prefix === undefined) return named;
    const [first, second] = this.#tables.idsWithPrefix(prefix);
    if (second !== undefined) {
      throw new InvalidParameterError(`image ID prefix "${nameOrId}" is ambiguous: give more digits`);
    }
    return first;
  }

  /** A digest may also be that of a manifest in an index that a tag of the repository stands for. */
  #byName(name: NameRow): ImageID | undefined {
    const named = this.#tables.byName(name);
    if (named !== undefined || name.digest === undefined) return named;
    return this.#tables.byTaggedIndex(name.repository, name.digest);
  }

  /** By full ID. */
  get(id: ImageID): Image | undefined {
    const row = this.#tables.image(id);
    return row === undefined ? undefined : this.#toImage(row);
  }

  has(id: ImageID): boolean {
    return this.#tables.image(id) !== undefined;
  }

  /** All images, newest first. */
  list(): ListedImage[] {
    return this.#list.all();
  }

  count(): number {
    return this.#tables.imageCount();
  }

  /** Every image's layers, base first. */
  layersByImage(): Map<ImageID, DiffID[]> {
    return this.#tables.layersByImage();
  }

  #toImage(row: ImageRow): Image {
    const config = this.#config(row);
    const names = this.#tables.names(row.id);
    return {
      id: row.id,
      config,
      configBytes: row.config,
      diffIds: config.rootfs.diff_ids,
      repoTags: names.filter(({ tag }) => tag !== undefined).map(familiarNameRow),
      repoDigests: names.filter(({ digest }) => digest !== undefined).map(familiarNameRow),
      sizeBytes: row.sizeBytes,
      createdAt: row.createdAt,
      lastTaggedAt: row.lastTaggedAt,
      labels: config.config.Labels,
      architecture: config.architecture,
      os: config.os,
      variant: config.variant ?? '',
      ...(row.parent === undefined ? {} : { parent: row.parent }),
    };
  }

  /** Configurations never change under their ID, so those in use are parsed once. */
  #config(row: ImageRow): ImageConfig {
    const config = this.#configs.get(row.id) ?? parseImageConfig(row.config);
    this.#configs.delete(row.id);
    this.#configs.set(row.id, config);
    for (const id of this.#configs.keys()) {
      if (this.#configs.size <= MAX_PARSED_CONFIGS) break;
      this.#configs.delete(id);
    }
    return config;
  }

  /**
   * Gives an image a tag, which moves where another image has it. Throws InvalidParameter with Docker's texts, and
   * NotFound for an unknown image.
   */
  tag(imageId: ImageID, reference: string): void {
    const target = tagTarget(reference);
    const store = (): void => {
      if (this.#tables.image(imageId) === undefined) throw new NotFoundError(`No such image: ${imageId}`);
      this.#setTag(target, imageId);
    };
    stepSync('tag/record', imageId, () => transaction(this.#db, store));
    this.tell('tag', imageId, familiarString(target), this.get(imageId));
  }

  /** Publishes an event of an image, whose labels it bears where the image is given. */
  tell(action: string, id: string, name: string, image?: Image): void {
    this.#publish(action, id, name, image?.config);
  }

  #publish(action: string, id: string, name: string, config?: ImageConfig): void {
    this.#events?.publish('image', action, id, { ...(config?.config.Labels ?? {}), name });
  }

  #setTag(target: Reference, id: ImageID): void {
    this.#tables.setTag(repositoryName(target), target.tag ?? '', id);
    this.#tables.setLastTagged(id, new Date().toISOString());
  }

  /**
   * Stores an image whose layers are in the snapshotter already, or adds names and blobs to one that is here. All of
   * it in one transaction. Throws InvalidParameter where the layers are not those of the configuration, and Internal
   * where one of them is missing.
   */
  add(input: AddImage): Image {
    const id = parseImageID(digestOf(input.configBytes));
    const config = parseImageConfig(input.configBytes);
    this.#checkLayers(input, config);
    const references = (input.references ?? []).map(tagTarget);
    const repoDigest = input.repoDigest === undefined ? undefined : digestTarget(input.repoDigest);
    // Before the transaction: a blob without an image is swept later, an image without its blob would be damaged.
    for (const blob of [input.manifest, input.index]) {
      if (blob !== undefined) stepSync('image/blob', id, () => this.#content.put(blob.bytes));
    }
    const store = (): void => {
      if (this.#tables.image(id) === undefined) this.#insert(id, config, input);
      else if (input.manifest !== undefined) this.#setManifest(id, input.manifest, input.index);
      this.#addBlobs(id, input);
      for (const reference of references) this.#setTag(reference, id);
      if (repoDigest !== undefined) this.#tables.setDigest(repoDigest.repository, repoDigest.digest, id);
    };
    stepSync('image/record', id, () => transaction(this.#db, store));
    const image = this.get(id);
    if (image === undefined) throw new InternalError(`image ${id} is missing right after it was stored`);
    return image;
  }

  #checkLayers(input: AddImage, config: ImageConfig): void {
    const diffIds = config.rootfs.diff_ids;
    if (
      diffIds.length !== input.layers.length ||
      diffIds.some((diffId, i) => input.layers[i]?.diffId !== diffId)
    ) {
      throw new InvalidParameterError("layers from manifest don't match image configuration");
    }
    const missing = diffIds.find(
      (d) => this.#snapshotter.layer(d) === undefined || this.#holds.isRemoving(d),
    );
    if (missing !== undefined)
      throw new InternalError(`layer ${missing} is not in the ${this.#snapshotter.driver} store`);
  }

  #insert(id: ImageID, config: ImageConfig, input: AddImage): void {
    const diffIds = config.rootfs.diff_ids;
    this.#tables.insertImage({
      id,
      config: input.configBytes,
      // It may have been removed while its child was made.
      parent: input.parent !== undefined && this.has(input.parent) ? input.parent : undefined,
      sizeBytes: diffIds.reduce((sum, diffId) => sum + (this.#snapshotter.layer(diffId)?.sizeBytes ?? 0), 0),
      createdAt: config.created ?? '',
      lastTaggedAt: new Date().toISOString(),
      manifest: input.manifest,
      index: input.index?.digest,
    });
    for (const [position, chainId] of chainIds(diffIds).entries()) {
      const diffId = diffIds[position];
      if (diffId !== undefined) this.#tables.insertLayer(id, position, diffId, chainId);
    }
  }

  /** A manifest that comes without an index, as one pulled by digest does, leaves the index that is known to name it. */
  #setManifest(id: ImageID, manifest: BlobInput, index: BlobInput | undefined): void {
    const before = this.#tables.image(id)?.manifest?.digest;
    this.#tables.setManifest(id, manifest);
    if (index !== undefined || before !== manifest.digest) this.#tables.setIndex(id, index?.digest);
  }

  #addBlobs(id: ImageID, input: AddImage): void {
    for (const blob of [input.manifest, input.index])
      if (blob !== undefined) this.#tables.addBlob(id, blob.digest);
    for (const { diffId, blobDigest, blobSizeBytes, mediaType, verified } of input.layers) {
      if (blobDigest === undefined) continue;
      const stored = this.#content.size(blobDigest);
      const sizeBytes = blobSizeBytes ?? stored;
      if (sizeBytes === undefined) continue;
      if (stored !== undefined) this.#tables.addBlob(id, blobDigest);
      this.#tables.addLayerBlob(diffId, {
        digest: blobDigest,
        sizeBytes,
        mediaType: mediaType ?? OCI_LAYER_GZIP,
        verified: verified ?? true,
      });
    }
  }

  /** The compressed forms that a layer is known by, verified ones first. They need not be in the content store. */
  layerBlobs(diffId: DiffID): LayerBlob[] {
    return this.#tables.layerBlobs(diffId);
  }

  /** Registers a verified compressed form that is in the content store; all images that have the layer keep it. */
  keepLayerBlob(diffId: DiffID, blob: Omit<LayerBlob, 'verified'>): void {
    stepSync('image/layer-blob', diffId, () =>
      transaction(this.#db, () => this.#tables.keepLayerBlob(diffId, { ...blob, verified: true })),
    );
  }

  /** The manifest that the image came with, or was first pushed with; undefined for other images made here. */
  manifest(id: ImageID): BlobInput | undefined {
    const manifest = this.#tables.image(id)?.manifest;
    if (manifest === undefined || !this.#content.has(manifest.digest)) return undefined;
    return { ...manifest, bytes: this.#content.read(manifest.digest, MAX_MANIFEST_BYTES) };
  }

  /** The index that led to the image's manifest; undefined where a name stood for the manifest itself. */
  index(id: ImageID): { digest: Digest; bytes: Buffer } | undefined {
    const digest = this.#tables.image(id)?.index;
    if (digest === undefined || !this.#content.has(digest)) return undefined;
    return { digest, bytes: this.#content.read(digest, MAX_MANIFEST_BYTES) };
  }

  /**
   * The image, where it is for the platform, else the one here that its index has for it. The best one where several
   * are.
   */
  forPlatform(image: Image, platform: Platform): Image | undefined {
    if (imageMatchesPlatform(platform, configPlatform(image.config))) return image;
    const index = this.#tables.image(image.id)?.index;
    if (index === undefined) return undefined;
    return this.#tables
      .ofIndex(index)
      .flatMap((id) => this.get(id) ?? [])
      .map((one) => ({ one, rank: platformRank(platform, configPlatform(one.config)) }))
      .filter(({ rank }) => rank !== undefined)
      .sort((a, b) => (a.rank ?? 0) - (b.rank ?? 0))[0]?.one;
  }

  /** Whether a tag stands for an index that has the image. */
  isOfTaggedIndex(id: ImageID): boolean {
    return this.#tables.isOfTaggedIndex(id);
  }

  /** Blobs in the content store that the image keeps: manifest, index, compressed layers. */
  blobsOf(id: ImageID): Digest[] {
    return this.#tables.blobsOf(id);
  }

  /** The image here whose manifest has this digest. */
  byManifest(digest: Digest): Image | undefined {
    const id = this.#tables.byManifest(digest);
    return id === undefined ? undefined : this.get(id);
  }

  /** The tags of a repository by its full name, in order. */
  tagsOf(repository: string): { tag: string; id: ImageID }[] {
    return this.#tables.tagsOf(repository);
  }

  /** Whether an image here has a tag or digest in a repository, by its full name. */
  hasRepository(repository: string): boolean {
    return this.#tables.hasRepository(repository);
  }

  /** Full names of repositories that hold a blob as far as is known here: its images were pulled from or pushed to them. */
  repositoriesOfBlob(digest: Digest): string[] {
    return this.#tables.repositoriesOfBlob(digest);
  }

  /** The image that `repository@digest` names here, for a repository's full name. */
  byRepoDigest(repository: string, digest: Digest): ImageID | undefined {
    return this.#tables.byName({ repository, digest });
  }

  children(id: ImageID): ImageID[] {
    return this.#tables.children(id);
  }

  /** Number of images that hold a layer. */
  layerReferences(diffId: DiffID): number {
    return this.#tables.layerReferences(diffId);
  }

  /** Removes a name, and the image with its last one, by Docker's rules: see image-removal.ts. */
  async remove(nameOrId: string, options: RemoveOptions): Promise<RemovedItem[]> {
    return (await this.removal(nameOrId, options)).items;
  }

  /** The same, and tells what went. */
  async removal(nameOrId: string, options: RemoveOptions): Promise<Removal> {
    const image = this.resolve(nameOrId);
    const removal = await this.#remover.remove(image.id, nameOrId, options);
    const gone = new Map<string, ImageRow>(removal.images.map((row) => [row.id, row]));
    for (const { Untagged, Deleted = '' } of removal.items) {
      if (Untagged !== undefined) this.#publish('untag', image.id, image.id, image.config);
      const row = gone.get(Deleted);
      // What else is deleted is layers, of which there are no events.
      if (row !== undefined) this.#publish('delete', row.id, row.id, parseImageConfig(row.config));
    }
    for (const { id } of removal.images) {
      this.#configs.delete(id);
      this.#list.forget(id);
    }
    return removal;
  }

  /** Removes the images that nothing needs: see image-prune.ts. Throws Conflict while another prune runs. */
  async prune(options: PruneOptions): Promise<PruneResult> {
    if (this.#pruning) throw new ConflictError('a prune operation is already running');
    this.#pruning = true;
    try {
      const result = await pruneImages(this, options);
      // What earlier removals could not: whoever asks for room may have made it possible.
      result.freedBytes += await this.#holds.collect([], []);
      this.#events?.publish('image', 'prune', '', { reclaimed: String(result.freedBytes) });
      return result;
    } finally {
      this.#pruning = false;
    }
  }

  /**
   * Moves a new layer's blob, where it has one, into the content store, which it leaves with the layer; the result is
   * what `add` takes.
   */
  async keepBlob(layer: CommittedLayer): Promise<AddLayer> {
    const { diffId, blob } = layer;
    if (blob === undefined) return { diffId };
    await step('image/ingest', diffId, () =>
      this.#content.ingestFile(blob.path, blob.digest, { verified: true }),
    );
    const known = { sizeBytes: blob.sizeBytes, mediaType: OCI_LAYER_GZIP };
    this.#tables.addLayerBlob(diffId, { digest: blob.digest, ...known, verified: true });
    return { diffId, blobDigest: blob.digest, blobSizeBytes: blob.sizeBytes, mediaType: OCI_LAYER_GZIP };
  }

  /** Keeps layers and blobs from being collected until the hold is released: for pulls, loads and builds. */
  async hold(request: HoldRequest): Promise<Hold> {
    return await this.#holds.hold(request);
  }

  /** Keeps layers from the moment on when they are made: see image-holds.ts. */
  holdNew(): NewLayersHold {
    return this.#holds.holdNew();
  }

  /** Removes those of the given layers that no image, container or hold needs. */
  async collectLayers(layers: Iterable<DiffID>): Promise<void> {
    await this.#holds.collect(layers, []);
  }

  /** Verifies records, layers and blobs against each other: see check/image-check.ts. */
  async check(run: CheckRun): Promise<ImagesChecked> {
    await this.#holds.collect([], []);
    const options = {
      tables: this.#tables,
      content: this.#content,
      snapshotter: this.#snapshotter,
      isHeld: (key: DiffID | Digest) => this.#holds.isHeld(key),
      layersInUse: () => this.#layerUsers(),
      forget: ({ id }: ImageRow) => transaction(this.#db, () => this.#tables.deleteImage(id)),
    };
    return await checkImages(options, run);
  }

  /**
   * Removes what crashes and abandoned pulls left, and unpacks layers again that the snapshotter lost. Call it at the
   * start, after the snapshotter's `sweep` and once `setLayerUsers` is set; later calls do no harm.
   */
  async sweep(): Promise<void> {
    await this.#holds.sweep();
    await restoreLayers(this.#tables, this.#content, this.#snapshotter, this.#layerUsers());
  }
}
