import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { at, copyEntry, copyTree, emptyDirectory, openDirectory } from './copy-tree.ts';
import { OPEN_DIRECTORY, openBeneath } from './open-directories.ts';

const NAME = 'd'.repeat(50);
const LEVELS = 3000;

/** In memory, where there is such a place: a deep tree keeps a disk busy. */
const PLACE = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

let folder: string;
let source: number;
let target: number;

beforeEach(() => {
  folder = mkdtempSync(join(PLACE, 'mydock-copy-'));
  mkdirSync(join(folder, 'from'));
  mkdirSync(join(folder, 'to'));
  source = openDirectory(join(folder, 'from'));
  target = openDirectory(join(folder, 'to'));
});
afterEach(() => {
  // Paths of deep trees are longer than the kernel takes.
  emptyDirectory(source);
  emptyDirectory(target);
  closeSync(source);
  closeSync(target);
  rmSync(folder, { recursive: true });
});

const openCount = (): number => readdirSync('/proc/self/fd').length;

/** Calls `body` with the directory at each level, from the top; returns how many there were. */
function descend(root: number, body: (fd: number, level: number) => void): number {
  let fd = openBeneath(root, Buffer.from('.'), OPEN_DIRECTORY);
  for (let level = 0; ; level++) {
    body(fd, level);
    if (lstatSync(at(fd, NAME), { throwIfNoEntry: false }) === undefined) {
      closeSync(fd);
      return level;
    }
    const below = openBeneath(fd, Buffer.from(NAME), OPEN_DIRECTORY);
    closeSync(fd);
    fd = below;
  }
}

function makeDeep(levels: number): void {
  descend(source, (fd, level) => {
    if (level < levels) mkdirSync(at(fd, NAME), 0o750);
  });
}

test('a tree deeper than there are descriptors: copied whole, with few of them, and removed', async () => {
  makeDeep(LEVELS);
  const deep = LEVELS - 5;
  descend(source, (fd, level) => {
    if (level === deep) {
      writeFileSync(at(fd, 'one'), 'linked');
      linkSync(at(fd, 'one'), at(fd, 'two'));
      writeFileSync(at(fd, '~last'), 'after the directory');
    }
    utimesSync(at(fd, '.'), level, level);
  });
  const before = openCount();
  let most = 0;
  let names = 0;
  const filter = (): boolean => {
    names += 1;
    if (names % 100 === 0) most = Math.max(most, openCount());
    return true;
  };
  await copyTree(source, target, { root: true, filter });
  assert.equal(names, LEVELS + 3);
  assert.ok(most > before && most < before + 100, `${most} descriptors, ${before} before`);
  assert.equal(openCount(), before);
  const levels = descend(target, (fd, level) => {
    const stat = statSync(at(fd));
    assert.equal(stat.mtimeMs, level * 1000, `level ${level}`);
    if (level > 0) assert.equal(stat.mode & 0o777, 0o750);
    if (level !== deep) return;
    assert.equal(readFileSync(at(fd, '~last'), 'utf8'), 'after the directory');
    assert.equal(readFileSync(at(fd, 'one'), 'utf8'), 'linked');
    assert.equal(statSync(at(fd, 'one')).ino, statSync(at(fd, 'two')).ino);
  });
  assert.equal(levels, LEVELS);
  emptyDirectory(target);
  assert.deepEqual(readdirSync(join(folder, 'to')), []);
  assert.equal(openCount(), before);
});

test('a directory that is moved away meanwhile ends the copy, and nothing is copied from elsewhere', async () => {
  makeDeep(100);
  mkdirSync(join(folder, 'from/elsewhere'));
  const before = openCount();
  let moved = false;
  const filter = (path: string): boolean => {
    if (!moved && path.split('/').length === 90) {
      moved = true;
      renameSync(join(folder, 'from', NAME, NAME, NAME), join(folder, 'from/elsewhere/now'));
    }
    return path !== 'elsewhere';
  };
  await assert.rejects(copyTree(source, target, { filter }), /^Conflict: directory d+ was moved elsewhere/);
  assert.equal(openCount(), before);
});

test('a failure and an end that was wished for leave nothing open', async () => {
  makeDeep(60);
  const before = openCount();
  const abort = new AbortController();
  const filter = (path: string): boolean => {
    if (path.split('/').length === 50) abort.abort();
    return true;
  };
  await assert.rejects(copyTree(source, target, { filter, signal: abort.signal }), { name: 'AbortError' });
  assert.equal(openCount(), before);
  emptyDirectory(target);
  writeFileSync(join(folder, 'to', NAME), 'in the way');
  await assert.rejects(copyTree(source, target), /cannot copy to non-directory: d+$/);
  assert.equal(openCount(), before);
});

test('emptying a directory leaves what is mounted in it', () => {
  mkdirSync(join(folder, 'to/mounted/place'), { recursive: true });
  const program = `
    import { execFileSync } from 'node:child_process';
    import { readdirSync, writeFileSync } from 'node:fs';
    import { emptyDirectory, openDirectory } from ${JSON.stringify(join(import.meta.dirname, 'copy-tree.ts'))};
    const [, folder] = process.argv;
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', folder + '/mounted/place']);
    writeFileSync(folder + '/mounted/place/file', 'x');
    let code = '';
    try {
      emptyDirectory(openDirectory(folder));
    } catch (error) {
      code = error.code;
    }
    console.log(code, readdirSync(folder + '/mounted/place').join());
  `;
  // In a mount namespace of its own, with which the mount goes.
  const words = ['--mount', process.execPath, '--input-type=module', '--eval', program, join(folder, 'to')];
  assert.equal(execFileSync('unshare', words, { encoding: 'utf8' }), 'EXDEV file\n');
});

test('one entry under another name; links are copied and not followed', async () => {
  mkdirSync(join(folder, 'from/a/b'), { recursive: true });
  writeFileSync(join(folder, 'from/a/b/file'), 'x');
  chmodSync(join(folder, 'from/a/b/file'), 0o604);
  linkSync(join(folder, 'from/a/b/file'), join(folder, 'from/a/hard'));
  symlinkSync('/etc', join(folder, 'from/a/link'));
  await copyEntry(source, 'a', target, 'other');
  const copied = join(folder, 'to/other');
  assert.equal(readlinkSync(join(copied, 'link')), '/etc');
  assert.equal(statSync(join(copied, 'b/file')).mode & 0o777, 0o604);
  assert.equal(statSync(join(copied, 'b/file')).ino, statSync(join(copied, 'hard')).ino);
});
