/** Addresses as names below in-addr.arpa (RFC 1035, section 3.5) and ip6.arpa (RFC 3596, section 2.5). */
import type { IpAddress } from '../ip-address.ts';
import { addressFromBytes, readAddress } from '../ip-address.ts';

/** Undefined where the name (lower case) is not one whole address. */
export function addressOfReverseName(name: string): IpAddress | undefined {
  const ipv4 = /^((?:\d{1,3}\.){4})in-addr\.arpa$/.exec(name);
  if (ipv4?.[1] !== undefined) return readAddress(ipv4[1].slice(0, -1).split('.').reverse().join('.'));
  const ipv6 = /^((?:[0-9a-f]\.){32})ip6\.arpa$/.exec(name);
  if (ipv6?.[1] === undefined) return undefined;
  return addressFromBytes(Buffer.from(ipv6[1].replaceAll('.', '').split('').reverse().join(''), 'hex'));
}
