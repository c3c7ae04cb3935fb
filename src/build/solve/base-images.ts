/**
 * The images that a build names: found here or pulled, once each, and held until the build is over. What is pulled is
 * shown on the vertex of the step that wants it first.
 */

import type { JSONMessage } from '../../api/images.ts';
import { NotFoundError } from '../../base/errors.ts';
import { step } from '../../base/steps.ts';
import { formatPlatform, hostPlatform, imageMatchesPlatform, type Platform } from '../../image/platform.ts';
import { canonicalString, parseReference, repositoryName, withDefaultTag } from '../../image/reference.ts';
import type { RegistryAuth } from '../../image/registry/credentials.ts';
import type { Hold, Image } from '../../image/store/image-store.ts';
import type { BuildLock } from '../lock/build-lock.ts';
import { now, type Progress, type ProgressVertex } from '../progress.ts';
import { releaseAll } from '../release-all.ts';
import type { BuildSession } from '../session.ts';
import type { SolveRequest } from '../solve-request.ts';
import type { BuildParts } from './build-parts.ts';
import type { BuildMaterial } from './solved.ts';

/** The credentials of Docker Hub have one of these keys in X-Registry-Config, and the first in sessions. */
const HUB_KEYS = ['https://index.docker.io/v1/', 'index.docker.io', 'docker.io'];

export interface BaseImagesOptions {
  parts: Pick<BuildParts, 'images' | 'puller' | 'snapshotter'>;
  request: Pick<SolveRequest, 'pull' | 'auth' | 'requireImage'>;
  session: BuildSession | undefined;
  progress: Progress;
  signal: AbortSignal;
  lock: Pick<BuildLock, 'pin'>;
}

export class BaseImages {
  readonly #options: BaseImagesOptions;
  readonly #images = new Map<string, Promise<Image>>();
  readonly #holds: Hold[] = [];
  readonly #materials = new Map<string, BuildMaterial>();

  constructor(options: BaseImagesOptions) {
    this.#options = options;
  }

  get materials(): readonly BuildMaterial[] {
    return [...this.#materials.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /**
   * `platform` undefined: any that this machine has under the name, else what fits it. Throws what the pull does, and
   * what `requireImage` refuses.
   */
  get(
    name: string,
    platform: Platform | undefined,
    onPull?: (message: JSONMessage<unknown>) => void,
  ): Promise<Image> {
    const key = `${platform === undefined ? '' : formatPlatform(platform)} ${name}`;
    const known = this.#images.get(key);
    if (known !== undefined) return known;
    const image = step('build/base-image', name, () => this.#resolve(name, platform, onPull));
    this.#images.set(key, image);
    image.catch(() => {});
    return image;
  }

  async #resolve(
    name: string,
    platform: Platform | undefined,
    onPull: ((message: JSONMessage<unknown>) => void) | undefined,
  ): Promise<Image> {
    const { request, parts, progress } = this.#options;
    request.requireImage?.(name);
    const locked = this.#locked(name, platform);
    const pinned = locked?.reference ?? name;
    // A lock file is the client's, and may say whatever a FROM may.
    if (locked !== undefined) request.requireImage?.(pinned);
    const here = request.pull && locked?.local !== true ? undefined : parts.images.tryResolve(pinned);
    if (here === undefined && locked?.local === true) {
      throw new NotFoundError(
        `Dockerfile.lock line ${locked.line}: ${name} is locked to the image ${pinned}, which is not here: make it again, or remove the line to lock the name anew`,
      );
    }
    const fitting =
      here === undefined || platform === undefined ? here : parts.images.forPlatform(here, platform);
    const vertex = progress.vertex(
      `[internal] load metadata for ${displayName(locked?.local === true ? name : pinned)}`,
    );
    // One that is here is held before anything else can be done to it.
    const held = fitting === undefined ? undefined : this.#hold(fitting);
    const image = await progress.during(vertex, async () => {
      await held;
      return fitting ?? (await this.#pullAndHold(() => this.#pull(pinned, platform, vertex, onPull)));
    });
    this.#remember(name, image, platform, locked?.local === false ? locked.pin : undefined);
    return image;
  }

  /** Whether its layers are here, to stay. */
  async #hold({ diffIds }: Image): Promise<boolean> {
    const { images, snapshotter } = this.#options.parts;
    this.#holds.push(await images.hold({ layers: diffIds }));
    return diffIds.every((diffId) => snapshotter.layer(diffId) !== undefined);
  }

  /** An image that somebody removes right after it was pulled is pulled once more. */
  async #pullAndHold(pull: () => Promise<Image>): Promise<Image> {
    const image = await pull();
    if (await this.#hold(image)) return image;
    const again = await pull();
    await this.#hold(again);
    return again;
  }

  /** What a lock file has in place of a name: an ID, or the name with its digest. */
  #locked(name: string, platform: Platform | undefined) {
    const text = platform === undefined ? undefined : formatPlatform(platform);
    const entry = this.#options.lock.pin(['image', 'local'], name, text);
    if (entry === undefined) return undefined;
    const { kind, pin, line } = entry;
    const local = kind === 'local';
    return { reference: local ? pin : `${name}@${pin}`, local, pin, line };
  }

  async #pull(
    name: string,
    platform: Platform | undefined,
    vertex: ProgressVertex,
    onPull: ((message: JSONMessage<unknown>) => void) | undefined,
  ): Promise<Image> {
    const { request, parts, session, signal } = this.#options;
    const started = now();
    const auth = await credentialsFor(name, session, request.auth);
    return await parts.puller.pull({
      reference: name,
      ...(platform === undefined ? {} : { platform: formatPlatform(platform) }),
      // What the name stands for here stays what this machine runs.
      tag: platform === undefined || imageMatchesPlatform(hostPlatform(), platform),
      ...(auth === undefined ? {} : { auth }),
      authConfigs: request.auth,
      onProgress: (message) => {
        onPull?.(message);
        showAmount(vertex, message, started);
      },
      signal,
    });
  }

  #remember(name: string, image: Image, platform: Platform | undefined, pinned?: string): void {
    const digest = pinned ?? this.#digestIn(image, name);
    if (digest === undefined) {
      // A digest or an ID says by itself what it stands for.
      const isName = !name.includes('@') && !image.id.includes(name);
      if (isName) this.#materials.set(`${name} `, { kind: 'local', name, pin: image.id });
      return;
    }
    const material: BuildMaterial = {
      kind: 'image',
      name,
      pin: digest,
      ...(platform === undefined ? {} : { platform: formatPlatform(platform) }),
    };
    this.#materials.set(`${name} ${material.platform ?? ''}`, material);
  }

  /** The digest by which the registry of `name` knows the image, that of an index first; undefined for one made here. */
  #digestIn(image: Image, name: string): string | undefined {
    const [repository] = displayName(name).split(/[:@](?!.*\/)/, 1);
    const digests = image.repoDigests
      .map((one) => parseReference(one))
      .flatMap((one) => (repositoryName(one) === repository ? (one.digest ?? []) : []));
    const index = this.#options.parts.images.index(image.id)?.digest;
    return digests.find((digest) => digest === index) ?? digests[0];
  }

  async release(): Promise<void> {
    // A build that was cancelled may have pulls that are not over yet.
    await Promise.allSettled(this.#images.values());
    await releaseAll(this.#holds.splice(0).map((hold) => () => hold.release()));
  }
}

/** The session knows best what its user may see. */
export async function credentialsFor(
  name: string,
  session: BuildSession | undefined,
  auth: Readonly<Record<string, RegistryAuth>>,
): Promise<RegistryAuth | undefined> {
  const { domain } = parseReference(name);
  const keys = domain === 'docker.io' ? HUB_KEYS : [domain, `https://${domain}`];
  const offered = await session?.credentials(keys[0] ?? domain);
  if (offered !== undefined) return offered;
  const found = keys.find((key) => Object.hasOwn(auth, key));
  return found === undefined ? undefined : auth[found];
}

/** As BuildKit names images: `docker.io/library/busybox:latest`. */
export function displayName(name: string): string {
  try {
    return canonicalString(withDefaultTag(parseReference(name)));
  } catch {
    // An image ID, which is no reference.
    return name;
  }
}

function showAmount(vertex: ProgressVertex, message: JSONMessage<unknown>, started: string): void {
  const { id, status, progressDetail } = message;
  if (id === undefined || status === undefined) return;
  const { current = 0, total = 0 } = progressDetail ?? {};
  const done = /^(?:Pull complete|Already exists)/.test(status);
  vertex.amount(`${id} ${status}`, current, total, done || progressDetail === undefined, started);
}
