import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { beginSpan, tellSpan } from './spans.ts';
import { step, stepSync } from './steps.ts';
import { startTrace } from './trace.ts';

interface TraceEvent {
  ph: string;
  name: string;
  ts: number;
  dur?: number;
  id?: string;
  pid: number;
  args?: Record<string, unknown>;
}

const folder = mkdtempSync(join(tmpdir(), 'trace-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const read = (path: string): TraceEvent[] => JSON.parse(readFileSync(path, 'utf8')) as TraceEvent[];
const fail = (message: string): void => assert.fail(message);

test('steps and spans are pairs of events in wall time, after the start of the process', async () => {
  const path = join(folder, 'pairs.json');
  const before = Date.now();
  const trace = startTrace({ path, name: 'tester', launchedUs: 1, onFailure: fail });
  await Promise.all([
    step('start/root', 'abc', () => new Promise((resolve) => setTimeout(resolve, 5))),
    step('start/network', 'abc', () => Promise.resolve()),
  ]);
  assert.throws(() =>
    stepSync('exit/record', undefined, () => {
      throw new Error('no');
    }),
  );
  const ended = beginSpan('request', 'GET /_ping');
  ended({ status: 200 });
  ended({ status: 500 });
  tellSpan({ category: 'runtime', name: 'mounts', startUs: 5, durationUs: 7, details: {} });
  trace.end();
  trace.end();
  await step('start/late', 'abc', () => undefined);
  const events = read(path);
  const named = (name: string) => events.filter((event) => event.name === name);
  for (const name of ['start/root', 'start/network', 'exit/record', 'GET /_ping', 'mounts']) {
    const pair = named(name);
    assert.deepEqual(
      pair.map(({ ph }) => ph),
      ['b', 'e'],
      name,
    );
    assert.equal(pair[0]?.id, pair[1]?.id, name);
    assert.ok((pair[0]?.ts ?? 0) <= (pair[1]?.ts ?? 0), name);
  }
  assert.deepEqual(named('start/root')[0]?.args, { subject: 'abc' });
  assert.deepEqual(named('GET /_ping')[1]?.args, { status: 200 });
  assert.ok((named('start/root')[0]?.ts ?? 0) / 1000 >= before - 1000, 'microseconds of Unix time');
  assert.equal(named('start/late').length, 0);
  assert.equal(named('start: the program is loaded')[0]?.ts, 1);
  assert.ok((named('start: Node')[0]?.dur ?? 0) > 0);
  assert.ok(events.every(({ pid }) => pid === process.pid));
});

test('a trace that becomes too long says so, is closed, and costs nothing more', () => {
  const path = join(folder, 'full.json');
  const told: string[] = [];
  const trace = startTrace({ path, name: 'x', maxBytes: 100_000, onFailure: (text) => told.push(text) });
  for (let i = 0; i < 5000; i++) stepSync('start/root', 'abc', () => undefined);
  trace.end();
  const events = read(path);
  assert.equal(events.at(-1)?.name, 'the trace is full');
  assert.ok(readFileSync(path).length < 101_000);
  assert.deepEqual(told, [`the trace ${path} ends here: it has 100000 bytes`]);
});

test('a file that cannot be made or written is told by name', () => {
  const missing = join(folder, 'no/such/folder.json');
  assert.throws(() => startTrace({ path: missing, name: 'x', onFailure: fail }), {
    kind: 'InvalidParameter',
    message: /cannot write the trace .*folder\.json: ENOENT/,
  });
  const told: string[] = [];
  startTrace({ path: '/dev/full', name: 'x', onFailure: (text) => told.push(text) }).end();
  assert.match(told[0] ?? '', /the trace \/dev\/full ends here: ENOSPC/);
});

const program = (body: string): string => {
  const path = join(folder, `program-${body.length}.mts`);
  const from = JSON.stringify(join(import.meta.dirname, 'trace.ts'));
  const steps = JSON.stringify(join(import.meta.dirname, 'steps.ts'));
  writeFileSync(
    path,
    `import { startTrace } from ${from}; import { stepSync } from ${steps};
     startTrace({ path: process.argv[2], name: 'child', onFailure: () => {} });
     stepSync('start/root', undefined, () => {}); ${body}`,
  );
  return path;
};

test('a process that ends by itself ends its trace; %p is its process ID', () => {
  const child = spawnSync(process.execPath, [program(''), join(folder, 'own-%p.json')]);
  assert.equal(child.status, 0, String(child.stderr));
  assert.equal(read(join(folder, `own-${child.pid}.json`)).at(-1)?.name, 'end');
});

test('what is left of a process that was killed lacks nothing but the end', async () => {
  const path = join(folder, 'killed.json');
  const child = spawn(process.execPath, [program('setInterval(() => console.log("tick"), 150);'), path]);
  await new Promise((resolve) => child.stdout.once('data', resolve));
  child.kill('SIGKILL');
  await new Promise((resolve) => child.once('exit', resolve));
  const text = readFileSync(path, 'utf8');
  assert.ok(text.endsWith(',\n'));
  const events = JSON.parse(`${text.slice(0, -2)}]`) as TraceEvent[];
  assert.equal(events.filter(({ name }) => name === 'start/root').length, 2);
});
