/**
 * Which subnet a network gets, and whether it may have the one that it asks for: never one that overlaps another
 * network of ours, or a route, an address or a name server of the host.
 */
import { ForbiddenError, InvalidParameterError } from '../../base/errors.ts';
import type { Family, Subnet } from '../ip-address.ts';
import { formatSubnet, overlaps } from '../ip-address.ts';
import type { NetworkLinks, UsedSubnet } from '../links/network-links.ts';
import type { NetworkStore } from '../network-store.ts';
import { poolSubnet } from './address-choice.ts';
import type { PoolBlocks } from './address-pools.ts';
import { freeBlock, randomUniqueLocalPrefix, uniqueLocalPool } from './address-pools.ts';

const PREFIX_FACT = 'ipv6_prefix';

export class SubnetChoice {
  readonly #store: NetworkStore;
  readonly #links: Pick<NetworkLinks, 'usedSubnets'>;
  readonly #pools: readonly PoolBlocks[];
  /** The default bridge, whose subnet may not stand in the store yet. */
  readonly #defaultBridge: string;

  constructor(
    store: NetworkStore,
    links: Pick<NetworkLinks, 'usedSubnets'>,
    pools: readonly PoolBlocks[],
    defaultBridge: string,
  ) {
    this.#store = store;
    this.#links = links;
    this.#pools = pools;
    this.#defaultBridge = defaultBridge;
  }

  /** `network`: the name, for the error. Throws InvalidParameter, as Docker, where every pool overlaps something. */
  async choose(family: Family, network: string): Promise<Subnet> {
    const pools = family === 6 ? [...this.#pools, uniqueLocalPool(this.#prefix())] : this.#pools;
    const used = [...this.#own(), ...(await this.#host([]))];
    const found = freeBlock(
      pools,
      family,
      used.map(({ subnet }) => subnet),
    );
    if (found !== undefined) return found;
    const remedy =
      network === 'bridge'
        ? 'choose one with --bip'
        : 'choose one with --subnet, or more pools with --default-address-pool';
    throw new InvalidParameterError(
      `all predefined address pools have been fully subnetted: no free IPv${family} subnet for the network ${network}: ${remedy}`,
    );
  }

  /** Throws Forbidden where `subnet` overlaps what another network of ours has. */
  requireUnused(subnet: Subnet): void {
    if (this.#own().some((own) => overlaps(own.subnet, subnet))) {
      throw new ForbiddenError('invalid pool request: Pool overlaps with other one on this address space');
    }
  }

  /** Throws Forbidden, naming what it is, where `subnet` overlaps something of the host; links of `except` do not count. */
  async requireFree(subnet: Subnet, except: readonly string[]): Promise<void> {
    const other = (await this.#host(except)).find((used) => overlaps(used.subnet, subnet));
    if (other === undefined) return;
    const what = other.interface.startsWith('/') ? 'name server' : 'route';
    const where = other.interface === '' ? '' : ` of ${other.interface}`;
    throw new ForbiddenError(
      `invalid pool request: Pool ${formatSubnet(subnet)} overlaps with the host's ${what} ${formatSubnet(other.subnet)}${where}`,
    );
  }

  #own(): { subnet: Subnet }[] {
    return this.#store
      .networks()
      .filter(({ record }) => !record.configOnly)
      .flatMap(({ record }) => record.pools.map((pool) => ({ subnet: poolSubnet(pool) })));
  }

  /**
   * Bridges of ours are in the store. A route to everything, or to one half of everything as VPNs set it, is a default
   * route and leaves every subnet free.
   */
  async #host(except: readonly string[]): Promise<UsedSubnet[]> {
    const bridges = this.#store
      .networks()
      .filter(({ record }) => record.ownsHostInterface && record.driver === 'bridge')
      .map(({ record }) => record.hostInterface);
    const used = await this.#links.usedSubnets([...except, ...bridges, this.#defaultBridge]);
    return used.filter(({ subnet }) => subnet.prefixLength > 1);
  }

  #prefix(): string {
    const stored = this.#store.hostFact(PREFIX_FACT);
    if (stored !== undefined) return stored;
    const prefix = randomUniqueLocalPrefix();
    this.#store.setHostFact(PREFIX_FACT, prefix);
    return prefix;
  }
}
