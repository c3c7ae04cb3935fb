/** Databases of released versions, opened by this build: every schema since the first one. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, describe, it } from 'node:test';
import { openDatabase } from '../../../src/base/database.ts';
import { errorMessage } from '../../../src/base/errors.ts';
import { log } from '../../../src/base/log.ts';
import { type Migrations, rehearseMigration, restoreBeforeMigration } from '../../../src/base/migration.ts';
import { MYDOCK_VERSION } from '../../../src/base/version.ts';
import { RecordTable } from '../../../src/container/record.ts';
import { SocketTable } from '../../../src/daemon/access/socket-table.ts';
import { MIGRATIONS } from '../../../src/daemon/migrations.ts';
import { EventBus } from '../../../src/events/event-bus.ts';
import { NetworkStore } from '../../../src/network/network-store.ts';
import { VolumeStore } from '../../../src/volume/volume-store.ts';
import { loadDatabase } from '../../fixtures/database-dump.ts';
import { eventually } from '../command.ts';
import { TESTING_DOCKER } from '../engine.ts';
import { Daemon } from '../harness.ts';

log.level = 'fatal';

/** Every released schema has its dump, which is never changed. */
const RELEASES = ['0.1.0'];

function dumpOf(release: string): string {
  return readFileSync(join(import.meta.dirname, `../../fixtures/data-root-${release}.sql`), 'utf8');
}

function oldDatabase(release: string): { path: string; folder: string } & Disposable {
  const folder = mkdtempSync(join(tmpdir(), 'mydock-migrations-'));
  const path = join(folder, 'mydock.db');
  const text = readFileSync(join(import.meta.dirname, `../../fixtures/data-root-${release}.sql`), 'utf8');
  loadDatabase(text, path);
  return { path, folder, [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
}

/** One more step for the concept than this build has. */
function later(concept: string, step: string): Migrations[] {
  return MIGRATIONS.map((one) => (one.concept === concept ? { concept, steps: [...one.steps, step] } : one));
}

function content(path: string): unknown[] {
  using db = new DatabaseSync(path, { readOnly: true });
  const names = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").all();
  return names
    .map(({ name }) => String(name))
    .filter((name) => name !== 'reserve')
    .map((name) => [name, db.prepare(`SELECT * FROM "${name}"`).all()]);
}

for (const release of RELEASES) {
  it(`what a data root of ${release} held is all there`, () => {
    using old = oldDatabase(release);
    rehearseMigration(old.path, MIGRATIONS);
    const db = openDatabase(old.path, MIGRATIONS);
    try {
      assert.deepEqual(db.prepare('PRAGMA foreign_key_check').all(), []);
      const { records, unreadable } = new RecordTable(db).load();
      assert.deepEqual([...unreadable], []);
      assert.deepEqual(records.map(({ name }) => name).sort(), ['done', 'up', 'web']);
      const web = records.find(({ name }) => name === 'web');
      assert.equal(web?.hostConfig.RestartPolicy?.Name, 'unless-stopped');
      assert.equal(web?.networks['backend']?.IPAMConfig?.IPv4Address, '10.77.0.9');
      const networks = new NetworkStore(db).networks().map(({ record }) => record.name);
      assert.deepEqual(networks.sort(), ['backend', 'bridge', 'host', 'none']);
      const volumes = new VolumeStore({
        database: db,
        root: join(old.folder, 'volumes'),
        events: new EventBus(),
      });
      assert.ok(volumes.has('store'));
      assert.deepEqual(
        new SocketTable(db).load().map(({ settings }) => settings.name),
        ['reader'],
      );
      const tags = db.prepare('SELECT repository, tag FROM image_tags ORDER BY repository').all();
      assert.deepEqual(
        tags.map((row) => `${String(row['repository'])}:${String(row['tag'])}`),
        ['docker.io/library/busybox:latest', 'docker.io/library/made:1', 'registry.example/busybox:latest'],
      );
      assert.ok(Number(db.prepare('SELECT count(*) AS n FROM build_steps').get()?.['n']) > 0);
    } finally {
      db.close();
    }
  });
}

describe('a migration', () => {
  it('that fails names its concept and leaves the database as it was', () => {
    using old = oldDatabase('0.1.0');
    const before = content(old.path);
    const broken = later('volume', 'ALTER TABLE volumes ADD COLUMN more TEXT; DROP TABLE no_such_table');
    const message =
      /schema of "volume" cannot be brought from version \d+ to \d+, and nothing was changed.*no_such_table/;
    const named = (error: unknown): boolean => message.test(errorMessage(error));
    assert.throws(() => rehearseMigration(old.path, broken), named);
    assert.throws(() => openDatabase(old.path, broken), named);
    assert.deepEqual(content(old.path), before);
    openDatabase(old.path, MIGRATIONS).close();
  });

  it('of a newer build is refused by name, also where a concept is new, and the copy from before it goes on', () => {
    using old = oldDatabase('0.1.0');
    openDatabase(old.path, MIGRATIONS).close();
    const before = content(old.path);
    const newer = later('image', 'DROP TABLE image_tags');
    rehearseMigration(old.path, newer);
    assert.deepEqual(content(old.path), before, 'a rehearsal changes nothing');
    openDatabase(old.path, newer).close();
    const copy = `${old.path}.before-${MYDOCK_VERSION}`;
    assert.equal(statSync(copy).mode & 0o777, 0o600);
    const refusal = /schema of "image" is version \d+, this build knows \d+: use the newer build/;
    assert.throws(() => openDatabase(old.path, MIGRATIONS), refusal);
    assert.throws(() => rehearseMigration(old.path, MIGRATIONS), refusal);
    const madeMs = statSync(copy).mtimeMs;
    // An earlier upgrade's copy knows nothing of what was made since.
    assert.throws(
      () => restoreBeforeMigration(old.path, MIGRATIONS, madeMs + 1000),
      /no copy of what it was/,
    );
    restoreBeforeMigration(old.path, MIGRATIONS, madeMs);
    assert.deepEqual(content(old.path), before);
    openDatabase(old.path, [
      ...MIGRATIONS,
      { concept: 'later', steps: ['CREATE TABLE later (x TEXT) STRICT'] },
    ]).close();
    assert.throws(
      () => openDatabase(old.path, MIGRATIONS),
      /schema of "later" is version 1, this build knows 0/,
    );
    rmSync(copy);
    assert.throws(() => restoreBeforeMigration(old.path, MIGRATIONS, 0), /no copy of what it was/);
  });

  it('leaves no files of its own', () => {
    using old = oldDatabase('0.1.0');
    rehearseMigration(old.path, later('image', 'SELECT 1'));
    openDatabase(old.path, MIGRATIONS).close();
    const names = readdirSync(old.folder).filter((name) => !/^mydock\.db(-wal|-shm)?$/.test(name));
    assert.deepEqual(names, []);
  });
});

it('records of containers with fields missing, unknown or broken', () => {
  using old = oldDatabase('0.1.0');
  const db = openDatabase(old.path, MIGRATIONS);
  try {
    const table = new RecordTable(db);
    db.exec(`UPDATE containers SET record = json_remove(record, '$.links', '$.networks', '$.sandbox', '$.restartCount',
      '$.stoppedByUser') WHERE name = 'web'`);
    db.exec(
      `UPDATE containers SET record = json_set(record, '$.later', 1, '$.hostConfig.Later', 'x') WHERE name = 'up'`,
    );
    db.exec(`UPDATE containers SET record = json_remove(record, '$.state') WHERE name = 'done'`);
    const { records, unreadable } = table.load();
    const web = records.find(({ name }) => name === 'web');
    assert.deepEqual([web?.links, web?.restartCount, web?.stoppedByUser, web?.sandbox], [[], 0, false, null]);
    assert.deepEqual(Object.keys(web?.networks ?? {}), ['backend']);
    // What a newer build has noted is kept by one that does not know it.
    const up = records.find(({ name }) => name === 'up');
    assert.ok(up !== undefined);
    table.save(up);
    const stored = db.prepare("SELECT record ->> '$.later' AS later FROM containers WHERE name = 'up'").get();
    assert.equal(Number(stored?.['later']), 1);
    assert.deepEqual([...unreadable.values()], ['done']);
  } finally {
    db.close();
  }
});

describe('a daemon on the database of 0.1.0', { skip: TESTING_DOCKER && 'about mydockd' }, () => {
  let daemon: Daemon;
  before(async () => {
    daemon = await Daemon.start();
  });
  after(async () => await daemon.close());

  it('lists, describes and removes what it held', async () => {
    const [listed, networks] = [await daemon.ok('ps', '-aq'), await daemon.ok('network', 'ls', '-q')];
    assert.equal(listed, '');
    await daemon.stop();
    for (const suffix of ['', '-wal', '-shm'])
      rmSync(join(daemon.dataRoot, `mydock.db${suffix}`), { force: true });
    const path = join(daemon.dataRoot, 'mydock.db');
    loadDatabase(
      dumpOf('0.1.0')
        .replaceAll('/var/lib/mydock', daemon.dataRoot)
        .replaceAll('/run/mydock', daemon.execRoot),
      path,
    );
    await daemon.launch();
    const format = '{{.Names}} {{.State}}';
    await eventually('what ran is over', async () =>
      /up exited/.test(await daemon.ok('ps', '-a', '--format', format)),
    );
    assert.equal(await daemon.inspect('up', '{{.State.ExitCode}}'), '255');
    assert.equal(await daemon.inspect('done', '{{.State.ExitCode}}'), '3');
    assert.equal(
      await daemon.inspect('web', '{{.HostConfig.RestartPolicy.Name}} {{.HostConfig.Memory}}'),
      'unless-stopped 67108864',
    );
    assert.match(await daemon.ok('volume', 'ls', '-q'), /^store$/m);
    assert.match(await daemon.ok('socket', 'ls'), /reader/);
    assert.match(await daemon.ok('images'), /made/);
    await daemon.removeContainers();
    await daemon.ok('socket', 'rm', 'reader');
    await daemon.ok('volume', 'rm', 'store');
    await daemon.ok('network', 'rm', 'backend');
    assert.equal((await daemon.ok('network', 'ls', '-q')).split('\n').length, networks.split('\n').length);
  });
});
