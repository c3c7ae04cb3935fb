/**
 * Published ports of all containers of this engine: which are taken, which are free, and the sockets that hold them.
 * What the kernel is told about them is the firewall's. In routed networks a port of the host stands for nothing:
 * such a family gives an entry with host port 0 and no socket.
 */
import { readFileSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { errnoCode, errorMessage, InternalError } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import type { BoundPort, PortMapping } from '../model.ts';
import { type DescriptorBudget, type PortBudgets, portBudgets } from './descriptor-budget.ts';
import type { ForwardAddresses } from './port-rules.ts';
import { ANY_IPV4, ANY_IPV6, containerAddress, familyOf, hostAddresses, isRouted } from './port-rules.ts';
import type { ForwardTarget, PortSocket } from './port-socket.ts';
import { openPortSocket } from './port-socket.ts';

export type { ForwardAddresses } from './port-rules.ts';
export { validatePorts } from './port-rules.ts';

/** Where the kernel's own range cannot be read. */
const EPHEMERAL_DEFAULT = [32768, 60999] as const;

const BIND_ERRORS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'address already in use',
  EADDRNOTAVAIL: 'cannot assign requested address',
  EACCES: 'permission denied',
};

/** The host has no IPv6, or has it switched off. */
const NO_IPV6 = new Set(['EAFNOSUPPORT', 'EADDRNOTAVAIL']);

interface Holder {
  port: BoundPort;
  /** Undefined where the port could not be bound again after a restart. */
  socket: PortSocket | undefined;
}

export class Ports {
  /** By protocol and port number, since addresses of one number may overlap. */
  readonly #held = new Map<string, Holder[]>();
  readonly #budgets: PortBudgets;
  #nextEphemeral = 0;

  constructor(budgets = portBudgets()) {
    this.#budgets = budgets;
  }

  /**
   * Binds all mappings for a container, or none; what it holds already stays. Throws Internal with Docker's text: our
   * own port `Bind for 0.0.0.0:8080 failed: port is already allocated`, another program's `listen tcp4 0.0.0.0:8080:
   * bind: address already in use`. More than the process has descriptors for are refused before any is bound.
   */
  bind(mappings: readonly PortMapping[], target: ForwardAddresses): BoundPort[] {
    const bound: BoundPort[] = [];
    const { held } = this.#budgets;
    const wanted = mappings.reduce((sum, mapping) => sum + socketsOf(mapping, target), 0);
    if (wanted > held.free) throw new InternalError(overBudget(wanted, held));
    try {
      for (const mapping of mappings) bound.push(...this.#bindMapping(mapping, target));
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
  restore(ports: readonly BoundPort[], target: ForwardAddresses): void {
    for (const port of ports) {
      const forward = forwardTarget(port, target);
      if (port.hostPort === 0 || forward === undefined) continue;
      let socket: PortSocket | undefined;
      try {
        socket = this.#openSocket(port, forward);
      } catch (error) {
        log.warn({ port, reason: errorMessage(error) }, 'published port: cannot be held again');
      }
      this.#hold(port, socket);
    }
  }

  /** The container is reached at other addresses from now on; its ports stay held. */
  retarget(ports: readonly BoundPort[], target: ForwardAddresses): void {
    for (const port of ports) {
      const forward = forwardTarget(port, target);
      if (forward !== undefined) this.#find(port)?.socket?.retarget(forward);
    }
  }

  /** Frees ports. Those that are not held are ignored. */
  release(ports: readonly BoundPort[]): void {
    for (const port of ports) {
      const holder = this.#find(port);
      if (holder === undefined) continue;
      const left = (this.#held.get(keyOf(port)) ?? []).filter((other) => other !== holder);
      if (left.length === 0) this.#held.delete(keyOf(port));
      else this.#held.set(keyOf(port), left);
      this.#closeSocket(holder);
    }
  }

  /** Frees all of them: the process ends, or, with `keepCarried`, carries on what it carries and nothing else. */
  close(keepCarried = false): void {
    for (const holders of this.#held.values())
      for (const holder of holders) this.#closeSocket(holder, keepCarried);
    this.#held.clear();
  }

  /** Sockets of what is being carried. */
  get carried(): number {
    const { carried } = this.#budgets;
    return carried.max - carried.free;
  }

  #find(port: BoundPort): Holder | undefined {
    return this.#held.get(keyOf(port))?.find((holder) => holder.port.hostIp === port.hostIp);
  }

  #bindMapping(mapping: PortMapping, target: ForwardAddresses): BoundPort[] {
    const { containerPort, protocol } = mapping;
    const addresses = hostAddresses(mapping);
    const routed = addresses.filter((hostIp) => isRouted(target, familyOf(hostIp)));
    const bound = this.#bindAddresses(
      mapping,
      addresses.filter((hostIp) => !routed.includes(hostIp)),
      target,
    );
    for (const hostIp of routed) {
      const has = familyOf(hostIp) === 4 ? target.ipv4 : target.ipv6;
      if (has !== undefined) bound.push({ containerPort, protocol, hostIp, hostPort: 0 });
    }
    return bound;
  }

  #bindAddresses(mapping: PortMapping, addresses: readonly string[], target: ForwardAddresses): BoundPort[] {
    if (addresses.length === 0) return [];
    if (mapping.hostPort !== 0 && (mapping.hostPortEnd ?? mapping.hostPort) === mapping.hostPort) {
      return this.#bindNumber(mapping, mapping.hostPort, addresses, target);
    }
    let refusal: unknown;
    for (const number of this.#candidates(mapping)) {
      try {
        const bound = this.#bindNumber(mapping, number, addresses, target);
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
  #bindNumber(
    mapping: PortMapping,
    hostPort: number,
    addresses: readonly string[],
    target: ForwardAddresses,
  ): BoundPort[] {
    const { containerPort, protocol } = mapping;
    const bound: BoundPort[] = [];
    try {
      for (const hostIp of addresses) {
        const port = { containerPort, protocol, hostIp, hostPort };
        const forward = forwardTarget(port, target);
        // Of two wildcards, the one may do nothing: SCTP is not carried between families, hosts may have no IPv6.
        if (forward === undefined && addresses.length > 1) continue;
        if (forward === undefined) {
          const family = `IPv${familyOf(hostIp)}`;
          throw new InternalError(
            `cannot publish ${endpointText(port)}/${protocol}: the container has no ${family} address`,
          );
        }
        const socket = this.#open(port, forward, addresses.length > 1 && isIPv6(hostIp));
        if (socket === undefined) continue;
        this.#hold(port, socket);
        bound.push(port);
      }
      return bound;
    } catch (error) {
      this.release(bound);
      throw error;
    }
  }

  /** Undefined where `optional` and the host has no such address family. */
  #open(port: BoundPort, target: ForwardTarget, optional: boolean): PortSocket | undefined {
    const holders = this.#held.get(keyOf(port)) ?? [];
    if (holders.some((holder) => overlap(holder.port.hostIp, port.hostIp))) {
      throw new PortTakenError(`Bind for ${endpointText(port)} failed: port is already allocated`);
    }
    try {
      return this.#openSocket(port, target);
    } catch (error) {
      const code = errnoCode(error) ?? '';
      if (optional && NO_IPV6.has(code)) return undefined;
      const reason = BIND_ERRORS[code] ?? errorMessage(error);
      const text = `listen ${port.protocol}${familyOf(port.hostIp)} ${endpointText(port)}: bind: ${reason}`;
      // Docker's text, to the letter: without a cause, which would add to it.
      throw code === 'EADDRINUSE' ? new PortTakenError(text) : new InternalError(text);
    }
  }

  #openSocket(port: BoundPort, target: ForwardTarget): PortSocket {
    const { held, carried } = this.#budgets;
    if (!held.take(1)) throw new InternalError(overBudget(1, held));
    try {
      return openPortSocket(port, target, carried);
    } catch (error) {
      held.give(1);
      throw error;
    }
  }

  #closeSocket(holder: Holder, keepCarried = false): void {
    if (holder.socket === undefined) return;
    holder.socket.close(keepCarried);
    this.#budgets.held.give(1);
  }

  #hold(port: BoundPort, socket: PortSocket | undefined): void {
    const holders = this.#held.get(keyOf(port)) ?? [];
    holders.push({ port, socket });
    this.#held.set(keyOf(port), holders);
  }
}

/** Another number may still do. */
class PortTakenError extends InternalError {}

/** How many sockets of the host a mapping takes at most. */
function socketsOf(mapping: PortMapping, target: ForwardAddresses): number {
  return hostAddresses(mapping).filter((hostIp) => !isRouted(target, familyOf(hostIp))).length;
}

function overBudget(wanted: number, held: DescriptorBudget): string {
  return (
    `cannot publish ports: they take ${wanted} more sockets, and of the ${held.max} that the daemon's limit of ` +
    `open files (LimitNOFILE, ulimit -n) allows for published ports, ${held.free} are free`
  );
}

/** Undefined where nothing of the container can be reached that way. */
function forwardTarget(port: BoundPort, target: ForwardAddresses): ForwardTarget | undefined {
  const family = familyOf(port.hostIp);
  const address = containerAddress(target, family);
  if (address === undefined || (port.protocol === 'sctp' && familyOf(address) !== family)) return undefined;
  return { address, family: familyOf(address), port: port.containerPort };
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
