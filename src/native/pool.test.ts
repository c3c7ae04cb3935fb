/**
 * What the addon does on the thread pool (native/addon/pool.h): wrong arguments are thrown before anything begins, failures
 * name their step and path, descriptors are given back, and a worker thread may end while its work is under way.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { addon } from './addon.ts';
import { treeAddon } from './tree.ts';

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'mydock-pool-'));
});
after(() => rmSync(folder, { recursive: true }));

const openDescriptors = (): number => readdirSync('/proc/self/fd').length;

/** Descriptors of the folder: other tests of the process have theirs. */
function openOfFolder(): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === folder;
    } catch {
      // That of the listing itself.
      return false;
    }
  }).length;
}

test('a wrong argument is thrown, and nothing is kept of the others', () => {
  const [text, nothing] = ['text', undefined as never];
  const calls: [work: () => unknown, name: RegExp][] = [
    [() => addon().mountAsync(text, text, text, nothing, text), /flags/],
    [() => addon().mountAsync(text, text, text, 0, nothing), /data/],
    [() => addon().unmountAsync(nothing, 0), /target/],
    [() => addon().createNetns(nothing), /path/],
    [() => addon().createNetns(text, 5 as never), /userNamespace/],
    [() => addon().createUserNamespace(text, text, nothing), /gidMap/],
    [() => addon().clampTimes(text, nothing), /seconds/],
    [() => treeAddon().treeList(nothing, text, true), /rootFd/],
    [() => treeAddon().treeList(0, text, nothing), /withXattrs/],
    [() => addon().spawn({ file: text, args: [], env: [], cwd: nothing, fds: [] }), /cwd/],
  ];
  const before = openDescriptors();
  for (const [work, name] of calls) assert.throws(work, { name: 'TypeError', message: name });
  assert.throws(() => treeAddon().treeList(1 << 20, text, true), { code: 'EBADF', syscall: 'fcntl' });
  assert.equal(openDescriptors(), before);
});

test('failures name their step and path', async () => {
  const path = join(folder, 'missing');
  const rootFd = openSync(folder, 'r');
  try {
    const fails: [work: Promise<unknown>, syscall: string, path: string][] = [
      [addon().mountAsync('none', path, 'tmpfs', 0, ''), 'mount', path],
      [addon().unmountAsync(path, 0), 'umount2', path],
      [addon().clampTimes(path, 1), 'open', path],
      [treeAddon().treeList(rootFd, 'missing', true), 'openat2', 'missing'],
      [addon().createNetns(join(path, 'x')), 'open', join(path, 'x')],
    ];
    for (const [work, syscall, about] of fails) {
      const error = await work.then(
        () => assert.fail(`${syscall} of ${about} succeeded`),
        (reason: NodeJS.ErrnoException) => reason,
      );
      // Without root the kernel says no before it looks.
      assert.match(String(error.code), process.getuid?.() === 0 ? /^ENOENT$/ : /^(ENOENT|EPERM)$/);
      if (process.getuid?.() === 0) assert.deepEqual([error.syscall, error.path], [syscall, about]);
    }
  } finally {
    closeSync(rootFd);
  }
});

test('a worker ends while its work is under way, and what that held is given back', async () => {
  for (let i = 0; i < 50; i++) writeFileSync(join(folder, `file-${i}`), '');
  mkdirSync(join(folder, 'empty'));
  const script = `
    Promise.all(['addon.ts', 'tree.ts'].map((name) => import(${JSON.stringify(import.meta.dirname)} + '/' + name))).then(
      ([{ addon }, { treeAddon }]) => {
        const folder = ${JSON.stringify(folder)};
        const rootFd = require('node:fs').openSync(folder, 'r');
        for (let i = 0; i < 20; i++) {
          treeAddon().treeList(rootFd, '', true);
          addon().clampTimes(folder, 1e9).catch(() => {});
          addon().unmountAsync(folder + '/empty', 0).catch(() => {});
        }
        require('node:fs').closeSync(rootFd);
        require('node:worker_threads').parentPort.postMessage('working');
        // However quick the work is, the worker does not end by itself.
        setInterval(() => {}, 1000);
      },
    );`;
  for (let i = 0; i < 3; i++) {
    const worker = new Worker(script, { eval: true });
    await once(worker, 'message');
    assert.equal(await worker.terminate(), 1);
  }
  assert.equal(openOfFolder(), 0);
});
