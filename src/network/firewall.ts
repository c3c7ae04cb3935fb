/**
 * The one nftables table of an engine: what may pass to and from its bridge, and the maps of published ports. No
 * other table is read or changed, and the table is always replaced whole, in one transaction, so that packets see the
 * old rules or the new ones.
 *
 * The way of a packet to a published port 8080 of container 172.17.0.2:80:
 * - from another host it meets `prerouting`, from this host `output`; both look protocol and port up in a map and
 *   translate the destination. `forward` lets it pass because it was translated.
 * - from 127.0.0.1 the source must become one that the container can answer: `postrouting` masquerades it with the
 *   bridge's address (needs route_localnet on the bridge).
 * - from a container of the same bridge the answer would take the short way over the bridge and miss the translation
 *   back: masqueraded too. Other sources are kept.
 */
import { ConflictError, errnoCode } from '../base/errors.ts';
import type { Subnet } from './address.ts';
import { ipv4Bytes, parseIPv4, subnetOf } from './address.ts';
import { NETLINK_NETFILTER, NetlinkConnection } from './netlink/connection.ts';
import { flushConntrack } from './netlink/conntrack.ts';
import { action, INTERFACE_NAME_BYTES, interfaceNameBytes, match } from './netlink/nft-expressions.ts';
import type { Element } from './netlink/nftables.ts';
import { concatenatedType, DATA_TYPE, NftBatch } from './netlink/nftables.ts';

const MAP_ANY = 'published';
const MAP_ADDRESS = 'published_on';
const SET_UPLINKS = 'uplinks';

const PROTOCOL_NUMBERS = { tcp: 6, udp: 17 } as const;

/** Netfilter's priorities: before connection tracking, destination NAT, filter, source NAT. */
const PRIORITY = { raw: -300, destinationNat: -100, filter: 0, sourceNat: 100 } as const;

/** An IPv4 port of the host that leads to a container. `hostIp` '' stands for every address of the host. */
export interface PublishedPort {
  protocol: 'tcp' | 'udp';
  hostIp: string;
  hostPort: number;
  containerAddress: number;
  containerPort: number;
}

export interface FirewallOptions {
  table: string;
  bridge: string;
  subnet: Subnet;
  /** Interfaces between which the host did not forward before the engine switched forwarding on: it still does not. */
  uplinks: readonly string[];
}

export class Firewall {
  readonly #connection = new NetlinkConnection(NETLINK_NETFILTER, null);
  readonly #options: FirewallOptions;

  constructor(options: FirewallOptions) {
    this.#options = options;
  }

  /** Makes the table say exactly this, whatever it said before. */
  async install(ports: readonly PublishedPort[]): Promise<void> {
    const batch = new NftBatch(this.#options.table).addTable().deleteTable().addTable();
    addMaps(batch, this.#options.uplinks, ports);
    addNatRules(batch, this.#options);
    addFilterRules(batch, this.#options);
    await this.#connection.request(batch.finish());
  }

  /**
   * Adds ports, all or none. A map whose element stands for another container throws Conflict: that is a port that
   * this engine gave away twice. ENOENT (by `code`) means that somebody removed the table: `install` repairs it.
   */
  async publish(ports: readonly PublishedPort[]): Promise<void> {
    try {
      await this.#change(ports, (batch, map, elements) => batch.addElements(map, elements));
    } catch (error) {
      if (errnoCode(error) === 'EBUSY')
        throw new ConflictError('a published port is in the map already', error);
      throw error;
    }
  }

  /** Removes ports; those that are not there are no error. */
  async withdraw(ports: readonly PublishedPort[]): Promise<void> {
    try {
      await this.#change(ports, (batch, map, elements) => batch.deleteElements(map, elements));
    } catch (error) {
      if (errnoCode(error) !== 'ENOENT') throw error;
      // One that is missing fails the whole batch: go one by one.
      if (ports.length > 1) for (const port of ports) await this.withdraw([port]);
    }
  }

  /** Forgets the tracked connections to a container's address, so that nothing is sent on to a later owner of it. */
  async forgetConnections(address: number): Promise<void> {
    try {
      await this.#connection.request(flushConntrack(ipv4Bytes(address)));
    } catch {
      // Kernels before 6.9 cannot select by address; entries of UDP flows then time out by themselves.
    }
  }

  /** Removes the table. */
  async uninstall(): Promise<void> {
    await this.#connection.request(new NftBatch(this.#options.table).addTable().deleteTable().finish());
  }

  close(): Promise<void> {
    return this.#connection.close();
  }

  async #change(
    ports: readonly PublishedPort[],
    apply: (batch: NftBatch, map: string, elements: Element[]) => void,
  ): Promise<void> {
    if (ports.length === 0) return;
    const batch = new NftBatch(this.#options.table);
    for (const map of [MAP_ANY, MAP_ADDRESS]) apply(batch, map, elementsOf(map, ports));
    await this.#connection.request(batch.finish());
  }
}

function elementsOf(map: string, ports: readonly PublishedPort[]): Element[] {
  return ports.filter((port) => (port.hostIp === '') === (map === MAP_ANY)).map(mapElement);
}

/** Concatenated values are each padded to four bytes. */
function mapElement(port: PublishedPort): Element {
  const key = Buffer.alloc(8);
  key.writeUInt8(PROTOCOL_NUMBERS[port.protocol], 0);
  key.writeUInt16BE(port.hostPort, 4);
  const data = Buffer.alloc(8);
  data.writeUInt32BE(port.containerAddress, 0);
  data.writeUInt16BE(port.containerPort, 4);
  return { key: port.hostIp === '' ? key : Buffer.concat([ipv4Bytes(parseIPv4(port.hostIp)), key]), data };
}

function addMaps(batch: NftBatch, uplinks: readonly string[], ports: readonly PublishedPort[]): void {
  const data = { type: concatenatedType([DATA_TYPE.ipv4Address, DATA_TYPE.port]), bytes: 8 };
  const key = [DATA_TYPE.protocol, DATA_TYPE.port];
  batch.addSet({ name: MAP_ANY, keyType: concatenatedType(key), keyBytes: 8, data });
  batch.addSet({
    name: MAP_ADDRESS,
    keyType: concatenatedType([DATA_TYPE.ipv4Address, ...key]),
    keyBytes: 12,
    data,
  });
  batch.addSet({
    name: SET_UPLINKS,
    keyType: DATA_TYPE.interfaceName,
    keyBytes: INTERFACE_NAME_BYTES,
    hostByteOrder: true,
  });
  for (const map of [MAP_ANY, MAP_ADDRESS]) batch.addElements(map, elementsOf(map, ports));
  batch.addElements(
    SET_UPLINKS,
    uplinks.map((name) => ({ key: interfaceNameBytes(name) })),
  );
}

function addNatRules(batch: NftBatch, { bridge, subnet }: FirewallOptions): void {
  const { destinationNat, sourceNat } = PRIORITY;
  for (const hook of ['prerouting', 'output'] as const) {
    batch.addChain({ name: hook, type: 'nat', hook, priority: destinationNat });
    batch.addRule(hook, [...match.ipv4(), ...action.translateBy(MAP_ADDRESS, true)]);
    batch.addRule(hook, [
      ...match.ipv4(),
      ...match.localDestination(),
      ...action.translateBy(MAP_ANY, false),
    ]);
  }
  const own = prefix(subnet);
  const chain = 'postrouting';
  batch.addChain({ name: chain, type: 'nat', hook: 'postrouting', priority: sourceNat });
  batch.addRule(chain, [
    ...match.outputInterface(bridge, false),
    ...match.ipv4(),
    ...match.source(own.address, own.mask),
    ...action.masquerade(),
  ]);
  batch.addRule(chain, [
    ...match.outputInterface(bridge),
    ...match.ipv4(),
    ...match.source(LOOPBACK.address, LOOPBACK.mask),
    ...action.masquerade(),
  ]);
  batch.addRule(chain, [
    ...match.outputInterface(bridge),
    ...match.ipv4(),
    ...match.source(own.address, own.mask),
    ...match.destinationTranslated(),
    ...action.masquerade(),
  ]);
}

function addFilterRules(batch: NftBatch, { bridge }: FirewallOptions): void {
  // route_localnet on the bridge lets 127.0.0.0/8 through where the kernel would drop it: nothing from outside the
  // loopback may carry it. Before connection tracking, so that translated answers to 127.0.0.1 are not meant.
  const guard = 'martians';
  batch.addChain({ name: guard, type: 'filter', hook: 'prerouting', priority: PRIORITY.raw });
  for (const side of [match.source, match.destination]) {
    batch.addRule(guard, [
      ...match.inputInterface('lo', false),
      ...match.ipv4(),
      ...side(LOOPBACK.address, LOOPBACK.mask),
      ...action.drop(),
    ]);
  }
  const chain = 'forward';
  batch.addChain({ name: chain, type: 'filter', hook: 'forward', priority: PRIORITY.filter });
  batch.addRule(chain, [...match.outputInterface(bridge), ...match.established(), ...action.accept()]);
  batch.addRule(chain, [
    ...match.outputInterface(bridge),
    ...match.destinationTranslated(),
    ...action.accept(),
  ]);
  batch.addRule(chain, [
    ...match.inputInterface(bridge),
    ...match.outputInterface(bridge),
    ...action.accept(),
  ]);
  batch.addRule(chain, [...match.outputInterface(bridge), ...action.drop()]);
  batch.addRule(chain, [
    ...match.inputInterfaceIn(SET_UPLINKS),
    ...match.outputInterfaceIn(SET_UPLINKS),
    ...action.drop(),
  ]);
}

interface Prefix {
  address: Buffer;
  mask: Buffer;
}

function prefix(subnet: Subnet): Prefix {
  const mask = subnetOf(0xffffffff, subnet.prefixLength).base;
  return { address: ipv4Bytes(subnet.base), mask: ipv4Bytes(mask) };
}

const LOOPBACK = prefix({ base: 0x7f000000, prefixLength: 8 });
