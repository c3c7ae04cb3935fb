/** What cannot be cleaned up or removed at once, when nobody waits for it any more, is once it can be. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { eventually } from '../command.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;

before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(() => close());

/** Nobody can remove or rename it then; false where the file system knows no such thing. */
const fix = (path: string): boolean => spawnSync('chattr', ['+i', path]).status === 0;
const unfix = (path: string): unknown => spawnSync('chattr', ['-i', path]);

async function isListed(name: string): Promise<boolean> {
  return (await daemon.ok('ps', '-aq', '--filter', `name=^${name}$`)) !== '';
}

/** A container that is to be removed with its volume at its end, and the folder of that. */
async function withVolume(name: string): Promise<string> {
  await daemon.ok('run', '-d', '--rm', '--name', name, '-v', '/data', 'busybox', 'sleep', '1000');
  const volume = await daemon.inspect(name, '{{(index .Mounts 0).Name}}');
  return join(daemon.dataRoot, 'volumes', volume);
}

test('--rm: what could not be removed at the end is removed once it can be', async (context) => {
  const folder = await withVolume('late');
  if (!fix(folder)) return context.skip('no immutable folders here');
  try {
    await daemon.ok('kill', 'late');
    await eventually('the removal fails', () =>
      daemon.log.includes('cannot remove a container: it is tried'),
    );
    assert.ok(await isListed('late'));
  } finally {
    unfix(folder);
  }
  await eventually('it is removed', async () => !(await isListed('late')));
  assert.ok(!existsSync(folder));
});

test('a removal that cannot be finished keeps no daemon from starting, and is finished later', async (context) => {
  const folder = await withVolume('later');
  if (!fix(folder)) return context.skip('no immutable folders here');
  try {
    await daemon.stop('SIGKILL');
    await daemon.launch();
    await daemon.ok('kill', 'later');
    await daemon.stop('SIGKILL');
    await daemon.launch();
    assert.ok(await isListed('later'));
  } finally {
    unfix(folder);
  }
  await eventually('it is removed', async () => !(await isListed('later')));
  assert.ok(!existsSync(folder));
});

test('what a run held and could not be given back is given back later', async (context) => {
  await daemon.ok('run', '-d', '--name', 'held', 'busybox', 'sleep', '1000');
  const bundle = join(daemon.execRoot, 'containers', await daemon.inspect('held', '{{.Id}}'));
  const stuck = join(bundle, 'stuck');
  writeFileSync(stuck, '');
  if (!fix(stuck)) return context.skip('no immutable files here');
  try {
    await daemon.ok('kill', 'held');
    await eventually('the clean-up fails', () =>
      daemon.log.includes('cannot clean up after a run: it is tried'),
    );
    const reason = /cannot clean up after the last run of container [0-9a-f]{64}: .*not permitted/;
    await daemon.fails(1, reason, 'start', 'held');
    await daemon.fails(1, reason, 'rm', 'held');
  } finally {
    unfix(stuck);
  }
  await eventually('nothing is left of the run', () => !existsSync(bundle));
  await daemon.ok('start', 'held');
  await daemon.ok('rm', '-f', 'held');
});
