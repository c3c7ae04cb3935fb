/**
 * `--cache-from` and `--cache-to` of builds: judges what is asked for, opens caches for a build's steps, and brings a
 * build's steps to where they are wanted.
 */
import { errorMessage, InvalidParameterError, NotFoundError } from '../../base/errors.ts';
import { parseDigest } from '../../image/digest.ts';
import type { Snapshotter } from '../../image/layers/snapshotter.ts';
import { LayerTransfers } from '../../image/pull/layer-transfers.ts';
import { canonicalString, parseReference, withDefaultTag } from '../../image/reference.ts';
import type { ClientCredentials } from '../../image/registry/endpoints.ts';
import { type RegistryOptions, resolveRegistryOptions } from '../../image/registry/options.ts';
import { Transport } from '../../image/registry/transport.ts';
import type { ImageStore } from '../../image/store/image-store.ts';
import type { LayerTarDeps } from '../../image/store/layer-tar.ts';
import type { BuildIo } from '../builder.ts';
import type { ClientStore } from '../session.ts';
import { credentialsFor } from '../solve/base-images.ts';
import type { BuiltLayer, SolvedBuild } from '../solve/solved.ts';
import type { CacheSpec, SolveRequest } from '../solve-request.ts';
import type { WorkFolders } from '../source/work-folders.ts';
import { CacheFolder } from './cache-folder.ts';
import {
  type CacheMountFolders,
  packCacheMounts,
  readMountBytes,
  unpackCacheMount,
} from './cache-mount-transfer.ts';
import type { CacheRegistry } from './cache-repository.ts';
import { type CacheExport, exportCache, readExportForm } from './export-cache.ts';
import { exportToRegistry } from './export-registry.ts';
import { ImportCache, type OpenedCache } from './import-cache.ts';
import { imageCache, openLocalCache } from './import-local.ts';
import { openRegistryCache } from './import-registry.ts';
import { exportToStore, openStoredCache } from './stored-cache.ts';

/** Besides these `session`, which no user writes: BuildKit's way of `local`. */
const IMPORT_TYPES = ['registry', 'inline', 'local'];
const EXPORT_TYPES = ['registry', 'inline', 'local'];

export interface BuildCachesOptions extends LayerTarDeps {
  imageStore: ImageStore;
  snapshotter: Snapshotter;
  registry: RegistryOptions;
  work: Pick<WorkFolders, 'create'>;
  cacheMounts: CacheMountFolders;
}

type Auth = SolveRequest['auth'];
/** Whom a build may ask, and about what. */
interface Asking {
  auth: Auth;
  session: BuildIo['session'] | undefined;
  requireImage: SolveRequest['requireImage'] | undefined;
}

export class BuildCaches {
  readonly #options: BuildCachesOptions;
  readonly #registry: CacheRegistry;
  readonly #transfers: LayerTransfers;

  constructor(options: BuildCachesOptions) {
    this.#options = options;
    const registry = resolveRegistryOptions(options.registry);
    this.#registry = { options: registry, transport: new Transport(registry) };
    this.#transfers = new LayerTransfers({ ...options, registry });
  }

  /** Throws InvalidParameter for what cannot be, before anything is built. */
  check({ cacheFrom, cacheTo }: Pick<SolveRequest, 'cacheFrom' | 'cacheTo'>): void {
    for (const spec of cacheFrom) {
      requireType(spec, IMPORT_TYPES, 'cache-from');
      readMountBytes(spec.attributes);
      if (!isFolder(spec)) referenceOf(spec, 'cache-from');
    }
    for (const spec of cacheTo) {
      requireType(spec, EXPORT_TYPES, 'cache-to');
      readExportForm(spec.attributes);
      if (spec.type === 'registry') referenceOf(spec, 'cache-to');
      if (spec.type === 'local') new CacheFolder(spec.attributes, 'dest').close();
    }
  }

  /** They are read from now on, and are to be released. `signal`: as long as the build goes on. */
  open(
    { cacheFrom, auth, requireImage }: Pick<SolveRequest, 'cacheFrom' | 'auth' | 'requireImage'>,
    { progress, session, signal }: Pick<BuildIo, 'progress' | 'session' | 'signal'>,
  ): ImportCache[] {
    return cacheFrom.map((spec) => {
      const { imageStore: images, snapshotter } = this.#options;
      const name = isFolder(spec) ? spec.attributes['src'] : referenceOf(spec, 'cache-from');
      const maxBytes = readMountBytes(spec.attributes);
      const unpack = async (layer: BuiltLayer, directory: string, unpackSignal: AbortSignal) =>
        await unpackCacheMount(this.#options, layer, { directory, maxBytes, signal: unpackSignal });
      const vertex = progress.vertex(`importing cache manifest from ${name}`);
      const open = async (openSignal: AbortSignal): Promise<OpenedCache> => {
        if (spec.type === 'local') return openLocalCache(this.#options, spec.attributes);
        if (spec.type === 'session') {
          const digest = parseDigest(spec.attributes['digest'] ?? '');
          return await openStoredCache(this.#options, storeOf(spec, session), digest, openSignal);
        }
        return await this.#openNamed(spec, { auth, session, requireImage }, openSignal);
      };
      return new ImportCache({ images, snapshotter, open, unpack, vertex, signal });
    });
  }

  /** An image of this machine under that name is asked first: its layers are here. */
  async #openNamed(
    spec: CacheSpec,
    { auth, session, requireImage }: Asking,
    signal: AbortSignal,
  ): Promise<OpenedCache> {
    const ref = spec.attributes['ref'] ?? '';
    requireImage?.(ref);
    const image = this.#options.imageStore.tryResolve(ref);
    const here = image === undefined ? undefined : imageCache(image);
    if (here !== undefined) return here;
    const credentials = await credentialsOf(ref, session, auth);
    const deps = { registry: this.#registry, transfers: this.#transfers };
    try {
      return await openRegistryCache(deps, ref, credentials, signal);
    } catch (error) {
      if (image === undefined) throw error;
      throw new NotFoundError(
        `the image ${ref} of this machine tells nothing of its build, and its registry has no cache: ${errorMessage(error)}`,
        error,
      );
    }
  }

  /** Brings the steps of a build to all places that its request named. Returns what the client is to be told of them. */
  async export(solved: SolvedBuild, io: BuildIo, auth: Auth): Promise<Record<string, string>> {
    const told: Record<string, string> = {};
    for (const spec of solved.cacheTo) {
      // Those of an image are in its configuration.
      if (spec.type === 'inline' || solved.images.length === 0) continue;
      io.signal.throwIfAborted();
      const vertex = io.progress.vertex(
        `exporting cache to ${isFolder(spec) ? 'client directory' : spec.type}`,
      );
      try {
        await io.progress.during(vertex, async () => {
          Object.assign(told, await this.#exportTo(spec, solved, io, auth, vertex));
        });
      } catch (error) {
        io.signal.throwIfAborted();
        if (spec.attributes['ignore-error'] !== 'true') throw error;
        vertex.warn({ rule: '', message: `the cache was not exported: ${errorMessage(error)}` });
      }
    }
    return told;
  }

  async #exportTo(
    spec: CacheSpec,
    { images, trail, cacheMounts }: SolvedBuild,
    { session, signal }: BuildIo,
    auth: Auth,
    vertex: CacheExport['vertex'],
  ): Promise<Record<string, string>> {
    const { type, attributes } = spec;
    const form = readExportForm(attributes);
    const { imageStore, snapshotter } = this.#options;
    const packing = { folders: this.#options.cacheMounts, images: imageStore, snapshotter, vertex, signal };
    const packed = await packCacheMounts(
      { ...packing, maxBytes: form.mountBytes },
      form.cacheMounts ? cacheMounts : [],
    );
    try {
      const job: CacheExport = {
        images,
        trail,
        mounts: packed.trail,
        form,
        deps: this.#options,
        vertex,
        signal,
      };
      if (type === 'local') await exportToFolder(attributes, job);
      else if (type === 'session') return await exportToStore(storeOf(spec, session), job);
      else await this.#exportToRegistry(attributes, job, session, auth);
      return {};
    } finally {
      await packed.release();
    }
  }

  async #exportToRegistry(
    attributes: CacheSpec['attributes'],
    job: CacheExport,
    session: BuildIo['session'],
    auth: Auth,
  ): Promise<void> {
    const name = attributes['ref'] ?? '';
    const credentials = await credentialsOf(name, session, auth);
    const target = { registry: this.#registry, images: this.#options.imageStore, name, credentials };
    await exportToRegistry(target, job);
  }
}

function isFolder({ type }: CacheSpec): boolean {
  return type === 'local' || type === 'session';
}

function storeOf({ attributes }: CacheSpec, session: BuildIo['session']): ClientStore {
  if (session !== undefined) return session.store(attributes['store'] ?? '');
  throw new InvalidParameterError(
    'a cache of type local needs a session of the client that serves its folder',
  );
}

async function exportToFolder(attributes: CacheSpec['attributes'], job: CacheExport): Promise<void> {
  const folder = new CacheFolder(attributes, 'dest');
  try {
    await exportCache(job, {
      earlier: new Map(),
      has: (blob) => Promise.resolve(folder.has(blob)),
      putFile: (digest, _, path) => folder.putFile(digest, path, job.signal),
      putBytes: (digest, bytes) => folder.putBytes(digest, bytes),
      publish: (manifest) => folder.publish(manifest, attributes['tag'] || undefined),
    });
  } finally {
    folder.close();
  }
}

async function credentialsOf(
  name: string,
  session: BuildIo['session'],
  auth: Auth,
): Promise<ClientCredentials> {
  const own = await credentialsFor(name, session, auth);
  return { ...(own === undefined ? {} : { auth: own }), authConfigs: auth };
}

function requireType({ type }: CacheSpec, known: readonly string[], flag: string): void {
  if (known.includes(type) || type === 'session') return;
  throw new InvalidParameterError(
    `invalid cache type "${type}" of ${flag}: expected ${known.slice(0, -1).join(', ')} or ${known.at(-1)}`,
  );
}

/** As BuildKit shows it. */
function referenceOf({ type, attributes }: CacheSpec, flag: string): string {
  const ref = attributes['ref'] ?? '';
  if (ref === '') throw new InvalidParameterError(`a cache of type ${type} needs ref=NAME (${flag})`);
  return canonicalString(withDefaultTag(parseReference(ref)));
}
