/**
 * What an engine must not leave behind once its containers are gone and it has stopped: processes, mounts, network
 * interfaces, firewall elements, cgroups, files. Works inside a sandbox (test/run/sandbox.sh), where everything that
 * is found is the engine's.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { EnginePlace } from './engine.ts';

const CONTAINER_ID = /^[0-9a-f]{64}$/;

function readable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    // A process or folder that has gone meanwhile is none that was left.
    return undefined;
  }
}

/** Processes in another mount namespace than ours, and supervisors. Zombies wait for the sandbox's init only. */
function processes(): string[] {
  const own = readlinkSync('/proc/self/ns/mnt');
  const found: string[] = [];
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const status = readable(() => readFileSync(`/proc/${pid}/status`, 'utf8'));
    const command = readable(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' '));
    if (status === undefined || command === undefined || /^State:\s+Z/m.test(status)) continue;
    const namespace = readable(() => readlinkSync(`/proc/${pid}/ns/mnt`));
    const isOurs = namespace === undefined || namespace === own || isSystems(pid, status);
    if (!isOurs || /mydock-(runtime|init)/.test(command)) found.push(`process ${pid}: ${command}`);
  }
  return found;
}

/** Kernel threads and systemd's own services, which tests outside a sandbox see; some have a mount namespace. */
function isSystems(pid: string, status: string): boolean {
  if (/^Kthread:\s+1$/m.test(status)) return true;
  const groups = readable(() => readFileSync(`/proc/${pid}/cgroup`, 'utf8')) ?? '';
  return /\/system\.slice\/systemd-\w+\.service(\/|$)/m.test(groups);
}

/** Network namespaces that a running daemon keeps ready for the next containers. */
const WARM_NAMESPACES = 2;

/**
 * Mounts below the daemon's folders, but for those that keep containers' and images' mounts private, which are made once
 * and stay, and while the daemon runs its warm network namespaces, the mount that it starts supervisors from, and the
 * images that it keeps mounted for a while.
 */
function mounts(place: EnginePlace, running: boolean): string[] {
  const found = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((target) => target.startsWith(`${place.dataRoot}/`) || target.startsWith(`${place.execRoot}/`))
    .filter((target) => target !== `${place.execRoot}/containers` && target !== `${place.execRoot}/images`)
    .filter((target) => !(running && target.startsWith(`${place.execRoot}/images/`)))
    .filter((target) => !(running && target === `${place.execRoot}/mydock-runtime`));
  const namespaces = found.filter((target) => target.startsWith(`${place.execRoot}/netns/`));
  const others = found.filter((target) => !namespaces.includes(target));
  const excess = running && namespaces.length <= WARM_NAMESPACES ? [] : namespaces;
  return [...others, ...excess].map((target) => `mount ${target}`);
}

/** Everything but the loopback and bridges, which belong to networks rather than to containers. */
function interfaces(): string[] {
  return readdirSync('/sys/class/net')
    .filter((name) => name !== 'lo' && name !== 'bonding_masters')
    .filter((name) => !existsSync(`/sys/class/net/${name}/bridge`) && !name.startsWith('test'))
    .map((name) => `interface ${name}`);
}

/**
 * The rules as text; equal before the first container and after the last. Empty where nft is not installed. For one
 * daemon, the tables of other daemons are left out.
 */
export function firewall(place?: EnginePlace): string {
  const all =
    readable(() => execFileSync('nft', ['--stateless', 'list', 'ruleset'], { encoding: 'utf8' })) ?? '';
  if (place === undefined) return all;
  // A daemon's tables are named after its exec root.
  const own = `mydock_${createHash('sha256').update(place.execRoot).digest('hex').slice(0, 6)}`;
  return all.replace(/^table \w+ (mydock_\w+) \{\n[\s\S]*?^\}\n/gm, (table, name: string) =>
    name === own ? table : '',
  );
}

function cgroups(): string[] {
  const names = readdirSync('/sys/fs/cgroup', { recursive: true, encoding: 'utf8' });
  return names
    .filter((name) => CONTAINER_ID.test((name.split('/').at(-1) ?? '').replace(/^\w+-|\.scope$/g, '')))
    .map((name) => `cgroup ${name}`);
}

function files(place: EnginePlace, running: boolean): string[] {
  const found: string[] = [];
  const containers = join(place.dataRoot, 'containers');
  for (const name of readable(() => readdirSync(containers)) ?? [])
    found.push(`file ${join(containers, name)}`);
  const names = (
    readable(() => readdirSync(place.execRoot, { recursive: true, encoding: 'utf8' })) ?? []
  ).filter(
    (name) =>
      name.split('/').some((part) => CONTAINER_ID.test(part)) && !(running && name.startsWith('images/')),
  );
  for (const name of names) found.push(`file ${join(place.execRoot, name)}`);
  const data = readable(() => readdirSync(place.dataRoot, { recursive: true, encoding: 'utf8' })) ?? [];
  for (const name of data.filter((path) => path.includes('.tmp-')))
    found.push(`file ${join(place.dataRoot, name)}`);
  return found;
}

/** Everything that was left, a line each; `running`: the daemon still runs. */
export function leftovers(place: EnginePlace, running: boolean): string[] {
  return [...processes(), ...mounts(place, running), ...interfaces(), ...cgroups(), ...files(place, running)];
}
