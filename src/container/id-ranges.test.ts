/** Ranges of IDs are given back when nobody is in them any more. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openDatabase } from '../base/database.ts';
import { IdRanges } from './id-ranges.ts';
import { CONTAINER_MIGRATIONS } from './record.ts';

const POOL = { uids: [{ first: 1000, size: 100 }], gids: [{ first: 1000, size: 100 }], taken: [] };

test('a range that steps of builds are in stays until the last of them ends', () => {
  const folder = mkdtempSync(join(tmpdir(), 'mydock-ranges-'));
  const database = openDatabase(join(folder, 'db'), [CONTAINER_MIGRATIONS]);
  try {
    const ranges = new IdRanges(database);
    ranges.take('one', 100, POOL);
    ranges.hold('one');
    ranges.hold('one');
    ranges.giveBack('one');
    ranges.release('one');
    assert.deepEqual(ranges.holders(), ['one']);
    assert.throws(() => ranges.take('two', 100, POOL), { kind: 'Conflict' });
    ranges.release('one');
    assert.deepEqual(ranges.holders(), []);
    ranges.take('two', 100, POOL);
    ranges.hold('two');
    ranges.release('two');
    ranges.release('two');
    assert.deepEqual(ranges.holders(), ['two'], 'one that its container still has');
    ranges.giveBack('two');
    assert.deepEqual(ranges.holders(), []);
  } finally {
    database.close();
    rmSync(folder, { recursive: true });
  }
});
