/** The flag table that `run` and `create` share, and the options that it gives. */
import type { DeviceRequest, ThrottleDevice, Ulimit, WeightDevice } from '../../api/host-config.ts';
import type { Mount } from '../../api/mounts.ts';
import {
  boolFlag,
  flagAlias,
  listFlag,
  optionalBoolFlag,
  parsedFlag,
  parsedListFlag,
  parseInteger,
  stringFlag,
} from '../flags/declare.ts';
import { Flag, type FlagTable } from '../flags/flag-table.ts';
import { contentTrustFlag } from '../options/content-trust.ts';
import { parseGpus } from '../options/gpus.ts';
import { parseDnsSearch, parseExtraHost, parseIpAddress, parseLink } from '../options/host-names.ts';
import {
  parseSysctl,
  parseThrottleBps,
  parseThrottleIops,
  parseUlimit,
  parseWeightDevice,
} from '../options/limits.ts';
import { parseMount } from '../options/mount.ts';
import { type NetworkAttachment, parseNetworkAttachment } from '../options/network.ts';
import { parseBytes, parseDurationNs, parseNanoCpus, parseSwapBytes } from '../options/quantity.ts';

/** Names are the flags' in camel case, `--no-x` as `x`. Durations in nanoseconds. */
export interface ContainerOptions {
  addHost: string[];
  annotation: string[];
  attach: string[];
  blkioWeight?: number;
  blkioWeightDevice: WeightDevice[];
  capAdd: string[];
  capDrop: string[];
  cgroupParent?: string;
  cgroupns?: string;
  cidfile?: string;
  cpuPeriod?: number;
  cpuQuota?: number;
  cpuRtPeriod?: number;
  cpuRtRuntime?: number;
  cpuShares?: number;
  cpus?: number;
  cpusetCpus?: string;
  cpusetMems?: string;
  device: string[];
  deviceCgroupRule: string[];
  deviceReadBps: ThrottleDevice[];
  deviceReadIops: ThrottleDevice[];
  deviceWriteBps: ThrottleDevice[];
  deviceWriteIops: ThrottleDevice[];
  disableContentTrust: boolean;
  dns: string[];
  dnsOption: string[];
  dnsSearch: string[];
  domainname?: string;
  egress?: string;
  entrypoint?: string;
  env: string[];
  envFile: string[];
  expose: string[];
  gpus: DeviceRequest[];
  groupAdd: string[];
  healthCmd?: string;
  healthInterval?: number;
  healthRetries?: number;
  healthStartInterval?: number;
  healthStartPeriod?: number;
  healthTimeout?: number;
  healthcheck: boolean;
  hostname?: string;
  init?: boolean;
  interactive: boolean;
  ip?: string;
  ip6?: string;
  ipc?: string;
  isolation?: string;
  label: string[];
  labelFile: string[];
  link: string[];
  linkLocalIp: string[];
  logDriver?: string;
  logOpt: string[];
  macAddress?: string;
  memory?: number;
  memoryReservation?: number;
  memorySwap?: number;
  memorySwappiness: number;
  mount: Mount[];
  name?: string;
  network: NetworkAttachment[];
  networkAlias: string[];
  oomKillDisable: boolean;
  oomScoreAdj?: number;
  pid?: string;
  pidsLimit?: number;
  platform?: string;
  privileged: boolean;
  publish: string[];
  publishAll: boolean;
  pull: string;
  quiet: boolean;
  readOnly: boolean;
  restart: string;
  restartUnhealthy: boolean;
  rm: boolean;
  runtime?: string;
  securityOpt: string[];
  shmSize?: number;
  stopSignal?: string;
  stopTimeout?: number;
  storageOpt: string[];
  sysctl: string[];
  tmpfs: string[];
  tty: boolean;
  ulimit: Ulimit[];
  useApiSocket: boolean;
  user?: string;
  userns?: string;
  uts?: string;
  volume: string[];
  volumeDriver?: string;
  volumesFrom: string[];
  workdir?: string;
}

export function containerFlags(command: FlagTable): void {
  processFlags(command);
  lifecycleFlags(command);
  limitFlags(command);
  deviceFlags(command);
  networkFlags(command);
  storageFlags(command);
  isolationFlags(command);
  healthFlags(command);
}

function processFlags(command: FlagTable): void {
  parsedListFlag(command, '-a, --attach <list>', 'Attach to stdin, stdout or stderr', parseStreamName);
  stringFlag(command, '--entrypoint <string>', "Run this instead of the image's ENTRYPOINT");
  listFlag(command, '-e, --env <list>', 'Set an environment variable');
  listFlag(command, '--env-file <list>', 'Read environment variables from a file');
  stringFlag(command, '-h, --hostname <string>', 'Host name inside the container');
  stringFlag(command, '--domainname <string>', 'NIS domain name inside the container');
  boolFlag(command, '-i, --interactive', 'Keep stdin open even if it is not attached');
  listFlag(command, '-l, --label <list>', 'Set a label on the container');
  listFlag(command, '--label-file <list>', 'Read labels from a file, one a line');
  listFlag(command, '--annotation <map>', 'Add an annotation that the runtime is given');
  boolFlag(command, '-t, --tty', 'Allocate a pseudo-terminal');
  stringFlag(command, '-u, --user <string>', 'User and group (<name|uid>[:<group|gid>])');
  listFlag(command, '--group-add <list>', 'Join an additional group');
  stringFlag(command, '-w, --workdir <string>', 'Working directory inside the container');
  optionalBoolFlag(command, '--init', 'Run an init that forwards signals and reaps processes');
}

function lifecycleFlags(command: FlagTable): void {
  stringFlag(command, '--name <string>', "The container's name");
  stringFlag(command, '--cidfile <string>', 'Write the container ID to this file');
  stringFlag(command, '--platform <string>', 'Platform of the image (os[/arch[/variant]])');
  stringFlag(command, '--pull <string>', 'When to pull the image ("always", "missing", "never")', 'missing');
  boolFlag(command, '-q, --quiet', 'Show no progress while pulling');
  contentTrustFlag(command);
  stringFlag(command, '--restart <string>', 'What to do when the container exits', 'no');
  boolFlag(command, '--rm', 'Remove the container and its anonymous volumes when it exits');
  stringFlag(command, '--runtime <string>', 'Runtime that runs the container');
  stringFlag(command, '--stop-signal <string>', 'Signal that stops the container');
  parsedFlag(command, '--stop-timeout <int>', 'Seconds to wait before a stop kills', parseInteger);
  stringFlag(command, '--log-driver <string>', 'Where the output is logged to');
  listFlag(command, '--log-opt <list>', 'Option of the log driver');
}

/** The limits that `update` can change as well. */
export function changeableLimitFlags(command: FlagTable): void {
  parsedFlag(command, '--blkio-weight <uint16>', 'Weight of block I/O, 10 to 1000, 0 for none', parseInteger);
  parsedFlag(command, '--cpu-period <int>', 'CFS period in microseconds', parseInteger);
  parsedFlag(command, '--cpu-quota <int>', 'CFS quota in microseconds', parseInteger);
  parsedFlag(command, '--cpu-rt-period <int>', 'Real-time period in microseconds', parseInteger);
  parsedFlag(command, '--cpu-rt-runtime <int>', 'Real-time runtime in microseconds', parseInteger);
  parsedFlag(command, '-c, --cpu-shares <int>', 'Relative weight of CPU time', parseInteger);
  parsedFlag(command, '--cpus <decimal>', 'Number of CPUs', parseNanoCpus);
  stringFlag(command, '--cpuset-cpus <string>', 'CPUs to run on (0-3, 0,1)');
  stringFlag(command, '--cpuset-mems <string>', 'Memory nodes to use (0-3, 0,1)');
  parsedFlag(command, '-m, --memory <bytes>', 'Memory limit', parseBytes);
  parsedFlag(command, '--memory-reservation <bytes>', 'Soft memory limit', parseBytes);
  parsedFlag(command, '--memory-swap <bytes>', 'Limit of memory and swap, -1 for none', parseSwapBytes);
  // Without effect since API 1.42; scripts that name it still run.
  command.add(
    new Flag('--kernel-memory <bytes>', 'Kernel memory limit (deprecated)', {
      parse: parseBytes,
      hidden: true,
    }),
  );
  parsedFlag(command, '--pids-limit <int>', 'Limit of processes, -1 for none', parseInteger);
}

function limitFlags(command: FlagTable): void {
  changeableLimitFlags(command);
  parsedFlag(command, '--memory-swappiness <int>', 'Readiness to swap, 0 to 100', parseInteger, -1);
  boolFlag(command, '--oom-kill-disable', 'Do not kill on lack of memory');
  parsedFlag(command, '--oom-score-adj <int>', 'Preference of the OOM killer, -1000 to 1000', parseInteger);
  parsedListFlag(command, '--ulimit <ulimit>', 'Resource limit (name=soft[:hard])', parseUlimit);
  parsedFlag(command, '--shm-size <bytes>', 'Size of /dev/shm', parseBytes);
  stringFlag(command, '--cgroup-parent <string>', "Parent of the container's cgroup");
}

function deviceFlags(command: FlagTable): void {
  parsedListFlag(command, '--blkio-weight-device <list>', 'The same for one device', parseWeightDevice);
  listFlag(command, '--device <list>', 'Add a device of the host');
  listFlag(command, '--device-cgroup-rule <list>', 'Add a rule to the allowed devices');
  parsedListFlag(command, '--device-read-bps <list>', 'Limit bytes read a second', parseThrottleBps);
  parsedListFlag(command, '--device-read-iops <list>', 'Limit reads a second', parseThrottleIops);
  parsedListFlag(command, '--device-write-bps <list>', 'Limit bytes written a second', parseThrottleBps);
  parsedListFlag(command, '--device-write-iops <list>', 'Limit writes a second', parseThrottleIops);
  parsedListFlag(command, '--gpus <gpu-request>', 'Add GPUs ("all", a number, or device=ID,…)', parseGpus);
}

function networkFlags(command: FlagTable): void {
  parsedListFlag(command, '--network <network>', 'Connect to a network', parseNetworkAttachment);
  stringFlag(
    command,
    '--egress <policy>',
    'What it may reach outside: none, or allow=NAME|SUBNET,… (*.example.com for all below)',
  );
  flagAlias(command, '--net', '--network');
  listFlag(command, '--network-alias <list>', "Another name on the container's first network");
  flagAlias(command, '--net-alias', '--network-alias');
  stringFlag(command, '--ip <string>', 'IPv4 address');
  stringFlag(command, '--ip6 <string>', 'IPv6 address');
  parsedListFlag(command, '--link-local-ip <list>', 'Link-local address', parseIpAddress);
  stringFlag(command, '--mac-address <string>', 'MAC address');
  parsedListFlag(command, '--link <list>', 'Link to another container', parseLink);
  listFlag(command, '-p, --publish <list>', 'Publish a port to the host');
  boolFlag(command, '-P, --publish-all', 'Publish all exposed ports to free ports');
  listFlag(command, '--expose <list>', 'Expose a port or a range of ports');
  parsedListFlag(command, '--add-host <list>', 'Add a line to /etc/hosts (host:ip)', parseExtraHost);
  parsedListFlag(command, '--dns <list>', 'DNS server', parseIpAddress);
  listFlag(command, '--dns-option <list>', 'DNS option');
  flagAlias(command, '--dns-opt', '--dns-option');
  parsedListFlag(command, '--dns-search <list>', 'DNS search domain', parseDnsSearch);
}

function storageFlags(command: FlagTable): void {
  listFlag(command, '-v, --volume <list>', 'Mount a host path or a volume (source:target[:options])');
  parsedListFlag(command, '--mount <mount>', 'Mount something (type=…,source=…,target=…)', parseMount);
  listFlag(command, '--tmpfs <list>', 'Mount a tmpfs (target[:options])');
  listFlag(command, '--volumes-from <list>', 'Mount the volumes of another container');
  stringFlag(command, '--volume-driver <string>', 'Driver of new volumes');
  listFlag(command, '--storage-opt <list>', 'Option of the storage driver');
  boolFlag(command, '--read-only', "Make the container's root read-only");
}

function isolationFlags(command: FlagTable): void {
  listFlag(command, '--cap-add <list>', 'Add a Linux capability');
  listFlag(command, '--cap-drop <list>', 'Drop a Linux capability');
  boolFlag(command, '--privileged', 'Give the container all privileges');
  listFlag(command, '--security-opt <list>', 'Security option');
  parsedListFlag(command, '--sysctl <map>', 'Kernel setting of a namespace', parseSysctl);
  stringFlag(command, '--cgroupns <string>', 'Cgroup namespace (host|private)');
  stringFlag(command, '--ipc <string>', 'IPC namespace');
  stringFlag(command, '--pid <string>', 'PID namespace');
  stringFlag(command, '--userns <string>', 'User namespace: host, auto[:size=N], container:NAME');
  stringFlag(command, '--uts <string>', 'UTS namespace');
  stringFlag(command, '--isolation <string>', 'Isolation technology ("default")');
  // Known, so that it is refused with what to do instead.
  command.add(
    new Flag('--use-api-socket', 'Not supported: give the container a scoped socket', {
      defaultValue: false,
      hidden: true,
    }),
  );
}

function healthFlags(command: FlagTable): void {
  stringFlag(command, '--health-cmd <string>', 'Command that checks the health');
  parsedFlag(command, '--health-interval <duration>', 'Time between two checks', parseDurationNs);
  parsedFlag(command, '--health-retries <int>', 'Failures in a row that make it unhealthy', parseInteger);
  parsedFlag(
    command,
    '--health-start-interval <duration>',
    'Time between checks while starting',
    parseDurationNs,
  );
  parsedFlag(
    command,
    '--health-start-period <duration>',
    'Time to start before failures count',
    parseDurationNs,
  );
  parsedFlag(command, '--health-timeout <duration>', 'Longest run of one check', parseDurationNs);
  boolFlag(command, '--restart-unhealthy', 'Restart the container when it turns unhealthy');
  boolFlag(command, '--no-healthcheck', "Disable the image's health check");
}

function parseStreamName(text: string): string {
  const name = text.toLowerCase();
  if (['stdin', 'stdout', 'stderr'].includes(name)) return name;
  throw new Error('valid streams are STDIN, STDOUT and STDERR');
}
