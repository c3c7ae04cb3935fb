/** The flags of `mydock build` and of `buildx build`, and what they are read into. */

import type { Ulimit } from '../../api/host-config.ts';
import {
  boolFlag,
  listFlag,
  parsedFlag,
  parsedListFlag,
  parseInteger,
  stringFlag,
} from '../flags/declare.ts';
import type { FlagTable } from '../flags/flag-table.ts';
import { parseExtraHost } from '../options/host-names.ts';
import { parseUlimit } from '../options/limits.ts';
import { parseBytes, parseSwapBytes } from '../options/quantity.ts';
import { parseReference } from '../options/reference.ts';
import { type CacheFlag, parseCache } from './cache-flag.ts';
import { type NamedContext, parseNamedContext } from './named-context-flag.ts';
import { type OutputFlag, parseOutput } from './output-flag.ts';
import { parseSecret, parseSsh, type SecretFlag, type SshFlag } from './secret-flag.ts';

export type ProgressMode = 'auto' | 'plain' | 'tty' | 'rawjson' | 'quiet';

export interface BuildOptions {
  addHost: string[];
  allow: string[];
  annotation: string[];
  attest: string[];
  buildArg: string[];
  buildContext: NamedContext[];
  builder?: string;
  /** False with `--no-cache`. */
  cache: boolean;
  /** `--no-cache-filter`: stages. */
  cacheFilter: string[];
  cacheFrom: CacheFlag[];
  cacheTo: CacheFlag[];
  call: string;
  cgroupParent?: string;
  check: boolean;
  compress: boolean;
  cpuPeriod?: number;
  cpuQuota?: number;
  cpuShares?: number;
  cpusetCpus?: string;
  cpusetMems?: string;
  file?: string;
  forceRm: boolean;
  iidfile?: string;
  isolation?: string;
  label: string[];
  load: boolean;
  lock: boolean;
  locked: boolean;
  memory?: number;
  memorySwap?: number;
  metadataFile?: string;
  network?: string;
  onError?: string;
  output: OutputFlag[];
  platform: string[];
  progress?: ProgressMode;
  provenance?: string;
  pull: boolean;
  push: boolean;
  quiet: boolean;
  rm: boolean;
  sbom?: string;
  secret: SecretFlag[];
  securityOpt: string[];
  shmSize?: number;
  squash: boolean;
  ssh: SshFlag[];
  tag: string[];
  target?: string;
  ulimit: Ulimit[];
  verify: boolean;
  /** Of the second build of `verify`. */
  fresh?: boolean;
  watch: boolean;
}

const ENTITLEMENTS = ['network.host', 'security.insecure'];
const PROGRESS_MODES: readonly string[] = ['auto', 'plain', 'tty', 'rawjson', 'quiet'];
const CALLS = ['build', 'check', 'lint', 'outline', 'targets'];

export function buildFlags(command: FlagTable): void {
  parsedListFlag(command, '--add-host <list>', 'Add a line to /etc/hosts (host:ip)', parseExtraHost);
  parsedListFlag(command, '--allow <list>', 'Let steps have network.host or security.insecure', parseAllow);
  listFlag(command, '--annotation <list>', 'Set an annotation of the image (key=value)');
  listFlag(command, '--attest <list>', 'Refused unless disabled: attestations are not made');
  listFlag(command, '--build-arg <list>', 'Set a build-time variable');
  parsedListFlag(command, '--build-context <list>', 'A further context (name=path)', parseNamedContext);
  stringFlag(command, '--builder <string>', 'Accepted as "default": there is one builder');
  parsedListFlag(command, '--cache-from <list>', 'Where cached steps are taken from', parseCache);
  parsedListFlag(command, '--cache-to <list>', 'Where cached steps are kept as well', parseCache);
  parsedFlag(
    command,
    '--call <string>',
    'What is done: build, check, outline or targets',
    parseCall,
    'build',
  );
  stringFlag(command, '--cgroup-parent <string>', 'The cgroup of RUN steps lies below this one');
  boolFlag(command, '--check', 'Only judge the Dockerfile (--call=check)');
  boolFlag(command, '--compress', 'Accepted, without effect');
  parsedFlag(command, '--cpu-period <int>', 'CFS period in microseconds', parseInteger);
  parsedFlag(command, '--cpu-quota <int>', 'CFS quota in microseconds', parseInteger);
  parsedFlag(command, '-c, --cpu-shares <int>', 'Relative weight of CPU time', parseInteger);
  stringFlag(command, '--cpuset-cpus <string>', 'CPUs to run on (0-3, 0,1)');
  stringFlag(command, '-f, --file <string>', 'The Dockerfile (default PATH/Dockerfile; - for stdin)');
  stringFlag(command, '--cpuset-mems <string>', 'Memory nodes to use (0-3, 0,1)');
  boolFlag(command, '--disable-content-trust', 'Accepted: content is checked by its digests', true);
  boolFlag(command, '--force-rm', 'Accepted: nothing of a step remains');
  stringFlag(command, '--iidfile <string>', 'Write the image ID to this file');
  stringFlag(command, '--isolation <string>', 'Accepted as "default": there is one');
  listFlag(command, '--label <list>', 'Set a label on the image');
  boolFlag(command, '--load', 'Keep the image here (--output=type=docker)');
  boolFlag(command, '--lock', 'Write and obey DOCKERFILE.lock: digests of images, downloads and commits');
  boolFlag(command, '--locked', 'Fail where DOCKERFILE.lock would have to change');
  parsedFlag(command, '-m, --memory <bytes>', 'Memory limit of RUN steps', parseBytes);
  parsedFlag(command, '--memory-swap <bytes>', 'Limit of memory and swap, -1 for none', parseSwapBytes);
  stringFlag(command, '--metadata-file <string>', 'Write what is known of the result to this file');
  stringFlag(command, '--network <string>', 'Network of the RUN instructions', 'default');
  boolFlag(command, '--no-cache', 'Do not use cached steps');
  listFlag(command, '--no-cache-filter <list>', 'Do not use cached steps of these stages');
  parsedFlag(command, '--on-error <string>', 'With "shell": a shell in the step that failed', parseOnError);
  parsedListFlag(command, '-o, --output <list>', 'Where the result goes (type=local,dest=path)', parseOutput);
  listFlag(command, '--platform <list>', 'Platforms of the image (os[/arch[/variant]])');
  parsedFlag(command, '--progress <string>', 'auto, plain, tty, rawjson or quiet', parseProgress);
  stringFlag(command, '--provenance <string>', 'Refused unless false: attestations are not made');
  boolFlag(command, '--pull', 'Look for newer base images');
  boolFlag(command, '--push', 'Push the image (--output=type=registry)');
  boolFlag(command, '-q, --quiet', 'Print only the image ID');
  boolFlag(command, '--rm', 'Accepted: nothing of a step remains', true);
  stringFlag(command, '--sbom <string>', 'Refused unless false: attestations are not made');
  parsedListFlag(command, '--secret <list>', 'A secret for RUN (id=name[,src=path|,env=name])', parseSecret);
  listFlag(command, '--security-opt <list>', 'Refused, as Docker does on Linux');
  parsedFlag(command, '--shm-size <bytes>', 'Size of /dev/shm', parseBytes);
  boolFlag(command, '--squash', 'Make one layer of all that the build adds');
  parsedListFlag(
    command,
    '--ssh <list>',
    "The user's ssh agent, or keys, for RUN (default|id[=socket|key])",
    parseSsh,
  );
  parsedListFlag(command, '-t, --tag <list>', 'Name of the image (name[:tag])', checkTag);
  stringFlag(command, '--target <string>', 'Stop at this stage');
  parsedListFlag(command, '--ulimit <list>', 'Limits of processes of RUN steps', parseUlimit);
  boolFlag(command, '--verify', 'Build twice, and show the difference if there is one');
  boolFlag(command, '--watch', 'Build again whenever the context changes');
}

function checkTag(tag: string): string {
  parseReference(tag);
  return tag;
}

function parseAllow(text: string): string {
  if (ENTITLEMENTS.includes(text)) return text;
  throw new Error(`it must be ${ENTITLEMENTS.join(' or ')}`);
}

export function parseProgress(text: string): ProgressMode {
  // buildx has both.
  if (text === 'none') return 'quiet';
  if (PROGRESS_MODES.includes(text)) return text as ProgressMode;
  throw new Error(`it must be one of ${PROGRESS_MODES.join(', ')}`);
}

function parseCall(text: string): string {
  const [name = ''] = text.split(',');
  if (!CALLS.includes(name)) throw new Error('it must be build, check, outline or targets');
  return name;
}

function parseOnError(text: string): string {
  if (text !== 'shell') throw new Error('it must be shell');
  return text;
}
