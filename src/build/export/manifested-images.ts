/**
 * Built images that this machine keeps with their manifests, as registries have them: those of several platforms, which
 * one index holds together, and those that the output describes (annotations, compression). The layers' compressed
 * forms are made for it; images of one platform without such wishes do without, until somebody pushes them.
 */
import { InvalidParameterError } from '../../base/errors.ts';
import type { DiffID, Digest } from '../../image/digest.ts';
import type { AddImage, AddLayer, BlobInput, Hold, ImageStore } from '../../image/store/image-store.ts';
import type { LayerTarDeps } from '../../image/store/layer-tar.ts';
import type { BuiltImage } from '../solve/solved.ts';
import type { WorkFolders } from '../source/work-folders.ts';
import {
  type DocumentDescriptor,
  hasAnnotations,
  type ImageDocument,
  indexOf,
  manifestOf,
} from './image-documents.ts';
import { type BlobChoice, type ExportBlob, readBlobChoice, storeBlob } from './layer-blobs.ts';

export interface ManifestedImagesOptions extends LayerTarDeps {
  imageStore: Pick<ImageStore, 'layerBlobs' | 'hold'>;
  work: Pick<WorkFolders, 'create'>;
}

export interface ManifestedImages {
  /** What the image store takes, in the order of the images. */
  images: AddImage[];
  /** Of the index, or of the only manifest. */
  top: DocumentDescriptor;
  /** The blobs may go, where no image has them by now. */
  release(): Promise<void>;
}

type Attributes = Readonly<Record<string, string>>;

const DESCRIBING = ['compression', 'force-compression', 'oci-mediatypes'];

/** Whether images that go out with these attributes need manifests before anybody pushes them. */
export function needsManifests(images: readonly BuiltImage[], attributes: Attributes): boolean {
  return (
    images.length > 1 ||
    hasAnnotations(attributes, ['manifest', 'manifest-descriptor', 'index', 'index-descriptor']) ||
    DESCRIBING.some((name) => (attributes[name] ?? '') !== '')
  );
}

/** Layers of the images are in the store. Throws InvalidParameter for attributes that mean nothing, or not here. */
export async function manifestedImages(
  options: ManifestedImagesOptions,
  images: readonly BuiltImage[],
  attributes: Attributes,
  signal: AbortSignal,
): Promise<ManifestedImages> {
  if (images.length === 1 && hasAnnotations(attributes, ['index', 'index-descriptor'])) {
    throw new InvalidParameterError('index annotations not supported for single platform export');
  }
  const choice = readBlobChoice(attributes);
  const documents = { oci: attributes['oci-mediatypes'] !== 'false', attributes };
  const folder = options.work.create();
  const holds: Hold[] = [];
  const release = async (): Promise<void> => {
    for (const hold of holds.splice(0)) await hold.release();
  };
  try {
    const blobs = new LayerBlobsOnce(options, choice, folder.path, holds, signal);
    const described = [];
    for (const image of images) {
      const layers: ExportBlob[] = [];
      for (const layer of image.layers) layers.push(await blobs.get(layer));
      described.push({ image, layers, manifest: manifestOf({ image, layers }, documents) });
    }
    const manifests = described.map(({ manifest }) => manifest.descriptor);
    const [only] = manifests;
    const index = manifests.length > 1 ? indexOf(manifests, documents) : undefined;
    const top = index?.descriptor ?? only;
    if (top === undefined) throw new InvalidParameterError('the build has no image to export');
    return {
      images: described.map(({ image, layers, manifest }) => ({
        configBytes: image.configBytes,
        manifest: blobInput(manifest),
        ...(index === undefined ? {} : { index: blobInput(index) }),
        layers: image.layers.map(({ diffId }, i) => addLayer(diffId, layers[i], manifest.layerTypes[i])),
      })),
      top,
      release,
    };
  } catch (error) {
    await release();
    throw error;
  } finally {
    await folder.release();
  }
}

/** Platforms share layers. */
class LayerBlobsOnce {
  readonly #options: ManifestedImagesOptions;
  readonly #choice: BlobChoice;
  readonly #directory: string;
  readonly #holds: Hold[];
  readonly #signal: AbortSignal;
  readonly #blobs = new Map<DiffID, ExportBlob>();

  constructor(
    options: ManifestedImagesOptions,
    choice: BlobChoice,
    directory: string,
    holds: Hold[],
    signal: AbortSignal,
  ) {
    this.#options = options;
    this.#choice = choice;
    this.#directory = directory;
    this.#holds = holds;
    this.#signal = signal;
  }

  async get(layer: BuiltImage['layers'][number]): Promise<ExportBlob> {
    const known = this.#blobs.get(layer.diffId);
    if (known !== undefined) return known;
    const onDigest = async (digest: Digest): Promise<void> => {
      this.#holds.push(await this.#options.imageStore.hold({ blobs: [digest] }));
    };
    const io = { signal: this.#signal, onDigest };
    const blob = await storeBlob(this.#options, layer, this.#choice, this.#directory, io);
    this.#blobs.set(layer.diffId, blob);
    return blob;
  }
}

function blobInput({ descriptor: { digest, mediaType }, bytes }: ImageDocument): BlobInput {
  return { digest, mediaType, bytes };
}

function addLayer(diffId: DiffID, blob: ExportBlob | undefined, mediaType: string | undefined): AddLayer {
  if (blob === undefined || mediaType === undefined) return { diffId };
  return { diffId, blobDigest: blob.digest, blobSizeBytes: blob.sizeBytes, mediaType };
}
