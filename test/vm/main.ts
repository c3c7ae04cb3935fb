/**
 * `make test-vm`: runs tests on a host of another kind, a virtual machine with Debian's kernel, systemd and cgroup v2
 * alone. Arguments are substrings that pick test files; without any, those of selection.ts. `--console` gives a shell
 * in the machine instead. The exit status is 0 where every test passed.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../run/discovery.ts';
import { debianMachine } from './debian.ts';
import { type Boot, type Outcome, runConsole, runTests } from './emulator.ts';
import { makeInitrd, makeProjectDisk } from './project-image.ts';

const LIMIT_MS = 75 * 60_000;
const CONSOLE_FILE = join(ROOT, 'build/vm-console.log');
const CONSOLE_LINES_SHOWN = 60;
/** QEMU's emulation lets a boot fail now and then: in a double fault, in a panic. */
const BOOTS_MAX = 3;

async function main(args: readonly string[]): Promise<number> {
  if (process.arch !== 'x64')
    throw new Error(`make test-vm emulates x86-64 alone, and this is ${process.arch}`);
  if (process.getuid?.() !== 0) throw new Error('make test-vm needs root, to make the machine’s file system');
  const wantsConsole = args.includes('--console');
  const substrings = args.filter((word) => word !== '--console');
  const machine = await debianMachine();
  const folder = mkdtempSync(join(tmpdir(), 'mydock-vm-'));
  try {
    const projectDisk = await makeProjectDisk(folder, substrings);
    const initrd = makeInitrd(folder, machine);
    const unit = wantsConsole ? 'mydock-console.target' : 'mydock-test.target';
    const parameters = [`mydock.root=${ROOT}`, `systemd.unit=${unit}`, ...(wantsConsole ? ['quiet'] : [])];
    const boot: Boot = { machine, initrd, projectDisk, parameters };
    if (wantsConsole) {
      await runConsole(boot);
      return 0;
    }
    mkdirSync(join(ROOT, 'build'), { recursive: true });
    return await testOn(boot);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Boots again where the machine died before a test had begun; tests are never run a second time. */
async function testOn(boot: Boot): Promise<number> {
  for (let turn = 1; ; turn++) {
    const outcome = await runTests(boot, CONSOLE_FILE, LIMIT_MS, (line) => console.log(line));
    if (outcome.kind === 'tested') return outcome.status;
    showConsole(outcome);
    if (!outcome.atBoot || turn === BOOTS_MAX) return 1;
    console.log(`no test had begun: boot ${turn + 1} of ${BOOTS_MAX}`);
  }
}

function showConsole(outcome: Outcome & { kind: 'died' }): void {
  if (existsSync(CONSOLE_FILE)) {
    const lines = readFileSync(CONSOLE_FILE, 'utf8').trimEnd().split('\n').slice(-CONSOLE_LINES_SHOWN);
    console.log(lines.join('\n'));
  }
  console.log(`${outcome.why}; its console is in ${CONSOLE_FILE}`);
}

process.exitCode = await main(process.argv.slice(2));
