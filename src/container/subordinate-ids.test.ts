import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openDatabase } from '../base/database.ts';
import { IdRanges } from './id-ranges.ts';
import { CONTAINER_MIGRATIONS } from './record.ts';
import { type AccountFiles, autoPool, remapMapping } from './subordinate-ids.ts';

function withFiles(contents: Partial<AccountFiles>, body: (files: AccountFiles) => void): void {
  const folder = mkdtempSync(join(tmpdir(), 'accounts-'));
  try {
    const path = (name: keyof AccountFiles): string => {
      const text = contents[name];
      if (text !== undefined) writeFileSync(join(folder, name), text);
      return join(folder, name);
    };
    body({ subuid: path('subuid'), subgid: path('subgid'), passwd: path('passwd'), group: path('group') });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('a user by name or number, with a group of its own; files that are missing have nothing', () => {
  const passwd = 'alice:x:1000:1000::/:/bin/sh\n';
  const group = 'staff:x:50:\n';
  const subuid = '1000:100000:10\nalice:200000:10\n';
  withFiles({ subuid, subgid: 'alice:300000:20\nstaff:400000:5\n', passwd, group }, (files) => {
    const uids = [
      { containerID: 0, hostID: 100_000, size: 10 },
      { containerID: 10, hostID: 200_000, size: 10 },
    ];
    for (const text of ['alice', '1000', 'alice:1000']) {
      assert.deepEqual(
        remapMapping(text, files),
        { uids, gids: [{ containerID: 0, hostID: 300_000, size: 20 }] },
        text,
      );
    }
    for (const text of ['alice:staff', '1000:50']) {
      assert.deepEqual(remapMapping(text, files).gids, [{ containerID: 0, hostID: 400_000, size: 5 }], text);
    }
    assert.throws(
      () => remapMapping('bob', files),
      /subuid has no range for bob; add a line such as bob:200010:65536/,
    );
  });
  withFiles({}, (files) => {
    assert.throws(
      () => remapMapping('default', files),
      /no range for mydock or dockremap; .*mydock:100000:65536/,
    );
    for (const text of ['', ':', 'a:', ':a', 'a:b:c'])
      assert.throws(() => remapMapping(text, files), /invalid --userns-remap/);
  });
});

test('default prefers dockremap, whose ranges are never given out again', () => {
  const lines = 'mydock:700000:65536\ndockremap:100000:65536\n';
  withFiles({ subuid: lines, subgid: lines }, (files) => {
    const remap = remapMapping('default', files);
    assert.equal(remap.uids[0]?.hostID, 100_000);
    assert.deepEqual(autoPool(remap, '/data', files).uids, [{ first: 700_000, size: 65_536 }]);
    const own = remapMapping('mydock', files);
    assert.notEqual(
      autoPool(own, '/data', files).uids[0]?.first,
      700_000,
      'the range is used up by the remapping',
    );
  });
});

test('ranges of containers: disjoint, kept, given back; accounts of the host stay out', () => {
  let begin = 0;
  withFiles({}, (files) => {
    begin = autoPool(undefined, '/data', files).uids[0]?.first ?? 0;
    assert.ok(begin >= 1_879_048_192 && begin < 2_147_352_576, `${begin}`);
    const other = autoPool(undefined, '/other', files).uids[0]?.first;
    assert.notEqual(other, begin, 'daemons begin at different places');
  });
  const subuid = `somebody:${begin}:65536\n`;
  const passwd = `high:x:${begin + 65_536}:0::/:/bin/sh\n`;
  withFiles({ subuid, passwd }, (files) => {
    const database = openDatabase(':memory:', [CONTAINER_MIGRATIONS]);
    const ranges = new IdRanges(database);
    const first = (id: string, size: number) => {
      const { uids, gids } = ranges.take(id, size, autoPool(undefined, '/data', files));
      assert.deepEqual(uids, gids);
      return uids[0]?.hostID ?? 0;
    };
    const a = first('a', 65_536);
    assert.equal(a, begin + 65_537);
    const b = first('b', 65_536);
    assert.equal(b, a + 65_536);
    const c = first('c', 10);
    assert.equal(c, b + 65_536);
    ranges.giveBack('b');
    assert.equal(first('d', 65_537), c + 10, 'the gap is too small');
    assert.equal(
      new IdRanges(database).take('e', 100, autoPool(undefined, '/data', files)).uids[0]?.hostID,
      b,
    );
    assert.deepEqual(ranges.holders().sort(), ['a', 'c', 'd', 'e']);
    assert.throws(
      () => ranges.take('f', 4_000_000_000, autoPool(undefined, '/data', files)),
      /cannot find 4000000000 unused user IDs/,
    );
    assert.throws(() => ranges.take('a', 10, autoPool(undefined, '/data', files)), /UNIQUE/);
  });
});
