/**
 * `inspect --security`: what a container can and cannot do. Isolation comes from what its runtime was given
 * (facts.ts); mounts, devices and ports from its record and its network.
 */
import { existsSync } from 'node:fs';
import { posix } from 'node:path';
import type { ContainerSecurity, SecurityFinding, SecurityLevel } from '../../api/security.ts';
import type { Container } from '../../container/container.ts';
import type { DefaultApparmor } from '../../container/default-apparmor.ts';
import { containerPaths } from '../../container/paths.ts';
import { containerEgress } from '../../container/requested-networks.ts';
import { isLive } from '../../container/state.ts';
import type { EgressPolicy, Networking } from '../../network/model.ts';
import type { HostFacts } from '../../oci/host-facts.ts';
import type { ContainerMountPoint } from '../../volume/mount-points.ts';
import { securityFacts } from './facts.ts';
import { finding, isolationFindings } from './findings.ts';

export interface SecuritySources {
  dataRoot: string;
  execRoot: string;
  /** As `--host` names them. */
  hosts: readonly string[];
  host: Pick<HostFacts, 'apparmor' | 'selinux'>;
  apparmor: Pick<DefaultApparmor, 'profile'>;
  networks: Pick<Networking, 'find' | 'isOpenToWorld'>;
  /** Scoped sockets by their path. */
  scopedSockets(): ReadonlyMap<string, string>;
  /** What a volume was made with; nothing for one that has gone. */
  volumeOptions(name: string): Readonly<Record<string, string>>;
}

export function containerSecurity(container: Container, sources: SecuritySources): ContainerSecurity {
  const { record } = container;
  const { bundle } = containerPaths(sources.dataRoot, sources.execRoot, record.id);
  const facts = securityFacts(record, bundle, sources);
  const Findings = [
    ...isolationFindings(facts, record.hostConfig.Privileged === true),
    ...record.mounts.flatMap((mount) => mountFindings(mount, sources)),
    ...deviceFindings(container),
    ...portFindings(container, sources),
    egressFinding(container, sources),
    finding(
      'restart',
      'info',
      `restart policy "${record.hostConfig.RestartPolicy?.Name || 'no'}"`,
      'It decides whether what runs here comes back by itself.',
    ),
  ].sort((a, b) => rank(b.Level) - rank(a.Level));
  return {
    Id: record.id,
    Name: record.name,
    Running: isLive(record.state),
    Source: facts.source,
    Level: Findings[0]?.Level ?? 'info',
    Findings,
  };
}

function rank(level: SecurityLevel): number {
  return ['info', 'weak', 'dangerous'].indexOf(level);
}

/** Whoever speaks to one of these is root on the host. */
const ENGINE_SOCKETS = [
  ...['/run/docker.sock', '/run/mydock.sock', '/run/containerd/containerd.sock', '/run/podman/podman.sock'],
  ...['/run/crio/crio.sock', '/run/buildkit/buildkitd.sock', '/run/systemd/private'],
];

/** Folders that are the host's own. */
const HOST_FOLDERS = [
  '/',
  '/bin',
  '/boot',
  '/dev',
  '/etc',
  '/home',
  '/lib',
  '/proc',
  '/root',
  '/run',
  '/sbin',
  '/sys',
  '/usr',
  '/var',
];

function mountFindings(mount: ContainerMountPoint, sources: SecuritySources): SecurityFinding[] {
  const shownFolder = hostFolder(mount, sources);
  if (shownFolder === undefined) return [];
  const source = posix
    .normalize(shownFolder)
    .replace(/^\/var\/run(?=\/|$)/, '/run')
    .replace(/(.)\/$/, '$1');
  const own = sources.hosts.flatMap((host) =>
    host.startsWith('unix://') ? [host.slice('unix://'.length)] : [],
  );
  const sockets = [...new Set([...ENGINE_SOCKETS, ...own])];
  const found: SecurityFinding[] = [];
  const shown = sockets.filter(
    (socket) => socket === source || (isWithin(source, socket) && existsSync(socket)),
  );
  if (shown.length > 0) {
    found.push(
      finding(
        'engine socket',
        'dangerous',
        `AN ENGINE'S SOCKET IS MOUNTED: ${shown.join(', ')} through ${shownFolder}`,
        'Whoever controls this container is root on the host, whether the mount is read-only or not: use a scoped socket instead.',
      ),
    );
  }
  for (const [path, name] of sources.scopedSockets()) {
    if (isWithin(source, path)) {
      found.push(
        finding(
          'engine socket',
          'weak',
          `the scoped socket "${name}" (${path})`,
          `It can do what \`mydock socket inspect ${name}\` says.`,
        ),
      );
    }
  }
  const system = HOST_FOLDERS.includes(source) || /^\/(etc|proc|sys|dev|boot|root)(\/|$)/.test(source);
  const writable = !mount.readOnly;
  const level: SecurityLevel = system ? (writable ? 'dangerous' : 'weak') : writable ? 'weak' : 'info';
  const reason = system
    ? 'It belongs to the host itself.'
    : writable
      ? 'What is written there is on the host, with the owner that the container gave it.'
      : 'It can be read alone.';
  found.push(
    finding(
      'mounts',
      level,
      `${writable ? 'writes to' : 'reads'} ${shownFolder} of the host (at ${mount.destination}${mount.confinedTo === undefined ? '' : `, confined to ${mount.confinedTo}`})`,
      reason,
    ),
  );
  return found;
}

/** What of the host a mount shows: a bind's source, or what the options of a volume name. */
function hostFolder(mount: ContainerMountPoint, sources: SecuritySources): string | undefined {
  if (mount.type === 'bind') return mount.source;
  if (mount.type !== 'volume') return undefined;
  const { type = '', device = '' } = sources.volumeOptions(mount.name);
  return type !== 'tmpfs' && device !== '' ? device : undefined;
}

/** Whether `path` is `folder` or below it. */
function isWithin(folder: string, path: string): boolean {
  return path === folder || path.startsWith(folder === '/' ? '/' : `${folder}/`);
}

function deviceFindings({ record }: Container): SecurityFinding[] {
  const { Devices, DeviceCgroupRules, DeviceRequests } = record.hostConfig;
  return [
    ...(Devices ?? []).map(({ PathOnHost, CgroupPermissions }) =>
      finding(
        'devices',
        'weak',
        `${PathOnHost} (${CgroupPermissions || 'rwm'})`,
        'Its driver is reached directly.',
      ),
    ),
    ...(DeviceCgroupRules ?? []).map((rule) =>
      finding('devices', 'weak', `device rule "${rule}"`, 'Devices of this kind can be made and opened.'),
    ),
    ...(DeviceRequests ?? []).map(({ Driver = '', DeviceIDs, Capabilities }) =>
      finding(
        'devices',
        'weak',
        `device request ${[Driver, ...(DeviceIDs ?? []), ...(Capabilities ?? []).flat()].filter((word) => word !== '').join(' ')}`,
        'Its driver is reached directly.',
      ),
    ),
  ];
}

function portFindings({ record }: Container, { networks }: SecuritySources): SecurityFinding[] {
  return (record.sandbox?.ports ?? []).map((port) => {
    const where = `${port.hostIp}:${port.hostPort} leads to ${port.containerPort}/${port.protocol}`;
    return networks.isOpenToWorld(port)
      ? finding('ports', 'weak', `${where}, open to other hosts`, 'Whoever reaches the host reaches it.')
      : finding('ports', 'info', where, 'It is reached from this host alone.');
  });
}

function egressFinding({ record }: Container, { networks }: SecuritySources): SecurityFinding {
  const policies: (EgressPolicy | null)[] = [containerEgress(record.hostConfig)];
  for (const name of Object.keys(record.networks)) {
    try {
      policies.push(networks.find(name).egress);
    } catch {
      // A network that has gone restricts nothing.
    }
  }
  const set = policies.filter((policy) => policy !== null);
  if (set.length > 0) {
    const allowed = [...new Set(set.flatMap(({ names, subnets }) => [...names, ...subnets]))];
    return finding(
      'egress',
      'info',
      `may reach ${allowed.length === 0 ? 'nothing' : allowed.join(', ')}`,
      'All else is refused by the firewall.',
    );
  }
  if (record.hostConfig.NetworkMode === 'none') {
    return finding('egress', 'info', 'has no network', 'Nothing can be reached.');
  }
  return finding(
    'egress',
    'info',
    'may reach every address',
    'Nothing restricts what an intruder sends away (--egress).',
  );
}
