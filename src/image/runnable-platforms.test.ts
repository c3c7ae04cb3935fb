/** Which platforms binfmt_misc makes runnable, read from registrations as the kernel shows them. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { formatPlatform, hostPlatform, parsePlatform } from './platform.ts';
import { runnablePlatforms, whyNotRunnable } from './runnable-platforms.ts';

const own = formatPlatform(hostPlatform());
const NOWHERE = '/nonexistent';
let directory: string;
before(() => {
  directory = mkdtempSync(join(tmpdir(), 'mydock-binfmt-'));
});
after(() => rmSync(directory, { recursive: true }));

/** ELF64 little-endian, and so on, for a machine of elf.h. */
function magic(bits: 1 | 2, order: 1 | 2, machine: number): string {
  const header = Buffer.alloc(20);
  header.set([0x7f, 0x45, 0x4c, 0x46, bits, order, 1]);
  if (order === 1) header.writeUInt16LE(machine, 18);
  else header.writeUInt16BE(machine, 18);
  return header.toString('hex');
}

function entry(flags: string, bytes: string, state = 'enabled'): string {
  return `${state}\ninterpreter /usr/bin/qemu\nflags: ${flags}\noffset 0\nmagic ${bytes}\nmask ${'ff'.repeat(20)}\n`;
}

function registrations(entries: Record<string, string>, status = 'enabled'): string {
  const path = mkdtempSync(join(directory, 'd-'));
  writeFileSync(join(path, 'status'), `${status}\n`);
  writeFileSync(join(path, 'register'), '');
  for (const [name, text] of Object.entries(entries)) writeFileSync(join(path, name), text);
  return path;
}

const names = (path: string) => runnablePlatforms(path, NOWHERE).map(formatPlatform);

test("the machine's own platform alone, where nothing is registered or can be", () => {
  assert.deepEqual(names(NOWHERE), [own]);
  assert.deepEqual(names(registrations({})), [own]);
  const disabled = registrations({ s390x: entry('F', magic(2, 2, 22)) }, 'disabled');
  assert.deepEqual(names(disabled), [own]);
});

test('registrations with the flag F, whatever they are called; others say what is missing', () => {
  const path = registrations({
    'qemu-any': entry('POCF', magic(2, 1, 243)),
    big: entry('F', magic(2, 2, 22)),
    arm: entry('OCF', magic(1, 1, 40)),
    loong: entry('OC', magic(2, 1, 258)),
    off: entry('F', magic(2, 1, 21), 'disabled'),
    python: 'enabled\ninterpreter /usr/bin/python3\nflags: F\noffset 0\nmagic 0a0d0d0a\n',
    extension: 'enabled\ninterpreter /usr/bin/wine\nflags: F\nextension .exe\n',
    unknown: entry('F', magic(2, 1, 9999)),
    garbage: '\0\xff',
  });
  mkdirSync(join(directory, 'empty'));
  assert.deepEqual(names(path), [own, 'linux/arm/v6', 'linux/arm/v7', 'linux/riscv64', 'linux/s390x']);
  const why = (platform: string) => whyNotRunnable(parsePlatform(platform), path, NOWHERE);
  assert.equal(why('linux/riscv64'), undefined);
  assert.equal(why(own), undefined);
  assert.match(why('linux/loong64') ?? '', /^programs for linux\/loong64 cannot run .* without the flag F/);
  assert.match(
    why('linux/ppc64le') ?? '',
    /no emulator is registered for them; install one, .* --install ppc64le/,
  );
});
