/**
 * What `--egress` and the network option `mydock.egress` say: "none", or "allow=" and a list of names, addresses and
 * subnets. A name stands for itself only; `*.example.com` for everything below example.com, at any depth, and not
 * for example.com. What is not named is refused.
 *
 * A container's own policy stands in place of those of its networks. Where only networks have one, all of them must
 * allow a destination, whichever network the packet leaves by. A destination counts as allowed by two policies where
 * both name it by the same means: an address that one allows by name and the other by subnet is refused.
 */
import { domainToASCII } from 'node:url';
import { InvalidParameterError } from '../../base/errors.ts';

import {
  addressAt,
  containsSubnet,
  familyBits,
  formatAddress,
  formatSubnet,
  parseCidr,
  parseSubnet,
  readAddress,
  subnetOf,
} from '../ip-address.ts';
import type { EgressPolicy } from '../model.ts';

/** Of one policy: each container's copy is looked through at every query. */
const ENTRIES_MAX = 1024;

const LABEL = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/;
const NAME_LENGTH_MAX = 253;

/** Throws InvalidParameter that names the wrong entry. */
export function parseEgress(text: string): EgressPolicy {
  if (text === 'none') return { subnets: [], names: [] };
  if (!text.startsWith('allow=')) {
    throw new InvalidParameterError(
      `invalid egress policy "${text}": want "none" or "allow=" and a list of names, addresses and subnets`,
    );
  }
  const entries = text.slice('allow='.length).split(',');
  if (entries.length > ENTRIES_MAX) {
    throw new InvalidParameterError(
      `invalid egress policy: ${entries.length} entries, at most ${ENTRIES_MAX} are possible`,
    );
  }
  const subnets = new Set<string>();
  const names = new Set<string>();
  for (const entry of entries.map((each) => each.trim())) {
    const subnet = readSubnet(entry);
    if (subnet === undefined) names.add(readName(entry));
    else subnets.add(subnet);
  }
  return { subnets: [...subnets], names: [...names] };
}

/** The text that `parseEgress` reads. */
export function formatEgress(policy: EgressPolicy): string {
  const entries = [...policy.names, ...policy.subnets.map(formatEntry)];
  return entries.length === 0 ? 'none' : `allow=${entries.join(',')}`;
}

/** The policy that counts for a container; null where nothing restricts it. */
export function mergeEgress(
  container: EgressPolicy | null,
  networks: readonly (EgressPolicy | null)[],
): EgressPolicy | null {
  if (container !== null) return container;
  return networks.reduce(
    (merged, policy) => (merged === null || policy === null ? (merged ?? policy) : intersect(merged, policy)),
    null,
  );
}

/** Whether `name` (lower case, without the last dot) is one that the policy's names allow. */
export function allowsName(policy: EgressPolicy, name: string): boolean {
  return policy.names.some((pattern) => coversName(pattern, name));
}

/** Of two entries either one lies in the other, or they have nothing in common. */
function intersect(a: EgressPolicy, b: EgressPolicy): EgressPolicy {
  return {
    names: narrower(a.names, b.names, coversName),
    subnets: narrower(a.subnets, b.subnets, (outer, inner) =>
      containsSubnet(parseSubnet(outer), parseSubnet(inner)),
    ),
  };
}

function narrower(
  left: readonly string[],
  right: readonly string[],
  covers: (outer: string, inner: string) => boolean,
): string[] {
  const common = (inner: readonly string[], outer: readonly string[]) =>
    inner.filter((entry) => outer.some((other) => covers(other, entry)));
  return [...new Set([...common(left, right), ...common(right, left)])];
}

/** `name` may be a pattern itself. */
function coversName(pattern: string, name: string): boolean {
  return pattern === name || (pattern.startsWith('*.') && name.endsWith(pattern.slice(1)));
}

/** Undefined where the entry is a name. */
function readSubnet(entry: string): string | undefined {
  const plain = entry.replace(/^\[([^\]]*)\]/, '$1');
  const address = readAddress(plain);
  if (address !== undefined) return formatSubnet(subnetOf(address, familyBits(address.family)));
  if (!plain.includes('/') && !plain.includes(':')) return undefined;
  try {
    return formatSubnet(parseSubnet(plain));
  } catch (error) {
    throw new InvalidParameterError(`invalid egress policy: entry "${entry}"`, error);
  }
}

function readName(entry: string): string {
  const pattern = entry.startsWith('*.') ? '*.' : '';
  const plain = entry.slice(pattern.length).replace(/\.$/, '').toLowerCase();
  const name = /[^\0-\x7f]/.test(plain) ? domainToASCII(plain) : plain;
  const labels = name.split('.');
  // A last label of digits is an address that somebody got wrong (RFC 3696, section 2).
  const wrong =
    name.length > NAME_LENGTH_MAX ||
    labels.some((label) => !LABEL.test(label)) ||
    /^\d+$/.test(labels.at(-1) ?? '');
  if (wrong) {
    throw new InvalidParameterError(
      `invalid egress policy: entry "${entry}" is no name, address or subnet (write example.com, *.example.com, 192.0.2.7, 10.0.0.0/8 or [2001:db8::]/32)`,
    );
  }
  return `${pattern}${name}`;
}

function formatEntry(subnet: string): string {
  const { subnet: parsed } = parseCidr(subnet);
  if (parsed.prefixLength === familyBits(parsed.family)) return formatAddress(addressAt(parsed, 0n));
  return parsed.family === 4 ? subnet : `[${formatAddress(addressAt(parsed, 0n))}]/${parsed.prefixLength}`;
}
