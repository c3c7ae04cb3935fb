/**
 * Which platforms' programs this machine executes: its own, and those for which binfmt_misc has an interpreter that was
 * opened when it was registered (flag F), so that it is there in every mount namespace (kernel, admin-guide/binfmt-misc).
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatPlatform, hostPlatform, normalizePlatform, type Platform } from './platform.ts';

export const BINFMT_DIRECTORY = '/proc/sys/fs/binfmt_misc';
/** There where an amd64 kernel executes 32-bit programs. */
const IA32_SETTING = '/proc/sys/abi/vsyscall32';

/** The package that registers emulators with the flag F. */
const DEBIAN = "Debian's qemu-user-static (from Debian 13 on: qemu-user-binfmt)";

interface Emulated {
  platforms: Platform[];
  /** What is there without the flag cannot be found from inside a container. */
  fixed: boolean;
}

/** ELF: class (1: 32 bit), byte order (1: little-endian), machine (elf.h, EM_*). */
const MACHINES: Readonly<Record<string, readonly Platform[]>> = {
  '2/1/62': [{ os: 'linux', architecture: 'amd64' }],
  '1/1/3': [{ os: 'linux', architecture: '386' }],
  '2/1/183': [{ os: 'linux', architecture: 'arm64' }],
  '1/1/40': [
    { os: 'linux', architecture: 'arm', variant: 'v7' },
    { os: 'linux', architecture: 'arm', variant: 'v6' },
  ],
  '2/1/243': [{ os: 'linux', architecture: 'riscv64' }],
  '2/1/21': [{ os: 'linux', architecture: 'ppc64le' }],
  '2/2/22': [{ os: 'linux', architecture: 's390x' }],
  '2/1/258': [{ os: 'linux', architecture: 'loong64' }],
  '2/1/8': [{ os: 'linux', architecture: 'mips64le' }],
  '2/2/8': [{ os: 'linux', architecture: 'mips64' }],
};

/** Best first: this machine's own, then what is emulated, by name. */
export function runnablePlatforms(directory = BINFMT_DIRECTORY, ia32 = IA32_SETTING): Platform[] {
  const found = new Map<string, Platform>();
  for (const platform of [...ownPlatforms(ia32), ...emulated(directory, true)]) {
    const name = formatPlatform(platform);
    if (!found.has(name)) found.set(name, platform);
  }
  return [...found.values()];
}

/**
 * Why a program was not executed, where that is because of its platform; undefined where it was something else. `failure`
 * is what the runtime said: the kernel does not know the format, or does not find the interpreter for it.
 */
export function whyNotExecuted(failure: string, platform: Platform): string | undefined {
  return /exec format error|no such file or directory/i.test(failure) ? whyNotRunnable(platform) : undefined;
}

/** Undefined where programs of the platform can run; else why not, and what to do. */
export function whyNotRunnable(
  platform: Platform,
  directory = BINFMT_DIRECTORY,
  ia32 = IA32_SETTING,
): string | undefined {
  const same = (one: Platform): boolean =>
    one.os === platform.os && one.architecture === platform.architecture;
  if (runnablePlatforms(directory, ia32).some(same)) return undefined;
  const name = formatPlatform(normalizePlatform(platform));
  const { os, architecture } = hostPlatform();
  const own = formatPlatform({ os, architecture });
  if (emulated(directory, false).some(same)) {
    return `programs for ${name} cannot run on this machine (${own}): its emulator is registered without the flag F, and cannot be found inside a container; register it with F (fix binary), as ${DEBIAN} does`;
  }
  return `programs for ${name} cannot run on this machine (${own}): no emulator is registered for them; install one, for example ${DEBIAN}, or with "mydock run --privileged --rm tonistiigi/binfmt --install ${platform.architecture}"`;
}

function ownPlatforms(ia32: string): Platform[] {
  const own = hostPlatform();
  const { architecture } = own;
  if (architecture === 'amd64' && existsSync(ia32)) return [own, { os: 'linux', architecture: '386' }];
  return [own];
}

function emulated(directory: string, fixed: boolean): Platform[] {
  const entries = readEntries(directory).filter((entry) => entry.fixed === fixed);
  return entries
    .flatMap(({ platforms }) => platforms)
    .sort((a, b) => (formatPlatform(a) < formatPlatform(b) ? -1 : 1));
}

function readEntries(directory: string): Emulated[] {
  try {
    if (readFileSync(join(directory, 'status'), 'utf8').trim() !== 'enabled') return [];
    return readdirSync(directory)
      .filter((name) => name !== 'status' && name !== 'register')
      .flatMap((name) => readEntry(readFileSync(join(directory, name), 'utf8')) ?? []);
  } catch {
    // Not mounted, or not in this kernel.
    return [];
  }
}

/** What the kernel shows of a registration. */
function readEntry(text: string): Emulated | undefined {
  const lines = text.split('\n');
  if (lines[0] !== 'enabled') return undefined;
  const value = (key: string): string =>
    lines
      .find((line) => line.startsWith(key))
      ?.slice(key.length)
      .trim() ?? '';
  const magic = Buffer.from(value('magic '), 'hex');
  if (value('offset ') !== '0' || magic.length < 20 || magic.toString('latin1', 0, 4) !== '\x7fELF') {
    return undefined;
  }
  const little = magic[5] === 1;
  const machine = little ? magic.readUInt16LE(18) : magic.readUInt16BE(18);
  const platforms = MACHINES[`${magic[4]}/${magic[5]}/${machine}`];
  return platforms === undefined
    ? undefined
    : { platforms: [...platforms], fixed: value('flags: ').includes('F') };
}
