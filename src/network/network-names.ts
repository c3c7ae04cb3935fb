/**
 * What containers are called on their networks, for the resolver: names, aliases, short IDs and hostnames, visible to
 * those on the same user-defined network, and links, visible to the one that has them. Names are compared without
 * regard to case; a name with several addresses gives them in turning order.
 */
import type { NameSource } from './dns/dns-server.ts';
import type { NetworkRecord } from './model.ts';
import type { EndpointRow, NetworkStore, SandboxRow } from './network-store.ts';
import { addressesOf } from './network-store.ts';

interface NetworkNames {
  /** Addresses by name in lower case. */
  forward: Map<string, string[]>;
  /** Full names by address. */
  reverse: Map<string, string>;
}

/** The default bridge has none, as with Docker. */
export function hasNames(network: NetworkRecord): boolean {
  return network.name !== 'bridge' && network.driver !== 'host' && network.driver !== 'null';
}

/** Empty on the default bridge. */
export function dnsNames(sandbox: SandboxRow, row: EndpointRow, network: NetworkRecord): string[] {
  if (!hasNames(network)) return [];
  const names = [
    sandbox.containerName,
    ...row.aliases,
    sandbox.containerId.slice(0, 12),
    ...(sandbox.hostname === '' ? [] : [sandbox.hostname]),
  ];
  return [...new Set(names)];
}

export class ContainerNames implements NameSource {
  readonly #store: NetworkStore;
  readonly #byNetwork = new Map<string, NetworkNames>();
  #turn = 0;

  constructor(store: NetworkStore) {
    this.#store = store;
  }

  /** To be called after endpoints or names of a network changed. */
  changed(networkId: string): void {
    this.#byNetwork.delete(networkId);
  }

  forward(containerId: string, name: string): readonly string[] | undefined {
    const wanted = name.toLowerCase();
    for (const row of this.#store.endpoints(containerId)) {
      const network = this.#store.network(row.networkId)?.record;
      if (network === undefined || !hasNames(network)) continue;
      const suffix = `.${network.name.toLowerCase()}`;
      const short = wanted.endsWith(suffix) ? wanted.slice(0, -suffix.length) : undefined;
      const addresses =
        this.#lookUp(row, wanted) ?? (short === undefined ? undefined : this.#lookUp(row, short));
      if (addresses !== undefined) return this.#turned(addresses);
    }
    return undefined;
  }

  reverse(containerId: string, address: string): string | undefined {
    for (const { networkId } of this.#store.endpoints(containerId)) {
      const name = this.#namesOf(networkId)?.reverse.get(address);
      if (name !== undefined) return name;
    }
    return undefined;
  }

  #lookUp(row: EndpointRow, wanted: string): readonly string[] | undefined {
    const names = this.#namesOf(row.networkId)?.forward;
    const linked = row.links.filter(({ alias }) => alias.toLowerCase() === wanted);
    const viaLinks = linked.flatMap(({ name }) => names?.get(name.toLowerCase()) ?? []);
    return viaLinks.length > 0 ? viaLinks : names?.get(wanted);
  }

  #turned(addresses: readonly string[]): readonly string[] {
    if (addresses.length < 2) return addresses;
    this.#turn = (this.#turn + 1) % 0x10000;
    const start = this.#turn % addresses.length;
    return [...addresses.slice(start), ...addresses.slice(0, start)];
  }

  #namesOf(networkId: string): NetworkNames | undefined {
    const network = this.#store.network(networkId)?.record;
    if (network === undefined || !hasNames(network)) return undefined;
    let names = this.#byNetwork.get(networkId);
    if (names === undefined) {
      names = this.#collect(network);
      this.#byNetwork.set(networkId, names);
    }
    return names;
  }

  #collect(network: NetworkRecord): NetworkNames {
    const names: NetworkNames = { forward: new Map(), reverse: new Map() };
    for (const row of this.#store.endpointsOf(network.id)) {
      const sandbox = this.#store.sandbox(row.containerId);
      if (sandbox === undefined) continue;
      const addresses = addressesOf(row);
      for (const name of dnsNames(sandbox, row, network)) {
        const key = name.toLowerCase();
        names.forward.set(key, [...(names.forward.get(key) ?? []), ...addresses]);
      }
      for (const address of addresses) names.reverse.set(address, `${sandbox.containerName}.${network.name}`);
    }
    return names;
  }
}
