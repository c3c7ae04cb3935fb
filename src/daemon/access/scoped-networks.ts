/** Networks as one scoped socket has them: those with its labels, and those that its containers may join. */
import type { EndpointSettings, Network, NetworkCreateRequest } from '../../api/networks.ts';
import type { NetworksBackend } from '../routes/networks/backend.ts';
import { unknownFieldOf } from './create-policy.ts';
import { beyond } from './guard.ts';
import { foreignLabel, labelFilter, limitEndpointLinks, refuseOwnServers } from './scoped-containers.ts';
import type { VisibleObjects } from './visible.ts';

export function scopedNetworks(engine: NetworksBackend, visible: VisibleObjects): NetworksBackend {
  return {
    create: (request) => engine.create(limitCreate(request, visible)),
    list: () => engine.list().filter((one) => visible.hasNetwork(one)),
    inspect: (reference) => withOwnContainers(engine.inspect(visible.network(reference).Id), visible),
    remove: async (reference) => await engine.remove(visible.networkToChange(reference).Id),
    prune: (filters, signal) =>
      engine.prune({ ...filters, ...labelFilter(filters['label'], visible) }, signal),
    connect: async (container, network, settings) => {
      refuseEndpointExcess(settings, visible);
      const limited = limitEndpointLinks(settings, visible);
      const { Id: NetworkID } = visible.networkToJoin(network);
      const { id, record } = visible.container(container);
      refuseOwnServers(NetworkID, record.hostConfig, visible);
      await engine.connect(id, NetworkID, { ...limited, NetworkID });
    },
    disconnect: async (container, network, force) =>
      await engine.disconnect(visible.container(container).id, visible.network(network).Id, force),
  };
}

/** Who else is on a network that is shared stays untold. */
function withOwnContainers(network: Network, visible: VisibleObjects): Network {
  const own = visible.containerIds();
  const Containers = Object.fromEntries(Object.entries(network.Containers).filter(([id]) => own.has(id)));
  return { ...network, Containers };
}

const CREATE_FIELDS: ReadonlySet<string> = new Set<keyof NetworkCreateRequest>([
  ...(['Name', 'Driver', 'Scope', 'Internal', 'Attachable', 'EnableIPv4', 'EnableIPv6'] as const),
  ...(['Options', 'Labels', 'IPAM', 'Ingress', 'ConfigOnly', 'ConfigFrom'] as const),
]);

/** The others name interfaces and addresses of the host. */
const OPTIONS: ReadonlySet<string> = new Set([
  'com.docker.network.bridge.enable_icc',
  'com.docker.network.bridge.enable_ip_masquerade',
  'com.docker.network.driver.mtu',
  'mydock.egress',
]);

/** The subnet is the daemon's to choose: one of a client's choice would take addresses of other hosts over. */
function limitCreate(request: NetworkCreateRequest, visible: VisibleObjects): NetworkCreateRequest {
  const { Driver: driver = '', IPAM: ipam, Options: options } = request;
  const foreignOption = Object.keys(options ?? {}).find((name) => !OPTIONS.has(name));
  const excess: (string | false | undefined)[] = [
    unknownFieldOf(request, CREATE_FIELDS, ''),
    !['', 'bridge', 'default'].includes(driver) && `network driver "${driver}"`,
    (request.ConfigOnly === true || (request.ConfigFrom?.Network ?? '') !== '') && 'a network configuration',
    !['', 'default'].includes(ipam?.Driver ?? '') && `IPAM driver "${ipam?.Driver}"`,
    ((ipam?.Config ?? []).length > 0 || Object.keys(ipam?.Options ?? {}).length > 0) &&
      'a subnet of its own choice',
    foreignOption !== undefined && `network option ${foreignOption}`,
  ];
  const found = excess.find((one) => typeof one === 'string');
  if (typeof found === 'string') throw beyond(visible.scope, found);
  const Labels = visible.scope.withLabels(request.Labels);
  if (Labels === undefined) throw foreignLabel(visible);
  return { ...request, Labels };
}

const ENDPOINT_FIELDS: ReadonlySet<string> = new Set<keyof EndpointSettings>([
  ...(['IPAMConfig', 'Links', 'Aliases', 'MacAddress', 'DriverOpts', 'GwPriority', 'NetworkID'] as const),
  ...(['EndpointID', 'Gateway', 'IPAddress', 'IPPrefixLen', 'IPv6Gateway', 'GlobalIPv6Address'] as const),
  ...(['GlobalIPv6PrefixLen', 'DNSNames'] as const),
]);

/** Throws Forbidden for what an endpoint may not be asked for. */
export function refuseEndpointExcess(settings: EndpointSettings, { scope }: VisibleObjects): void {
  const unknown = unknownFieldOf(settings, ENDPOINT_FIELDS, 'EndpointSettings.');
  const ipam = unknownFieldOf(
    settings.IPAMConfig ?? {},
    new Set(['IPv4Address', 'IPv6Address']),
    'EndpointSettings.IPAMConfig.',
  );
  if (unknown !== undefined) throw beyond(scope, unknown);
  if (ipam !== undefined) throw beyond(scope, ipam);
  if (Object.keys(settings.DriverOpts ?? {}).length > 0)
    throw beyond(scope, 'a driver option of an endpoint');
}
