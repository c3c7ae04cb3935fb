/** --config-file, and a daemon that listens in several places. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { freePort } from '../../fixtures/registry.ts';
import { TESTING_DOCKER } from '../engine.ts';
import { Daemon } from '../harness.ts';

test('a configuration file and several hosts', { skip: TESTING_DOCKER && 'about mydockd' }, async () => {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'config-'));
  const file = join(folder, 'good.json');
  writeFileSync(file, JSON.stringify({ hosts: [`tcp://127.0.0.1:${port}`], 'log-level': 'debug' }));
  const other = await Daemon.start(['--config-file', file]);
  try {
    const answer = await fetch(`http://127.0.0.1:${port}/_ping`);
    assert.equal(await answer.text(), 'OK');
    const env = { MYDOCK_HOST: `tcp://127.0.0.1:${port}`, DOCKER_HOST: '' };
    assert.equal((await other.mydock(['ps', '-q'], { env })).code, 0);
  } finally {
    await other.close();
    rmSync(folder, { recursive: true });
  }
});
