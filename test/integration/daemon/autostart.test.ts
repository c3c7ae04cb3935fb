/** How the client starts the daemon by itself at its usual place, and `mydock daemon`. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { eventually, run } from '../command.ts';
import { CLIENT } from '../engine.ts';

test('the client starts the daemon itself, and `mydock daemon` manages it', {
  skip: !CLIENT.endsWith('bin/mydock') && 'about mydock',
}, async () => {
  const env = { ...process.env, MYDOCK_HOST: '', DOCKER_HOST: '' };
  const mydock = async (...args: string[]) => await run([CLIENT, ...args], { env });
  const succeeds = async (...args: string[]) => {
    const done = await mydock(...args);
    assert.equal(done.code, 0, done.stderr);
  };
  assert.equal(existsSync('/run/mydock.sock'), false);
  const status = await mydock('daemon', 'status');
  assert.notEqual(status.code, 0);
  assert.match(status.stdout + status.stderr, /not run/i);
  const listed = await mydock('ps', '-q');
  assert.deepEqual([listed.code, listed.stdout], [0, ''], listed.stderr);
  assert.match((await mydock('daemon', 'status')).stdout, /runs|running/i);
  await succeeds('daemon', 'stop');
  await eventually('it has stopped', async () => (await mydock('daemon', 'status')).code !== 0);
  await succeeds('daemon', 'start');
  await succeeds('ps');
  await succeeds('daemon', 'stop');
  const fails = async (reason: RegExp, ...args: string[]) => {
    const { code, stderr } = await mydock('daemon', 'start', ...args);
    assert.notEqual(code, 0);
    assert.match(stderr, reason);
  };
  await fails(/did not start: unknown option '--no-such-flag'; its log is/, '--no-such-flag');
  await fails(/did not start: configuration file \/nowhere does not exist; /, '--config-file', '/nowhere');
  await fails(/did not start: .*nonsense.*; its log is/, '--storage-driver', 'nonsense');
});
