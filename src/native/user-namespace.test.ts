/** The addon's calls for user namespaces, on the real kernel; nothing is mounted where others would see it. */
import assert from 'node:assert/strict';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { addon } from './addon.ts';

const MNT_DETACH = 2;
const FIRST = 1_900_000_000;
const MAP = `0 ${FIRST} 10\n`;
const skip = process.getuid?.() === 0 ? false : 'needs root';

let folder: string;
let namespace: string;
before(async () => {
  if (skip !== false) return;
  folder = mkdtempSync(join(tmpdir(), 'userns-'));
  namespace = join(folder, 'namespace');
  await addon().createUserNamespace(namespace, MAP, MAP);
});
after(() => {
  if (skip !== false) return;
  addon().unmount(namespace, MNT_DETACH);
  rmSync(folder, { recursive: true });
});

test('maps that the kernel refuses leave nothing', { skip }, async () => {
  const path = join(folder, 'refused');
  for (const [uids, gids, step] of [
    ['nonsense\n', MAP, 'write uid_map'],
    [MAP, '0 1 5\n3 100 5\n', 'write gid_map'],
  ] as const) {
    await assert.rejects(addon().createUserNamespace(path, uids, gids), { syscall: step });
    assert.equal(existsSync(path), false);
  }
  await assert.rejects(addon().createUserNamespace(namespace, MAP, MAP), { code: 'EEXIST' });
});

test('a network namespace that belongs to one', { skip }, async () => {
  const path = join(folder, 'network');
  await addon().createNetns(path, namespace);
  try {
    closeSync(addon().netlinkOpen(0, path));
    addon().writeSysctls(path, ['/proc/sys/net/ipv4/ip_unprivileged_port_start'], ['7']);
    assert.notEqual(readFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start', 'utf8').trim(), '7');
    const none = join(folder, 'none');
    await assert.rejects(addon().createNetns(none, join(folder, 'missing')), {
      code: 'ENOENT',
      syscall: 'open',
    });
    await assert.rejects(addon().createNetns(none, path), { code: 'EINVAL', syscall: 'setns' });
    assert.equal(existsSync(none), false);
  } finally {
    addon().unmount(path, MNT_DETACH);
  }
});

test('a mount with its owners, and files made as one of them', { skip }, () => {
  const [source, target] = [join(folder, 'source'), join(folder, 'target')];
  for (const path of [source, target]) mkdirSync(path);
  writeFileSync(join(source, 'file'), '');
  addon().mountIdmapped(source, target, namespace);
  try {
    assert.equal(statSync(join(target, 'file')).uid, FIRST);
    assert.throws(() => writeFileSync(join(target, 'of-root'), ''), { code: 'EOVERFLOW' });
    addon().setFileOwner(FIRST + 3, FIRST + 4);
    try {
      // Capabilities are kept: the folder is another's.
      writeFileSync(join(target, 'made'), '');
    } finally {
      addon().setFileOwner(0, 0);
    }
    // Above what signed numbers hold.
    addon().setFileOwner(4_000_000_000, 4_000_000_001);
    try {
      writeFileSync(join(folder, 'high'), '');
    } finally {
      addon().setFileOwner(0, 0);
    }
    const high = statSync(join(folder, 'high'));
    assert.deepEqual([high.uid, high.gid], [4_000_000_000, 4_000_000_001]);
    assert.throws(() => addon().setFileOwner(4_294_967_295, 0), { code: 'EINVAL' });
    const { uid, gid } = statSync(join(source, 'made'));
    assert.deepEqual([uid, gid], [3, 4]);
    writeFileSync(join(folder, 'again'), '');
    assert.equal(statSync(join(folder, 'again')).uid, 0);
  } finally {
    addon().unmount(target, MNT_DETACH);
  }
  assert.throws(() => addon().mountIdmapped('/proc', target, namespace), {
    code: 'EINVAL',
    syscall: 'mount_setattr',
  });
  assert.throws(() => addon().mountIdmapped(source, target, join(folder, 'source')), { code: 'EINVAL' });
});
