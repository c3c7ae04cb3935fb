/**
 * The objects that exist for one scoped socket. References are resolved among these alone, by ID, name and unique
 * prefix as everywhere, and handed on as full IDs: neither an error nor a prefix tells of others.
 */
import type { Network } from '../../api/networks.ts';
import type { Volume } from '../../api/volumes.ts';
import { EngineError, InvalidParameterError, NotFoundError } from '../../base/errors.ts';
import type { Container } from '../../container/container.ts';
import { familiarString, parseReference, withDefaultTag } from '../../image/reference.ts';
import { MS_BIND, parseMountWords } from '../../volume/driver-options.ts';
import type { ImagesBackend } from '../routes/images/backend.ts';
import { excessInside } from './create-policy.ts';
import { beyond } from './guard.ts';
import type { AccessScope } from './scope.ts';

export interface VisibleSources {
  containers(): readonly Container[];
  networks(): readonly Network[];
  /** With labels and options; undefined for none of that name. */
  volume(name: string): Volume | undefined;
  images: Pick<ImagesBackend, 'list' | 'tryResolve'>;
  /** Whether a container with that runtime has what it would have without a choice. */
  isDefaultRuntime(name: string): boolean;
}

export class VisibleObjects {
  readonly scope: AccessScope;
  readonly #sources: VisibleSources;

  constructor(scope: AccessScope, sources: VisibleSources) {
    this.scope = scope;
    this.#sources = sources;
  }

  hasContainer({ record }: Container): boolean {
    return this.scope.includes(record.config.Labels);
  }

  containerIds(): Set<string> {
    return new Set(this.#containers().map(({ id }) => id));
  }

  /** By ID, name, link (`parent/alias`) or prefix. Throws NotFound with Docker's text. */
  container(reference: string): Container {
    const found = this.#findContainer(reference.replace(/^\//, ''));
    if (found === undefined) throw new NotFoundError(`No such container: ${reference}`);
    return found;
  }

  /** A container inside which the socket's client may act: one that it could have made itself. Throws Forbidden. */
  containerToEnter(reference: string): Container {
    const container = this.container(reference);
    const excess = this.#excess(container, new Set());
    if (excess === undefined) return container;
    throw beyond(
      this.scope,
      `acting inside container ${container.record.name}`,
      `it has ${excess}, which the socket does not give`,
    );
  }

  /** What of a container is beyond the socket; those whose namespaces it shares count as well. */
  #excess(container: Container, seen: Set<string>): string | undefined {
    if (seen.has(container.id)) return undefined;
    seen.add(container.id);
    const { hostConfig, mounts } = container.record;
    const own = excessInside(hostConfig);
    if (own !== undefined) return own;
    for (const mount of mounts) {
      const confined = mount.confinedTo !== undefined && this.scope.mountRoots.includes(mount.confinedTo);
      if (mount.type === 'bind' && !confined) return `the host folder ${mount.source}`;
      if (mount.type === 'volume' && this.#volumeExcess(mount.name)) return `the volume ${mount.name}`;
    }
    for (const mode of [hostConfig.NetworkMode, hostConfig.PidMode, hostConfig.IpcMode]) {
      const name = /^container:(.+)$/.exec(mode ?? '')?.[1];
      if (name === undefined) continue;
      const other = this.#findContainer(name);
      if (other === undefined) return 'a namespace of a container outside of the socket';
      const excess = this.#excess(other, seen);
      if (excess !== undefined) return excess;
    }
    return undefined;
  }

  #volumeExcess(name: string): boolean {
    const volume = this.#sources.volume(name);
    return volume !== undefined && (!this.hasVolume(volume) || showsHost(volume.Options));
  }

  #containers(): Container[] {
    return this.#sources.containers().filter((one) => this.hasContainer(one));
  }

  #findContainer(name: string): Container | undefined {
    const all = this.#containers();
    const exact = all.find(({ id }) => id === name) ?? all.find(({ record }) => record.name === name);
    if (exact !== undefined) return exact;
    const [parentName, alias] = name.split('/');
    if (alias !== undefined) {
      const parent = all.find(({ record }) => record.name === parentName);
      const link = parent?.record.links.find((one) => one.alias === alias);
      return all.find(({ id }) => id === link?.containerId);
    }
    if (!/^[0-9a-f]+$/.test(name)) return undefined;
    const matches = all.filter(({ id }) => id.startsWith(name));
    if (matches.length > 1) {
      throw new InvalidParameterError(`multiple IDs found with provided prefix: ${name}`);
    }
    return matches[0];
  }

  /** Networks of the socket's own: with its labels. */
  ownsNetwork(network: Pick<Network, 'Name' | 'Labels'>): boolean {
    return this.scope.includes(network.Labels) && !['bridge', 'host', 'none'].includes(network.Name);
  }

  hasNetwork(network: Network): boolean {
    return this.scope.includes(network.Labels) || this.mayJoin(network);
  }

  mayJoin(network: Network): boolean {
    if (network.Name === 'host') return false;
    if (network.Name === 'none') return true;
    const named = this.scope.networks;
    if (named.includes(network.Name) || named.includes(network.Id)) return true;
    // macvlan and ipvlan reach the host's own network: they must be named.
    if (network.Driver !== 'bridge') return false;
    if (network.Name === 'bridge') return named.length === 0;
    return this.ownsNetwork(network) && (this.scope.limitsObjects || named.length === 0);
  }

  /** Throws NotFound with Docker's text, also where the engine would find another's network by the reference. */
  network(reference: string): Network {
    const every = this.#sources.networks();
    const all = every.filter((one) => this.hasNetwork(one));
    const exact = every.find(({ Id }) => Id === reference) ?? every.find(({ Name }) => Name === reference);
    if (exact !== undefined) {
      if (all.includes(exact)) return exact;
      throw new NotFoundError(`network ${reference} not found`);
    }
    const matches = reference === '' ? [] : all.filter(({ Id }) => Id.startsWith(reference));
    if (matches.length > 1) {
      throw new InvalidParameterError(
        `network ${reference} is ambiguous (${matches.length} matches found based on ID prefix)`,
      );
    }
    if (matches[0] === undefined) throw new NotFoundError(`network ${reference} not found`);
    return matches[0];
  }

  /** A network that containers may be put on. Throws NotFound, Forbidden. */
  networkToJoin(reference: string): Network {
    const network = this.network(reference === 'default' ? 'bridge' : reference);
    if (this.mayJoin(network)) return network;
    throw beyond(this.scope, `network ${network.Name}`, `it needs --network ${network.Name}`);
  }

  /** A network that may be removed or changed. Throws NotFound, Forbidden. */
  networkToChange(reference: string): Network {
    const network = this.network(reference);
    if (this.ownsNetwork(network)) return network;
    throw beyond(this.scope, `changing network ${network.Name}`, 'it does not bear the labels of the socket');
  }

  hasVolume(volume: Volume): boolean {
    return this.scope.includes(volume.Labels);
  }

  /** Throws NotFound with Docker's text. */
  volume(name: string): Volume {
    const volume = this.#sources.volume(name);
    if (volume === undefined || !this.hasVolume(volume))
      throw new NotFoundError(`get ${name}: no such volume`);
    return volume;
  }

  /** A volume whose content is the engine's own: others show folders of the host. Throws NotFound, Forbidden. */
  volumeToEnter(name: string): Volume {
    const volume = this.volume(name);
    if (showsHost(volume.Options)) {
      throw beyond(this.scope, `volume ${name}`, 'its options mount something of the host or the network');
    }
    return volume;
  }

  volumeExists(name: string): boolean {
    return this.#sources.volume(name) !== undefined;
  }

  /** True where somebody else's volume has the name. */
  volumeIsForeign(name: string): boolean {
    const volume = this.#sources.volume(name);
    return volume !== undefined && !this.hasVolume(volume);
  }

  /**
   * Throws Forbidden for an image outside of the socket's patterns. By a name, that name counts; by an ID, one of the
   * image's names must match, and all of them where `whole` says that all are touched.
   */
  requireImage(reference: string, whole = false): void {
    if (!this.scope.limitsImages) return;
    const { images } = this.#sources;
    const id = images.tryResolve(reference)?.id;
    const known = images.list().find((image) => image.id === id);
    const full = fullName(reference);
    const names = [...(known?.repoTags ?? []), ...(known?.repoDigests ?? [])];
    const counted = names.length === 0 || names.includes(full) ? [full] : names;
    const matches = (name: string): boolean => this.scope.includesImage([name]);
    if (!(whole ? counted.every(matches) : counted.some(matches))) this.#refuseImage(reference);
  }

  /** Throws Forbidden for a runtime that is another than the default: it may hold containers less closely. */
  requireDefaultRuntime(name: string): void {
    if (name === '' || this.#sources.isDefaultRuntime(name)) return;
    throw beyond(this.scope, `runtime "${name.slice(0, 80)}"`);
  }

  /** A name that is given to an image, or fetched under: what it stands for now says nothing. */
  requireImageName(name: string): void {
    if (this.scope.limitsImages && !this.scope.includesImage([fullName(name)])) this.#refuseImage(name);
  }

  #refuseImage(name: string): never {
    throw beyond(this.scope, `image ${name}`, 'it needs an --image pattern that matches it');
  }
}

/** True unless nothing is mounted for it, or a file system in memory: with `bind` the type means nothing to mount(2). */
export function showsHost(options: Readonly<Record<string, string>> | null | undefined): boolean {
  const { type = '', ...others } = options ?? {};
  if (type === 'tmpfs') {
    const { flags, propagation } = parseMountWords(others['o'] ?? '');
    return (flags & MS_BIND) !== 0 || propagation !== 0;
  }
  return type !== '' || Object.keys(others).some((name) => name !== 'size');
}

function fullName(text: string): string {
  try {
    return familiarString(withDefaultTag(parseReference(text)));
  } catch (error) {
    if (error instanceof EngineError) return text;
    throw error;
  }
}
