/** volume clone: independent of its source, whole or not at all. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => await close());

async function shell(volume: string, line: string): Promise<string> {
  return await daemon.ok('run', '--rm', '-v', `${volume}:/d`, 'busybox', 'sh', '-c', line);
}

test('a clone has the content, labels of its own, and a life of its own', async () => {
  await daemon.ok(
    'run',
    '-d',
    '--name',
    'user',
    '-v',
    'data:/d',
    'busybox',
    'sh',
    '-c',
    'echo one > /d/x; chown 5:6 /d/x; sleep 100',
  );
  await daemon.ok('exec', 'user', 'sh', '-c', 'until [ -s /d/x ]; do sleep 0.1; done');
  assert.equal(await daemon.ok('volume', 'clone', '--label', 'a=b', 'data', 'copy'), 'copy');
  await daemon.ok('exec', 'user', 'sh', '-c', 'echo two > /d/x');
  assert.equal(await shell('copy', 'cat /d/x; stat -c %u:%g /d/x'), 'one\n5:6');
  assert.equal(await daemon.ok('volume', 'inspect', '-f', '{{.Labels.a}}', 'copy'), 'b');
  await daemon.ok('rm', '-f', 'user');
  await daemon.ok('volume', 'rm', 'data');
  assert.equal(await shell('copy', 'cat /d/x'), 'one');
});

test('what is refused', async () => {
  await daemon.fails(
    1,
    /clone copy: a volume of this name exists already/,
    'volume',
    'clone',
    'copy',
    'copy',
  );
  await daemon.fails(1, /get no: no such volume/, 'volume', 'clone', 'no', 'other');
  await daemon.fails(
    1,
    /includes invalid characters for a local volume name/,
    'volume',
    'clone',
    'copy',
    '../x',
  );
  const answer = await daemon.api('POST', '/volumes/copy/clone', { Name: 5 });
  assert.equal(answer.status, 400);
  assert.deepEqual(readdirSync(join(daemon.dataRoot, 'volumes')), ['copy']);
});

test('events tell of whole volumes', async () => {
  const since = (Date.now() / 1000).toFixed(3);
  await daemon.ok('volume', 'clone', 'copy', 'told');
  await daemon.ok('volume', 'export', '-o', join(daemon.folder, 'told.tar'), 'told');
  await daemon.ok('volume', 'import', '--merge', 'told', join(daemon.folder, 'told.tar'));
  const events = await daemon.ok(
    ...[
      'events',
      '--since',
      since,
      '--until',
      (Date.now() / 1000 + 0.01).toFixed(3),
      '--filter',
      'type=volume',
    ],
    ...['--format', '{{.Action}} {{.Actor.ID}}'],
  );
  assert.deepEqual(
    events.split('\n').filter((line) => line.endsWith('told')),
    ['create told', 'clone told', 'export told', 'import told'],
  );
});
