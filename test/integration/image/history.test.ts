/** `history`: what each step added, and which of them are images here. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => await close());

test('a committed layer stands on top with its size, above the image that it was made from', async () => {
  await daemon.ok('run', '--name', 'work', 'busybox', 'sh', '-c', 'head -c 5000000 /dev/zero > /five');
  const id = await daemon.ok('commit', '-m', 'five of them', 'work', 'five:v1');
  await daemon.ok('rm', 'work');
  const format = '{{.ID}}|{{.Size}}|{{.Comment}}';
  const [top, below] = (await daemon.ok('history', '--no-trunc', '--format', format, 'five:v1')).split('\n');
  assert.equal(top, `${id}|5MB|five of them`);
  assert.match(below ?? '', /^(sha256:[0-9a-f]{64}|<missing>)\|2\.\d+MB\|/);
  const [first] = (await daemon.api('GET', '/images/five:v1/history')).json<
    { Tags: string[]; Id: string }[]
  >();
  assert.deepEqual([first?.Tags, first?.Id], [['five:v1'], id]);
  await daemon.ok('rmi', 'five:v1');
});

test('the table, and what is not there', async () => {
  const [head = '', row = ''] = (await daemon.ok('history', 'busybox')).split('\n');
  assert.match(head, /^IMAGE +CREATED +CREATED BY +SIZE +COMMENT$/);
  assert.match(row, /^[0-9a-f]{12} +\d+ years ago +layer 0 +2\.\d+MB/);
  await daemon.fails(1, /No such image: nothing:latest/, 'history', 'nothing');
  await daemon.fails(
    1,
    /does not match the specified platform/,
    'history',
    '--platform',
    'linux/s390x',
    'busybox',
  );
});
