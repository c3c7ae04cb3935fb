import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { BuildHistoryRequestSchema, SolveRequestSchema } from '../../api/buildkit/control_pb.ts';
import { GrpcError } from '../../api/grpc/status.ts';
import { BuildHistory } from './build-history.ts';

const EVENTS = ['begins', 'ends', 'goes'];
const signal = new AbortController().signal;
const order = (ref: string) => create(SolveRequestSchema, { ref });
const request = (fields: object) => create(BuildHistoryRequestSchema, { earlyExit: true, ...fields });

async function refs(history: BuildHistory, fields: object = {}): Promise<string[]> {
  const found: string[] = [];
  for await (const { record } of history.listen(request(fields), signal)) found.push(record?.ref ?? '');
  return found;
}

test('it is bounded, by count and by bytes; pinned and running builds stay', async () => {
  const history = new BuildHistory();
  const running = history.begin(order('running'));
  const pinned = history.begin(order('pinned'));
  history.end(pinned, { response: {} });
  history.update('pinned', { pinned: true, delete: false, finalize: false });
  for (let i = 0; i < 100; i++) history.end(history.begin(order(`build-${i}`)), { response: {} });
  const kept = await refs(history);
  assert.equal(kept.length, 51);
  assert.deepEqual(kept.slice(0, 2), ['running', 'pinned']);
  assert.equal(kept.at(-1), 'build-99');
  for (let i = 0; i < 30; i++) {
    const record = history.begin(order(`loud-${i}`));
    const data = 'x'.repeat(100_000);
    for (let n = 0; n < 30; n++) record.add({ logs: [{ vertex: 'v', stream: 1, data, timestamp: '' }] });
    assert.ok(record.progressBytes <= 1 << 20);
    history.end(record, { response: {} });
  }
  const bytes = (await refs(history)).reduce((sum, ref) => sum + (history.find(ref)?.progressBytes ?? 0), 0);
  assert.ok(bytes <= 9 << 20, `${bytes} bytes of progress are kept`);
  running.add({ vertexes: [{ digest: 'v', name: 'step', completed: '2020-01-01T00:00:00Z', cached: true }] });
  const message = running.message();
  assert.deepEqual([message.numTotalSteps, message.numCompletedSteps, message.numCachedSteps], [1, 1, 1]);
});

test('filters: conditions of a line must all hold, of several lines one', async () => {
  const history = new BuildHistory();
  history.end(history.begin(order('good')), { response: {} });
  history.end(history.begin(order('bad')), { error: new GrpcError('Unknown', 'broken') });
  history.end(history.begin(order('gone')), { error: new GrpcError('Canceled', 'given up') });
  history.begin(order('on'));
  const matching = (...filter: string[]) => refs(history, { filter });
  assert.deepEqual(await matching('status==error'), ['bad']);
  assert.deepEqual(await matching('status==error', 'status==canceled'), ['bad', 'gone']);
  assert.deepEqual(await matching('status!=completed,ref~=go'), ['gone']);
  assert.deepEqual(await matching('startedAt<1h'), []);
  assert.equal((await matching('startedAt>=1h')).length, 4);
  assert.deepEqual(await matching('duration>1h'), []);
  assert.deepEqual(await refs(history, { activeOnly: true }), ['on']);
  assert.deepEqual(await refs(history, { limit: 2 }), ['gone', 'on']);
  assert.deepEqual(await refs(history, { ref: 'none' }), []);
  await assert.rejects(matching('color==red'), /invalid filter "color==red"/);
  await assert.rejects(matching('startedAt>soon'), /invalid time soon/);
});

test('who listens hears of builds that begin, end and are removed', async () => {
  const history = new BuildHistory();
  const stop = new AbortController();
  const heard: string[] = [];
  const listening = (async () => {
    for await (const { type, record } of history.listen(request({ earlyExit: false }), stop.signal)) {
      heard.push(`${EVENTS[type ?? 0]} ${record?.ref}`);
      if (heard.length === 3) stop.abort();
    }
  })();
  await new Promise(setImmediate);
  const record = history.begin(order('one'));
  assert.throws(() => history.update('one', { pinned: false, delete: true, finalize: false }), /running/);
  history.end(record, { error: new GrpcError('Unknown', 'broken') });
  const { externalError } = record.message();
  assert.ok(history.blob(externalError?.digest ?? '').length > 0);
  history.update('one', { pinned: false, delete: true, finalize: false });
  await listening;
  assert.deepEqual(heard, ['begins one', 'ends one', 'goes one']);
  assert.throws(() => history.blob(externalError?.digest ?? ''), /not found/);
  assert.throws(() => history.update('one', { pinned: false, delete: true, finalize: false }), /not found/);
});

test('progress can be followed by several, from the first on, until the end', async () => {
  const history = new BuildHistory();
  const record = history.begin(order('one'));
  const name = (i: number) => ({ vertexes: [{ digest: `v${i}`, name: `step ${i}` }] });
  record.add(name(1));
  const read = async (): Promise<string[]> => {
    const names: string[] = [];
    for await (const { vertexes } of record.follow(signal)) names.push(vertexes?.[0]?.name ?? '');
    return names;
  };
  const both = Promise.all([read(), read()]);
  await new Promise(setImmediate);
  record.add(name(2));
  history.end(record, { response: {} });
  assert.deepEqual(await both, [
    ['step 1', 'step 2'],
    ['step 1', 'step 2'],
  ]);
  assert.deepEqual(await read(), ['step 1', 'step 2']);
});
