import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openDatabase, settleDatabase, transaction } from './database.ts';

const NOTES = { concept: 'notes', steps: ['CREATE TABLE notes (text TEXT) STRICT'] };

function temporary(): { directory: string } & Disposable {
  const directory = mkdtempSync(join(tmpdir(), 'mydock-database-test-'));
  return { directory, [Symbol.dispose]: () => rmSync(directory, { recursive: true }) };
}

test('only root reads the files, also those of an earlier build', () => {
  using at = temporary();
  const path = join(at.directory, 'x.db');
  writeFileSync(path, '', { mode: 0o644 });
  chmodSync(path, 0o644);
  const db = openDatabase(path, [NOTES]);
  for (const suffix of ['', '-wal', '-shm']) assert.equal(statSync(path + suffix).mode & 0o777, 0o600);
  db.close();
});

test('a full disk takes the writes that make room again, and the next opening too', () => {
  using at = temporary();
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', at.directory]);
  try {
    const path = join(at.directory, 'x.db');
    let db = openDatabase(path, [NOTES]);
    assert.throws(() => writeFileSync(join(at.directory, 'filler'), Buffer.alloc(16 << 20)), /ENOSPC/);
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 50; i++) db.prepare('INSERT INTO notes VALUES (?)').run('x'.repeat(1000));
      settleDatabase(db);
      db = openDatabase(path, [NOTES]);
    }
    assert.equal(db.prepare('SELECT count(*) AS n FROM notes').get()?.['n'], 150);
    assert.ok(readFileSync(path).length > 1 << 20);
    db.close();
  } finally {
    execFileSync('umount', ['--lazy', at.directory]);
  }
});

test('a failed transaction says why it failed', () => {
  const db = openDatabase(':memory:', [NOTES]);
  const failing = (): void =>
    transaction(db, () => {
      db.exec('ROLLBACK');
      throw new Error('database or disk is full');
    });
  assert.throws(failing, /disk is full/);
  db.close();
});
