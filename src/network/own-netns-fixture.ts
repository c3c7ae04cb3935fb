/**
 * Suites over the kernel's networking: the file runs itself again in a network and mount namespace of its own, so that
 * nothing of the host is touched, and its outcome is one test of the outer run.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { it } from 'node:test';

const INSIDE = 'MYDOCK_TEST_NETNS';
const TIMEOUT_MS = 170_000;
const PROGRAMS = ['unshare', 'nsenter', 'ip', 'nft'];

/** `file`: the test file itself. Skips, naming what is missing, where `suite` could not run. */
export function inOwnNetns(file: string, suite: () => void): void {
  if (process.env[INSIDE] !== undefined) suite();
  else it('passes its suite in a network namespace of its own', { skip: obstacle() }, () => runInside(file));
}

function obstacle(): string | false {
  if (process.getuid?.() !== 0) return 'needs root';
  const missing = PROGRAMS.filter((program) => spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0);
  return missing.length > 0 ? `needs the programs ${missing.join(', ')}` : false;
}

function runInside(file: string): void {
  const env: NodeJS.ProcessEnv = { ...process.env, [INSIDE]: '1' };
  delete env['NODE_TEST_CONTEXT'];
  const command = [process.execPath, '--test-reporter=spec', file];
  const options = { env, encoding: 'utf8', timeout: TIMEOUT_MS } as const;
  const result = spawnSync('unshare', ['--net', '--mount', ...command], options);
  assert.equal(result.status, 0, `${result.stdout}\n${result.stderr}`);
  assert.match(result.stdout, /pass [1-9]\d/, 'the suite ran');
}
