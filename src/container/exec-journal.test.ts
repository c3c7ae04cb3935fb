import assert from 'node:assert/strict';
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { ExecJournal } from './exec-journal.ts';

let folder = '';
let path = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mydock-journal-'));
  path = join(folder, 'execs.jsonl');
});
afterEach(() => rmSync(folder, { recursive: true }));

interface Note {
  id: string;
  code?: number;
}

test('what was noted is read again, without the line that a crash has cut off', () => {
  const journal = new ExecJournal<Note>(path);
  journal.note({ id: 'before' }, () => []);
  assert.deepEqual(journal.read(), []);
  journal.begin([{ id: 'a' }]);
  journal.note({ id: 'b' }, () => []);
  journal.note({ id: 'a', code: 3 }, () => []);
  appendFileSync(path, '{"id":"c');
  assert.deepEqual(new ExecJournal<Note>(path).read(), [{ id: 'a' }, { id: 'b' }, { id: 'a', code: 3 }]);
  // Command lines and environments may be secret.
  assert.equal(statSync(path).mode & 0o777, 0o600);
  journal.end();
  assert.ok(!existsSync(path));
  journal.note({ id: 'after' }, () => []);
  assert.ok(!existsSync(path));
});

test('it is made anew of what is needed when it has grown', () => {
  const journal = new ExecJournal<Note>(path);
  journal.begin([]);
  for (let count = 0; count < 10_000; count++) journal.note({ id: String(count) }, () => [{ id: 'needed' }]);
  const lines = readFileSync(path, 'utf8').split('\n').length;
  assert.ok(lines < 4100, String(lines));
  assert.deepEqual(journal.read()[0], { id: 'needed' });
});
