/** System operations: ping, version, info, df, auth, events. */
import assert from 'node:assert/strict';
import { exited, removed, running, type Stage } from './stage.ts';

interface Message {
  readonly Type: string;
  readonly Action: string;
  readonly Actor: { readonly ID: string; readonly Attributes: Record<string, string> };
}

export async function driveSystem(stage: Stage): Promise<void> {
  const { recorder, registry } = stage;
  await recorder.drive({
    operation: 'GET /_ping',
    what: 'ping',
    expect: 200,
    verify: ({ text }) => assert.equal(text, 'OK'),
  });
  await recorder.drive({ operation: 'HEAD /_ping', what: 'ping', expect: 200 });
  await recorder.drive({ operation: 'GET /version', what: 'version', expect: 200 });
  const id = await running(stage, 'counted');
  await recorder.drive({ operation: 'GET /info', what: 'info', expect: 200 });
  const df = 'GET /system/df';
  await recorder.drive({ operation: df, what: 'everything', expect: 200 });
  for (const type of ['container', 'image', 'volume', 'build-cache']) {
    await recorder.drive({ operation: df, what: `type ${type}`, expect: 200, query: { type } });
  }
  await recorder.drive({ operation: df, what: 'an unknown type', expect: 400, query: { type: 'rain' } });
  await removed(stage, id);
  const auth = 'POST /auth';
  const body = { username: 'tester', password: 'wrong', serveraddress: registry };
  await recorder.drive({ operation: auth, what: 'a registry that asks for nothing', expect: 200, body });
  await recorder.drive({ operation: auth, what: 'a wrong type', expect: 400, body: { username: 1 } });
}

export async function driveEvents(stage: Stage): Promise<void> {
  const { recorder } = stage;
  const operation = 'GET /events';
  const since = String(Math.floor(Date.now() / 1000) - 1);
  const id = await exited(stage, 'eventful', ['sh', '-c', 'exit 7'], { Labels: { colour: 'red' } });
  await removed(stage, id);
  const until = String(Math.floor(Date.now() / 1000) + 1);
  const filters = JSON.stringify({ container: [id] });
  await recorder.drive({
    operation,
    what: 'replay of a container',
    expect: 200,
    query: { since, until, filters },
    lines: true,
    verify: ({ text }) => {
      const messages = text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Message);
      const actions = messages.filter(({ Type }) => Type === 'container').map(({ Action }) => Action);
      assert.deepEqual(actions, ['create', 'start', 'die', 'destroy']);
      const die = messages.find(({ Action }) => Action === 'die')?.Actor.Attributes;
      assert.deepEqual([die?.['exitCode'], die?.['colour'], die?.['name']], ['7', 'red', 'eventful']);
    },
  });
  await recorder.drive({ operation, what: 'all types', expect: 200, query: { since, until }, lines: true });
  for (const filter of ['type', 'event', 'image', 'label', 'network', 'volume', 'scope', 'daemon']) {
    const query = { since, until, filters: JSON.stringify({ [filter]: ['none'] }) };
    await recorder.drive({ operation, what: `filter ${filter}`, expect: 200, query, lines: true });
  }
  await recorder.drive({ operation, what: 'a time that is none', expect: 400, query: { since: 'noon' } });
  await recorder.drive({
    operation,
    what: 'until before since',
    expect: 400,
    query: { since: '200', until: '100' },
  });
  await recorder.drive({
    operation,
    what: 'filters that are no JSON',
    expect: 400,
    query: { until, filters: '{' },
  });
}
