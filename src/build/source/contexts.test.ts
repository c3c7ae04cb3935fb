/** Archives, folders of this machine and of clients as contexts, with the kernel's own mounts. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { tarOf } from '../../image/layers/suite/fixture.ts';
import { isFolder } from './inside-file.ts';
import { newestFileSec } from './newest-file.ts';
import { bodyOf, FakeSession, io, SourcesFixture } from './testing/sources-fixture.ts';

const tar = tarOf(
  { name: 'Dockerfile', type: 'file', content: 'FROM scratch\n' },
  { name: '.dockerignore', type: 'file', content: 'Dockerfile\n' },
  { name: 'd/', type: 'directory', mode: 0o755 },
  { name: 'd/f', type: 'file', content: 'content', mode: 0o640 },
  { name: 'd/link', type: 'symlink', linkName: '../../../etc/passwd' },
);
const TAR = { kind: 'tar' } as const;

for (const driver of ['erofs', 'overlay'] as const) {
  describe(`archives, ${driver}`, () => {
    const fixture = new SourcesFixture(driver);
    after(() => fixture.close());
    const open = (...body: (Buffer | string)[]) => fixture.sources.open(TAR, io({ body: bodyOf(...body) }));

    test('are shown without being unpacked, and gone when they are released', async () => {
      for (const packed of [tar, gzipSync(tar), zstdCompressSync(tar)]) {
        const { tree, dockerfile } = await open(packed.subarray(0, 10), packed.subarray(10));
        assert.equal(dockerfile, undefined);
        assert.deepEqual([tree.times, tree.live, tree.title], ['uniform', false, 'build context']);
        assert.equal(readFileSync(join(tree.path, 'd/f'), 'utf8'), 'content');
        assert.equal(lstatSync(join(tree.path, 'd/link')).isSymbolicLink(), true);
        assert.throws(() => writeFileSync(join(tree.path, 'new'), ''), { code: 'EROFS' });
        await tree.release();
        await tree.release();
        assert.deepEqual([fixture.trees(), fixture.snapshotter.layers()], [[], []]);
      }
    });

    test('bzip2 and xz, by the programs of the machine', async () => {
      for (const program of ['bzip2', 'xz']) {
        if (!existsSync(`/usr/bin/${program}`) && !existsSync(`/bin/${program}`)) continue;
        const { tree } = await open(execFileSync(program, ['-c'], { input: tar }));
        assert.equal(readFileSync(join(tree.path, 'd/f'), 'utf8'), 'content');
        await tree.release();
      }
    });

    test('one that two builds have stays until the second is done', async () => {
      const [first, second] = await Promise.all([open(tar), open(tar)]);
      await first.tree.release();
      assert.equal(fixture.snapshotter.layers().length, 1);
      assert.equal(readFileSync(join(second.tree.path, 'd/f'), 'utf8'), 'content');
      await second.tree.release();
      assert.deepEqual(fixture.snapshotter.layers(), []);
    });

    test('hostile and broken ones are refused, naming the entry, and leave nothing', async () => {
      const cases: [Buffer, RegExp][] = [
        [tarOf({ name: 'a/.wh.b', type: 'file' }), /a\/\.wh\.b.*reserved/],
        [tarOf({ name: '.wh..wh..opq', type: 'file' }), /reserved/],
        [tarOf({ name: '.wh.d/x', type: 'file' }), /reserved/],
        [tarOf({ name: 'null', type: 'character', deviceMajor: 0, deviceMinor: 0 }), /null.*0:0/],
        [tarOf({ name: '../out', type: 'file', content: 'x' }), /\.\.\/out.*outside/],
        [tarOf({ name: 'h', type: 'hardlink', linkName: '../../etc/passwd' }), /outside/],
        [tarOf({ name: 'h', type: 'hardlink', linkName: 'missing' }), /not in this layer/],
        [tar.subarray(0, 700), /unexpected|cut|end/i],
        [gzipSync(tar).subarray(0, 60), /gzip/],
      ];
      for (const [archive, expected] of cases) {
        await assert.rejects(open(archive), (error: Error & { kind?: string }) => {
          assert.equal(error.kind, 'InvalidParameter', error.message);
          assert.match(error.message, expected);
          return true;
        });
      }
      assert.deepEqual([fixture.trees(), fixture.snapshotter.layers()], [[], []]);
    });

    test('an archive that puts a link where a folder is meant to be stays inside', async () => {
      const archive = tarOf(
        { name: 'l', type: 'symlink', linkName: fixture.directory },
        { name: 'l/escaped', type: 'file', content: 'x' },
      );
      await open(archive).then(
        ({ tree }) => tree.release(),
        () => undefined,
      );
      assert.equal(existsSync(fixture.path('escaped')), false);
    });

    test('compressed zeros cost what was sent, not what they expand to', async () => {
      const zeros = tarOf({ name: 'zeros', type: 'file', content: Buffer.alloc(64 << 20) });
      const { tree } = await open(gzipSync(zeros));
      assert.equal(statSync(join(tree.path, 'zeros')).size, 64 << 20);
      const used = execFileSync('du', ['-sk', fixture.path('layers')], { encoding: 'utf8' });
      assert.ok(Number.parseInt(used, 10) < 8192, `the store takes ${used}`);
      await tree.release();
    });

    test('no archive, but a Dockerfile alone; nothing; neither', async () => {
      const alone = await open('FROM sc', 'ratch\nCOPY a b\n');
      assert.equal(alone.dockerfile, 'FROM scratch\nCOPY a b\n');
      assert.deepEqual(readdirSync(alone.tree.path), ['Dockerfile']);
      await alone.tree.release();
      const nothing = await open();
      assert.deepEqual(readdirSync(nothing.tree.path), []);
      await nothing.tree.release();
      const none = await open(Buffer.alloc(1024));
      assert.deepEqual(readdirSync(none.tree.path), []);
      await none.tree.release();
      await assert.rejects(open(Buffer.from('\x7fELF\0\0\0'), Buffer.alloc(2000, 'a')), {
        kind: 'InvalidParameter',
        message: /neither an archive/,
      });
    });

    test('the Dockerfile and the ignore file, which clients always send, are hidden where they are ignored', async () => {
      const main = fixture.sources.main(TAR, { path: '' });
      const given = io({ body: bodyOf(tar) });
      assert.deepEqual(await main.readDockerfile(given), { name: 'Dockerfile', content: 'FROM scratch\n' });
      const { tree } = await main.open(given);
      assert.equal(tree.ignore?.excludes('Dockerfile', false), true);
      assert.equal(tree.ignore?.excludes('.dockerignore', false), false);
      assert.equal(tree.ignore?.excludes('d/f', false), false);
      await main.release();
      assert.deepEqual(fixture.trees(), []);
    });

    test('a body that fails, and a build that is cancelled, leave nothing', async () => {
      const failing = async function* (): AsyncGenerator<Buffer> {
        yield tar.subarray(0, 1024);
        throw new Error('connection reset');
      };
      await assert.rejects(fixture.sources.open(TAR, io({ body: failing() })), /connection reset/);
      const abort = new AbortController();
      const endless = async function* (): AsyncGenerator<Buffer> {
        yield tar.subarray(0, 1024);
        for (;;) {
          yield tarOf({ name: 'x', type: 'file', content: 'x' }).subarray(0, 1024);
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
      };
      const opening = fixture.sources.open(TAR, io({ body: endless(), signal: abort.signal }));
      setTimeout(() => abort.abort(new Error('client is gone')), 50);
      await assert.rejects(opening, /client is gone|aborted/);
      const silent = async function* (): AsyncGenerator<Buffer> {
        yield tar.subarray(0, 100);
        await new Promise(() => undefined);
      };
      const cancelled = AbortSignal.any([AbortSignal.timeout(50)]);
      await assert.rejects(fixture.sources.open(TAR, io({ body: silent(), signal: cancelled })), {
        name: 'TimeoutError',
      });
      assert.deepEqual([fixture.trees(), fixture.snapshotter.layers()], [[], []]);
    });
  });
}

describe('folders of this machine', () => {
  const fixture = new SourcesFixture();
  after(() => fixture.close());
  const folder = fixture.path('folder');
  mkdirSync(join(folder, 'd'), { recursive: true });
  writeFileSync(join(folder, 'Dockerfile'), 'FROM scratch\n');
  writeFileSync(join(folder, '.dockerignore'), '*.log\n!keep.log\n');
  writeFileSync(join(folder, 'own.Dockerfile'), 'FROM own\n');
  writeFileSync(join(folder, 'own.Dockerfile.dockerignore'), 'd\n');
  symlinkSync(folder, fixture.path('link'));
  const spec = { kind: 'folder', path: fixture.path('link') } as const;

  test('are read in place, by the rules of their ignore file', async () => {
    const main = fixture.sources.main(spec, { path: '' });
    assert.equal((await main.readDockerfile(io())).content, 'FROM scratch\n');
    const { tree } = await main.open(io());
    assert.deepEqual([tree.path, tree.live, tree.times], [folder, true, 'uniform']);
    const excluded = ['a.log', 'keep.log', 'd'].map((path) => tree.ignore?.excludes(path, false));
    assert.deepEqual(excluded, [true, false, false]);
    utimesSync(join(folder, 'Dockerfile'), 5_000_000_000, 5_000_000_000);
    assert.equal(await newestFileSec(tree, io().signal), 5_000_000_000);
    await main.release();
    assert.equal(existsSync(join(folder, 'Dockerfile')), true);
  });

  test("a Dockerfile's own ignore file goes before the folder's, and a given text before both", async () => {
    const own = fixture.sources.main(spec, { path: 'own.Dockerfile' });
    const { tree } = await own.open(io());
    assert.deepEqual(
      [tree.ignore?.excludes('d', true), tree.ignore?.excludes('a.log', false)],
      [true, false],
    );
    const given = fixture.sources.main({ ...spec, dockerignore: 'x\n' }, { path: '', content: 'FROM a\n' });
    const rules = (await given.open(io())).tree.ignore;
    assert.deepEqual([rules?.excludes('x', false), rules?.excludes('a.log', false)], [true, false]);
  });

  test('errors name what is wrong', async () => {
    const main = (path: string, context = folder) =>
      fixture.sources.main({ kind: 'folder', path: context }, { path }).readDockerfile(io());
    await assert.rejects(main('missing'), { message: 'Cannot locate specified Dockerfile: missing' });
    await assert.rejects(main('../x'), {
      message: 'the Dockerfile (../x) must be within the build context',
    });
    await assert.rejects(main('', '/nowhere'), { message: /path "\/nowhere" not found/ });
    await assert.rejects(main('', '/etc/hostname'), { message: /is not a directory/ });
    writeFileSync(join(folder, 'empty'), ' \n');
    await assert.rejects(main('empty'), { message: 'the Dockerfile (empty) cannot be empty' });
    const bad = fixture.sources.main({ ...spec, dockerignore: 'a\n[\n' }, { path: '' });
    await assert.rejects(bad.open(io()), {
      message: 'failed parsing .dockerignore: syntax error in pattern',
    });
  });

  test('nothing outside is read through links, and nothing that is no file', async () => {
    symlinkSync('/etc/passwd', join(folder, 'absolute'));
    symlinkSync('../../../../etc/passwd', join(folder, 'climbing'));
    symlinkSync('Dockerfile', join(folder, 'inside'));
    execFileSync('mkfifo', [join(folder, 'fifo')]);
    const read = (path: string) =>
      fixture.sources.main({ kind: 'folder', path: folder }, { path }).readDockerfile(io());
    for (const path of ['absolute', 'climbing', 'fifo', 'd']) {
      await assert.rejects(read(path), { message: `Cannot locate specified Dockerfile: ${path}` });
    }
    assert.equal((await read('inside')).content, 'FROM scratch\n');
  });

  test('a folder is the one that its client means only by device and inode', () => {
    const { dev, ino } = statSync(folder, { bigint: true });
    assert.equal(isFolder(folder, { device: dev, inode: ino }), true);
    assert.equal(isFolder(fixture.path('link'), { device: dev, inode: ino }), true);
    assert.equal(isFolder(folder, { device: dev, inode: ino + 1n }), false);
    assert.equal(isFolder('/nowhere', { device: dev, inode: ino }), false);
    assert.equal(isFolder('/etc/hostname', { device: dev, inode: ino }), false);
  });
});

describe('folders of clients', () => {
  const fixture = new SourcesFixture();
  after(() => fixture.close());
  const folder = fixture.path('client');
  mkdirSync(folder);
  writeFileSync(join(folder, 'Dockerfile'), 'FROM scratch\n');
  writeFileSync(join(folder, '.dockerignore'), 'secret\n');
  writeFileSync(join(folder, 'secret'), 's');
  writeFileSync(join(folder, 'a'), 'a');
  const spec = { kind: 'session', name: 'context' } as const;
  const session = () => new FakeSession({ context: folder, dockerfile: folder, extra: folder });

  test('the Dockerfile and the ignore file come first, then the rest without what is ignored', async () => {
    const client = session();
    const main = fixture.sources.main(spec, { path: '', session: 'dockerfile' });
    const given = io({ session: client });
    assert.equal((await main.readDockerfile(given)).content, 'FROM scratch\n');
    const { tree } = await main.open(given, { followPaths: ['a', 'Dockerfile'] });
    assert.deepEqual(readdirSync(tree.path).sort(), ['Dockerfile', 'a']);
    assert.deepEqual(client.asked, [
      { name: 'dockerfile', followPaths: ['Dockerfile', 'Dockerfile.dockerignore', 'dockerfile'] },
      { name: 'context', followPaths: ['.dockerignore'] },
      { name: 'context', exclude: ['secret'], followPaths: ['a', 'Dockerfile'] },
    ]);
    await main.release();
    assert.deepEqual(fixture.trees(), []);
  });

  test('are kept for the next build; another at the same time has a copy', async () => {
    const open = () => fixture.sources.open({ kind: 'session', name: 'extra' }, io({ session: session() }));
    const first = await open();
    const second = await open();
    assert.notEqual(first.tree.path, second.tree.path);
    assert.deepEqual(readdirSync(second.tree.path).sort(), ['.dockerignore', 'Dockerfile', 'a']);
    await second.tree.release();
    assert.equal(existsSync(second.tree.path), false);
    await first.tree.release();
    const again = await open();
    assert.equal(again.tree.path, first.tree.path);
    await again.tree.release();
    const other = await fixture.sources.open(
      { kind: 'session', name: 'extra' },
      io({ session: new FakeSession({ extra: folder }, 'somebody else') }),
    );
    assert.notEqual(other.tree.path, first.tree.path);
    await other.tree.release();
  });

  test('are kept for their own namespace, whatever key a client gives itself', async () => {
    const open = (cacheNamespace?: string) =>
      fixture.sources.open(
        { kind: 'session', name: 'extra' },
        io({ session: new FakeSession({ extra: folder }, 'same key'), cacheNamespace }),
      );
    const before = new Set((await fixture.sources.folders.entries()).map(({ id }) => id));
    const paths: string[] = [];
    for (const namespace of [undefined, 'one', 'two', 'one', undefined]) {
      const opened = await open(namespace);
      paths.push(opened.tree.path);
      await opened.tree.release();
    }
    assert.equal(new Set(paths).size, 3);
    assert.deepEqual([paths[3], paths[4]], [paths[1], paths[0]]);
    for (const { id } of await fixture.sources.folders.entries()) {
      if (!before.has(id)) await fixture.sources.folders.remove(id);
    }
  });

  test('are entries of the cache, also for the next daemon; one in use is not removed', async () => {
    const [store] = fixture.open().stores;
    assert.ok(store);
    await fixture.sources.sweep();
    const entries = await store.entries();
    assert.deepEqual(entries.map(({ type, inUse, usageCount }) => `${type} ${inUse} ${usageCount}`).sort(), [
      'source.local false 1',
      'source.local false 1',
      'source.local false 2',
    ]);
    const { tree } = await fixture.sources.open(spec, io({ session: session() }));
    const used = (await store.entries()).find(({ inUse }) => inUse);
    assert.ok(used);
    assert.equal(await store.remove(used.id), 0);
    await tree.release();
    for (const { id } of await store.entries()) assert.ok((await store.remove(id)) > 0);
    assert.deepEqual([await store.entries(), readdirSync(join(fixture.build, 'contexts'))], [[], []]);
    assert.equal(await store.remove('unknown'), 0);
  });

  test('what a crash left is swept; without a session there is no folder', async () => {
    mkdirSync(join(fixture.build, 'contexts', 'f'.repeat(32), 'content'), { recursive: true });
    writeFileSync(join(fixture.build, 'trees', 'left'), '');
    await fixture.open().sweep();
    assert.deepEqual([readdirSync(join(fixture.build, 'contexts')), fixture.trees()], [[], []]);
    await assert.rejects(fixture.sources.open(spec, io()), /no session that could send it/);
    await assert.rejects(fixture.sources.open({ kind: 'upload', id: 'x' }, io()), /no session/);
  });

  test('uploads are archives or Dockerfiles like bodies', async () => {
    const client = session();
    client.uploads = { a: tar };
    const { tree } = await fixture.sources.open({ kind: 'upload', id: 'a' }, io({ session: client }));
    assert.equal(readFileSync(join(tree.path, 'd/f'), 'utf8'), 'content');
    await tree.release();
  });
});
