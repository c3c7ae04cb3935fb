/** `image prune` and `system prune`: what goes, what a container keeps, and the disk space that really comes back. */
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { diskUsage } from '../../../src/base/disk-usage.ts';
import { busyboxLayer } from '../../fixtures/catalog.ts';
import { makeImage, makeLayer } from '../../fixtures/image.ts';
import { makeTar } from '../../fixtures/tar.ts';
import { eventually } from '../command.ts';
import { type Daemon, daemonWithRegistry } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
let pushed: (name: string, bytes: number) => Promise<string>;
before(async () => {
  const { daemon: started, registry, close: closing } = await daemonWithRegistry();
  daemon = started;
  close = closing;
  pushed = async (name, bytes) => {
    const data = name.padEnd(bytes, '.');
    const layer = makeLayer(makeTar([{ path: 'content', data }]), 'none');
    const reference = await registry.push(name, 'v1', makeImage({ layers: [await busyboxLayer(), layer] }));
    await daemon.ok('pull', '-q', reference);
    return reference;
  };
});
afterEach(async () => await daemon.removeContainers());
after(async () => await close());

const names = async (): Promise<string[]> =>
  (await daemon.ok('images', '--format', '{{.Repository}}:{{.Tag}}')).split('\n').sort();

interface Pruned {
  ImagesDeleted: { Untagged?: string; Deleted?: string }[] | null;
  SpaceReclaimed: number;
}

async function prune(filters: Record<string, string[]>): Promise<Pruned> {
  const query = encodeURIComponent(JSON.stringify(filters));
  return (await daemon.api('POST', `/images/prune?filters=${query}`)).json<Pruned>();
}

test('without a name: the committed image that lost its tag', async () => {
  const before = await names();
  await daemon.ok('run', '--name', 'work', 'busybox', 'sh', '-c', 'head -c 3000000 /dev/urandom > /three');
  const old = await daemon.ok('commit', 'work', 'moving');
  await daemon.ok('tag', 'busybox', 'moving');
  const output = await daemon.ok('image', 'prune', '-f');
  assert.match(output, new RegExp(`^Deleted Images:\\ndeleted: ${old}\\n(deleted: sha256:\\w+\\n)?`));
  assert.match(output, /\nTotal reclaimed space: 3\.\d+MB$/);
  await daemon.ok('rmi', 'moving');
  assert.deepEqual(await names(), before);
  assert.equal(await daemon.ok('image', 'prune', '-f'), 'Total reclaimed space: 0B');
});

test('all: not what a container has, and as many bytes as the disk gets back', async () => {
  const used = await pushed('used', 1000);
  const gone = await pushed('gone', 4_000_000);
  await daemon.ok('tag', used, 'used-again');
  await daemon.ok('create', '--name', 'user', used, 'true');
  await daemon.ok('create', '--name', 'base', 'busybox', 'true');
  const bytes = async (): Promise<number> =>
    (await diskUsage(`${daemon.dataRoot}/layers`)) + (await diskUsage(`${daemon.dataRoot}/content`));
  const before = await bytes();
  const answer = await prune({ dangling: ['false'] });
  assert.ok(answer.ImagesDeleted?.some(({ Untagged }) => Untagged === gone));
  assert.ok(!JSON.stringify(answer.ImagesDeleted).includes('used'), JSON.stringify(answer.ImagesDeleted));
  // Files are unlinked behind the answer.
  await eventually(`${answer.SpaceReclaimed} bytes are free again`, async () => {
    const freed = before - (await bytes());
    return Math.abs(freed - answer.SpaceReclaimed) / answer.SpaceReclaimed < 0.05;
  });
  assert.equal(await daemon.ok('run', '--rm', used, 'echo', 'fine'), 'fine');
});

test('filters, events, a refusal', async () => {
  const kept = await pushed('kept', 10);
  assert.equal(
    (await prune({ dangling: ['false'], 'label!': ['no-such'], until: ['2020-01-01'] })).ImagesDeleted,
    null,
  );
  assert.equal((await prune({ dangling: ['false'], label: ['no-such'] })).ImagesDeleted, null);
  assert.equal(await daemon.ok('images', '-q', kept).then(({ length }) => length), 12);
  const since = String(Date.now() / 1000);
  await daemon.ok('image', 'prune', '-af');
  const events = await daemon.ok(
    ...['events', '--since', since, '--until', String(Date.now() / 1000 + 0.01)],
    ...['--filter', 'type=image', '--format', '{{.Action}}'],
  );
  assert.deepEqual([...new Set(events.split('\n'))].sort(), ['delete', 'prune', 'untag']);
  const wrong = await daemon.api('POST', '/images/prune?filters={"colour":["red"]}');
  assert.deepEqual([wrong.status, wrong.json()], [400, { message: "invalid filter 'colour'" }]);
});
