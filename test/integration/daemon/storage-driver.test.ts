/** The storage driver: what `info` says of it, a daemon that is killed, and a data root whose driver changes. */
import assert from 'node:assert/strict';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { busyboxImage } from '../../fixtures/catalog.ts';
import { startRegistry } from '../../fixtures/registry.ts';
import { Daemon } from '../harness.ts';

const config = join(mkdtempSync(join(tmpdir(), 'mydock-driver-')), 'daemon.json');
let daemon: Daemon;
let registry: Awaited<ReturnType<typeof startRegistry>>;

function configure(driver: string): void {
  writeFileSync(config, JSON.stringify(driver === '' ? {} : { 'storage-driver': driver }));
}

before(async () => {
  configure('');
  registry = await startRegistry();
  const reference = await registry.push('busybox', 'latest', await busyboxImage());
  daemon = await Daemon.start(['--config-file', config]);
  await daemon.ok('pull', '-q', reference);
  await daemon.ok('tag', reference, 'busybox');
});

after(async () => {
  await daemon.close();
  await registry.stop();
});

const driver = (): Promise<string> => daemon.ok('info', '--format', '{{.Driver}}');

async function fact(name: string): Promise<string | undefined> {
  const facts = JSON.parse(await daemon.ok('info', '--format', '{{json .DriverStatus}}')) as string[][];
  return facts.find((pair) => pair[0] === name)?.[1];
}

test('containers share one mount of their image, also over a daemon that is killed', async (t) => {
  if ((await driver()) !== 'erofs') {
    t.skip(`erofs does not work here: ${await fact('Reason')}`);
    return;
  }
  assert.match((await fact('Mounts')) ?? '', /^(file-backed|loop devices)$/);
  assert.ok((await fact('Backing Filesystem')) !== undefined);
  for (const name of ['one', 'two']) await daemon.ok('run', '-d', '--name', name, 'busybox', 'sleep', '1000');
  assert.equal(await fact('Mounted Images'), '1');
  await daemon.stop('SIGKILL');
  await daemon.launch();
  assert.equal(await fact('Mounted Images'), '1');
  await daemon.ok('rm', '-f', 'one');
  assert.match(await daemon.ok('exec', 'two', 'ls', '/bin/busybox'), /busybox/);
  await daemon.ok('restart', '-t', '0', 'two');
  assert.equal(await fact('Mounted Images'), '1');
  await daemon.ok('rm', '-f', 'two');
});

test('images outlive a change of the driver, those that were made here as well', async (t) => {
  const [first, other] = ['erofs', 'overlay'];
  if ((await driver()) !== first) {
    t.skip(`erofs does not work here: ${await fact('Reason')}`);
    return;
  }
  await daemon.ok(
    'run',
    '--name',
    'maker',
    'busybox',
    'sh',
    '-c',
    'echo made > /made; rm /etc/passwd; ln /made /twin',
  );
  await daemon.ok('commit', 'maker', 'made');
  await daemon.ok('rm', 'maker');
  for (const [wanted, expected] of [
    [other, other],
    ['', other],
    [first, first],
  ] as const) {
    await daemon.stop();
    configure(wanted);
    await daemon.launch();
    assert.equal(await driver(), expected, `asked for "${wanted}"`);
    const script = 'cat /twin; test ! -e /etc/passwd && stat -c %h /made';
    assert.equal(await daemon.ok('run', '--rm', 'made', 'sh', '-c', script), 'made\n2');
  }
  assert.equal(await fact('Reason'), 'asked for by --storage-driver');
});
