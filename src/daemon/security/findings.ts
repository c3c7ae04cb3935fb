/** From facts to findings: each with a level and the reason in one sentence. Pure. */
import type { SecurityFinding, SecurityLevel } from '../../api/security.ts';
import { DEFAULT_CAPABILITIES } from '../../oci/capabilities.ts';
import type { NamespaceOwner, SecurityFacts } from './facts.ts';

export function finding(
  Topic: string,
  Level: SecurityLevel,
  Finding: string,
  Reason: string,
): SecurityFinding {
  return { Topic, Level, Finding, Reason };
}

export function isolationFindings(facts: SecurityFacts, privileged: boolean): SecurityFinding[] {
  return [
    ...(privileged
      ? [
          finding(
            'privileged',
            'dangerous',
            'the container is privileged',
            'Its root can load kernel modules, open every device and so take over the host.',
          ),
        ]
      : []),
    userFinding(facts),
    ...capabilityFindings(facts),
    seccompFinding(facts),
    privilegeFinding(facts),
    labelFinding(facts),
    ...namespaceFindings(facts),
    ...kernelPathFindings(facts),
    ...limitFindings(facts),
    ...sysctlFindings(facts),
    facts.readonlyRoot
      ? finding(
          'root',
          'info',
          'the root file system is read-only',
          'What is broken into cannot be changed for good.',
        )
      : finding(
          'root',
          'info',
          'the root file system is writable',
          'An intruder can change its programs until the container is made anew.',
        ),
  ];
}

function userFinding({ user, idMapping }: SecurityFacts): SecurityFinding {
  const isRoot = /^(0|root)(:|$)/.test(user);
  if (idMapping === undefined) {
    return finding(
      'user',
      'info',
      `runs as user ${user}; the ID mapping is known once it runs`,
      'The next run decides with the settings of the daemon.',
    );
  }
  if (idMapping.length > 0) {
    return finding(
      'user',
      'info',
      `runs as user ${user} in a user namespace (${idMapping.join('; ')})`,
      'Its root is an ordinary user of the host.',
    );
  }
  return isRoot
    ? finding(
        'user',
        'weak',
        'runs as root without a user namespace',
        'Its root is root of the host, held back by capabilities, seccomp and namespaces alone.',
      )
    : finding(
        'user',
        'info',
        `runs as user ${user} without a user namespace`,
        'The same number is the same user on the host.',
      );
}

/** With each of them, root of a container can get at the host or at other containers. */
const DANGEROUS_CAPABILITIES: Record<string, string> = {
  CAP_SYS_ADMIN: 'It mounts file systems and changes namespaces: a way out of the container.',
  CAP_SYS_MODULE: 'It loads kernel modules.',
  CAP_SYS_RAWIO: 'It reads and writes ports and physical memory.',
  CAP_SYS_PTRACE: 'It reads and changes every process that it sees.',
  CAP_SYS_BOOT: 'It restarts the host or loads another kernel.',
  CAP_SYS_TIME: "It sets the host's clock.",
  CAP_DAC_READ_SEARCH: 'It opens files of the host by their handles.',
  CAP_BPF: 'It loads programs into the kernel.',
  CAP_PERFMON: 'It watches the whole kernel.',
  CAP_MAC_ADMIN: 'It changes the rules of AppArmor and SELinux.',
  CAP_MAC_OVERRIDE: 'The rules of AppArmor and SELinux do not hold for it.',
  CAP_SYSLOG: "It reads the kernel's log and addresses.",
};

function capabilityFindings({ capabilities }: SecurityFacts): SecurityFinding[] {
  const beyond = capabilities.filter((name) => !DEFAULT_CAPABILITIES.includes(name));
  const without = DEFAULT_CAPABILITIES.filter((name) => !capabilities.includes(name));
  const found = beyond.map((name) => {
    const danger = DANGEROUS_CAPABILITIES[name];
    return danger === undefined
      ? finding('capabilities', 'weak', `has ${name}`, 'It is not among the defaults.')
      : finding('capabilities', 'dangerous', `has ${name}`, danger);
  });
  if (without.length > 0) {
    found.push(
      finding(
        'capabilities',
        'info',
        capabilities.length === 0 ? 'has no capabilities' : `lacks ${without.join(', ')}`,
        'It can do less than by default.',
      ),
    );
  }
  if (found.length > 0) return found;
  return [finding('capabilities', 'info', 'has the 14 default capabilities', 'As Docker gives them.')];
}

function seccompFinding({ seccomp }: SecurityFacts): SecurityFinding {
  if (seccomp === 'default')
    return finding(
      'seccomp',
      'info',
      'the default profile',
      'System calls that containers do not need are refused.',
    );
  if (seccomp === 'custom')
    return finding('seccomp', 'weak', 'a profile of its own', 'What it allows is up to whoever wrote it.');
  return finding(
    'seccomp',
    'dangerous',
    'no filter',
    'Every system call of the kernel, with its flaws, can be reached.',
  );
}

function privilegeFinding({ noNewPrivileges }: SecurityFacts): SecurityFinding {
  return noNewPrivileges
    ? finding('no-new-privileges', 'info', 'set', 'Set-user-ID programs give nothing.')
    : finding(
        'no-new-privileges',
        'weak',
        'not set',
        'A process that is not root can become root inside the container through set-user-ID programs.',
      );
}

function labelFinding({ apparmor, selinux, host }: SecurityFacts): SecurityFinding {
  if (selinux !== '')
    return finding(
      'mandatory access control',
      'info',
      `SELinux label ${selinux}`,
      'The kernel enforces it beside all else.',
    );
  if (apparmor !== '' && apparmor !== 'unconfined')
    return finding(
      'mandatory access control',
      'info',
      `AppArmor profile ${apparmor}`,
      'The kernel enforces it beside all else.',
    );
  const [level, found]: [SecurityLevel, string] =
    apparmor === 'unconfined'
      ? ['weak', 'AppArmor is switched off for it']
      : host.apparmor
        ? ['weak', 'the host has AppArmor, and the container no profile']
        : host.selinux
          ? ['weak', 'the host has SELinux, and the container no label']
          : ['info', 'the host has neither AppArmor nor SELinux'];
  const reason = 'One layer less lies between a flaw and the host.';
  return finding('mandatory access control', level, found, reason);
}

const HOST_NAMESPACES: Record<string, [SecurityLevel, string]> = {
  pid: ['dangerous', 'It sees all processes of the host, and its root can reach into them.'],
  network: ['dangerous', "It has the host's interfaces, its services on localhost and its abstract sockets."],
  ipc: ['dangerous', "It reads the host's shared memory."],
  mount: ['dangerous', "It has the host's mounts."],
  uts: ['weak', "It has the host's name, and may change it with CAP_SYS_ADMIN."],
  cgroup: ['weak', "It sees the host's cgroups."],
};

function namespaceFindings({ namespaces }: SecurityFacts): SecurityFinding[] {
  const entries = Object.entries(namespaces).filter(([type]) => type !== 'user') as [
    string,
    NamespaceOwner,
  ][];
  const shared = entries.flatMap(([type, owner]): SecurityFinding[] => {
    if (owner === 'own') return [];
    if (owner !== 'host')
      return [
        finding(
          'namespaces',
          'weak',
          `${type} namespace of ${owner}`,
          'What happens to one happens to both.',
        ),
      ];
    const [level, reason] = HOST_NAMESPACES[type] ?? ['weak', 'It is not kept apart.'];
    return [finding('namespaces', level, `${type} namespace of the host`, reason)];
  });
  if (shared.length > 0) return shared;
  return [finding('namespaces', 'info', entries.map(([type]) => type).join(', '), 'Each is its own.')];
}

function kernelPathFindings({ unmasked, writableKernelPaths, allDevices }: SecurityFacts): SecurityFinding[] {
  const found: SecurityFinding[] = [];
  if (unmasked.length > 0)
    found.push(
      finding(
        'masked paths',
        'dangerous',
        `not masked: ${unmasked.join(', ')}`,
        'They tell of the host, or control it.',
      ),
    );
  if (writableKernelPaths.length > 0)
    found.push(
      finding(
        'masked paths',
        'dangerous',
        `writable: ${writableKernelPaths.join(', ')}`,
        'They control the whole kernel.',
      ),
    );
  if (allDevices)
    found.push(
      finding(
        'devices',
        'dangerous',
        'every device of the host',
        'Its disks can be read and written past all file systems.',
      ),
    );
  return found;
}

function limitFindings({ memoryBytes, pidsLimit, oomScoreAdj }: SecurityFacts): SecurityFinding[] {
  const found: SecurityFinding[] = [];
  if (memoryBytes <= 0)
    found.push(finding('limits', 'weak', 'no memory limit', 'It can take all memory of the host.'));
  else
    found.push(
      finding(
        'limits',
        'info',
        `memory limit of ${memoryBytes} bytes`,
        'Beyond it, its own processes are killed.',
      ),
    );
  if (pidsLimit <= 0)
    found.push(finding('limits', 'weak', 'no limit of processes', 'A fork bomb in it stops the host.'));
  else found.push(finding('limits', 'info', `at most ${pidsLimit} processes`, 'A fork bomb stays in it.'));
  if (oomScoreAdj < 0)
    found.push(finding('limits', 'weak', `OOM score ${oomScoreAdj}`, 'The kernel kills others before it.'));
  return found;
}

function sysctlFindings({ sysctls }: SecurityFacts): SecurityFinding[] {
  return Object.entries(sysctls).map(([name, value]) =>
    finding('sysctls', 'info', `${name}=${value}`, 'It holds in its own namespaces alone.'),
  );
}
