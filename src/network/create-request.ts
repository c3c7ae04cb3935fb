/**
 * `POST /networks/create`, judged as far as the request alone can tell: names, drivers, options, flags, subnets, with
 * Docker's rules and texts. What depends on other networks and on the host is network-catalog.ts's.
 */
import type { NetworkCreateRequest } from '../api/networks.ts';
import {
  ForbiddenError,
  InvalidParameterError,
  NotFoundError,
  NotImplementedError,
  UnavailableError,
} from '../base/errors.ts';
import { egressOption, flagOption, gatewayMode, judgeOptions, OPTION } from './driver-options.ts';
import { familyOf, judgePools } from './ipam/pool-request.ts';
import type { AddressPool, NetworkRecord } from './model.ts';

/** A network without identity: its pools may lack a gateway, and a family that is wanted may lack a pool. */
export type NetworkDraft = Omit<NetworkRecord, 'id' | 'created' | 'hostInterface' | 'ownsHostInterface'>;

export interface JudgedRequest {
  draft: NetworkDraft;
  warning: string;
}

const NAME_BYTES_MAX = 255;

const NO_SWARM =
  'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.';

/** Networks that every host has and that nobody makes. */
export function isPredefined(name: string): boolean {
  return ['bridge', 'host', 'none', 'default'].includes(name);
}

/** `configuration`: the network that `ConfigFrom` names, which gives what the request must then leave open. */
export function judgeCreate(
  request: NetworkCreateRequest,
  configuration: (name: string) => NetworkRecord,
): JudgedRequest {
  const name = judgeName(request.Name);
  judgeScope(request);
  const driver = judgeDriver(request.Driver ?? '');
  const configFrom = request.ConfigFrom?.Network ?? '';
  if (request.ConfigOnly === true) judgeConfigOnly(request, configFrom);
  if (configFrom !== '') requireNothingElse(request);
  const source = configFrom === '' ? undefined : configuration(configFrom);
  const options = source?.options ?? request.Options ?? {};
  judgeOptions(driver, options);
  requireIpamDriver(request);
  const pools = judgePools(request.IPAM?.Config ?? []);
  const ipv4 = source?.ipv4 ?? request.EnableIPv4 ?? flagOption(options, OPTION.enableIPv4, true);
  const ipv6 = source?.ipv6 ?? request.EnableIPv6 ?? flagOption(options, OPTION.enableIPv6, false);
  if (!ipv4 && !ipv6) throw new InvalidParameterError('IPv4 or IPv6 must be enabled');
  const used = source?.pools ?? pools.filter((pool) => (familyOf(pool) === 4 ? ipv4 : ipv6));
  const draft: NetworkDraft = {
    name,
    driver,
    internal: request.Internal === true,
    attachable: request.Attachable === true,
    ipv4,
    ipv6,
    pools: inFamilyOrder(used),
    ipamOptions: source?.ipamOptions ?? request.IPAM?.Options ?? {},
    options,
    labels: source?.labels ?? request.Labels ?? {},
    configOnly: request.ConfigOnly === true,
    configFrom,
    egress: egressOption(options),
  };
  judgeTogether(draft);
  return { draft, warning: unusedWarning(source === undefined ? pools : [], used) };
}

function judgeName(given: string): string {
  const name = given.trim();
  if (name === '') throw new InvalidParameterError('invalid name: name is empty');
  if (Buffer.byteLength(name) > NAME_BYTES_MAX) {
    throw new InvalidParameterError(`invalid name: more than ${NAME_BYTES_MAX} bytes`);
  }
  if (/[\0-\x1f\x7f-\x9f/]/.test(name)) {
    throw new InvalidParameterError(
      `invalid name: ${JSON.stringify(name)} has a slash or control characters`,
    );
  }
  // A path of the API that ends so is another one.
  if (name === '.' || name === '..') throw new InvalidParameterError(`invalid name: "${name}"`);
  if (isPredefined(name)) {
    throw new ForbiddenError(`operation is not permitted on predefined ${name} network`);
  }
  return name;
}

function judgeScope(request: NetworkCreateRequest): void {
  const scope = request.Scope ?? '';
  if (scope === 'swarm' || request.Ingress === true) throw new UnavailableError(NO_SWARM);
  if (!['', 'local'].includes(scope)) throw new InvalidParameterError(`invalid scope: ${scope}`);
}

function judgeDriver(name: string): 'bridge' | 'macvlan' | 'ipvlan' {
  switch (name) {
    case '':
    case 'default':
    case 'bridge':
      return 'bridge';
    case 'macvlan':
    case 'ipvlan':
      return name;
    case 'host':
    case 'null':
      throw new ForbiddenError(`only one instance of "${name}" network is allowed`);
    case 'overlay':
      throw new UnavailableError(NO_SWARM);
    default:
      throw missingPlugin(name);
  }
}

function missingPlugin(name: string): NotFoundError {
  return new NotFoundError(`could not find plugin ${name} in v1 plugin registry: plugin not found`);
}

function requireIpamDriver(request: NetworkCreateRequest): void {
  const name = request.IPAM?.Driver ?? '';
  if (!['', 'default'].includes(name)) throw missingPlugin(name);
}

function judgeConfigOnly(request: NetworkCreateRequest, configFrom: string): void {
  if (configFrom !== '') {
    throw new ForbiddenError('a configuration network cannot depend on another configuration network');
  }
  if (request.Internal === true || request.Attachable === true) {
    throw new ForbiddenError(
      'configuration network can only contain network specific fields. Network operator fields like [ ingress | internal | attachable | scope ] are not supported.',
    );
  }
}

function requireNothingElse(request: NetworkCreateRequest): void {
  const filled = (map: object | null | undefined): boolean => Object.keys(map ?? {}).length > 0;
  const { IPAM: ipam } = request;
  const configured =
    request.EnableIPv6 === true ||
    filled(request.Labels) ||
    filled(ipam?.Options) ||
    (ipam?.Config ?? []).length > 0 ||
    !['', 'default'].includes(ipam?.Driver ?? '');
  if (configured) {
    throw new ForbiddenError(
      'user specified configurations are not supported if the network depends on a configuration network',
    );
  }
  if (filled(request.Options)) {
    throw new ForbiddenError(
      'network driver options are not supported if the network depends on a configuration network',
    );
  }
}

/** What only the whole of a request shows. */
function judgeTogether(draft: NetworkDraft): void {
  const { driver, options, pools, internal } = draft;
  for (const family of [4, 6] as const) {
    if (driver === 'bridge' && pools.filter((pool) => familyOf(pool) === family).length > 1) {
      throw new ForbiddenError("bridge driver doesn't support multiple subnets");
    }
    if (gatewayMode(options, family) === 'isolated' && !internal && !draft.configOnly) {
      throw new InvalidParameterError("gateway mode 'isolated' can only be used for an internal network");
    }
  }
  for (const name of Object.keys(draft.ipamOptions)) {
    throw new NotImplementedError(`IPAM option "${name}" is not implemented`);
  }
}

function inFamilyOrder(pools: readonly AddressPool[]): AddressPool[] {
  return [...pools].sort((a, b) => familyOf(a) - familyOf(b));
}

function unusedWarning(asked: readonly AddressPool[], used: readonly AddressPool[]): string {
  return asked
    .filter((pool) => !used.includes(pool))
    .map((pool) => `subnet ${pool.subnet} is not used: IPv${familyOf(pool)} is not enabled`)
    .join('\n');
}
