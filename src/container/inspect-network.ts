/**
 * A container's networks as the Engine API shows them, in inspect and in the list: live endpoints with their
 * addresses, those of stopped containers without. What Docker does not have: which ports other hosts can reach, and
 * what may leave the container.
 */
import type { EgressState, OpenPort, Port } from '../api/containers.ts';
import type { EndpointSettings, NetworkSettings, PortMap } from '../api/networks.ts';
import { splitProtocol } from '../api/port-spec.ts';
import type { Endpoint } from '../network/model.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './engine-context.ts';
import { dnsNames, tryFindNetwork } from './network.ts';
import { isUserDefined } from './network-mode.ts';
import { portKey } from './port-bindings.ts';

export function networkSettings(engine: EngineContext, container: Container): NetworkSettings {
  const sandbox = container.running ? container.record.sandbox : null;
  const networks = endpointsOf(engine, container);
  const bridge = networks['bridge'];
  return {
    Bridge: '',
    SandboxID: sandbox === null ? '' : container.id,
    SandboxKey: sandbox?.netnsPath ?? '',
    Ports: container.running ? portMap(container) : {},
    HairpinMode: false,
    LinkLocalIPv6Address: '',
    LinkLocalIPv6PrefixLen: 0,
    SecondaryIPAddresses: null,
    SecondaryIPv6Addresses: null,
    EndpointID: bridge?.EndpointID ?? '',
    Gateway: bridge?.Gateway ?? '',
    GlobalIPv6Address: bridge?.GlobalIPv6Address ?? '',
    GlobalIPv6PrefixLen: bridge?.GlobalIPv6PrefixLen ?? 0,
    IPAddress: bridge?.IPAddress ?? '',
    IPPrefixLen: bridge?.IPPrefixLen ?? 0,
    IPv6Gateway: bridge?.IPv6Gateway ?? '',
    MacAddress: bridge?.MacAddress ?? '',
    Networks: networks,
  };
}

/** By network name. */
export function endpointsOf(engine: EngineContext, container: Container): Record<string, EndpointSettings> {
  const { record } = container;
  const live = container.running ? (record.sandbox?.endpoints ?? []) : [];
  return Object.fromEntries(
    Object.entries(record.networks).map(([name, settings]) => {
      const endpoint = live.find(({ networkName }) => networkName === name);
      const networkId = isUserDefined(name) ? settings.NetworkID : tryFindNetwork(engine, name)?.id;
      return [
        name,
        {
          ...endpointSettings(settings, endpoint),
          NetworkID: endpoint?.networkId ?? networkId ?? '',
          DNSNames: endpointNames(container, name, settings, endpoint),
        },
      ];
    }),
  );
}

/** As Docker: none on the default bridge, and before the first start. */
function endpointNames(
  { record }: Container,
  network: string,
  settings: EndpointSettings,
  endpoint: Endpoint | undefined,
): string[] | null {
  if (!isUserDefined(network)) return null;
  return endpoint !== undefined || settings.NetworkID ? dnsNames(record, settings) : null;
}

function endpointSettings(asked: EndpointSettings, endpoint: Endpoint | undefined): EndpointSettings {
  return {
    IPAMConfig: asked.IPAMConfig ?? null,
    Links: asked.Links ?? null,
    Aliases: asked.Aliases ?? null,
    MacAddress: endpoint?.macAddress ?? '',
    DriverOpts: asked.DriverOpts ?? null,
    GwPriority: asked.GwPriority ?? 0,
    EndpointID: endpoint?.endpointId ?? '',
    Gateway: endpoint?.gateway ?? '',
    IPAddress: endpoint?.ipAddress ?? '',
    IPPrefixLen: endpoint?.prefixLength ?? 0,
    IPv6Gateway: endpoint?.ipv6Gateway ?? '',
    GlobalIPv6Address: endpoint?.ipv6Address ?? '',
    GlobalIPv6PrefixLen: endpoint?.ipv6PrefixLength ?? 0,
  };
}

/** Exposed ports, with where they are published: `80/tcp` to its bindings, null for none. */
function portMap({ record }: Container): PortMap {
  const map: PortMap = {};
  for (const port of Object.keys(record.config.ExposedPorts ?? {})) map[port] = null;
  for (const bound of record.sandbox?.ports ?? []) {
    const key = portKey(bound);
    map[key] = [...(map[key] ?? []), { HostIp: bound.hostIp, HostPort: String(bound.hostPort) }];
  }
  return map;
}

/** The ports of one line of the list; none of a stopped container. */
export function listedPorts(container: Container): Port[] {
  if (!container.running) return [];
  return Object.entries(portMap(container)).flatMap(([port, bindings]): Port[] => {
    const { ports: number, protocol: Type } = splitProtocol(port);
    const common = { PrivatePort: Number(number), Type };
    if (bindings === null) return [common];
    return bindings.map(({ HostIp, HostPort }) => ({ IP: HostIp, ...common, PublicPort: Number(HostPort) }));
  });
}

/** Nothing for a container that publishes nothing. */
export function openPorts(engine: EngineContext, { running, record }: Container): { OpenPorts?: OpenPort[] } {
  const ports = running ? (record.sandbox?.ports ?? []) : [];
  if (ports.length === 0) return {};
  return {
    OpenPorts: ports
      .filter((port) => engine.networks.isOpenToWorld(port))
      .map(({ hostIp, hostPort, containerPort, protocol }) => ({
        HostIp: hostIp,
        HostPort: hostPort,
        ContainerPort: containerPort,
        Type: protocol,
        ...(engine.settings.firewall === 'strict' ? { HostRules: true as const } : {}),
      })),
  };
}

/** What may leave a running container, and what was refused; undefined where nothing restricts it. */
export async function egressState(
  engine: EngineContext,
  container: Container,
): Promise<EgressState | undefined> {
  if (!container.running) return undefined;
  const report = await engine.networks.egressReport(container.id);
  if (report === undefined) return undefined;
  return {
    Allowed: [...report.policy.names, ...report.policy.subnets],
    BlockedPackets: report.blockedPackets,
    Recent: report.recent.map(({ time, destination }) => ({ Time: time, Destination: destination })),
  };
}
