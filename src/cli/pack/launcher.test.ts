/** What bin/mydock, where it is built, gives Node: with a Node that prints its words. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';

const BIN = resolve(import.meta.dirname, '../../../bin/mydock');

test('the launcher shortens the start, and keeps its defence where a command reads what others wrote', {
  skip: !existsSync(BIN) && 'bin/mydock is not built',
}, (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'mydock-launcher-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const name of ['bin', 'dist']) mkdirSync(join(folder, name));
  writeFileSync(join(folder, 'dist/node'), '#!/bin/sh\nprintf "%s\\n" "$@"\n', { mode: 0o755 });
  const wordsOf = (program: string, ...args: string[]): string[] => {
    copyFileSync(BIN, join(folder, 'bin', program));
    writeFileSync(join(folder, `dist/${program}.cjs`), '');
    const { stdout, stderr } = spawnSync(join(folder, 'bin', program), args, { encoding: 'utf8' });
    assert.equal(stderr, '');
    return stdout.replaceAll(folder, '').trimEnd().split('\n');
  };
  const room = '--min-semi-space-size=4';
  const hasty = [room, '--no-rehash-snapshot', '--', '/dist/mydock.cjs'];
  const careful = [room, '--', '/dist/mydock.cjs'];
  assert.deepEqual(wordsOf('mydock', 'run', '--rm', 'a b'), [...hasty, 'run', '--rm', 'a b']);
  assert.deepEqual(wordsOf('mydock', 'container', 'stop', 'x'), [...hasty, 'container', 'stop', 'x']);
  for (const verb of ['ps', 'inspect', 'images', 'build', '-H', 'runs']) {
    assert.deepEqual(wordsOf('mydock', verb), [...careful, verb]);
  }
  assert.deepEqual(wordsOf('mydock', 'container', 'inspect'), [...careful, 'container', 'inspect']);
  assert.deepEqual(wordsOf('mydock', 'container'), [...careful, 'container']);
  assert.deepEqual(wordsOf('mydockd', 'run'), ['--', '/dist/mydockd.cjs', 'run']);
});
