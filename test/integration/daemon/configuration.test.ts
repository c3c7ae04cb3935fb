/** --config-file, and a daemon that listens in several places. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { TESTING_DOCKER } from '../engine.ts';
import { Daemon } from '../harness.ts';

test('a configuration file and several hosts', { skip: TESTING_DOCKER && 'about mydockd' }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'config-'));
  const file = join(folder, 'good.json');
  const second = '/run/mydock-second.sock';
  writeFileSync(file, JSON.stringify({ hosts: [`unix://${second}`], 'log-level': 'debug' }));
  const other = await Daemon.start(['--config-file', file]);
  try {
    const env = { MYDOCK_HOST: `unix://${second}`, DOCKER_HOST: '' };
    assert.equal((await other.mydock(['ps', '-q'], { env })).code, 0);
    assert.match(other.log, /"level":20/);
  } finally {
    await other.close();
    rmSync(folder, { recursive: true });
  }
});
