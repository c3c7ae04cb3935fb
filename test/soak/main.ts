/**
 * `make test-soak`: soak.test.ts in a sandbox of its own, for as long as is wanted, with its progress on the terminal. The
 * test is one of `make test` as well, for a quarter of a minute.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { busyboxProgram } from '../fixtures/packages.ts';
import { prepareFixtures } from '../fixtures/prepare.ts';
import { SANDBOX } from '../run/discovery.ts';

const name = `mydock-soak-${process.pid}`;
const scratch = mkdtempSync(join(tmpdir(), 'mydock-soak-'));
try {
  await prepareFixtures();
  const test = join(import.meta.dirname, 'soak.test.ts');
  const command = [
    name,
    scratch,
    process.execPath,
    '--disable-warning=ExperimentalWarning',
    '--test-force-exit',
    test,
  ];
  const env = { ...process.env, MYDOCK_TEST_BUSYBOX: await busyboxProgram() };
  const { status } = spawnSync(SANDBOX, command, { stdio: 'inherit', env });
  process.exitCode = status ?? 1;
} finally {
  spawnSync(SANDBOX, ['--sweep', name], { stdio: 'inherit' });
  rmSync(scratch, { recursive: true, force: true, maxRetries: 3 });
}
