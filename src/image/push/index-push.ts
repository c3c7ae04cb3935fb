/**
 * Pushes the index that an image came with, so that its digest and its other platforms stay. Every manifest that it
 * names must get into the repository: it is there, it is here with all its blobs, or the registry can take it over from
 * the repository that the image came from. Which of these is found out for all before anything is brought.
 */
import { log } from '../../base/log.ts';
import type { Digest } from '../digest.ts';
import { JsonReader } from '../json.ts';
import { type Descriptor, type ImageIndex, parseManifest } from '../manifest.ts';
import { parseReference } from '../reference.ts';
import type { FetchedManifest } from '../registry/client.ts';
import { RegistryError } from '../registry/errors.ts';
import type { Image } from '../store/image-store.ts';
import { keptManifest, type PushManifest } from './image-manifest.ts';
import { ContentMissingError, isElsewhere, type RepositoryPush } from './repository-push.ts';

const MAX_INDEX_DEPTH = 4;
const MAX_MANIFESTS = 128;

/** How one manifest gets there. Those of an index stand before it. */
type Step =
  | { kind: 'local'; image: Image; manifest: PushManifest }
  | { kind: 'mount'; manifest: FetchedManifest; blobs: Descriptor[]; source: string }
  | { kind: 'index'; manifest: FetchedManifest };

/** An index, as it is stored under a tag or digest. */
export type PushIndex = FetchedManifest;

export class IndexPush {
  readonly #push: RepositoryPush;
  /** Repositories of the same registry that may have the manifests. */
  readonly #sources: readonly string[];
  readonly #planned = new Set<Digest>();

  /** `placed` is the digest of the manifest whose blobs are there already. */
  constructor(push: RepositoryPush, image: Image, placed: Digest) {
    this.#push = push;
    this.#planned.add(placed);
    const { domain, path } = push.options.repository;
    const origins = image.repoDigests.map((name) => parseReference(name));
    this.#sources = origins
      .filter((origin) => origin.domain === domain && origin.path !== path)
      .map((origin) => origin.path);
  }

  /** Brings all that the index names; false, with little or nothing done, where that cannot be. */
  async place(index: PushIndex): Promise<boolean> {
    try {
      const steps = await this.#plan(index, 1);
      // What only the registry can take over may still fail: it comes first.
      const order = { mount: 0, local: 1, index: 2 };
      for (const step of steps.sort((a, b) => order[a.kind] - order[b.kind])) await this.#take(step);
      return true;
    } catch (error) {
      if (!(error instanceof ContentMissingError)) throw error;
      log.debug({ index: index.digest, reason: error.message }, 'the index cannot be pushed whole');
      return false;
    }
  }

  /** What is to be done for the manifests below an index. Throws ContentMissing. */
  async #plan(index: PushIndex, depth: number): Promise<Step[]> {
    const parsed = parseWhole(index);
    if (parsed === undefined || depth > MAX_INDEX_DEPTH) throw new ContentMissingError(index.digest);
    const steps: Step[] = [];
    for (const entry of parsed.manifests) {
      if (this.#planned.has(entry.digest)) continue;
      this.#planned.add(entry.digest);
      if (this.#planned.size > MAX_MANIFESTS) throw new ContentMissingError(index.digest);
      steps.push(...(await this.#planEntry(entry, depth)));
    }
    return steps;
  }

  async #planEntry({ digest }: Descriptor, depth: number): Promise<Step[]> {
    const { client, imageStore, signal } = this.#push.options;
    if ((await client.manifestDigest(digest, signal)) === digest) return [];
    const image = imageStore.byManifest(digest);
    const kept = image === undefined ? undefined : keptManifest(imageStore, image);
    if (image !== undefined && kept?.blob.digest === digest) {
      await this.#push.hold(image);
      return [{ kind: 'local', image, manifest: kept }];
    }
    for (const source of this.#sources) {
      const manifest = await this.#fetch(source, digest);
      if (manifest === undefined) continue;
      const parsed = parseManifest(manifest.bytes, manifest.mediaType);
      if (parsed.kind === 'image') {
        return [{ kind: 'mount', manifest, blobs: [parsed.config, ...parsed.layers], source }];
      }
      return [...(await this.#plan(manifest, depth + 1)), { kind: 'index', manifest }];
    }
    throw new ContentMissingError(digest);
  }

  /** From another repository, which the user may have no right to read. */
  async #fetch(source: string, digest: Digest): Promise<FetchedManifest | undefined> {
    const { client, signal } = this.#push.options;
    try {
      return await client.sibling(source).manifest(digest, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof RegistryError) || error.status >= 500) throw error;
      return undefined;
    }
  }

  async #take(step: Step): Promise<void> {
    const { client, signal } = this.#push.options;
    if (step.kind === 'local') {
      await this.#push.placeExactly(step.image, step.manifest);
      await client.putManifest(step.manifest.blob.digest, step.manifest.blob, signal);
      return;
    }
    if (step.kind === 'mount') {
      for (const blob of step.blobs) {
        if (isElsewhere(blob)) continue;
        const how = await this.#push.takeOver(blob, [step.source]);
        if (how === undefined) throw new ContentMissingError(blob.digest);
      }
    }
    await client.putManifest(step.manifest.digest, step.manifest, signal);
  }
}

/** Undefined where an entry cannot be understood, and so cannot be brought. */
function parseWhole({ bytes, mediaType }: PushIndex): ImageIndex | undefined {
  const parsed = parseManifest(bytes, mediaType);
  if (parsed.kind !== 'index') return undefined;
  const entries = JsonReader.parse(bytes, 'image index').array('manifests')?.length ?? 0;
  return entries === parsed.manifests.length ? parsed : undefined;
}
