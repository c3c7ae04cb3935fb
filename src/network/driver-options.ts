/**
 * The driver options of networks (`docker network create -o`), judged by name: those that are known have their value
 * checked, an unknown one of Docker's own prefix is refused because it would be a promise that nobody keeps, and any
 * other is kept as it is, as Docker does. Also how the rest of networking reads them.
 */
import { isIPv4, isIPv6 } from 'node:net';
import { InvalidParameterError, NotImplementedError } from '../base/errors.ts';
import { parseEgress } from './egress/policy.ts';
import type { GatewayMode } from './firewall/model.ts';
import type { EgressPolicy, NetworkDriver } from './model.ts';

const BRIDGE = 'com.docker.network.bridge.';

export const OPTION = {
  bridgeName: `${BRIDGE}name`,
  defaultBridge: `${BRIDGE}default_bridge`,
  icc: `${BRIDGE}enable_icc`,
  masquerade: `${BRIDGE}enable_ip_masquerade`,
  hostBindingIPv4: `${BRIDGE}host_binding_ipv4`,
  gatewayModeIPv4: `${BRIDGE}gateway_mode_ipv4`,
  gatewayModeIPv6: `${BRIDGE}gateway_mode_ipv6`,
  inhibitIPv4: `${BRIDGE}inhibit_ipv4`,
  mtu: 'com.docker.network.driver.mtu',
  interfacePrefix: 'com.docker.network.container_iface_prefix',
  enableIPv4: 'com.docker.network.enable_ipv4',
  enableIPv6: 'com.docker.network.enable_ipv6',
  parent: 'parent',
  macvlanMode: 'macvlan_mode',
  ipvlanMode: 'ipvlan_mode',
  ipvlanFlag: 'ipvlan_flag',
  egress: 'mydock.egress',
} as const;

const GATEWAY_MODES: readonly GatewayMode[] = ['nat', 'nat-unprotected', 'routed', 'isolated'];

/** What Go's strconv.ParseBool takes. */
const TRUE = ['1', 't', 'T', 'TRUE', 'true', 'True'];
const FALSE = ['0', 'f', 'F', 'FALSE', 'false', 'False'];

/** Linux: fifteen bytes, no slash, no colon, no white space. The prefix of containers' interfaces leaves room for a number. */
const INTERFACE_NAME = /^(?!\.{1,2}$)[^\s/:\0-\x1f\x7f]{1,15}$/;
const INTERFACE_PREFIX = /^[A-Za-z][A-Za-z0-9_.-]{0,9}$/;

type Check = (value: string, label: string) => void;

const boolean: Check = (value, label) => void readBoolean(value, label);
const oneOf =
  (known: readonly string[], what: string): Check =>
  (value) => {
    if (!known.includes(value)) throw new InvalidParameterError(`unknown ${what} '${value}'`);
  };
const interfaceName: Check = (value, label) => {
  if (value !== '' && !isInterfaceName(value)) throw parseFailure(label, value, 'no name of an interface');
};

const ANY_DRIVER: Readonly<Record<string, Check>> = {
  [OPTION.mtu]: (value, label) => {
    const mtu = /^\d{1,9}$/.test(value) ? Number(value) : -1;
    if (mtu !== 0 && (mtu < 68 || mtu > 65535)) throw parseFailure(label, value, 'want 68 to 65535');
  },
  [OPTION.interfacePrefix]: (value, label) => {
    if (!INTERFACE_PREFIX.test(value))
      throw parseFailure(label, value, 'want a letter and at most nine more');
  },
  [OPTION.enableIPv4]: boolean,
  [OPTION.enableIPv6]: boolean,
  [OPTION.egress]: (value) => void parseEgress(value),
};

const BY_DRIVER: Readonly<Record<'bridge' | 'macvlan' | 'ipvlan', Readonly<Record<string, Check>>>> = {
  bridge: {
    [OPTION.bridgeName]: interfaceName,
    [OPTION.icc]: boolean,
    [OPTION.masquerade]: boolean,
    [OPTION.inhibitIPv4]: boolean,
    [OPTION.hostBindingIPv4]: (value, label) => {
      if (!isIPv4(value) && value !== '') throw parseFailure(label, value, 'invalid ip');
    },
    [OPTION.gatewayModeIPv4]: oneOf(GATEWAY_MODES, 'gateway mode'),
    [OPTION.gatewayModeIPv6]: oneOf(GATEWAY_MODES, 'gateway mode'),
  },
  macvlan: {
    [OPTION.parent]: interfaceName,
    [OPTION.macvlanMode]: oneOf(['', 'bridge', 'private', 'vepa', 'passthru'], 'macvlan mode'),
  },
  ipvlan: {
    [OPTION.parent]: interfaceName,
    [OPTION.ipvlanMode]: oneOf(['', 'l2', 'l3', 'l3s'], 'ipvlan mode'),
    [OPTION.ipvlanFlag]: oneOf(['', 'bridge', 'private', 'vepa'], 'ipvlan flag'),
  },
};

/** Throws InvalidParameter on a wrong value, NotImplemented on an option of Docker's that does not exist here. */
export function judgeOptions(
  driver: 'bridge' | 'macvlan' | 'ipvlan',
  options: Readonly<Record<string, string>>,
): void {
  for (const [name, value] of Object.entries(options)) {
    const check = BY_DRIVER[driver][name] ?? ANY_DRIVER[name];
    if (check !== undefined) check(value, name);
    else if (name.startsWith('com.docker.network.')) {
      throw new NotImplementedError(`network option "${name}" is not implemented for the driver ${driver}`);
    }
  }
  if (options[OPTION.egress] !== undefined && driver !== 'bridge') {
    throw new InvalidParameterError(
      `network option "${OPTION.egress}": the driver ${driver} passes no firewall, only bridge networks do`,
    );
  }
}

export function isInterfaceName(text: string): boolean {
  return INTERFACE_NAME.test(text) && Buffer.byteLength(text) <= 15;
}

function parseFailure(label: string, value: string, reason: string): InvalidParameterError {
  return new InvalidParameterError(`failed to parse ${label} value: "${value}" (${reason})`);
}

function readBoolean(value: string, label: string): boolean {
  if (TRUE.includes(value)) return true;
  if (FALSE.includes(value)) return false;
  throw parseFailure(label, value, 'invalid syntax');
}

/** Of an option that was judged; `fallback` where it is not there or empty. */
export function flagOption(
  options: Readonly<Record<string, string>>,
  name: string,
  fallback: boolean,
): boolean {
  const value = options[name] ?? '';
  return value === '' ? fallback : readBoolean(value, name);
}

export function gatewayMode(options: Readonly<Record<string, string>>, family: 4 | 6): GatewayMode {
  const wanted = options[family === 4 ? OPTION.gatewayModeIPv4 : OPTION.gatewayModeIPv6];
  return GATEWAY_MODES.find((mode) => mode === wanted) ?? 'nat';
}

export function egressOption(options: Readonly<Record<string, string>>): EgressPolicy | null {
  const text = options[OPTION.egress];
  return text === undefined ? null : parseEgress(text);
}

/** Where ports are published that name no address of the host: empty for everywhere. */
export function hostBinding(options: Readonly<Record<string, string>>): string {
  const address = options[OPTION.hostBindingIPv4] ?? '';
  return address === '0.0.0.0' || isIPv6(address) ? '' : address;
}

/** Networks whose packets go through a bridge and the firewall of this host. */
export function isBridged(driver: NetworkDriver): boolean {
  return driver === 'bridge';
}
