/**
 * Published ports of all containers of this engine: which are taken, which are free, and the sockets that hold them.
 * What the kernel is told about them is the firewall's.
 */
import { readFileSync } from 'node:fs';
import { isIP, isIPv4, isIPv6 } from 'node:net';
import { errnoCode, errorMessage, InternalError, InvalidParameterError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { formatIPv4 } from './address.ts';
import type { PublishedPort } from './firewall.ts';
import type { PortForwarder } from './port-forwarder.ts';
import { openForwarder } from './port-forwarder.ts';

export interface PortMapping {
  containerPort: number;
  protocol: 'tcp' | 'udp';
  /** Empty: all addresses of the host, of both families. */
  hostIp: string;
  /** 0: an ephemeral port. */
  hostPort: number;
  /** The first free one from hostPort to this. */
  hostPortEnd?: number;
}

/** A port as it was bound; a mapping without hostIp gives one entry for `0.0.0.0` and one for `::`. */
export interface BoundPort {
  containerPort: number;
  protocol: 'tcp' | 'udp';
  hostIp: string;
  hostPort: number;
}

const ANY_IPV4 = '0.0.0.0';
const ANY_IPV6 = '::';

/** Where the kernel's own range cannot be read. */
const EPHEMERAL_DEFAULT = [32768, 60999] as const;

const BIND_ERRORS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'address already in use',
  EADDRNOTAVAIL: 'cannot assign requested address',
  EACCES: 'permission denied',
};

/** The host has no IPv6, or has it switched off. */
const NO_IPV6 = new Set(['EAFNOSUPPORT', 'EADDRNOTAVAIL']);

/** Throws InvalidParameter on what no host can publish. */
export function validatePorts(ports: readonly PortMapping[]): void {
  for (const port of ports) {
    const end = port.hostPortEnd ?? port.hostPort;
    if (!isPort(port.containerPort) || port.containerPort === 0) {
      throw new InvalidParameterError(`invalid containerPort: ${port.containerPort}`);
    }
    if (!isPort(port.hostPort) || !isPort(end))
      throw new InvalidParameterError(`invalid hostPort: ${port.hostPort}`);
    if (end < port.hostPort) {
      throw new InvalidParameterError(`invalid range format for hostPort: ${port.hostPort}-${end}`);
    }
    if (port.hostIp !== '' && isIP(port.hostIp) === 0) {
      throw new InvalidParameterError(`invalid IP address: ${port.hostIp}`);
    }
    if (port.protocol !== 'tcp' && port.protocol !== 'udp') {
      throw new InvalidParameterError(`invalid proto: ${String(port.protocol)}`);
    }
  }
}

function isPort(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= 65535;
}

/** The entries that the kernel translates: IPv4 ones. */
export function translatedPorts(ports: readonly BoundPort[], containerAddress: number): PublishedPort[] {
  return ports
    .filter((port) => isIPv4(port.hostIp))
    .map(({ protocol, hostIp, hostPort, containerPort }) => ({
      protocol,
      hostIp: hostIp === ANY_IPV4 ? '' : hostIp,
      hostPort,
      containerAddress,
      containerPort,
    }));
}

interface Holder {
  hostIp: string;
  /** Undefined where the port could not be bound again after a restart. */
  forwarder: PortForwarder | undefined;
}

export class Ports {
  /** By protocol and port number, since addresses of one number may overlap. */
  readonly #held = new Map<string, Holder[]>();
  #nextEphemeral = 0;

  /**
   * Binds all mappings for a container, or none. Throws Internal with Docker's text: our own port `Bind for
   * 0.0.0.0:8080 failed: port is already allocated`, another program's `listen tcp4 0.0.0.0:8080: bind: address
   * already in use`.
   */
  bind(mappings: readonly PortMapping[], containerAddress: number): BoundPort[] {
    const bound: BoundPort[] = [];
    try {
      for (const mapping of mappings) bound.push(...this.#bindMapping(mapping, containerAddress));
      return bound;
    } catch (error) {
      this.release(bound);
      throw error;
    }
  }

  /**
   * Takes ports again that were bound before a restart. One that another program took meanwhile is logged and stays
   * ours: its rules have been in the kernel all the time.
   */
  restore(ports: readonly BoundPort[], containerAddress: number): void {
    for (const port of ports) {
      let forwarder: PortForwarder | undefined;
      try {
        forwarder = open(port, containerAddress);
      } catch (error) {
        log.warn({ port, reason: errorMessage(error) }, 'published port: cannot be held again');
      }
      this.#hold(port, forwarder);
    }
  }

  /** Frees ports. Those that are not held are ignored. */
  release(ports: readonly BoundPort[]): void {
    for (const port of ports) {
      const holders = this.#held.get(keyOf(port)) ?? [];
      const index = holders.findIndex((holder) => holder.hostIp === port.hostIp);
      if (index < 0) continue;
      const [holder] = holders.splice(index, 1);
      holder?.forwarder?.close();
      if (holders.length === 0) this.#held.delete(keyOf(port));
    }
  }

  /** Frees all of them: the process ends. */
  close(): void {
    for (const holders of this.#held.values()) for (const holder of holders) holder.forwarder?.close();
    this.#held.clear();
  }

  #bindMapping(mapping: PortMapping, containerAddress: number): BoundPort[] {
    if (mapping.hostPort !== 0 && (mapping.hostPortEnd ?? mapping.hostPort) === mapping.hostPort) {
      return this.#bindNumber(mapping, mapping.hostPort, containerAddress);
    }
    let refusal: unknown;
    for (const number of this.#candidates(mapping)) {
      try {
        const bound = this.#bindNumber(mapping, number, containerAddress);
        if (mapping.hostPort === 0) this.#nextEphemeral = number + 1;
        return bound;
      } catch (error) {
        if (!(error instanceof PortTakenError)) throw error;
        refusal = error;
      }
    }
    throw new InternalError('all ports are allocated', refusal);
  }

  *#candidates(mapping: PortMapping): Generator<number> {
    if (mapping.hostPort !== 0) {
      for (let n = mapping.hostPort; n <= (mapping.hostPortEnd ?? mapping.hostPort); n++) yield n;
      return;
    }
    const [first, last] = ephemeralRange();
    const start = this.#nextEphemeral >= first && this.#nextEphemeral <= last ? this.#nextEphemeral : first;
    for (let n = start; n <= last; n++) yield n;
    for (let n = first; n < start; n++) yield n;
  }

  /** One mapping on one port number, on each address that it stands for. */
  #bindNumber(mapping: PortMapping, hostPort: number, containerAddress: number): BoundPort[] {
    const { containerPort, protocol } = mapping;
    const addresses = mapping.hostIp === '' ? [ANY_IPV4, ANY_IPV6] : [mapping.hostIp];
    const bound: BoundPort[] = [];
    try {
      for (const hostIp of addresses) {
        const port = { containerPort, protocol, hostIp, hostPort };
        const forwarder = this.#open(port, containerAddress, mapping.hostIp === '' && hostIp === ANY_IPV6);
        if (forwarder === undefined) continue;
        this.#hold(port, forwarder);
        bound.push(port);
      }
      return bound;
    } catch (error) {
      this.release(bound);
      throw error;
    }
  }

  /** Undefined where `optional` and the host has no such address family. */
  #open(port: BoundPort, containerAddress: number, optional: boolean): PortForwarder | undefined {
    const holders = this.#held.get(keyOf(port)) ?? [];
    if (holders.some((holder) => overlap(holder.hostIp, port.hostIp))) {
      throw new PortTakenError(`Bind for ${endpointText(port)} failed: port is already allocated`);
    }
    try {
      return open(port, containerAddress);
    } catch (error) {
      const code = errnoCode(error) ?? '';
      if (optional && NO_IPV6.has(code)) return undefined;
      const family = isIPv6(port.hostIp) ? 6 : 4;
      const reason = BIND_ERRORS[code] ?? errorMessage(error);
      const text = `listen ${port.protocol}${family} ${endpointText(port)}: bind: ${reason}`;
      // Docker's text, to the letter: without a cause, which would add to it.
      throw code === 'EADDRINUSE' ? new PortTakenError(text) : new InternalError(text);
    }
  }

  #hold(port: BoundPort, forwarder: PortForwarder | undefined): void {
    const holders = this.#held.get(keyOf(port)) ?? [];
    holders.push({ hostIp: port.hostIp, forwarder });
    this.#held.set(keyOf(port), holders);
  }
}

/** Another number may still do. */
class PortTakenError extends InternalError {}

function open(port: BoundPort, containerAddress: number): PortForwarder {
  return openForwarder(
    { protocol: port.protocol, address: port.hostIp, port: port.hostPort },
    { address: formatIPv4(containerAddress), port: port.containerPort },
  );
}

function keyOf(port: BoundPort): string {
  return `${port.protocol}/${port.hostPort}`;
}

function overlap(a: string, b: string): boolean {
  if (isIPv6(a) !== isIPv6(b)) return false;
  return a === b || [a, b].some((address) => address === ANY_IPV4 || address === ANY_IPV6);
}

function endpointText(port: BoundPort): string {
  return `${isIPv6(port.hostIp) ? `[${port.hostIp}]` : port.hostIp}:${port.hostPort}`;
}

/** The range from which the kernel itself takes ports, as Docker does: [first, last]. */
function ephemeralRange(): readonly [number, number] {
  try {
    const text = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8');
    const [first, last] = text.trim().split(/\s+/).map(Number);
    return first !== undefined && last !== undefined && first <= last ? [first, last] : EPHEMERAL_DEFAULT;
  } catch {
    // No such file in a restricted /proc: the kernel's defaults are as good.
    return EPHEMERAL_DEFAULT;
  }
}
