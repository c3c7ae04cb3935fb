/**
 * Everything of an engine that can be seen on the machine, a line each: processes, mounts, interfaces, firewall,
 * cgroups, listening sockets, files, rows of the database. Two snapshots of equal situations are equal; what caches and
 * pools may change is left out. Works in a sandbox, where all that is found is the engine's or the harness's own.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** Folders of an engine, and processes that are none of it. */
export interface Watched {
  readonly dataRoot: string;
  readonly execRoot: string;
  readonly pid: number;
}

/** Network namespaces that are made ahead. */
const POOL = 2;

function readable<T>(read: () => T, otherwise: T): T {
  try {
    return read();
  } catch {
    // What has gone meanwhile is not there.
    return otherwise;
  }
}

/** All but the daemon, kernel threads, the harness with its parents and its children that are no engine's. */
function processes({ pid: daemon }: Watched, ignored: ReadonlySet<number>): string[] {
  const found: string[] = [];
  for (const name of readdirSync('/proc').filter((one) => /^\d+$/.test(one))) {
    const pid = Number(name);
    if (pid === daemon || ignored.has(pid)) continue;
    const status = readable(() => readFileSync(`/proc/${name}/status`, 'utf8'), '');
    const command = readable(() => readFileSync(`/proc/${name}/cmdline`, 'utf8'), '');
    if (command === '' || status === '' || /^State:\s+Z/m.test(status)) continue;
    const words = command.replaceAll('\0', ' ').trim();
    // What the bystander's shell runs for a moment.
    if (/^(\/bin\/)?(sleep 0\.05|sh -c httpd)/.test(words)) continue;
    found.push(`process ${words}`);
  }
  return found;
}

/** The harness itself, what it was started by, and what it has started but the daemon. */
export function processesOfHarness(daemon: number): Set<number> {
  const found = new Set<number>([process.pid]);
  for (let pid = process.ppid; pid > 0; ) {
    found.add(pid);
    const text = readable(() => readFileSync(`/proc/${pid}/stat`, 'utf8'), '');
    pid = Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[1] ?? 0);
  }
  for (const name of readdirSync('/proc').filter((one) => /^\d+$/.test(one))) {
    const text = readable(() => readFileSync(`/proc/${name}/stat`, 'utf8'), '');
    const parent = Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[1] ?? 0);
    if (parent === process.pid && Number(name) !== daemon) found.add(Number(name));
  }
  return found;
}

function mounts({ dataRoot, execRoot }: Watched): string[] {
  const targets = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((target) => target.startsWith(`${dataRoot}/`) || target.startsWith(`${execRoot}/`))
    // Kept for a while for the next container of the image.
    .filter((target) => !target.startsWith(`${execRoot}/images/`));
  const namespaces = targets.filter((target) => target.startsWith(`${execRoot}/netns/`));
  const others = targets.filter((target) => !namespaces.includes(target));
  return [...others.map((target) => `mount ${target}`), `network namespaces: ${namespaces.length}`];
}

function interfaces(): string[] {
  return readdirSync('/sys/class/net').map((name) => `interface ${name}`);
}

/** Each line with the set, map or chain that it stands in. */
function firewall(): string[] {
  const text = execFileSync('nft', ['--stateless', 'list', 'ruleset'], { encoding: 'utf8' });
  let block = '';
  return text.split('\n').flatMap((line) => {
    const words = line.trim();
    if (/\{$/.test(words) && !words.includes('=')) block = words.replace(/ \{$/, '');
    return words === '' || words === '}' ? [] : [`firewall ${block}: ${words}`];
  });
}

function cgroups(): string[] {
  const found: string[] = [];
  const walk = (folder: string): void => {
    for (const entry of readable(() => readdirSync(folder, { withFileTypes: true }), [])) {
      if (!entry.isDirectory()) continue;
      found.push(`cgroup ${folder}/${entry.name}`);
      walk(join(folder, entry.name));
    }
  };
  walk('/sys/fs/cgroup');
  return found;
}

/** Ports on which something waits, by protocol. */
function listeners(): string[] {
  return ['tcp', 'tcp6', 'udp', 'udp6'].flatMap((protocol) =>
    readable(() => readFileSync(`/proc/net/${protocol}`, 'utf8'), '')
      .split('\n')
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
      .filter(([, , , state]) => state === '0A' || state === '07')
      .map(([, local]) => `listens ${protocol} ${local}`),
  );
}

/** What a cache may add to, and what SQLite makes and removes as it likes. */
const CHANGING = [
  /^mydock\.db-(wal|shm)$/,
  /^layers\/erofs\/images\//,
  /^layers\/[^/]+\/[^/]+\/synced$/,
  /^seccomp\//,
  /^images\//,
  /^build\/file-digests\.db/,
  /^netns\//,
  /^containers\/[^/]+\/rootfs\//,
  /-json\.log(\.\d+)?$/,
];

function files(root: string): string[] {
  return readable(() => readdirSync(root, { recursive: true, encoding: 'utf8' }), [])
    .filter((name) => !CHANGING.some((pattern) => pattern.test(name)))
    .map((name) => `file ${join(root, name)}`);
}

/** How many rows each table has, but for facts about the host, which stay. */
function rows({ dataRoot }: Watched): string[] {
  const database = new DatabaseSync(join(dataRoot, 'mydock.db'), { readOnly: true });
  try {
    const tables = database
      .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'network_host' ORDER BY name")
      .all();
    return tables.map(({ name }) => {
      const [row] = database.prepare(`SELECT count(*) AS rows FROM "${String(name)}"`).all();
      return `table ${String(name)}: ${String(row?.['rows'])} rows`;
    });
  } finally {
    database.close();
  }
}

export function snapshot(watched: Watched, ignored: ReadonlySet<number>): string[] {
  return [
    ...processes(watched, ignored),
    ...mounts(watched),
    ...interfaces(),
    ...firewall(),
    ...cgroups(),
    ...listeners(),
    ...files(watched.dataRoot),
    ...files(watched.execRoot),
    ...rows(watched),
  ].sort();
}

/** `+` for what there is more of now, `-` for what is missing. */
export function difference(before: readonly string[], now: readonly string[]): string[] {
  const count = new Map<string, number>();
  for (const line of now) count.set(line, (count.get(line) ?? 0) + 1);
  for (const line of before) count.set(line, (count.get(line) ?? 0) - 1);
  return [...count].flatMap(([line, more]) => (more === 0 ? [] : [`${more > 0 ? '+' : '-'} ${line}`]));
}

/** Whether the namespaces that are made ahead are there. */
export function poolIsFull(lines: readonly string[], inUse: number): boolean {
  return lines.includes(`network namespaces: ${inUse + POOL}`);
}
