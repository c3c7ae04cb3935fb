/**
 * The driver options of one endpoint that concern its interface: kernel settings of it, and its name.
 */
import { InvalidParameterError } from '../../base/errors.ts';
import { isInterfaceName } from '../driver-options.ts';

export const ENDPOINT_SYSCTLS = 'com.docker.network.endpoint.sysctls';
export const ENDPOINT_INTERFACE = 'com.docker.network.endpoint.ifname';

/** Stands in settings for the interface, whose name nobody knows before. */
const PLACEHOLDER = 'IFNAME';

const FAMILIES = ['ipv4', 'ipv6', 'mpls'];
const GROUPS = ['conf', 'neigh'];

export interface EndpointOptions {
  /** `/proc/sys` paths, with IFNAME in place of the interface, and values. */
  sysctls: { path: string; value: string }[];
  /** Undefined: the next `eth`. */
  interfaceName: string | undefined;
}

/** Throws InvalidParameter, naming what is wrong. Unknown options are left to others. */
export function readEndpointOptions(options: Readonly<Record<string, string>>): EndpointOptions {
  const list = options[ENDPOINT_SYSCTLS] ?? '';
  const interfaceName = options[ENDPOINT_INTERFACE] || undefined;
  if (interfaceName !== undefined && (!isInterfaceName(interfaceName) || interfaceName === 'lo')) {
    throw new InvalidParameterError(`invalid interface name "${interfaceName}" for ${ENDPOINT_INTERFACE}`);
  }
  return { sysctls: list === '' ? [] : list.split(',').map(readSysctl), interfaceName };
}

function readSysctl(text: string): { path: string; value: string } {
  const at = text.indexOf('=');
  if (at < 0) throw new InvalidParameterError(`expected sysctl '${text}' to have format name=value`);
  const value = text.slice(at + 1);
  const parts = text.slice(0, at).split('.');
  if (parts.length !== 5) {
    throw new InvalidParameterError(`expected sysctl '${text}' to have format net.X.Y.IFNAME.Z`);
  }
  const [root = '', family = '', group = '', name = '', setting = ''] = parts;
  if (root !== 'net' || !FAMILIES.includes(family) || !GROUPS.includes(group) || name !== PLACEHOLDER) {
    throw new InvalidParameterError(
      `unrecognised network interface sysctl '${text}'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V'`,
    );
  }
  if (!/^[a-z0-9_]+$/.test(setting) || !/^[\x21-\x7e][\x20-\x7e]{0,63}$/.test(value)) {
    throw new InvalidParameterError(`invalid network interface sysctl '${text}'`);
  }
  return { path: `/proc/sys/net/${family}/${group}/${PLACEHOLDER}/${setting}`, value };
}

/** A path of `readEndpointOptions` for an interface of this name. */
export function sysctlPath(path: string, interfaceName: string): string {
  return path.replace(`/${PLACEHOLDER}/`, `/${interfaceName}/`);
}
