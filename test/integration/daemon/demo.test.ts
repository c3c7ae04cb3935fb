/** `make demo`, which the README begins with, does what it shows and takes everything away again. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { run } from '../command.ts';
import { firewall } from '../leftovers.ts';

test('the demo succeeds and leaves nothing', async () => {
  const machine = () => ({
    interfaces: readdirSync('/sys/class/net').sort(),
    rules: firewall(),
    folders: readdirSync('/tmp').filter((name) => name.startsWith('mydock-demo-')),
  });
  const before = machine();
  const demo = await run([process.execPath, join(import.meta.dirname, '../../demo/main.ts')]);
  assert.equal(demo.code, 0, `${demo.stdout}${demo.stderr}`);
  assert.match(demo.stdout, /everything that the demo made is removed again/);
  assert.deepEqual(machine(), before);
  assert.doesNotMatch(readFileSync('/proc/self/mountinfo', 'utf8'), /mydock-demo/);
});
