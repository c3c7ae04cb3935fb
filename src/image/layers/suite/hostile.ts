/** Archives that try to get out of the layer: refused with a clear error, or kept inside. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { ByteString } from '../tar/byte-string.ts';
import { digestOfStream, Fixture, noLeftovers, type SuiteDriver, tarOf, withFixture } from './fixture.ts';

export function hostileTests(driver: SuiteDriver): void {
  let fixture: Fixture;
  before(() => {
    fixture = new Fixture(driver);
  });
  after(() => fixture.close());

  const outside = mkdtempSync(join(tmpdir(), 'mydock-outside-'));
  writeFileSync(join(outside, 'secret'), 'secret');
  utimesSync(outside, 1, 1);
  after(() => rmSync(outside, { recursive: true, force: true }));

  const climb = '../'.repeat(20);
  const refused: [string, Buffer, RegExp][] = [
    ['a name that climbs out', tarOf({ name: '../x', type: 'file' }), /"\.\.\/x" at offset 0: .*outside/],
    ['a name that climbs out later', tarOf({ name: 'a/../../x', type: 'file' }), /outside/],
    ['a directory that is the parent', tarOf({ name: '..', type: 'directory' }), /outside/],
    ['a whiteout of the parent', tarOf({ name: '.wh...', type: 'file' }), /a whiteout of no file/],
    ['a whiteout of the directory itself', tarOf({ name: 'a/.wh..', type: 'file' }), /a whiteout of no file/],
    [
      'a whiteout that is a directory',
      tarOf({ name: '.wh.a/b', type: 'file' }),
      /a whiteout is no directory/,
    ],
    [
      'a hard link that climbs out',
      tarOf({ name: 'h', type: 'hardlink', linkName: `${climb}etc/passwd` }),
      /outside/,
    ],
    [
      'an absolute hard link',
      tarOf({ name: 'h', type: 'hardlink', linkName: '/etc/passwd' }),
      /hard link to .*not in this layer/,
    ],
    [
      'a hard link through a link to the outside',
      tarOf(
        { name: 'l', type: 'symlink', linkName: outside },
        { name: 'h', type: 'hardlink', linkName: 'l/secret' },
      ),
      /not in this layer/,
    ],
    ['a hard link to the root', tarOf({ name: 'h', type: 'hardlink', linkName: '.' }), /outside/],
    [
      'a hard link to a directory',
      tarOf({ name: 'd/', type: 'directory' }, { name: 'h', type: 'hardlink', linkName: 'd' }),
      /link: operation not permitted/,
    ],
    [
      'a hard link to a whiteout',
      tarOf({ name: '.wh.x', type: 'file' }, { name: 'h', type: 'hardlink', linkName: 'x' }),
      /not in this layer/,
    ],
    [
      'a hard link to nothing',
      tarOf({ name: 'h', type: 'hardlink', linkName: '' }),
      /a link without a target/,
    ],
    ['a file as the root', tarOf({ name: '.', type: 'file', content: 'x' }), /directory/],
    ['a link as the root', tarOf({ name: '/', type: 'symlink', linkName: '/etc' }), /directory/],
    [
      'an entry below a file',
      tarOf({ name: 'f', type: 'file' }, { name: 'f/x', type: 'file' }),
      /"f\/x".*not a directory/,
    ],
    [
      'an entry below a device',
      tarOf({ name: 'n', type: 'character', deviceMajor: 1, deviceMinor: 3 }, { name: 'n/x', type: 'file' }),
      /not a directory/,
    ],
    [
      'links in a circle',
      tarOf(
        { name: 'a', type: 'symlink', linkName: 'b' },
        { name: 'b', type: 'symlink', linkName: 'a' },
        { name: 'a/x', type: 'file' },
      ),
      /symbolic link/,
    ],
    ['a name too long', tarOf({ name: 'x'.repeat(300), type: 'file' }), /name too long/],
    ['a path too long', tarOf({ name: 'long/'.repeat(900), type: 'directory' }), /name too long/],
    [
      'a device out of range',
      tarOf({ name: 'n', type: 'block', deviceMajor: 2 ** 20, deviceMinor: 1 }),
      /"n" at offset 0/,
    ],
    ['an owner out of range', tarOf({ name: 'x', type: 'file', uid: 2 ** 32 - 1 }), /owner .* out of range/],
    [
      'an attribute too large',
      tarOf({
        name: 'x',
        type: 'file',
        xattrs: [{ name: 'user.x' as ByteString, value: Buffer.alloc(70_000) }],
      }),
      /setxattr user\.x/,
    ],
  ];
  for (const [name, tar, message] of refused) {
    test(name, async () => {
      await assert.rejects(fixture.add(tar), { kind: 'InvalidParameter', message });
      assert.deepEqual(fixture.snapshotter.layers(), []);
      await noLeftovers(driver, fixture.root);
    });
  }

  test(
    'writing through links ends inside the layer',
    withFixture(driver, async (fixture) => {
      const layer = await fixture.add(
        tarOf(
          { name: 'absolute', type: 'symlink', linkName: outside },
          { name: 'absolute/secret', type: 'file', content: 'overwritten' },
          { name: 'absolute/.wh.other', type: 'file' },
          { name: 'absolute/.wh..wh..opq', type: 'file' },
          { name: 'climbing', type: 'symlink', linkName: `${climb}${outside.slice(1)}` },
          { name: 'climbing/new', type: 'file', content: 'new' },
          { name: 'magic', type: 'symlink', linkName: '/proc/self/root' },
          { name: 'magic/escaped', type: 'file' },
          { name: 'a/b', type: 'symlink', linkName: '../../..' },
          { name: 'a/b/c', type: 'symlink', linkName: 'a/b' },
          { name: 'a/b/c/up', type: 'file' },
          { name: 'file-link', type: 'symlink', linkName: join(outside, 'secret') },
          { name: 'file-link', type: 'file', content: 'a file now' },
          { name: 'directory-link', type: 'symlink', linkName: outside },
          { name: 'directory-link', type: 'directory', mode: 0o700, uid: 12345 },
        ),
      );
      assert.deepEqual(readdirSync(outside), ['secret']);
      assert.equal(readFileSync(join(outside, 'secret'), 'utf8'), 'secret');
      assert.deepEqual([lstatSync(outside).uid, lstatSync(outside).mtimeMs], [0, 1000]);
      assert.ok(!existsSync('/escaped'));
      const target = await fixture.mount([layer]);
      assert.equal(readFileSync(join(target, outside, 'secret'), 'utf8'), 'overwritten');
      assert.equal(readFileSync(join(target, outside, 'new'), 'utf8'), 'new');
      assert.equal(readFileSync(join(target, 'file-link'), 'utf8'), 'a file now');
      assert.ok(existsSync(join(target, 'up')));
      assert.ok(existsSync(join(target, 'proc/self/root/escaped')));
    }),
  );

  test(
    'names of 4000 bytes, made and removed',
    withFixture(driver, async (fixture) => {
      const names = ['a/'.repeat(1999), `${'x'.repeat(200)}/`.repeat(19) + 'y'.repeat(200)];
      const layer = await fixture.add(
        tarOf(
          { name: `${names[0]}file`, type: 'file', content: 'deep' },
          { name: names[1] ?? '', type: 'file' },
        ),
      );
      const target = await fixture.mount([layer]);
      assert.equal(execFileSync('cat', [`${names[0]}file`], { cwd: target }).toString(), 'deep');
      const exported = await digestOfStream(fixture.snapshotter.exportTar(layer));
      assert.match(exported, /^sha256:/);
      await fixture.unmount(target);
      await fixture.snapshotter.remove(layer);
      await noLeftovers(driver, fixture.root);
    }),
  );

  test(
    'device nodes only by type, whatever their names',
    withFixture(driver, async (fixture) => {
      const layer = await fixture.add(
        tarOf(
          { name: 'dev/sda', type: 'file', content: 'a file' },
          { name: 'dev/../dev/mem', type: 'character', deviceMajor: 1, deviceMinor: 1, mode: 0o640 },
          { name: 'pipe\n', type: 'fifo' },
        ),
      );
      const target = await fixture.mount([layer]);
      assert.ok(lstatSync(join(target, 'dev/sda')).isFile());
      assert.ok(lstatSync(join(target, 'dev/mem')).isCharacterDevice());
      assert.ok(lstatSync(join(target, 'pipe\n')).isFIFO());
    }),
  );
}
