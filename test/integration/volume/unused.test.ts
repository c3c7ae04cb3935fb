/** Which volumes there are, which go by themselves, and what prune takes. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => await close());
beforeEach(async () => {
  await daemon.removeContainers();
  const names = await volumes();
  if (names.length > 0) await daemon.ok('volume', 'rm', '-f', ...names);
});

async function volumes(...filters: string[]): Promise<string[]> {
  const flags = filters.flatMap((filter) => ['--filter', filter]);
  return (await daemon.ok('volume', 'ls', '-q', ...flags)).split('\n').filter((name) => name !== '');
}

test('--rm and rm -v take what was made without a name, and never what was named', async () => {
  await daemon.ok('run', '--rm', '-v', '/a', '-v', 'named:/n', '--mount', 'target=/m', 'busybox');
  assert.deepEqual(await volumes(), ['named']);
  const anonymous = await daemon.ok('volume', 'create');
  assert.match(anonymous, /^[0-9a-f]{64}$/);
  // Made without a name, but this container asked for it by the one that it got.
  await daemon.ok('run', '--rm', '-v', `${anonymous}:/a`, 'busybox');
  assert.deepEqual(await volumes(), [anonymous, 'named'].sort());
  await daemon.ok('create', '--name', 'kept', '-v', '/a', 'busybox');
  await daemon.ok('rm', 'kept');
  assert.equal((await volumes()).length, 3);
  await daemon.ok('create', '--name', 'owner', '-v', '/a', 'busybox');
  await daemon.ok('create', '--name', 'guest', '--volumes-from', 'owner', 'busybox');
  await daemon.ok('rm', '-v', 'owner');
  assert.equal((await volumes()).length, 4);
  await daemon.ok('rm', '-v', 'guest');
  assert.equal((await volumes()).length, 3);
});

test('ls filters by name, driver, label and use', async () => {
  await daemon.ok('volume', 'create', '--label', 'a=b', '--label', 'c', 'first');
  await daemon.ok('volume', 'create', '--label', 'a=x', 'second');
  await daemon.ok('create', '-v', 'first:/x', 'busybox');
  const cases: [string[], string[]][] = [
    [['name=irs'], ['first']],
    [['name=^second$'], ['second']],
    [
      ['name=first', 'name=second'],
      ['first', 'second'],
    ],
    [['label=a'], ['first', 'second']],
    [['label=a=b'], ['first']],
    [['label=a', 'label=c'], ['first']],
    [['label!=c'], ['second']],
    [['dangling=true'], ['second']],
    [['dangling=0'], ['first']],
    [['driver=local'], ['first', 'second']],
    [['driver=other'], []],
  ];
  for (const [filters, expected] of cases)
    assert.deepEqual(await volumes(...filters), expected, String(filters));
  await daemon.fails(1, /invalid filter 'dangling=\[maybe\]'/, 'volume', 'ls', '--filter', 'dangling=maybe');
  await daemon.fails(1, /invalid filter 'nonsense'/, 'volume', 'ls', '--filter', 'nonsense=1');
  assert.equal(
    await daemon.ok('volume', 'ls', '--format', '{{.Name}} {{.Label "a"}} {{.Size}} {{.Links}}'),
    'first b N/A N/A\nsecond x N/A N/A',
  );
});

test('prune takes anonymous volumes, all with -a, and never used ones or those with options', async () => {
  const anonymous = await daemon.ok('volume', 'create');
  await daemon.ok('volume', 'create', 'named');
  await daemon.ok('volume', 'create', '--label', 'keep', 'labelled');
  await daemon.ok('volume', 'create', '-o', 'type=tmpfs', '-o', 'device=tmpfs', 'optional');
  await daemon.ok('create', '-v', 'used:/u', '-v', '/a', 'busybox');
  const pruned = await daemon.ok('volume', 'prune', '-f');
  assert.match(pruned, new RegExp(`^Deleted Volumes:\n${anonymous}\n\nTotal reclaimed space: \\d`));
  assert.equal(await daemon.ok('volume', 'prune', '-f'), 'Total reclaimed space: 0B');
  await daemon.ok('volume', 'prune', '-af', '--filter', 'label!=keep');
  assert.deepEqual((await volumes()).slice(-3), ['labelled', 'optional', 'used']);
  await daemon.fails(1, /invalid filter 'until'/, 'volume', 'prune', '-f', '--filter', 'until=1h');
  await daemon.fails(
    1,
    /conflicting options: cannot specify both --all and --filter all=1/,
    ...['volume', 'prune', '-af', '--filter', 'all=1'],
  );
  const asked = await daemon.mydock(['volume', 'prune', '-a'], { stdin: 'n\n' });
  assert.match(
    asked.stdout,
    /^WARNING! This will remove all local volumes not used by at least one container\.\n/,
  );
  assert.equal(asked.code, 0);
  // Clients that know no anonymous volumes mean all.
  const old = await daemon.api('POST', '/v1.41/volumes/prune');
  assert.deepEqual(old.json<{ VolumesDeleted: string[] }>().VolumesDeleted, ['labelled']);
});

test('rm takes several, and tells of each that it cannot take', async () => {
  await daemon.ok('volume', 'create', 'one');
  await daemon.ok('volume', 'create', 'two');
  const result = await daemon.mydock(['volume', 'rm', 'one', 'missing', 'two']);
  assert.equal(result.stdout, 'one\ntwo\n');
  assert.match(result.stderr, /get missing: no such volume/);
  assert.equal(result.code, 1);
  await daemon.ok('volume', 'rm', '-f', 'missing');
});

test('what only cluster volumes have is refused with what they are', async () => {
  await daemon.ok('volume', 'create', 'local');
  const update = await daemon.api('PUT', '/volumes/local?version=1', { Spec: {} });
  assert.equal(update.status, 503);
  assert.match(update.text, /volume update only valid for cluster volumes, but swarm is unavailable/);
  await daemon.fails(1, /can only update cluster volumes/, 'volume', 'update', 'local');
  const cluster = await daemon.api('POST', '/volumes/create', {
    Name: 'c',
    ClusterVolumeSpec: { Group: 'g' },
  });
  assert.equal(cluster.status, 503);
  assert.match(cluster.text, /This node is not a swarm manager/);
});

test('events tell of volumes as they are made, used and removed', async () => {
  const since = String(Date.now() / 1000);
  await daemon.ok('volume', 'create', 'told');
  await daemon.ok('run', '--rm', '-v', 'told:/x:ro', 'busybox');
  await daemon.ok('volume', 'rm', 'told');
  await daemon.ok('volume', 'prune', '-f');
  const until = String(Date.now() / 1000 + 1);
  const lines = await daemon.ok(
    ...['events', '--since', since, '--until', until, '--filter', 'type=volume'],
    ...['--format', '{{.Action}} {{.Actor.ID}} {{index .Actor.Attributes "read/write"}}'],
  );
  assert.deepEqual(
    lines.split('\n').map((line) => line.trim()),
    ['create told', 'mount told false', 'unmount told', 'destroy told', 'prune'],
  );
});
