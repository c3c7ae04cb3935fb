import assert from 'node:assert/strict';
import { lutimesSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { IgnoreRules } from '../../base/ignore/ignore-rules.ts';
import { newestFileSec } from './newest-file.ts';

const path = mkdtempSync(join(tmpdir(), 'mydock-newest-'));
after(() => rmSync(path, { recursive: true }));
const { signal } = new AbortController();

function file(name: string, seconds: number): void {
  writeFileSync(join(path, name), '');
  utimesSync(join(path, name), seconds, seconds);
}

test('the newest file that is not ignored, whatever directories say', async () => {
  assert.equal(await newestFileSec({ path }, signal), undefined);
  mkdirSync(join(path, 'd/e'), { recursive: true });
  file('a', 1000);
  file('d/e/é', 2000);
  assert.equal(await newestFileSec({ path }, signal), 2000);
  symlinkSync('/etc', join(path, 'l'));
  lutimesSync(join(path, 'l'), 3000, 3000);
  assert.equal(await newestFileSec({ path }, signal), 3000);
  assert.equal(await newestFileSec({ path, ignore: new IgnoreRules(['l']) }, signal), 2000);
  assert.equal(await newestFileSec({ path, ignore: new IgnoreRules(['l', 'd']) }, signal), 1000);
  assert.equal(await newestFileSec({ path, ignore: new IgnoreRules(['*', '!d/e/é']) }, signal), 2000);
  await assert.rejects(newestFileSec({ path }, AbortSignal.abort(new Error('gone'))), /gone/);
});
