/**
 * Images in OCI layouts that a build's client serves (`oci-layout://…` as a named context): resolved by their digest and
 * brought here layer by layer, each once a build and held until the build is over. They get no names, and are no images
 * of this machine. All that the client says of them is checked against the digest that the build was ordered with.
 */
import { InternalError, InvalidParameterError } from '../../base/errors.ts';
import type { DiffID, Digest } from '../../image/digest.ts';
import { configPlatform } from '../../image/image-config.ts';
import { formatPlatform, type Platform } from '../../image/platform.ts';
import { type ResolvedImage, resolveImage } from '../../image/pull/image-resolver.ts';
import type { Hold } from '../../image/store/image-store.ts';
import { bringBlob } from '../bring-blob.ts';
import { ClientDocuments } from '../client-documents.ts';
import { now, type Progress, type ProgressVertex } from '../progress.ts';
import { releaseAll } from '../release-all.ts';
import type { BuildSession, ClientStore } from '../session.ts';
import type { BuildParts } from '../solve/build-parts.ts';
import type { BuiltImage, BuiltLayer } from '../solve/solved.ts';
import type { ContextSpec } from '../solve-request.ts';

export type LayoutSpec = Extract<ContextSpec, { kind: 'oci-layout' }>;

export interface ClientLayoutsOptions {
  parts: {
    images: Pick<BuildParts['images'], 'hold'>;
    contentStore: BuildParts['contentStore'];
    snapshotter: Pick<BuildParts['snapshotter'], 'layer' | 'add'>;
  };
  session: BuildSession | undefined;
  progress: Progress;
  signal: AbortSignal;
}

export class ClientLayouts {
  readonly #options: ClientLayoutsOptions;
  readonly #images = new Map<string, Promise<BuiltImage>>();
  readonly #holds: Hold[] = [];
  readonly #brought: DiffID[] = [];

  constructor(options: ClientLayoutsOptions) {
    this.#options = options;
  }

  /**
   * `name`: of the context; `platform` undefined: what fits this machine. Throws InvalidParameter for what is no image,
   * or not what it says, and NotFound where the layout has none for the platform.
   */
  get(name: string, spec: LayoutSpec, platform: Platform | undefined): Promise<BuiltImage> {
    const key = `${platform === undefined ? '' : formatPlatform(platform)} ${spec.digest} ${spec.store}`;
    const known = this.#images.get(key);
    if (known !== undefined) return known;
    const vertex = this.#options.progress.vertex(
      `[context ${name}] OCI load from client${platform === undefined ? '' : ` for ${formatPlatform(platform)}`}`,
    );
    const image = this.#options.progress.during(vertex, () => this.#open(name, spec, platform, vertex));
    image.catch(() => {});
    this.#images.set(key, image);
    return image;
  }

  /** What the layout's digest stands for; nothing of its layers is brought. */
  async resolve(name: string, spec: LayoutSpec, platform: Platform | undefined): Promise<ResolvedImage> {
    const { signal } = this.#options;
    const client = new ClientDocuments(this.#store(name, spec));
    const top = await client.manifest(spec.digest, signal);
    return await resolveImage({ client, top, platform, name: `${name} (oci-layout)`, signal });
  }

  #store(name: string, { store }: LayoutSpec): ClientStore {
    const { session } = this.#options;
    if (session !== undefined) return session.store(store);
    throw new InvalidParameterError(
      `cannot load build context ${name}: the build has no session that could serve an OCI layout`,
    );
  }

  async #open(
    name: string,
    spec: LayoutSpec,
    platform: Platform | undefined,
    vertex: ProgressVertex,
  ): Promise<BuiltImage> {
    const { images } = this.#options.parts;
    const { manifest, config, configBytes } = await this.resolve(name, spec, platform);
    const diffIds = config.rootfs.diff_ids;
    this.#holds.push(
      await images.hold({ layers: diffIds, blobs: manifest.layers.map(({ digest }) => digest) }),
    );
    const layers: BuiltLayer[] = [];
    for (const [i, descriptor] of manifest.layers.entries()) {
      const diffId = diffIds[i];
      if (diffId === undefined) throw new InternalError(`layer ${i} of ${spec.digest} has no diffID`);
      layers.push(await this.#layer(this.#store(name, spec), diffId, descriptor, vertex));
    }
    return { platform: configPlatform(config), config, configBytes, layers };
  }

  /** One that is here already is not asked for. */
  async #layer(
    store: ClientStore,
    diffId: DiffID,
    { digest, sizeBytes, mediaType }: { digest: Digest; sizeBytes: number; mediaType: string },
    vertex: ProgressVertex,
  ): Promise<BuiltLayer> {
    const { parts, signal } = this.#options;
    const { contentStore, snapshotter } = parts;
    const here = snapshotter.layer(diffId);
    if (here !== undefined) return { diffId, sizeBytes: here.sizeBytes };
    const started = now();
    vertex.amount(digest, 0, sizeBytes, false, started);
    await bringBlob(contentStore, { digest, sizeBytes }, store.read({ digest, sizeBytes }, signal), signal);
    await snapshotter.add({ blobPath: contentStore.path(digest), compression: 'detect', diffId }, signal);
    this.#brought.push(diffId);
    vertex.amount(digest, sizeBytes, sizeBytes, true, started);
    const { sizeBytes: unpacked = 0 } = snapshotter.layer(diffId) ?? {};
    return { diffId, sizeBytes: unpacked, blobDigest: digest, blobSizeBytes: sizeBytes, mediaType };
  }

  /** The build is over: what nothing else has come to need goes. */
  async release(): Promise<void> {
    await Promise.allSettled(this.#images.values());
    await releaseAll(this.#holds.splice(0).map((hold) => () => hold.release(this.#brought)));
  }
}
