/**
 * The published ports of sandboxes: which of a container's addresses they lead to, the sockets that hold them (ports.ts)
 * and what the firewall translates. They follow the endpoint that has the default route of their family.
 */

import { isIPv4 } from 'node:net';
import { errorMessage, InternalError, NotFoundError } from '../base/errors.ts';
import { step, stepSync } from '../base/steps.ts';
import { gatewayMode, hostBinding, isBridged } from './driver-options.ts';
import type { Firewall } from './firewall/firewall.ts';
import type { PublishedPort } from './firewall/model.ts';
import { addressIn, gatewayEndpoint } from './gateway-choice.ts';
import { parseAddress } from './ip-address.ts';
import type { BoundPort, NetworkRecord, PortMapping, PortsChange } from './model.ts';
import type { EndpointRow, NetworkStore, SandboxRow } from './network-store.ts';
import { ANY_IPV4, ANY_IPV6 } from './ports/port-rules.ts';
import type { ForwardAddresses, Ports } from './ports/ports.ts';

interface FamilyTarget {
  networkId: string;
  address: string;
  /** Ports are open at the container's own address; none of the host is taken. */
  routed: boolean;
}

/** Where a container's ports lead to, by family; a family without endpoint is not published. */
export interface PortTarget {
  ipv4?: FamilyTarget;
  ipv6?: FamilyTarget;
  /** Of the network that decides for mappings without an address; empty for everywhere. */
  hostBinding: string;
  /** For messages. */
  endpointId: string;
}

type NetworkOf = (id: string) => NetworkRecord;

/** Undefined where nothing can be published: all networks are internal, or pass no firewall. */
export function portTarget(rows: readonly EndpointRow[], networkOf: NetworkOf): PortTarget | undefined {
  const target = (family: 4 | 6): EndpointRow | undefined => {
    const row = gatewayEndpoint(rows, networkOf, family);
    return row !== undefined && isBridged(networkOf(row.networkId).driver) ? row : undefined;
  };
  const [ipv4, ipv6] = [target(4), target(6)];
  const main = ipv4 ?? ipv6;
  if (main === undefined) return undefined;
  const of = (row: EndpointRow, family: 4 | 6): FamilyTarget => ({
    networkId: row.networkId,
    address: addressIn(row, family),
    routed: gatewayMode(networkOf(row.networkId).options, family) === 'routed',
  });
  return {
    ...(ipv4 === undefined ? {} : { ipv4: of(ipv4, 4) }),
    ...(ipv6 === undefined ? {} : { ipv6: of(ipv6, 6) }),
    hostBinding: hostBinding(networkOf(main.networkId).options),
    endpointId: main.endpointId,
  };
}

/** What the kernel is to translate of ports that are bound. */
export function translations(ports: readonly BoundPort[], target: PortTarget | undefined): PublishedPort[] {
  return ports.flatMap(({ protocol, hostIp, hostPort, containerPort }) => {
    const to = isIPv4(hostIp) ? target?.ipv4 : target?.ipv6;
    if (to === undefined) return [];
    const any = hostIp === ANY_IPV4 || hostIp === ANY_IPV6;
    return [
      {
        protocol,
        hostIp: any ? '' : hostIp,
        hostPort,
        containerAddress: parseAddress(to.address),
        containerPort,
        networkId: to.networkId,
      },
    ];
  });
}

export interface PublisherParts {
  store: NetworkStore;
  ports: Ports;
  firewall: Firewall;
  networkOf: NetworkOf;
}

export class PortPublisher {
  readonly #parts: PublisherParts;

  constructor(parts: PublisherParts) {
    this.#parts = parts;
  }

  /** Publishes all that the sandbox wants published, or nothing. Nothing to publish by is no error. */
  async publish(sandbox: SandboxRow, rows: readonly EndpointRow[]): Promise<void> {
    const target = portTarget(rows, this.#parts.networkOf);
    if (target === undefined || sandbox.mappings.length === 0) return;
    await this.#programming(sandbox, target, async () => {
      stepSync('ports/bind', sandbox.containerId, () => this.#bind(sandbox, sandbox.mappings, target));
      await step('ports/publish', sandbox.containerId, () =>
        this.#parts.firewall.publish(translations(sandbox.ports, target)),
      );
    });
  }

  /** Frees and withdraws everything that is published. Idempotent. */
  async withdraw(sandbox: SandboxRow, rows: readonly EndpointRow[]): Promise<void> {
    const { ports, firewall, networkOf, store } = this.#parts;
    if (sandbox.ports.length === 0) return;
    ports.release(sandbox.ports);
    await step('ports/withdraw', sandbox.containerId, () =>
      firewall.withdraw(translations(sandbox.ports, portTarget(rows, networkOf))),
    );
    sandbox.ports = [];
    stepSync('ports/row', sandbox.containerId, () => store.putSandbox(sandbox));
  }

  /** After the sandbox's endpoints changed from `before` to `after`. */
  async move(
    sandbox: SandboxRow,
    before: readonly EndpointRow[],
    after: readonly EndpointRow[],
  ): Promise<void> {
    const { networkOf } = this.#parts;
    const [from, to] = [portTarget(before, networkOf), portTarget(after, networkOf)];
    if (sameTarget(from, to)) return;
    if (from === undefined || to === undefined || !sameShape(from, to) || sandbox.ports.length === 0) {
      await this.withdraw(sandbox, before);
      await this.publish(sandbox, after);
      return;
    }
    // The sockets stay: nobody else can take a port in between.
    const { ports, firewall } = this.#parts;
    await this.#programming(sandbox, to, async () => {
      ports.retarget(sandbox.ports, addressesOfTarget(to));
      await step('ports/withdraw', sandbox.containerId, () =>
        firewall.withdraw(translations(sandbox.ports, from)),
      );
      await step('ports/publish', sandbox.containerId, () =>
        firewall.publish(translations(sandbox.ports, to)),
      );
    });
  }

  /** After a restart of the daemon. */
  restore(sandbox: SandboxRow, rows: readonly EndpointRow[]): void {
    const target = portTarget(rows, this.#parts.networkOf);
    this.#parts.ports.release(sandbox.ports);
    if (target !== undefined) this.#parts.ports.restore(sandbox.ports, addressesOfTarget(target));
  }

  /**
   * Withdraws `remove` and publishes `add`, all or nothing. A number that is removed may be added again in the same
   * change. Throws NotFound for what is not published.
   */
  async change(sandbox: SandboxRow, rows: readonly EndpointRow[], change: PortsChange): Promise<void> {
    const { networkOf, ports, firewall } = this.#parts;
    const removed = change.remove.map((port) => findBound(sandbox.ports, port));
    const target = portTarget(rows, networkOf);
    const before = { ports: sandbox.ports, mappings: sandbox.mappings };
    const kept = before.ports.filter((port) => !removed.includes(port));
    const keptMappings = removed.reduce((mappings, port) => withoutPort(mappings, port), before.mappings);
    if (target === undefined) {
      sandbox.mappings = [...keptMappings, ...change.add];
      this.#store(sandbox, change.kept?.store);
      return;
    }
    await this.#programming(sandbox, target, async () => {
      ports.release(removed);
      let withdrawn = false;
      let added: BoundPort[] = [];
      try {
        const bound = this.#bindEach(change.add, target);
        added = bound.ports;
        sandbox.ports = [...kept, ...added];
        sandbox.mappings = [...keptMappings, ...bound.mappings];
        this.#store(sandbox, change.kept?.store);
        withdrawn = true;
        await step('ports/withdraw', sandbox.containerId, () =>
          firewall.withdraw(translations(removed, target)),
        );
        await step('ports/publish', sandbox.containerId, () => firewall.publish(translations(added, target)));
      } catch (error) {
        ports.release(added);
        ports.restore(removed, addressesOfTarget(target));
        sandbox.ports = before.ports;
        sandbox.mappings = before.mappings;
        this.#store(sandbox, withdrawn ? change.kept?.restore : undefined);
        if (withdrawn) {
          await firewall.withdraw(translations(added, target));
          await firewall.publish(translations(removed, target));
        }
        throw error;
      }
    });
  }

  #store(sandbox: SandboxRow, also: (() => void) | undefined): void {
    const { store } = this.#parts;
    stepSync('ports/row', sandbox.containerId, () =>
      store.together(() => {
        store.putSandbox(sandbox);
        also?.();
      }),
    );
  }

  #bind(sandbox: SandboxRow, mappings: readonly PortMapping[], target: PortTarget): void {
    const bound = this.#bindEach(mappings, target);
    sandbox.ports = bound.ports;
    sandbox.mappings = bound.mappings;
    try {
      this.#parts.store.putSandbox(sandbox);
    } catch (error) {
      this.#parts.ports.release(bound.ports);
      throw error;
    }
  }

  /** Mappings come back with the number that they got, so that they keep it. */
  #bindEach(
    mappings: readonly PortMapping[],
    target: PortTarget,
  ): { ports: BoundPort[]; mappings: PortMapping[] } {
    const wanted = mappings.map((mapping) => ({ ...mapping, hostIp: mapping.hostIp || target.hostBinding }));
    const ports = this.#parts.ports.bind(wanted, addressesOfTarget(target));
    return { ports, mappings: settledMappings(mappings, wanted, ports) };
  }

  async #programming(sandbox: SandboxRow, target: PortTarget, body: () => Promise<void>): Promise<void> {
    try {
      await body();
    } catch (error) {
      const endpoint = `${sandbox.containerName} (${target.endpointId})`;
      throw new InternalError(
        `driver failed programming external connectivity on endpoint ${endpoint}: ${errorMessage(error)}`,
        error,
      );
    }
  }
}

function addressesOfTarget(target: PortTarget): ForwardAddresses {
  return {
    ...(target.ipv4 === undefined ? {} : { ipv4: target.ipv4.address }),
    ...(target.ipv6 === undefined ? {} : { ipv6: target.ipv6.address }),
    routed: { ipv4: target.ipv4?.routed === true, ipv6: target.ipv6?.routed === true },
  };
}

function sameTarget(a: PortTarget | undefined, b: PortTarget | undefined): boolean {
  return (
    a?.ipv4?.address === b?.ipv4?.address &&
    a?.ipv6?.address === b?.ipv6?.address &&
    a?.ipv4?.networkId === b?.ipv4?.networkId &&
    a?.ipv6?.networkId === b?.ipv6?.networkId
  );
}

/** The same ports of the host stand for both. */
function sameShape(a: PortTarget, b: PortTarget): boolean {
  return (
    a.hostBinding === b.hostBinding && a.ipv4?.routed === b.ipv4?.routed && a.ipv6?.routed === b.ipv6?.routed
  );
}

function findBound(ports: readonly BoundPort[], wanted: BoundPort): BoundPort {
  const found = ports.find((port) => samePort(port, wanted));
  if (found !== undefined) return found;
  const { hostIp, hostPort, containerPort, protocol } = wanted;
  throw new NotFoundError(`port ${hostIp}:${hostPort}->${containerPort}/${protocol} is not published`);
}

function samePort(a: BoundPort, b: BoundPort): boolean {
  return a.hostPort === b.hostPort && a.hostIp === b.hostIp && serves(a, b);
}

function serves(a: { containerPort: number; protocol: string }, b: typeof a): boolean {
  return a.containerPort === b.containerPort && a.protocol === b.protocol;
}

/** What is left of the wishes; of one for all addresses, the other family's. A routed port has no number to go by. */
function withoutPort(mappings: readonly PortMapping[], port: BoundPort): PortMapping[] {
  const index = mappings.findIndex(
    (mapping) =>
      serves(mapping, port) &&
      [mapping.hostPort, 0].includes(port.hostPort) &&
      [port.hostIp, ''].includes(mapping.hostIp),
  );
  const mapping = mappings[index];
  if (mapping === undefined) return [...mappings];
  const other = port.hostIp === ANY_IPV4 ? ANY_IPV6 : ANY_IPV4;
  const rest = mapping.hostIp === '' ? [{ ...mapping, hostIp: other }] : [];
  return [...mappings.slice(0, index), ...rest, ...mappings.slice(index + 1)];
}

/** With the numbers that they got. `ports` are those of `wanted`, in its order: one or two of a mapping. */
function settledMappings(
  mappings: readonly PortMapping[],
  wanted: readonly PortMapping[],
  ports: readonly BoundPort[],
): PortMapping[] {
  let at = 0;
  return mappings.map((mapping, index) => {
    const first = ports[at];
    if (first === undefined || !serves(first, mapping)) return mapping;
    at += 1;
    const second = ports[at];
    const isPair =
      wanted[index]?.hostIp === '' &&
      second !== undefined &&
      serves(first, second) &&
      first.hostIp !== second.hostIp &&
      [ANY_IPV4, ANY_IPV6].includes(second.hostIp);
    if (isPair) at += 1;
    const { containerPort, protocol, hostIp } = mapping;
    const hostPort = first.hostPort || (isPair ? second.hostPort : 0);
    return hostPort === 0 ? mapping : { containerPort, protocol, hostIp, hostPort };
  });
}
