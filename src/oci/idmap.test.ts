import assert from 'node:assert/strict';
import { chownSync, mkdtempSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { checkIdMap, resolveIdMap } from './idmap.ts';

const ROOT = () => ({ uid: 0, gid: 0 });
const ALL = { containerID: 0, hostID: 0, size: 4294967295 };

test('ranges are read as podman writes them', () => {
  assert.deepEqual(resolveIdMap('uids=0-1-10#10-11-10;gids=0-100-10', '/', ROOT), {
    uidMappings: [
      { containerID: 0, hostID: 1, size: 10 },
      { containerID: 10, hostID: 11, size: 10 },
    ],
    gidMappings: [{ containerID: 0, hostID: 100, size: 10 }],
  });
  assert.deepEqual(resolveIdMap('uids=@1000-@0-1', '/', ROOT)?.gidMappings, [ALL]);
  assert.equal(resolveIdMap('uids=0-0-4294967295', '/', ROOT), undefined);
});

test('what is no mapping is refused by name', () => {
  for (const [text, why] of [
    ['', 'it must be'],
    ['me', 'it must be'],
    ['uids=1-2', 'uids must be FROM-TO-LENGTH'],
    ['uids=1-2-3;', 'it must be'],
    ['uids=1-2-3;uids=5-6-1', 'uids stands twice'],
    ['gids=1-2-0', 'gids 1-2-0 is out of range'],
    ['uids=4294967295-0-1', 'out of range'],
    ['uids=0-10-5#4-20-1', 'uids: 4 is mapped twice'],
    ['uids=0-10-5#7-14-1', 'uids: 14 is the target of two ranges'],
    [`uids=${Array.from({ length: 101 }, (_, id) => `${id}-${id}-1`).join('#')}`, '101 ranges'],
  ] as const) {
    assert.throws(
      () => checkIdMap(text),
      (error: Error) => {
        assert.ok(
          error.message.startsWith(`invalid idmap "${text}": `) && error.message.includes(why),
          error.message,
        );
        return true;
      },
    );
  }
  checkIdMap('owner');
});

test('owner: one ID moves, and nothing else passes for it', (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'idmap-'));
  context.after(() => rmdirSync(folder));
  chownSync(folder, 1000, 0);
  assert.deepEqual(resolveIdMap('owner', folder, ROOT), {
    uidMappings: [
      { containerID: 1000, hostID: 0, size: 1 },
      { containerID: 1, hostID: 1, size: 999 },
      { containerID: 1001, hostID: 1001, size: 4294966294 },
    ],
    gidMappings: [ALL],
  });
  chownSync(folder, 1000, 100);
  const map = resolveIdMap('owner', folder, () => ({ uid: 33, gid: 33 }));
  assert.deepEqual(map?.gidMappings, [
    { containerID: 100, hostID: 33, size: 1 },
    { containerID: 0, hostID: 0, size: 33 },
    { containerID: 34, hostID: 34, size: 66 },
    { containerID: 101, hostID: 101, size: 4294967194 },
  ]);
  assert.equal(
    resolveIdMap('owner', folder, () => ({ uid: 1000, gid: 100 })),
    undefined,
  );
});

test("owner: root's files become nobody else's", (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'idmap-'));
  context.after(() => rmdirSync(folder));
  assert.equal(resolveIdMap('owner', folder, ROOT), undefined);
  assert.throws(() => resolveIdMap('owner', folder, () => ({ uid: 33, gid: 33 })), {
    kind: 'InvalidParameter',
    message: `idmap=owner: ${folder} belongs to root, whose files are not given to the container's user 33; name the IDs: idmap=uids=FROM-TO-LENGTH;gids=FROM-TO-LENGTH`,
  });
});

test('in a user namespace, TO is an ID of the container', () => {
  const userNamespace = {
    uids: [
      { containerID: 0, hostID: 100_000, size: 1000 },
      { containerID: 1000, hostID: 500_000, size: 10 },
    ],
    gids: [{ containerID: 0, hostID: 200_000, size: 1010 }],
  };
  const user = () => ({ uid: 1000, gid: 1000 });
  const host = { userNamespace, ownersInside: false };
  const volume = { userNamespace, ownersInside: true };
  const all = [{ containerID: 0, hostID: 0, size: 4_294_967_295 }];
  assert.deepEqual(resolveIdMap('uids=7-0-1#500-998-4', '/', user, host), {
    uidMappings: [
      { containerID: 7, hostID: 100_000, size: 1 },
      { containerID: 500, hostID: 100_998, size: 2 },
      { containerID: 502, hostID: 500_000, size: 2 },
    ],
    gidMappings: all,
  });
  assert.deepEqual(resolveIdMap('uids=7-0-1', '/', user, volume)?.gidMappings, userNamespace.gids);
  assert.throws(() => resolveIdMap('uids=0-1005-10', '/', user, host), /does not have all of those uids/);
  const folder = mkdtempSync(join(tmpdir(), 'idmap-'));
  try {
    assert.throws(() => resolveIdMap('owner', folder, () => ({ uid: 0, gid: 0 }), host), /belongs to root/);
    chownSync(folder, 33, 34);
    const map = resolveIdMap('owner', folder, user, host);
    assert.deepEqual(map?.uidMappings[0], { containerID: 33, hostID: 500_000, size: 1 });
    assert.deepEqual(map?.gidMappings[0], { containerID: 34, hostID: 201_000, size: 1 });
    assert.ok(
      !map?.uidMappings
        .slice(1)
        .some(({ containerID, size }) => containerID <= 33 && containerID + size > 33),
    );
    assert.throws(() => resolveIdMap('owner', folder, () => ({ uid: 5000, gid: 0 }), host), /has no ID 5000/);
    assert.deepEqual(
      resolveIdMap('owner', folder, () => ({ uid: 33, gid: 34 }), volume),
      {
        uidMappings: userNamespace.uids,
        gidMappings: userNamespace.gids,
      },
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});
