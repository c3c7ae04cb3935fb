/**
 * A container's side of networking: which network its mode asks for, and the three files that tell programs inside
 * about it. What happens in the kernel is NetworkManager's.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { hostname as hostHostname } from 'node:os';
import type { PortBinding } from '../api/networks.ts';
import { InvalidParameterError } from '../base/errors.ts';
import { buildHosts, buildResolvConf } from '../network/hosts-files.ts';
import type { PortMapping } from '../network/network-manager.ts';
import type { NamespaceChoice } from '../oci/generate.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './engine-context.ts';
import { namespaceOf, sharedWith } from './namespaces.ts';
import type { ContainerPaths } from './paths.ts';

export type NetworkKind = 'bridge' | 'host' | 'none' | 'container';

/** What HostConfig.NetworkMode stands for; `default` and empty are the bridge. */
export function networkKind(mode: string | undefined): NetworkKind {
  if (mode === 'host' || mode === 'none') return mode;
  return mode?.startsWith('container:') === true ? 'container' : 'bridge';
}

/** Makes the container's network and says where its namespace is. */
export async function connectNetwork(engine: EngineContext, container: Container): Promise<NamespaceChoice> {
  const choice = await makeNetwork(engine, container);
  container.onNetwork = true;
  tellNetwork(engine, container, 'connect');
  return choice;
}

/** A container that shares another's network has none of its own to tell of. */
function tellNetwork(engine: EngineContext, container: Container, action: 'connect' | 'disconnect'): void {
  const kind = networkKind(container.record.hostConfig.NetworkMode);
  const network = engine.networks.list().find(({ Name }) => Name === kind);
  if (network === undefined) return;
  const { Id, Name, Driver } = network;
  engine.events.publish('network', action, Id, { container: container.id, name: Name, type: Driver });
}

async function makeNetwork(engine: EngineContext, container: Container): Promise<NamespaceChoice> {
  const { hostConfig, config } = container.record;
  switch (networkKind(hostConfig.NetworkMode)) {
    case 'host':
      return 'host';
    case 'container': {
      const other = sharedWith(engine, hostConfig.NetworkMode);
      return other === undefined ? 'new' : { path: namespaceOf(other, 'net') };
    }
    case 'none':
      return { path: await engine.networks.createBareNetns(container.id) };
    case 'bridge': {
      const endpoint = await engine.networks.attach({
        containerId: container.id,
        containerName: container.record.name,
        network: 'bridge',
        ports: portMappings(container),
        ...(config.MacAddress ? { macAddress: config.MacAddress } : {}),
      });
      container.record.endpoint = endpoint;
      return { path: endpoint.netnsPath };
    }
  }
}

/** Undoes `connectNetwork`. Idempotent. */
export async function disconnectNetwork(engine: EngineContext, container: Container): Promise<void> {
  const kind = networkKind(container.record.hostConfig.NetworkMode);
  if (kind === 'bridge') await engine.networks.detach(container.id);
  if (kind === 'none') await engine.networks.removeNetns(container.id);
  container.record.endpoint = null;
}

/** Tells of the end of what `connectNetwork` told; nothing for a run that ended before. */
export function tellDisconnected(engine: EngineContext, container: Container): void {
  if (container.onNetwork) tellNetwork(engine, container, 'disconnect');
  container.onNetwork = false;
}

/** The ports to publish: PortBindings, and with PublishAllPorts every exposed port that has none. */
export function portMappings(container: Container): PortMapping[] {
  const { config, hostConfig } = container.record;
  const bindings = hostConfig.PortBindings ?? {};
  const mappings = Object.entries(bindings).flatMap(([port, wanted]) =>
    (wanted ?? []).map((binding) => portMapping(port, binding)),
  );
  if (hostConfig.PublishAllPorts !== true) return mappings;
  const rest = Object.keys(config.ExposedPorts ?? {}).filter((port) => (bindings[port] ?? []).length === 0);
  return [...mappings, ...rest.map((port) => portMapping(port, { HostIp: '', HostPort: '' }))];
}

/** `80/tcp` and a binding as one mapping. Throws InvalidParameter naming the value. */
export function portMapping(port: string, binding: PortBinding): PortMapping {
  const parsed = /^(\d{1,5})(?:\/(tcp|udp))?$/.exec(port);
  if (parsed === null) throw new InvalidParameterError(`invalid port specification: "${port}"`);
  const host = /^(?:(\d{1,5})(?:-(\d{1,5}))?)?$/.exec(binding.HostPort ?? '');
  if (host === null) throw new InvalidParameterError(`invalid port specification: "${binding.HostPort}"`);
  return {
    containerPort: portNumber(parsed[1]),
    protocol: parsed[2] === 'udp' ? 'udp' : 'tcp',
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

/** The name inside: its own, that of the container whose network it shares, or the host's with the host's network. */
export function containerHostname(engine: EngineContext, container: Container): string {
  const { config, hostConfig } = container.record;
  if (hostConfig.UTSMode === 'host') return hostHostname();
  const other = sharedWith(engine, hostConfig.NetworkMode);
  if (other !== undefined) return containerHostname(engine, other);
  const own = config.Hostname ?? '';
  return own === '' && networkKind(hostConfig.NetworkMode) === 'host' ? hostHostname() : own;
}

/** Writes /etc/hosts, /etc/hostname and /etc/resolv.conf of a container that is about to start. */
export function writeNetworkFiles(engine: EngineContext, container: Container, paths: ContainerPaths): void {
  const { config, hostConfig, endpoint } = container.record;
  const kind = networkKind(hostConfig.NetworkMode);
  if (kind === 'container') return;
  const { settings } = engine;
  const hostname = containerHostname(engine, container);
  const host = kind === 'host';
  writeFileSync(paths.hostname, `${hostname}\n`, { mode: 0o644 });
  writeFileSync(
    paths.hosts,
    host && (hostConfig.ExtraHosts ?? []).length === 0
      ? readFileSync('/etc/hosts')
      : buildHosts({
          base: host ? readFileSync('/etc/hosts', 'utf8') : undefined,
          extraHosts: hostConfig.ExtraHosts ?? [],
          hostGateway: endpoint?.gateway ?? '127.0.0.1',
          address: endpoint?.ipAddress ?? '',
          hostname,
          domainname: config.Domainname ?? '',
        }),
    { mode: 0o644 },
  );
  writeFileSync(
    paths.resolvConf,
    buildResolvConf({
      host,
      servers: pick(hostConfig.Dns, settings.dns),
      search: pick(hostConfig.DnsSearch, settings.dnsSearch),
      options: pick(hostConfig.DnsOptions, settings.dnsOptions),
    }),
    { mode: 0o644 },
  );
}

function pick(own: string[] | null | undefined, fallback: string[]): string[] {
  return own === null || own === undefined || own.length === 0 ? fallback : own;
}
