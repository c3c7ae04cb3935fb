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
import { type Digest, digestOf } from '../../image/digest.ts';
import type { LayerCompression } from '../../image/layers/snapshotter.ts';
import {
  DOCKER_CONFIG,
  DOCKER_LAYER,
  DOCKER_MANIFEST,
  OCI_CONFIG,
  OCI_INDEX,
  OCI_LAYER,
  OCI_LAYER_GZIP,
  OCI_LAYER_ZSTD,
  OCI_MANIFEST,
} from '../../image/media-types.ts';
import { formatPlatform } from '../../image/platform.ts';
import { canonicalString, familiarString, parseReference, withDefaultTag } from '../../image/reference.ts';
import type { BuiltImage } from '../solve/solved.ts';
import type { ArchiveBlob } from './files-blobs.ts';

export interface ArchiveImage {
  image: BuiltImage;
  /** Base first. */
  layers: readonly ArchiveBlob[];
}

export interface ArchiveOptions {
  type: 'oci' | 'docker';
  names: readonly string[];
  attributes: Readonly<Record<string, string>>;
  /** `created` of the images: seconds since 1970. */
  epochSeconds: number;
}

type Annotations = Record<string, string>;

const OCI_LAYERS: Readonly<Record<LayerCompression, string>> = {
  none: OCI_LAYER,
  gzip: OCI_LAYER_GZIP,
  zstd: OCI_LAYER_ZSTD,
};
const DOCKER_LAYERS: Readonly<Record<LayerCompression, string>> = {
  none: 'application/vnd.docker.image.rootfs.diff.tar',
  gzip: DOCKER_LAYER,
  zstd: 'application/vnd.docker.image.rootfs.diff.tar.zstd',
};
const CREATED_ANNOTATION = 'org.opencontainers.image.created';

/** Throws InvalidParameter for names that are none, and for several platforms in Docker's form. */
export function imageArchive(images: readonly ArchiveImage[], options: ArchiveOptions): ArchiveFile[] {
  if (options.type === 'docker' && images.length > 1) {
    throw new InvalidParameterError('docker exporter does not currently support exporting manifest lists');
  }
  return new Archive(options).build(images);
}

interface Descriptor {
  mediaType: string;
  digest: Digest;
  size: number;
  platform?: Record<string, string>;
  annotations?: Annotations;
}

class Archive {
  readonly #options: ArchiveOptions;
  readonly #files = new Map<string, ArchiveFile>();
  readonly #isOci: boolean;

  constructor(options: ArchiveOptions) {
    this.#options = options;
    const { attributes, type } = options;
    this.#isOci = (attributes['oci-mediatypes'] ?? String(type === 'oci')) !== 'false';
  }

  build(images: readonly ArchiveImage[]): ArchiveFile[] {
    const references = this.#options.names.map((name) => withDefaultTag(parseReference(name)));
    const manifests = images.map((image) => this.#manifest(image));
    const [first] = manifests;
    const top = manifests.length === 1 && first !== undefined ? first : this.#index(manifests);
    const created = new Date(this.#options.epochSeconds * 1000).toISOString().replace('.000Z', 'Z');
    const entry = (names: Annotations): Descriptor => ({
      ...top,
      annotations: {
        ...this.#annotations('index-descriptor', undefined),
        ...top.annotations,
        ...names,
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
    if (this.#options.type === 'docker') {
      const tags = references.map(familiarString);
      this.#put(MANIFEST_FILE, json(images.map((image) => manifestItem(image, tags))));
    }
    return [...this.#files.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  #manifest({ image, layers }: ArchiveImage): Descriptor {
    const platform = formatPlatform(image.platform);
    const config = this.#blob(this.#isOci ? OCI_CONFIG : DOCKER_CONFIG, image.configBytes);
    const types = this.#isOci ? OCI_LAYERS : DOCKER_LAYERS;
    const annotations = this.#annotations('manifest', platform);
    const manifest = {
      schemaVersion: 2,
      mediaType: this.#isOci ? OCI_MANIFEST : DOCKER_MANIFEST,
      config,
      layers: layers.map((layer) => {
        const { digest, sizeBytes, content, compression } = layer;
        this.#files.set(blobPath(digest), { name: blobPath(digest), sizeBytes, content });
        return { mediaType: types[compression], digest, size: sizeBytes };
      }),
      ...(this.#isOci && Object.keys(annotations).length > 0 ? { annotations } : {}),
    };
    const described = this.#annotations('manifest-descriptor', platform);
    const { os, architecture, variant } = image.platform;
    return {
      ...this.#blob(manifest.mediaType, json(manifest)),
      platform: { architecture, os, ...(variant ? { variant } : {}) },
      ...(Object.keys(described).length > 0 ? { annotations: described } : {}),
    };
  }

  #index(manifests: readonly Descriptor[]): Descriptor {
    const annotations = this.#annotations('index', undefined);
    const index = {
      schemaVersion: 2,
      mediaType: OCI_INDEX,
      manifests,
      ...(Object.keys(annotations).length > 0 ? { annotations } : {}),
    };
    return this.#blob(OCI_INDEX, json(index));
  }

  #blob(mediaType: string, bytes: Buffer): Descriptor {
    const digest = digestOf(bytes);
    this.#put(blobPath(digest), bytes);
    return { mediaType, digest, size: bytes.length };
  }

  #put(name: string, bytes: Buffer): void {
    this.#files.set(name, { name, sizeBytes: bytes.length, content: bytes });
  }

  /** `annotation-<place>[<platform>].<key>=value`; without a place it is the manifest's. Sorted by key. */
  #annotations(place: string, platform: string | undefined): Annotations {
    const found: [string, string][] = [];
    for (const [name, value] of Object.entries(this.#options.attributes)) {
      const parsed = ANNOTATION.exec(name);
      const [, where = 'manifest', which, key = ''] = parsed ?? [];
      if (parsed === null || where !== place) continue;
      if (which === undefined || which === platform) found.push([key, value]);
    }
    return Object.fromEntries(found.sort(([left], [right]) => (left < right ? -1 : 1)));
  }
}

const ANNOTATION =
  /^annotation(?:-(manifest|index|manifest-descriptor|index-descriptor))?(?:\[([^\]]*)\])?\.(.+)$/;

function manifestItem({ image, layers }: ArchiveImage, tags: readonly string[]): Record<string, unknown> {
  return {
    Config: blobPath(digestOf(image.configBytes)),
    RepoTags: tags.length === 0 ? null : tags,
    Layers: layers.map(({ digest }) => blobPath(digest)),
  };
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}
