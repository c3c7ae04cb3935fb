/**
 * `PortBindings` of a container as networking's port mappings, and which of them a request names that publishes and
 * withdraws ports. Pure.
 */
import type { HostConfig } from '../api/host-config.ts';
import type { PortBinding, PortMap } from '../api/networks.ts';
import { type PublishedSelector, type PublishSpec, splitProtocol } from '../api/port-spec.ts';
import { InvalidParameterError, NotFoundError } from '../base/errors.ts';
import type { BoundPort, PortMapping } from '../network/model.ts';

/** `80/tcp`, as keys of PortBindings and ExposedPorts are. */
export function portKey(port: Pick<PortMapping, 'containerPort' | 'protocol'>): string {
  return `${port.containerPort}/${port.protocol}`;
}

/** A key and one of its bindings as one mapping. Throws InvalidParameter naming the value. */
export function portMapping(key: string, binding: PortBinding): PortMapping {
  const parsed = /^(\d{1,5})(?:\/(tcp|udp|sctp))?$/i.exec(key);
  if (parsed === null) throw new InvalidParameterError(`invalid port specification: "${key}"`);
  const host = /^(?:(\d{1,5})(?:-(\d{1,5}))?)?$/.exec(binding.HostPort ?? '');
  if (host === null) throw new InvalidParameterError(`invalid port specification: "${binding.HostPort}"`);
  return {
    containerPort: portNumber(parsed[1]),
    protocol: splitProtocol(key).protocol,
    hostIp: binding.HostIp ?? '',
    hostPort: host[1] === undefined ? 0 : portNumber(host[1]),
    ...(host[2] === undefined ? {} : { hostPortEnd: portNumber(host[2]) }),
  };
}

function portNumber(text: string | undefined): number {
  const number = Number(text);
  if (!(number >= 0 && number <= 65535)) throw new InvalidParameterError(`invalid port number: ${text}`);
  return number;
}

/** What is asked of networking for a container's ports. */
export interface PortRequests {
  bindings: PortMap;
  /** Exposed ports without a binding are published too. */
  publishAll: boolean;
  /** `80/tcp`. */
  exposed: readonly string[];
}

export interface PortChange {
  /** To be stored. */
  bindings: PortMap;
  publishAll: boolean;
  /** To be done to a running container. */
  add: PortMapping[];
  remove: BoundPort[];
}

/**
 * What a change comes to. `bound` are the ports of a running container, null for one that is stopped: there a selector
 * means the bindings that are stored. A binding of which a part is withdrawn (one of two addresses) is stored as what
 * is left of it. Throws NotFound for a selector that means nothing.
 */
export function planPortChange(
  requests: PortRequests,
  bound: readonly BoundPort[] | null,
  change: { add: readonly PublishSpec[]; remove: readonly PublishedSelector[] },
): PortChange {
  const claims = claimedPorts(requests, bound);
  const removed = new Set<BoundPort>();
  for (const selector of change.remove) {
    const found = claims.flatMap(({ ports }) => ports.filter((port) => selects(selector, port)));
    if (found.length === 0) throw new NotFoundError(`port ${selectorText(selector)} is not published`);
    for (const port of found) removed.add(port);
  }
  const bindings: Record<string, PortBinding[]> = {};
  const keep = (key: string, binding: PortBinding): void => {
    bindings[key] = [...(bindings[key] ?? []), binding];
  };
  let publishAll = requests.publishAll;
  for (const { key, binding, ports } of claims) {
    const left = ports.filter((port) => !removed.has(port));
    if (left.length === ports.length) keep(key, binding);
    else for (const port of left) keep(key, { HostIp: port.hostIp, HostPort: binding.HostPort });
  }
  if (publishAll) {
    const own = new Set(Object.keys(allBindings({ ...requests, publishAll: false })));
    const withdrawn = claims.some(
      ({ key, ports }) => !own.has(key) && ports.some((port) => removed.has(port)),
    );
    if (withdrawn) publishAll = false;
    else for (const key of Object.keys(bindings)) if (!own.has(key)) delete bindings[key];
  }
  for (const spec of change.add) keep(portKey(spec), bindingOf(spec));
  return { bindings, publishAll, add: [...change.add], remove: bound === null ? [] : [...removed] };
}

interface Claim {
  key: string;
  binding: PortBinding;
  /** What it is bound to; for a stopped container the binding itself. */
  ports: BoundPort[];
}

/** Which bound port goes back to which binding; those with a port of their own choose first. */
function claimedPorts(requests: PortRequests, bound: readonly BoundPort[] | null): Claim[] {
  const claims = Object.entries(allBindings(requests)).flatMap(([key, bindings]) =>
    bindings.map((binding): Claim => ({ key, binding, ports: [] })),
  );
  if (bound === null) {
    for (const claim of claims) claim.ports = [asStored(claim)];
    return claims;
  }
  const free = new Set(bound);
  for (const claim of claims.toSorted((a, b) => choice(a) - choice(b))) {
    claim.ports = taken(claim, [...free]);
    for (const port of claim.ports) free.delete(port);
  }
  return claims;
}

/** Those of PortBindings, and with `publishAll` one of every exposed port that has none. */
function allBindings({ publishAll, exposed, bindings }: PortRequests): Record<string, PortBinding[]> {
  const all: Record<string, PortBinding[]> = {};
  for (const [key, given] of Object.entries(bindings)) if (given?.length) all[key] = given;
  if (publishAll) for (const key of exposed) all[key] ??= [{ HostIp: '', HostPort: '' }];
  return all;
}

/** How many ports a binding may have got: 1, a range, or any. */
function choice({ key, binding }: Claim): number {
  const { hostPort, hostPortEnd = hostPort } = portMapping(key, binding);
  return hostPort === 0 ? Number.MAX_SAFE_INTEGER : hostPortEnd - hostPort;
}

function taken({ key, binding }: Claim, free: readonly BoundPort[]): BoundPort[] {
  const wanted = portMapping(key, binding);
  const fits = free.filter(
    (port) =>
      port.containerPort === wanted.containerPort &&
      port.protocol === wanted.protocol &&
      (wanted.hostIp === '' ? isAnyAddress(port.hostIp) : port.hostIp === wanted.hostIp) &&
      (wanted.hostPort === 0 ||
        (port.hostPort >= wanted.hostPort && port.hostPort <= (wanted.hostPortEnd ?? wanted.hostPort))),
  );
  // Both families of one binding have the same port.
  return fits.filter(({ hostPort }) => hostPort === fits[0]?.hostPort);
}

function isAnyAddress(address: string): boolean {
  return address === '0.0.0.0' || address === '::';
}

function asStored({ key, binding }: Claim): BoundPort {
  const { containerPort, protocol, hostIp, hostPort } = portMapping(key, binding);
  return { containerPort, protocol, hostIp, hostPort };
}

function selects(selector: PublishedSelector, port: BoundPort): boolean {
  return (
    selector.protocol === port.protocol &&
    selector.hostPort === port.hostPort &&
    (selector.hostIp === undefined || selector.hostIp === port.hostIp) &&
    (selector.containerPort === undefined || selector.containerPort === port.containerPort)
  );
}

function selectorText({ hostIp, hostPort, containerPort, protocol }: PublishedSelector): string {
  const address = hostIp === undefined ? '' : hostIp.includes(':') ? `[${hostIp}]:` : `${hostIp}:`;
  const container = containerPort === undefined ? '' : `:${containerPort}`;
  return `${address}${hostPort}${container}/${protocol}`;
}

function bindingOf({ hostIp, hostPort, hostPortEnd }: PublishSpec): PortBinding {
  const end = hostPortEnd === undefined ? '' : `-${hostPortEnd}`;
  return { HostIp: hostIp, HostPort: hostPort === 0 ? '' : `${hostPort}${end}` };
}

/** The ports that a container asks to be published. */
export function portRequests(
  hostConfig: Pick<HostConfig, 'PortBindings' | 'PublishAllPorts'>,
  exposedPorts: Record<string, unknown> | null | undefined,
): PortRequests {
  return {
    bindings: hostConfig.PortBindings ?? {},
    publishAll: hostConfig.PublishAllPorts === true,
    exposed: Object.keys(exposedPorts ?? {}),
  };
}

/** PortBindings, and with PublishAllPorts every exposed port that has none. */
export function portMappings(requests: PortRequests): PortMapping[] {
  return Object.entries(allBindings(requests)).flatMap(([key, bindings]) =>
    bindings.map((binding) => portMapping(key, binding)),
  );
}
