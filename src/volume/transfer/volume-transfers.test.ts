import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import type { ByteString } from '../../image/layers/tar/byte-string.ts';
import { type TarHeader, TarWriter } from '../../image/layers/tar/tar-writer.ts';
import {
  describeTree,
  exported,
  type Fixture,
  makeTree,
  NEVER,
  openVolumes,
  pieces,
} from './transfer-fixture.ts';

let fixture: Fixture;
const folders: string[] = [];
beforeEach(async () => {
  fixture = await openVolumes();
  folders.push(fixture.base);
});
after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function volume(name: string): string {
  fixture.store.create({ Name: name });
  return fixture.store.path(name);
}

function archive(entries: (Partial<Omit<TarHeader, 'name'>> & { name: string; content?: string })[]): Buffer {
  const written: Buffer[] = [];
  const tar = new TarWriter((bytes) => written.push(Buffer.from(bytes)));
  for (const { content = '', name, linkName, ...header } of entries) {
    const link = linkName === undefined ? {} : { linkName };
    tar.entry({ type: 'file', ...header, ...link, name: name as ByteString, size: content.length });
    tar.data(Buffer.from(content));
  }
  tar.finish();
  return Buffer.concat(written);
}

/** What is open below the volumes. */
function openFiles(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path.startsWith(fixture.root) ? [path] : [];
    } catch {
      return []; // The listing's own.
    }
  });
}

test('an export imported anew is the same tree, and gives the same bytes', async () => {
  makeTree(volume('aa'));
  for (const compression of ['none', 'gzip', 'zstd'] as const) {
    const name = `b-${compression}`;
    const data = await exported(fixture, 'aa', compression);
    await fixture.transfers.import(name, pieces(data), { merge: false }, NEVER);
    assert.deepEqual(describeTree(fixture.store.path(name)), describeTree(fixture.store.path('aa')));
  }
  const plain = await exported(fixture, 'aa');
  assert.ok(plain.length < 2_000_000, 'holes are no bytes');
  assert.ok(plain.equals(await exported(fixture, 'b-zstd')));
  assert.ok(statSync(join(fixture.store.path('b-none'), 'holes')).blocks < 1000);
});

test('GNU tar unpacks an export to the same tree, and its own archives come in', async () => {
  makeTree(volume('aa'));
  const [from, out] = [fixture.store.path('aa'), join(fixture.base, 'out')];
  mkdirSync(out);
  const tar = (args: string[], input?: Buffer) =>
    execFileSync('tar', ['--xattrs', '--xattrs-include=*', '--numeric-owner', '-S', ...args], {
      input,
      maxBuffer: 1 << 28,
    });
  tar(['-xp', '--same-owner', '-C', out], await exported(fixture, 'aa'));
  assert.deepEqual(describeTree(out), describeTree(from));
  const data = tar(['-c', '--format=pax', '-C', from, '.']);
  await fixture.transfers.import('cc', pieces(data), { merge: false }, NEVER);
  assert.deepEqual(describeTree(fixture.store.path('cc')), describeTree(from));
});

test('an import into an empty volume keeps the folder that containers have mounted', async () => {
  const path = volume('aa');
  const { ino } = statSync(path);
  const data = archive([{ name: 'x/y', content: 'hello' }]);
  await fixture.transfers.import('aa', pieces(data), { merge: false }, NEVER);
  assert.equal(statSync(path).ino, ino);
  assert.equal(readFileSync(join(path, 'x/y'), 'utf8'), 'hello');
  assert.deepEqual(readdirSync(fixture.store.folder('aa')), ['_data']);
});

test('a volume with content is imported into only by merging', async () => {
  const path = volume('aa');
  writeFileSync(join(path, 'old'), 'old');
  writeFileSync(join(path, 'both'), 'old');
  const data = archive([
    { name: 'both', content: 'new' },
    { name: 'new', content: 'new' },
  ]);
  await assert.rejects(fixture.transfers.import('aa', pieces(data), { merge: false }, NEVER), {
    kind: 'Conflict',
    message: 'import aa: volume is not empty: merge into it, or import into another',
  });
  assert.deepEqual(readdirSync(path).sort(), ['both', 'old']);
  await fixture.transfers.import('aa', pieces(data), { merge: true }, NEVER);
  assert.deepEqual(
    ['both', 'new', 'old'].map((name) => readFileSync(join(path, name), 'utf8')),
    ['new', 'new', 'old'],
  );
});

test('no archive leads out of the volume', async () => {
  writeFileSync(join(fixture.base, 'outside'), 'untouched');
  for (const entries of [
    [{ name: '../../../outside', content: 'x' }],
    [{ name: 'h', type: 'hardlink', linkName: '../../../outside' as ByteString }],
    [
      { name: 'l', type: 'symlink', linkName: fixture.base as ByteString },
      { name: 'l/outside', content: 'x' },
    ],
    [
      { name: 'l', type: 'symlink', linkName: '../../..' as ByteString },
      { name: 'l/outside', content: 'x' },
    ],
  ] as Parameters<typeof archive>[0][]) {
    const name = `v${Math.random().toString(36).slice(2)}`;
    await fixture.transfers
      .import(name, pieces(archive(entries)), { merge: false }, NEVER)
      .catch(() => undefined);
    assert.equal(readFileSync(join(fixture.base, 'outside'), 'utf8'), 'untouched');
    assert.equal(statSync(join(fixture.base, 'outside')).nlink, 1);
  }
  assert.deepEqual(
    readdirSync(fixture.base)
      .filter((name) => !name.startsWith('db'))
      .sort(),
    ['outside', 'volumes'],
  );
});

test('what is no archive makes no volume, and leaves an empty one empty', async () => {
  const whole = archive([{ name: 'aa', content: 'x'.repeat(100_000) }]);
  volume('there');
  for (const [data, why] of [
    [Buffer.alloc(0), /the archive is empty/],
    [whole.subarray(0, 50_000), /unexpected|cut|end/i],
    [Buffer.alloc(5000, 'no tar'), /checksum|header|tar/i],
    [Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3]), /gzip/],
    [archive([{ name: '../x', content: 'x' }]), /outside/],
  ] as const) {
    for (const name of ['there', 'not-there']) {
      const run = fixture.transfers.import(name, pieces(data), { merge: false }, NEVER);
      await assert.rejects(run, (error: Error & { kind?: string }) => {
        assert.equal(error.kind, 'InvalidParameter', error.message);
        assert.match(error.message, why);
        assert.ok(error.message.startsWith(`import ${name}: `), error.message);
        return true;
      });
    }
    assert.deepEqual(readdirSync(fixture.store.path('there')), []);
    assert.deepEqual(readdirSync(fixture.store.folder('there')), ['_data']);
    assert.deepEqual(readdirSync(fixture.root), ['there']);
  }
});

test('a client that goes away leaves nothing, and nothing open', async () => {
  makeTree(volume('aa'));
  const gone = new Error('the client has gone');
  for (const run of [
    async (signal: AbortSignal, leave: () => void) => {
      await fixture.transfers.export('aa', 'gzip', () => async () => leave(), signal);
    },
    async (signal: AbortSignal, leave: () => void) => {
      const data = archive([{ name: 'aa', content: 'x'.repeat(5_000_000) }]);
      const body = async function* () {
        for await (const piece of pieces(data)) {
          yield piece;
          leave();
        }
      };
      await fixture.transfers.import('new', body(), { merge: false }, signal);
    },
    async (signal: AbortSignal, leave: () => void) => {
      setImmediate(leave);
      await fixture.transfers.clone('aa', { Name: 'new' }, signal);
    },
  ]) {
    const controller = new AbortController();
    await assert.rejects(
      run(controller.signal, () => controller.abort(gone)),
      gone,
    );
    assert.deepEqual(readdirSync(fixture.root), ['aa']);
  }
  assert.deepEqual(openFiles(), []);
  await fixture.store.remove('aa');
});

test('a clone is the same tree and another volume', async () => {
  makeTree(volume('aa'));
  const told: string[] = [];
  fixture.events.subscribe(({ Action, Actor }) => told.push(`${Action} ${Actor.ID}`));
  const clone = await fixture.transfers.clone('aa', { Name: 'copy', Labels: { k: 'v' } }, NEVER);
  assert.deepEqual(clone.Labels, { k: 'v' });
  assert.deepEqual(describeTree(fixture.store.path('copy')), describeTree(fixture.store.path('aa')));
  assert.ok(statSync(join(fixture.store.path('copy'), 'holes')).blocks < 1000);
  writeFileSync(join(fixture.store.path('copy'), 'plain'), 'other');
  assert.equal(readFileSync(join(fixture.store.path('aa'), 'plain'), 'utf8'), 'content of a file\n');
  assert.deepEqual(readdirSync(fixture.store.folder('copy')), ['_data']);
  assert.deepEqual(told, ['create copy', 'clone copy']);
});

test('a name is given once', async () => {
  makeTree(volume('aa'));
  const [first, second] = await Promise.allSettled([
    fixture.transfers.clone('aa', { Name: 'copy' }, NEVER),
    fixture.transfers.clone('aa', { Name: 'copy' }, NEVER),
  ]);
  assert.equal(first?.status, 'fulfilled');
  assert.match(
    String(second?.status === 'rejected' && second.reason),
    /clone copy: a volume of this name is being made/,
  );
  await assert.rejects(fixture.transfers.clone('aa', { Name: 'copy' }, NEVER), {
    kind: 'Conflict',
    message: 'clone copy: a volume of this name exists already',
  });
  mkdirSync(join(fixture.root, 'somebody'));
  await assert.rejects(fixture.transfers.clone('aa', { Name: 'somebody' }, NEVER), { kind: 'Conflict' });
  await assert.rejects(fixture.transfers.clone('aa', { Name: '../x' }, NEVER), { kind: 'InvalidParameter' });
  await assert.rejects(fixture.transfers.clone('no', { Name: 'x1' }, NEVER), {
    kind: 'NotFound',
    message: 'get no: no such volume',
  });
});

test('a volume that is being exported is not removed, nor imported into', async () => {
  volume('aa');
  let checked = 0;
  const take = async () => {
    if (checked++ > 0) return;
    await assert.rejects(fixture.store.remove('aa', true), {
      kind: 'Conflict',
      message: 'remove aa: volume is being exported',
    });
    const data = pieces(archive([{ name: 'x' }]));
    await assert.rejects(fixture.transfers.import('aa', data, { merge: true }, NEVER), {
      kind: 'Conflict',
      message: 'import aa: volume is being exported',
    });
  };
  await fixture.transfers.export('aa', 'none', () => take, NEVER);
  assert.ok(checked > 0);
  await fixture.store.remove('aa');
});

test('the next daemon removes what a crash has left, and nothing else', async () => {
  const path = volume('aa');
  writeFileSync(join(path, 'kept'), '');
  const left = [
    '.tmp-staging-0123456789ab/_data/x',
    'half/_data/x',
    'half/unpublished',
    'aa/.tmp-staging-0123456789ab/_data/x',
    'aa/snapshots/.tmp-staging-0123456789ab/_data/x',
    'aa/unpublished',
    'somebody/_data/x',
  ];
  for (const file of left) {
    mkdirSync(join(fixture.root, file, '..'), { recursive: true });
    writeFileSync(join(fixture.root, file), 'x');
  }
  fixture = await openVolumes(fixture.base);
  const rest = readdirSync(fixture.root, { recursive: true, encoding: 'utf8' }).sort();
  assert.deepEqual(rest, [
    'aa',
    'aa/_data',
    'aa/_data/kept',
    'aa/snapshots',
    'somebody',
    'somebody/_data',
    'somebody/_data/x',
  ]);
  assert.ok(existsSync(join(path, 'kept')));
});
