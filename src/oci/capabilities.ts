/**
 * Linux capabilities (capabilities(7)): the names, Docker's default set, and `--cap-add`/`--cap-drop`.
 */
import { InvalidParameterError } from '../base/errors.ts';

/** In the kernel's order: the index is the capability's number. */
export const CAPABILITIES: readonly string[] = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_DAC_READ_SEARCH',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_KILL',
  'CAP_SETGID',
  'CAP_SETUID',
  'CAP_SETPCAP',
  'CAP_LINUX_IMMUTABLE',
  'CAP_NET_BIND_SERVICE',
  'CAP_NET_BROADCAST',
  'CAP_NET_ADMIN',
  'CAP_NET_RAW',
  'CAP_IPC_LOCK',
  'CAP_IPC_OWNER',
  'CAP_SYS_MODULE',
  'CAP_SYS_RAWIO',
  'CAP_SYS_CHROOT',
  'CAP_SYS_PTRACE',
  'CAP_SYS_PACCT',
  'CAP_SYS_ADMIN',
  'CAP_SYS_BOOT',
  'CAP_SYS_NICE',
  'CAP_SYS_RESOURCE',
  'CAP_SYS_TIME',
  'CAP_SYS_TTY_CONFIG',
  'CAP_MKNOD',
  'CAP_LEASE',
  'CAP_AUDIT_WRITE',
  'CAP_AUDIT_CONTROL',
  'CAP_SETFCAP',
  'CAP_MAC_OVERRIDE',
  'CAP_MAC_ADMIN',
  'CAP_SYSLOG',
  'CAP_WAKE_ALARM',
  'CAP_BLOCK_SUSPEND',
  'CAP_AUDIT_READ',
  'CAP_PERFMON',
  'CAP_BPF',
  'CAP_CHECKPOINT_RESTORE',
];

/** What a container has when nothing is said. */
export const DEFAULT_CAPABILITIES: readonly string[] = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_FSETID',
  'CAP_FOWNER',
  'CAP_MKNOD',
  'CAP_NET_RAW',
  'CAP_SETGID',
  'CAP_SETUID',
  'CAP_SETFCAP',
  'CAP_SETPCAP',
  'CAP_NET_BIND_SERVICE',
  'CAP_SYS_CHROOT',
  'CAP_KILL',
  'CAP_AUDIT_WRITE',
];

const ALL = 'ALL';

/**
 * Upper case, with the `CAP_` prefix; `ALL` stays. `available` are the capabilities that this host can give (its
 * bounding set; default all): a known one outside of it is refused too.
 */
export function normalizeCapabilities(
  names: readonly string[],
  available: readonly string[] = CAPABILITIES,
): string[] {
  return names.map((name) => {
    const upper = name.toUpperCase();
    if (upper === ALL) return ALL;
    const full = upper.startsWith('CAP_') ? upper : `CAP_${upper}`;
    if (!CAPABILITIES.includes(full)) throw new InvalidParameterError(`unknown capability: "${full}"`);
    if (!available.includes(full)) {
      throw new InvalidParameterError(
        `capability not supported by your kernel or not available in the current environment: "${full}"`,
      );
    }
    return full;
  });
}

export interface CapabilityRequest {
  add?: readonly string[];
  drop?: readonly string[];
  privileged?: boolean;
  /** See `normalizeCapabilities`. */
  available?: readonly string[];
}

/**
 * The container's set. Privileged: all that are available. `--cap-add ALL` means all but the dropped ones,
 * `--cap-drop ALL` only the added ones. Throws InvalidParameter with Docker's text for unknown names.
 */
export function containerCapabilities(request: CapabilityRequest): string[] {
  const available = request.available ?? CAPABILITIES;
  const add = prefixed('invalid CapAdd', () => normalizeCapabilities(request.add ?? [], available));
  const drop = prefixed('invalid CapDrop', () => normalizeCapabilities(request.drop ?? []));
  if (request.privileged === true) return [...available];
  if (add.includes(ALL)) return available.filter((name) => !drop.includes(name));
  const base = drop.includes(ALL)
    ? []
    : DEFAULT_CAPABILITIES.filter((name) => available.includes(name) && !drop.includes(name));
  return [...new Set([...base, ...add])];
}

function prefixed<T>(prefix: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (error instanceof InvalidParameterError)
      throw new InvalidParameterError(`${prefix}: ${error.message}`);
    throw error;
  }
}

/** The names in a mask as /proc/self/status shows it (`CapBnd`, 16 hex digits). */
export function capabilitiesFromMask(hex: string): string[] {
  const mask = BigInt(`0x${hex.trim()}`);
  return CAPABILITIES.filter((_, bit) => (mask >> BigInt(bit)) & 1n);
}
