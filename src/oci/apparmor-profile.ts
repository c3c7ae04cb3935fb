/**
 * The AppArmor profile that containers get who ask for none: its text, for apparmor_parser(8), and what decides it.
 * Loading it is default-apparmor.ts's matter. It denies what Docker's default profile denies, and the unmounting of
 * what hides parts of /proc and /sys. Rules: apparmor.d(5).
 */

export const DEFAULT_APPARMOR_PROFILE = 'mydock-default';

/**
 * Which set of kernel features the rules speak of; without one, newer parsers take whatever they were configured with.
 * The older comes first: what it does not know (user namespaces, io_uring, message queues) is not mediated then, and
 * parsers of both generations have it.
 */
const ABIS = ['abi/3.0', 'abi/4.0'] as const;

/**
 * The labels of containers. Where the kernel restricts changes of profile (apparmor_restrict_unprivileged_unconfined), a
 * process in a user namespace does not leave what confined it but gets the profile on top.
 */
const CONTAINERS = [DEFAULT_APPARMOR_PROFILE, `${DEFAULT_APPARMOR_PROFILE}//&unconfined`];

/** Programs that have profiles of their own since AppArmor 4, and that end containers (`--runtime`). */
const RUNTIME_PROFILES = ['runc', 'crun'];

export interface ApparmorFacts {
  /** What confines the daemon, as /proc/self/attr/current says it; empty where nothing does. */
  daemonLabel: string;
  /** Whether a file is there below the folder of policies, /etc/apparmor.d. */
  hasFile(name: string): boolean;
}

/** Nothing is included: what is broken elsewhere in the host's policy does not break this one. */
export function apparmorProfileText({ daemonLabel, hasFile }: ApparmorFacts): string {
  const abi = ABIS.find(hasFile);
  const daemon = componentsOf(daemonLabel).map(quoted);
  const senders = ['unconfined', ...RUNTIME_PROFILES, ...daemon];
  return `# The profile of containers that name none. mydockd loads it whenever it starts.
${abi === undefined ? '' : `abi <${abi}>,\n`}
profile ${DEFAULT_APPARMOR_PROFILE} flags=(attach_disconnected,mediate_deleted) {
  # Capabilities, seccomp, devices and namespaces decide of these beside it.
  capability,
  file,
  network,
  unix,
  umount,
${abi === 'abi/4.0' ? '  userns,\n  mqueue,\n  io_uring,\n' : ''}
  # Stopping and killing, from outside. Inside, and between containers that share a PID namespace, all signals.
${senders.map((peer) => `  signal (receive) peer=${peer},\n`).join('')}${CONTAINERS.map(
  (peer) =>
    `  signal (send, receive) peer=${peer},\n  ptrace (trace, read, tracedby, readby) peer=${peer},\n`,
).join('')}${daemon.map((peer) => `  ptrace (readby) peer=${peer},\n`).join('')}
  # Nothing is mounted, and nothing that hides a part of /proc or /sys is taken away.
  deny mount,
  deny pivot_root,
  deny umount /proc/**,
  deny umount /sys/**,

  # Of /proc, folders of processes can be written to, and limits of shared memory: sys/kernel/shm*.
  deny /proc/* w,
  deny /proc/{[^1-9s],s[^y],sy[^s],sys[^/]}*/** w,
  deny /proc/sys/{[^k],k[^e],ke[^r],ker[^n]}** w,
  deny /proc/sys/kernel/{[^s],s[^h],sh[^m]}** w,
  deny /proc/{kcore,sysrq-trigger} rwklx,

  # Of /sys, the container's cgroups.
  deny /sys/{[^f],f[^s]}** wklx,
  deny /sys/fs/{[^c],c[^g],cg[^r]}** wklx,
  deny /sys/firmware/** rwklx,
  deny /sys/devices/virtual/powercap/** rwklx,
  deny /sys/kernel/security/** rwklx,
}
`;
}

/** The profile of a label that has one alone; `unconfined` and an empty label are none. */
function componentsOf(label: string): string[] {
  const name = label.trim().replace(/ \([a-z]+\)$/, '');
  // The rules hold for every part of a stack by itself.
  return name.split('//&').filter((part) => part !== '' && part !== 'unconfined');
}

/** A name, and not a pattern. */
function quoted(name: string): string {
  return `"${name.replace(/[\\"*?[\]{}]/g, '\\$&')}"`;
}
