/**
 * Suites over the kernel's networking: a test file runs itself again in a network and mount namespace of its own, so
 * that nothing of the host is touched, and its outcome is one test of the outer run:
 *
 *   if (OWN_NETNS.inside) suite();
 *   else it(OWN_NETNS.title, OWN_NETNS.options(), () => OWN_NETNS.run(import.meta.filename));
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';

const INSIDE = 'MYDOCK_TEST_NETNS';
const TIMEOUT_MS = 170_000;
const PROGRAMS = ['unshare', 'nsenter', 'ip', 'nft'];

export const OWN_NETNS = {
  inside: process.env[INSIDE] !== undefined,
  title: 'passes its suite in a network namespace of its own',
  /** Skips, naming what is missing, where the suite could not run. */
  options: (): { skip: string | false } => ({ skip: obstacle() }),
  /** `file`: the test file itself. */
  run: runInside,
};

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
