/**
 * The disk with the project for the virtual machine: what was built, the tests, their fixtures and Node, at the paths
 * that they have here; and the initramfs, whose init finds that disk.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, cpSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { attackProgram } from '../fixtures/attack.ts';
import { busyboxLayer } from '../fixtures/catalog.ts';
import { FOREIGN_PREFIX, fetchForeign } from '../fixtures/foreign.ts';
import {
  busyboxProgram,
  CACHE,
  registryProgram,
  syscallProbeProgram,
  udpEchoProgram,
} from '../fixtures/packages.ts';
import { ROOT } from '../run/discovery.ts';
import { type DebianMachine, makeExt4 } from './debian.ts';

const FOLDERS = [
  'bin',
  'dist',
  'src',
  'test',
  'docs/systemd',
  'build/native-tests',
  'build/sanitized',
] as const;
/** Compilers and checkers, which no test in the machine calls. */
const TOOLS = /^(@biomejs|@esbuild|@types|@typescript|esbuild|typescript|undici-types|\..*)$/;
/** Fixtures that the machine could not make, having no network and no compiler. */
const FIXTURES = new RegExp(
  `^(attack-|busybox-|${FOREIGN_PREFIX}|package-busybox-static$|syscall-probe-|udp-echo-)`,
);

/** Makes `folder/project.img`; `substrings` pick tests, as on the command line of `make test`. */
export async function makeProjectDisk(folder: string, substrings: readonly string[]): Promise<string> {
  const tree = join(folder, 'project');
  for (const name of FOLDERS) copyTree(join(ROOT, name), join(tree, name));
  copyFileSync(join(ROOT, 'package.json'), join(tree, 'package.json'));
  for (const name of readdirSync(join(ROOT, 'node_modules')).filter((name) => !TOOLS.test(name))) {
    if (name.startsWith('node-linux-')) {
      copyTree(join(ROOT, 'node_modules', name, 'bin'), join(tree, 'node_modules', name, 'bin'));
    } else copyTree(join(ROOT, 'node_modules', name), join(tree, 'node_modules', name));
  }
  await Promise.all([attackProgram(), busyboxProgram(), syscallProbeProgram(), udpEchoProgram()]);
  for (const compression of ['gzip', 'zstd', 'none'] as const) await busyboxLayer(compression);
  await fetchForeign();
  const cache = join(tree, 'build/vm-cache');
  for (const name of readdirSync(CACHE).filter((name) => FIXTURES.test(name))) {
    copyTree(join(CACHE, name), join(cache, 'mydock-test', name));
  }
  const registry = join(cache, 'mydock-test/package-docker-registry/usr/bin');
  mkdirSync(registry, { recursive: true });
  copyFileSync(await registryProgram(), join(registry, 'docker-registry'));
  install(join(tree, 'build/vm-install'));
  writeFileSync(join(cache, 'picked.json'), JSON.stringify(substrings));
  const image = join(folder, 'project.img');
  makeExt4(tree, image, '2G');
  return image;
}

/** What a user has after `make install`, for the tests that start it by its units. */
function install(folder: string): void {
  const make = process.env['MAKE'] || 'make';
  execFileSync(make, ['-s', 'install', `DESTDIR=${folder}`, 'PREFIX=/usr/local'], {
    cwd: ROOT,
    stdio: 'pipe',
  });
}

/** Also files, and folders that need not be there. `cp` keeps holes, modes and symlinks. */
function copyTree(from: string, to: string): void {
  mkdirSync(join(to, '..'), { recursive: true });
  execFileSync('sh', ['-c', '[ ! -e "$1" ] || cp -a --reflink=auto "$1" "$2"', 'sh', from, to], {
    stdio: 'pipe',
  });
}

/** Makes `folder/initrd.cpio`. */
export function makeInitrd(folder: string, machine: DebianMachine): string {
  const tree = join(folder, 'initrd');
  cpSync(machine.initrdFolder, tree, { recursive: true });
  for (const name of ['bin', 'dev', 'proc', 'root', 'run']) mkdirSync(join(tree, name));
  copyFileSync(machine.busybox, join(tree, 'bin/busybox'));
  copyFileSync(join(import.meta.dirname, 'guest/init'), join(tree, 'init'));
  chmodSync(join(tree, 'init'), 0o755);
  const image = join(folder, 'initrd.cpio');
  execFileSync(
    'sh',
    ['-c', 'cd "$1" && find . | "$2" cpio -o -H newc > "$3"', 'sh', tree, machine.busybox, image],
    {
      stdio: 'pipe',
    },
  );
  return image;
}
