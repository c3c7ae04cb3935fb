/**
 * What a registry has under a name, without pulling it: the descriptor and the platforms (Engine API, "Distribution"),
 * and the manifests themselves. Mirrors count here as they do for pulls. Nothing is stored.
 */
import type { OCIDescriptor, OCIPlatform } from '../../api/images.ts';
import {
  EngineError,
  ForbiddenError,
  InternalError,
  InvalidParameterError,
  NotFoundError,
  UnauthorizedError,
  UnavailableError,
} from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import { JsonReader } from '../json.ts';
import { type Descriptor, type ImageManifest, MAX_CONFIG_BYTES, parseManifest } from '../manifest.ts';
import { familiarString, parseReference, type Reference, withDefaultTag } from '../reference.ts';
import { type FetchedManifest, RepositoryClient } from './client.ts';
import { type ClientCredentials, endpointAuth, mayFallBack, pullEndpoints } from './endpoints.ts';
import { RegistryError, TransportError } from './errors.ts';
import { type RegistryOptions, type ResolvedRegistryOptions, resolveRegistryOptions } from './options.ts';
import { Transport } from './transport.ts';

/** Manifests of one index that are fetched for their details. */
const MAX_MANIFESTS = 128;

export interface RemoteRequest extends ClientCredentials {
  /** As the user typed it; `latest` is added where it has neither tag nor digest. */
  reference: string;
  /** The registry may use plain HTTP or unknown certificates for this request. Default false. */
  insecure?: boolean;
  signal: AbortSignal;
}

export interface RemoteManifest {
  /** With the platform that the index names, or else the configuration. */
  descriptor: OCIDescriptor;
  bytes: Buffer;
}

export interface RemoteManifests {
  /** What the name stands for: a manifest, or an index. */
  top: RemoteManifest;
  /** The index's manifests where details were asked for; undefined for a single manifest. */
  children: RemoteManifest[] | undefined;
}

export class RemoteImages {
  readonly #registry: ResolvedRegistryOptions;
  readonly #transport: Transport;

  constructor(options: RegistryOptions) {
    this.#registry = resolveRegistryOptions(options);
    this.#transport = new Transport(this.#registry);
  }

  /** Throws NotFound, Unauthorized, Forbidden, InvalidParameter, Unavailable or Internal. */
  async describe(request: RemoteRequest): Promise<{ Descriptor: OCIDescriptor; Platforms: OCIPlatform[] }> {
    return await this.#ask(request, async (client, reference) => {
      const { fetched, manifest } = await fetchTop(client, reference, request.signal);
      const descriptor = descriptorOf(fetched, manifest.mediaType);
      if (manifest.kind === 'index') {
        const entries = JsonReader.parse(fetched.bytes, 'image index').objects('manifests') ?? [];
        const platforms = entries.map((entry) => readPlatform(entry.object('platform')));
        return { Descriptor: descriptor, Platforms: platforms.filter((one) => one !== undefined) };
      }
      const platform = await configPlatform(client, manifest, request.signal);
      return { Descriptor: descriptor, Platforms: platform === undefined ? [] : [platform] };
    });
  }

  /** The bytes as the registry has them, checked against their digests. With `details` everything one level down. */
  async manifests(request: RemoteRequest & { details: boolean }): Promise<RemoteManifests> {
    const { details, signal } = request;
    return await this.#ask(request, async (client, reference) => {
      const { fetched, manifest } = await fetchTop(client, reference, signal);
      const top = { descriptor: descriptorOf(fetched, manifest.mediaType), bytes: fetched.bytes };
      if (!details) return { top, children: undefined };
      if (manifest.kind === 'image') {
        return { top: await withConfigPlatform(client, top, manifest, signal), children: undefined };
      }
      if (manifest.manifests.length > MAX_MANIFESTS) {
        throw new InvalidParameterError(
          `image index ${fetched.digest} has ${manifest.manifests.length} manifests, more than the ${MAX_MANIFESTS} that are looked at`,
        );
      }
      const entries = JsonReader.parse(fetched.bytes, 'image index').objects('manifests') ?? [];
      const children: RemoteManifest[] = [];
      for (const [i, entry] of manifest.manifests.entries()) {
        children.push(await fetchChild(client, entry, readPlatform(entries[i]?.object('platform')), signal));
      }
      return { top, children };
    });
  }

  async #ask<T>(
    request: RemoteRequest,
    work: (client: RepositoryClient, reference: Reference) => Promise<T>,
  ): Promise<T> {
    const reference = withDefaultTag(parseReference(request.reference));
    const { domain, path } = reference;
    const { mirrors, insecureRegistries } = this.#registry;
    const insecure = request.insecure ? [...insecureRegistries, domain] : insecureRegistries;
    let failure: unknown = new InternalError(`no endpoints found for ${familiarString(reference)}`);
    for (const endpoint of await pullEndpoints(domain, { mirrors, insecureRegistries: insecure })) {
      const client = new RepositoryClient({
        endpoint,
        path,
        auth: endpointAuth(endpoint, domain, request),
        transport: this.#transport,
        registry: this.#registry,
      });
      try {
        return await work(client, reference);
      } catch (error) {
        request.signal.throwIfAborted();
        failure = error;
        if (!mayFallBack(error, endpoint, client.reached)) break;
        log.debug({ endpoint: endpoint.baseUrl, error: String(error) }, 'trying the next endpoint');
      }
    }
    throw queryError(failure);
  }
}

async function fetchTop(client: RepositoryClient, reference: Reference, signal: AbortSignal) {
  const fetched = await client.manifest(reference.digest ?? reference.tag ?? '', signal);
  return { fetched, manifest: parseManifest(fetched.bytes, fetched.mediaType, familiarString(reference)) };
}

async function fetchChild(
  client: RepositoryClient,
  entry: Descriptor,
  platform: OCIPlatform | undefined,
  signal: AbortSignal,
): Promise<RemoteManifest> {
  const fetched = await client.manifest(entry.digest, signal);
  const manifest = parseManifest(fetched.bytes, fetched.mediaType || entry.mediaType);
  const child = { descriptor: descriptorOf(fetched, manifest.mediaType), bytes: fetched.bytes };
  if (platform !== undefined) return { bytes: fetched.bytes, descriptor: { ...child.descriptor, platform } };
  return manifest.kind === 'image' ? await withConfigPlatform(client, child, manifest, signal) : child;
}

async function withConfigPlatform(
  client: RepositoryClient,
  { bytes, descriptor }: RemoteManifest,
  manifest: ImageManifest,
  signal: AbortSignal,
): Promise<RemoteManifest> {
  const platform = await configPlatform(client, manifest, signal);
  return { bytes, descriptor: { ...descriptor, ...(platform === undefined ? {} : { platform }) } };
}

/** What the configuration says; undefined for what is not an image. */
async function configPlatform(
  client: RepositoryClient,
  { config }: ImageManifest,
  signal: AbortSignal,
): Promise<OCIPlatform | undefined> {
  const bytes = await client.smallBlob(config.digest, config.sizeBytes, MAX_CONFIG_BYTES, signal);
  try {
    return readPlatform(JsonReader.parse(bytes, 'image config'));
  } catch (error) {
    // Manifests of other artifacts have configurations of any form.
    if (error instanceof InvalidParameterError) return undefined;
    throw error;
  }
}

function descriptorOf({ digest, bytes }: FetchedManifest, mediaType: string): OCIDescriptor {
  return { mediaType, digest, size: bytes.length };
}

/** Fields in the order of the image-spec; undefined where neither system nor architecture is named. */
function readPlatform(json: JsonReader | undefined): OCIPlatform | undefined {
  const architecture = json?.string('architecture') ?? '';
  const os = json?.string('os') ?? '';
  if (json === undefined || (architecture === '' && os === '')) return undefined;
  const version = json.string('os.version');
  const features = json.strings('os.features');
  const variant = json.string('variant');
  return {
    architecture,
    os,
    ...(version ? { 'os.version': version } : {}),
    ...(features?.length ? { 'os.features': features } : {}),
    ...(variant ? { variant } : {}),
  };
}

function queryError(error: unknown): unknown {
  if (error instanceof EngineError) return error;
  if (error instanceof TransportError) return new UnavailableError(error.message);
  if (!(error instanceof RegistryError)) return error;
  const { status, message } = error;
  if (status === 401) return new UnauthorizedError(message, error);
  if (status === 403) return new ForbiddenError(message, error);
  if (status === 404) return new NotFoundError(message, error);
  if (status === 429 || status >= 500) return new UnavailableError(message, error);
  return new InternalError(message, error);
}
