/** `--trace FILE` of the daemon and the client: what a run does, from the client's start to the runtime's last step. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

interface TraceEvent {
  ph: string;
  name: string;
  cat?: string;
  id?: string;
  ts?: number;
  args?: Record<string, unknown>;
}

const folder = mkdtempSync(join(tmpdir(), 'trace-'));
const daemonTrace = join(folder, 'daemon.json');
let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox(['--trace', daemonTrace]));
});
after(() => close());

function events(path: string): TraceEvent[] {
  return JSON.parse(readFileSync(path, 'utf8')) as TraceEvent[];
}

/** When the last one of that name began and ended, in microseconds of Unix time. */
function interval(all: readonly TraceEvent[], name: RegExp): { from: number; to: number } {
  const begin = all.findLast((event) => event.ph === 'b' && name.test(event.name));
  assert.ok(begin?.ts !== undefined, `${name} begins`);
  const end = all.find(({ ph, id, cat }) => ph === 'e' && id === begin.id && cat === begin.cat);
  assert.ok(end?.ts !== undefined, `${name} ends`);
  assert.ok(end.ts >= begin.ts);
  return { from: begin.ts, to: end.ts };
}

test('the client’s and the daemon’s traces of a run tell one story', { timeout: 120_000 }, async () => {
  const path = join(folder, 'client-%p.json');
  await daemon.ok(
    '--trace',
    path.replace('%p', 'run'),
    'run',
    '--rm',
    '-e',
    'SECRET=hunter2',
    'busybox',
    'true',
  );
  const client = events(path.replace('%p', 'run'));
  assert.equal(client.at(-1)?.name, 'end');
  for (const name of ['start: the program is loaded', 'start: Node', 'start: own code']) {
    assert.ok(
      client.some((event) => event.name === name && event.ph === 'X'),
      name,
    );
  }
  const asked = interval(client, /^POST \/v[\d.]+\/containers\/\w+\/start$/);
  // The process has ended, and with that what it had not written yet is written.
  await daemon.stop();
  const all = events(daemonTrace);
  const launched = interval(all, /^start\/launch$/);
  // Two processes read the same clock; a second is more than it may be set by meanwhile.
  assert.ok(launched.from > asked.from - 1e6 && launched.to < asked.to + 1e6);
  for (const name of [/^create\/record$/, /^remove\/home$/, /^launch\/forked$/, /^init\/filled$/, /wait$/])
    interval(all, name);
  assert.ok(
    all.some(({ name, args }) => name === 'launch/forked' && /^\w{64}$/.test(String(args?.['container']))),
  );
  for (const file of [path.replace('%p', 'run'), daemonTrace]) {
    assert.doesNotMatch(readFileSync(file, 'utf8'), /hunter2|\?/, 'no environment, no queries');
    assert.equal(statSync(file).mode & 0o777, 0o600);
  }
  await daemon.launch();
});

test('a trace that cannot be written is an error before anything is done', async () => {
  const { code, stderr } = await daemon.mydock(['--trace', '/nowhere/trace.json', 'run', 'busybox', 'true']);
  assert.equal(code, 1);
  assert.match(stderr, /cannot write the trace \/nowhere\/trace\.json: ENOENT/);
  assert.equal(await daemon.ok('ps', '-aq'), '');
});
