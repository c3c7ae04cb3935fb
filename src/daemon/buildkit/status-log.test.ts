import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BuildStatus } from '../../api/build-status.ts';
import { StatusLog } from './status-log.ts';

const output = (bytes: number): BuildStatus => ({
  logs: [{ vertex: 'sha256:0', stream: 1, data: 'x'.repeat(bytes), timestamp: '' }],
});
const ended = (name: string): BuildStatus => ({ vertexes: [{ digest: 'sha256:0', name, inputs: [] }] });

async function all(log: StatusLog, signal = new AbortController().signal): Promise<BuildStatus[]> {
  const read: BuildStatus[] = [];
  for await (const status of log.read(signal)) read.push(status);
  return read;
}

test('a client that does not read costs a bounded amount, and still hears of every step', async () => {
  const log = new StatusLog();
  for (let count = 0; count < 100; count++) {
    log.add(output(1 << 20));
    log.add(ended(`step ${count}`));
  }
  log.end();
  const read = await all(log);
  const bytes = read.flatMap(({ logs }) => logs ?? []).reduce((sum, { data }) => sum + data.length, 0);
  assert.equal(bytes, 16 << 20);
  const names = read.flatMap(({ vertexes }) => vertexes ?? []).map(({ name }) => name);
  assert.deepEqual(
    names,
    Array.from({ length: 100 }, (_, count) => `step ${count}`),
  );
});

test('all of many readers end with the build, and with their own calls', async () => {
  const log = new StatusLog();
  const leaving = new AbortController();
  const left = all(log, leaving.signal);
  const readers = Array.from({ length: 1000 }, () => all(log));
  leaving.abort();
  assert.deepEqual(await left, []);
  log.add(ended('only'));
  log.end();
  const read = (await Promise.all(readers)).flat();
  assert.deepEqual(
    read.flatMap(({ vertexes }) => vertexes ?? []).map(({ name }) => name),
    ['only'],
  );
  assert.deepEqual(await all(log), []);
});
