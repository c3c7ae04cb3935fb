/** docker-py, as Debian packages it: the cases of docker_py.py, one test each. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { run } from '../command.ts';
import { type Daemon, daemonWithRegistry } from '../harness.ts';

const PROGRAM = join(import.meta.dirname, 'docker_py.py');
/** Debian's own Python: another one on the PATH would not see Debian's packages. */
const PYTHON = '/usr/bin/python3';
const installed = existsSync('/usr/lib/python3/dist-packages/docker/__init__.py');
const cases = [...readFileSync(PROGRAM, 'utf8').matchAll(/^def check_(\w+)/gm)].map(
  (match) => match[1] ?? '',
);

describe('docker-py', { skip: installed ? false : 'python3-docker is not installed' }, () => {
  let daemon: Daemon;
  let close: () => Promise<void>;
  const results = new Map<string, { word: string; why: string }>();

  before(async () => {
    const made = await daemonWithRegistry();
    ({ daemon, close } = made);
    const env = { ...process.env, HOME: daemon.home, DOCKER_HOST: `unix://${daemon.socket}` };
    const reference = `${made.registry.host}/busybox:latest`;
    const { stdout, stderr } = await run([PYTHON, PROGRAM, reference], { env, timeoutMs: 180_000 });
    for (const line of stdout.split('\n')) {
      const [, word, name = '', why = ''] = /^(ok|not ok|skip) (\w+)(?:: (.*))?$/.exec(line) ?? [];
      if (word !== undefined) results.set(name, { word, why: why.replaceAll('\\n', '\n') });
    }
    if (results.size === 0) throw new Error(`${PROGRAM} said nothing: ${stderr}`);
  });
  after(async () => await close());

  for (const name of cases) {
    test(name.replaceAll('_', ' '), (t) => {
      const { word, why } = results.get(name) ?? { word: 'not ok', why: 'was not run' };
      if (word === 'skip') return t.skip(why);
      assert.equal(word, 'ok', why);
    });
  }
});
