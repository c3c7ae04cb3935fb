/**
 * Built images as an OCI layout (image-spec image-layout.md), or as an archive that `docker load` reads of any age: which
 * files it has, sorted, with nothing in them that changes from one time to the next.
 */
import { InvalidParameterError } from '../../base/errors.ts';
import type { ArchiveFile } from '../../image/archive/archive-files.ts';
import {
  blobPath,
  IMAGE_NAME_ANNOTATION,
  INDEX_FILE,
  LAYOUT_FILE,
  MANIFEST_FILE,
  REF_NAME_ANNOTATION,
} from '../../image/archive/archive-layout.ts';
import { digestOf } from '../../image/digest.ts';
import { OCI_INDEX } from '../../image/media-types.ts';
import { canonicalString, familiarString, parseReference, withDefaultTag } from '../../image/reference.ts';
import {
  type Annotations,
  annotationsFor,
  type DocumentDescriptor,
  type DocumentImage,
  type DocumentOptions,
  type ImageDocument,
  indexOf,
  manifestOf,
} from './image-documents.ts';

export interface ArchiveOptions {
  type: 'oci' | 'docker';
  names: readonly string[];
  attributes: Readonly<Record<string, string>>;
  /** `created` of the images: seconds since 1970. */
  epochSeconds: number;
}

const CREATED_ANNOTATION = 'org.opencontainers.image.created';

/** `top`: of the manifest or index over all. Throws InvalidParameter for names that are none, and for several platforms in Docker's form. */
export function imageArchive(
  images: readonly DocumentImage[],
  options: ArchiveOptions,
): { files: ArchiveFile[]; top: DocumentDescriptor } {
  if (options.type === 'docker' && images.length > 1) {
    throw new InvalidParameterError('docker exporter does not currently support exporting manifest lists');
  }
  return new Archive(options).build(images);
}

class Archive {
  readonly #options: ArchiveOptions;
  readonly #documents: DocumentOptions;
  readonly #files = new Map<string, ArchiveFile>();

  constructor(options: ArchiveOptions) {
    this.#options = options;
    const { attributes, type } = options;
    const oci = (attributes['oci-mediatypes'] ?? String(type === 'oci')) !== 'false';
    this.#documents = { oci, attributes };
  }

  build(images: readonly DocumentImage[]): { files: ArchiveFile[]; top: DocumentDescriptor } {
    const { names, type, epochSeconds, attributes } = this.#options;
    const references = names.map((name) => withDefaultTag(parseReference(name)));
    const manifests = images.map((image) => this.#image(image));
    const [first] = manifests;
    const top =
      manifests.length === 1 && first !== undefined
        ? first
        : this.#document(indexOf(manifests, this.#documents));
    const created = new Date(epochSeconds * 1000).toISOString().replace('.000Z', 'Z');
    const entry = (own: Annotations): DocumentDescriptor => ({
      ...top,
      annotations: {
        ...annotationsFor(attributes, 'index-descriptor', undefined),
        ...top.annotations,
        ...own,
        [CREATED_ANNOTATION]: created,
      },
    });
    const named = references.map((reference) =>
      entry({
        [IMAGE_NAME_ANNOTATION]: canonicalString(reference),
        [REF_NAME_ANNOTATION]: reference.tag ?? '',
      }),
    );
    const index = {
      schemaVersion: 2,
      mediaType: OCI_INDEX,
      manifests: named.length === 0 ? [entry({})] : named,
    };
    this.#put(INDEX_FILE, json(index));
    this.#put(LAYOUT_FILE, json({ imageLayoutVersion: '1.0.0' }));
    if (type === 'docker') {
      const tags = references.map(familiarString);
      this.#put(MANIFEST_FILE, json(images.map((image) => manifestItem(image, tags))));
    }
    const files = [...this.#files.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    return { files, top };
  }

  #image({ image, layers }: DocumentImage): DocumentDescriptor {
    this.#put(blobPath(digestOf(image.configBytes)), image.configBytes);
    for (const { digest, sizeBytes, content } of layers) {
      this.#files.set(blobPath(digest), { name: blobPath(digest), sizeBytes, content });
    }
    return this.#document(manifestOf({ image, layers }, this.#documents));
  }

  #document({ descriptor, bytes }: ImageDocument): DocumentDescriptor {
    this.#put(blobPath(descriptor.digest), bytes);
    return descriptor;
  }

  #put(name: string, bytes: Buffer): void {
    this.#files.set(name, { name, sizeBytes: bytes.length, content: bytes });
  }
}

function manifestItem({ image, layers }: DocumentImage, tags: readonly string[]): Record<string, unknown> {
  return {
    Config: blobPath(digestOf(image.configBytes)),
    RepoTags: tags.length === 0 ? null : tags,
    Layers: layers.map(({ digest }) => blobPath(digest)),
  };
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}
