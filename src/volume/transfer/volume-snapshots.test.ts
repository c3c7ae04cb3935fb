import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { describeTree, type Fixture, makeTree, NEVER, openVolumes } from './transfer-fixture.ts';

let fixture: Fixture;
let path: string;
const folders: string[] = [];
beforeEach(async () => {
  fixture = await openVolumes();
  folders.push(fixture.base);
  fixture.store.create({ Name: 'data' });
  path = fixture.store.path('data');
});
after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** Spoils what makeTree made: other content, other files, other attributes. */
function change(): void {
  rmSync(join(path, 'deep'), { recursive: true });
  writeFileSync(join(path, 'plain'), 'changed');
  writeFileSync(join(path, 'new'), 'new');
}

test('a snapshot keeps what the volume held, and restores it', async () => {
  makeTree(path);
  const before = describeTree(path);
  const told: string[] = [];
  fixture.events.subscribe(({ Action, Actor }) => told.push(`${Action} ${Actor.Attributes['snapshot']}`));
  const first = await fixture.snapshots.create('data', 'first', NEVER);
  assert.equal(first.Volume, 'data');
  const { Name } = await fixture.snapshots.create('data', '', NEVER);
  assert.match(Name, /^[0-9a-f]{12}$/);
  change();
  assert.deepEqual(
    fixture.snapshots.list('data').map((snapshot) => snapshot.Name),
    ['first', Name],
  );
  await fixture.snapshots.restore('data', 'first', false, NEVER);
  assert.deepEqual(describeTree(path), before);
  change();
  await fixture.snapshots.restore('data', Name, false, NEVER);
  assert.deepEqual(describeTree(path), before);
  await fixture.snapshots.remove('data', 'first');
  assert.deepEqual(readdirSync(fixture.store.folder('data')).sort(), ['_data', 'snapshots']);
  assert.deepEqual(readdirSync(join(fixture.store.folder('data'), 'snapshots')), [Name]);
  assert.deepEqual(told, [
    'snapshot-create first',
    `snapshot-create ${Name}`,
    'snapshot-restore first',
    `snapshot-restore ${Name}`,
    'snapshot-remove first',
  ]);
});

test('under running containers a restore is refused, or forced before their eyes', async () => {
  makeTree(path);
  const before = describeTree(path);
  await fixture.snapshots.create('data', 'one', NEVER);
  change();
  fixture.running.push('0123456789abcdef');
  await assert.rejects(fixture.snapshots.restore('data', 'one', false, NEVER), {
    kind: 'Conflict',
    message: 'restore data: volume is in use by running containers [0123456789ab]: stop them, or force it',
  });
  assert.equal(readFileSync(join(path, 'plain'), 'utf8'), 'changed');
  const { ino } = statSync(path);
  await fixture.snapshots.restore('data', 'one', true, NEVER);
  assert.equal(statSync(path).ino, ino, 'the folder that they have mounted');
  assert.deepEqual(describeTree(path), before);
  assert.deepEqual(readdirSync(fixture.store.folder('data')).sort(), ['_data', 'snapshots']);
});

test('a volume with snapshots is removed where that is said', async () => {
  await fixture.snapshots.create('data', 'one', NEVER);
  await assert.rejects(fixture.store.remove('data'), {
    kind: 'Conflict',
    message: 'remove data: volume has snapshots (one): remove them first, or force its removal',
  });
  await fixture.store.remove('data', true);
  assert.deepEqual(readdirSync(fixture.root), []);
});

test('names that are taken, wrong or unknown', async () => {
  await fixture.snapshots.create('data', 'one', NEVER);
  await assert.rejects(fixture.snapshots.create('data', 'one', NEVER), {
    kind: 'Conflict',
    message: 'snapshot data: it has a snapshot "one" already',
  });
  for (const name of ['..', '.tmp-x', 'a/b', '-x']) {
    await assert.rejects(fixture.snapshots.create('data', name, NEVER), { kind: 'InvalidParameter' });
    await assert.rejects(fixture.snapshots.restore('data', name, true, NEVER), {
      kind: 'NotFound',
      message: `get data: no such snapshot: ${name}`,
    });
    await assert.rejects(fixture.snapshots.remove('data', name), { kind: 'NotFound' });
  }
  assert.throws(() => fixture.snapshots.list('no'), { kind: 'NotFound', message: 'get no: no such volume' });
  const gone = new Error('gone');
  const controller = new AbortController();
  setImmediate(() => controller.abort(gone));
  await assert.rejects(fixture.snapshots.create('data', 'two', controller.signal), gone);
  assert.deepEqual(readdirSync(join(fixture.store.folder('data'), 'snapshots')), ['one']);
});

test('volumes whose content is elsewhere have none', async () => {
  fixture.store.create({ Name: 'memory', DriverOpts: { type: 'tmpfs', device: 'tmpfs' } });
  await assert.rejects(fixture.snapshots.create('memory', '', NEVER), {
    kind: 'InvalidParameter',
    message: /^snapshot memory: snapshots are kept of volumes whose content lies here/,
  });
});

for (const phase of ['out', 'in']) {
  test(`a forced restore that a crash cut short is finished by the next daemon: ${phase}`, async () => {
    const folder = fixture.store.folder('data');
    const staging = join(folder, '.tmp-staging-0123456789ab');
    mkdirSync(join(staging, '_data'), { recursive: true });
    mkdirSync(join(staging, 'old'));
    for (const name of ['one', 'two']) {
      writeFileSync(join(path, name), 'old');
      writeFileSync(join(staging, '_data', name), 'new');
    }
    writeFileSync(join(path, 'three'), 'old');
    writeFileSync(
      join(folder, 'exchanging'),
      JSON.stringify({ phase, staging: '.tmp-staging-0123456789ab' }),
    );
    // As far as it came.
    renameSync(join(path, 'one'), join(staging, 'old/one'));
    if (phase === 'in') {
      for (const name of ['two', 'three']) renameSync(join(path, name), join(staging, 'old', name));
      renameSync(join(staging, '_data/one'), join(path, 'one'));
    }
    fixture = await openVolumes(fixture.base);
    assert.deepEqual(readdirSync(path).sort(), ['one', 'two']);
    assert.equal(readFileSync(join(path, 'one'), 'utf8'), 'new');
    assert.deepEqual(readdirSync(folder), ['_data']);
  });
}
