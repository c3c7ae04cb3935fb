/** The names of events and of their attributes, as every tool that watches them expects. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Registry } from '../../fixtures/registry.ts';
import { type Daemon, daemonWithRegistry } from '../harness.ts';

interface Message {
  readonly Type: string;
  readonly Action: string;
  readonly scope: string;
  readonly time: number;
  readonly timeNano: number;
  readonly Actor: { readonly ID: string; readonly Attributes: Record<string, string> };
}

let daemon: Daemon;
let registry: Registry;
let close: () => Promise<void>;

before(async () => {
  ({ daemon, registry, close } = await daemonWithRegistry());
});
after(async () => await close());

/** What happened while `act` ran, as a client that asks afterwards gets it. */
async function eventsOf(act: () => Promise<void>, type?: string): Promise<Message[]> {
  const since = (Date.now() / 1000).toFixed(3);
  await act();
  const until = (Date.now() / 1000 + 0.001).toFixed(3);
  const filters = type === undefined ? {} : { type: [type] };
  const query = new URLSearchParams({ since, until, filters: JSON.stringify(filters) });
  const { text } = await daemon.api('GET', `/events?${query}`);
  return text.trim() === ''
    ? []
    : text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Message);
}

const actions = (messages: readonly Message[]): string[] => messages.map(({ Action }) => Action);

test('the life of a container', async () => {
  const messages = await eventsOf(async () => {
    await daemon.ok(
      'run',
      '-d',
      '--name',
      'one',
      '--label',
      'a=b',
      'busybox',
      'sh',
      '-c',
      'trap "exit 5" TERM; while :; do sleep 0.1; done',
    );
    await daemon.api('POST', '/containers/one/pause');
    await daemon.api('POST', '/containers/one/unpause');
    await daemon.api('POST', '/containers/one/rename?name=two');
    await daemon.api('POST', '/containers/two/update', { CpuShares: 512 });
    await daemon.ok('exec', 'two', 'true');
    await daemon.ok('stop', 'two');
    await daemon.ok('start', 'two');
    await daemon.ok('kill', 'two');
    await daemon.ok('wait', 'two');
    await daemon.ok('rm', 'two');
  }, 'container');
  assert.deepEqual(actions(messages), [
    'create',
    'start',
    'pause',
    'unpause',
    'rename',
    'update',
    'exec_create: true',
    'exec_start: true',
    'exec_die',
    'kill',
    'die',
    'stop',
    'start',
    'kill',
    'die',
    'destroy',
  ]);
  for (const { Actor, scope, time, timeNano } of messages) {
    assert.match(Actor.ID, /^[0-9a-f]{64}$/);
    assert.equal(scope, 'local');
    assert.equal(Math.floor(timeNano / 1e9), time);
    assert.equal(Actor.Attributes['image'], 'busybox');
    assert.equal(Actor.Attributes['a'], 'b');
  }
  const attributes = (action: string, nth = 0): Record<string, string> =>
    messages.filter(({ Action }) => Action === action)[nth]?.Actor.Attributes ?? {};
  assert.equal(attributes('create')['name'], 'one');
  assert.equal(attributes('rename')['oldName'], '/one');
  assert.equal(attributes('rename')['name'], 'two');
  assert.equal(attributes('kill')['signal'], '15');
  assert.equal(attributes('kill', 1)['signal'], '9');
  assert.equal(attributes('die')['exitCode'], '5');
  assert.match(attributes('die')['execDuration'] ?? '', /^\d+$/);
  assert.equal(attributes('die', 1)['exitCode'], '137');
  assert.equal(attributes('exec_die')['exitCode'], '0');
  assert.match(attributes('exec_die')['execID'] ?? '', /^[0-9a-f]{64}$/);
});

test('networks, volumes and images', async () => {
  const messages = await eventsOf(async () => {
    await daemon.ok('run', '--rm', '-v', 'kept:/kept', 'busybox', 'true');
    await daemon.api('DELETE', '/volumes/kept');
    await daemon.ok('tag', 'busybox', 'again');
    await daemon.ok('rmi', 'again');
    await daemon.ok('pull', '-q', `${registry.host}/busybox:latest`);
  });
  const of = (type: string): string[] => actions(messages.filter(({ Type }) => Type === type));
  assert.deepEqual(of('network'), ['connect', 'disconnect']);
  assert.deepEqual(of('volume'), ['create', 'mount', 'unmount', 'destroy']);
  assert.deepEqual(of('image'), ['tag', 'untag', 'pull']);
  const network = messages.find(({ Type }) => Type === 'network')?.Actor.Attributes;
  assert.deepEqual([network?.['name'], network?.['type']], ['bridge', 'bridge']);
  assert.match(network?.['container'] ?? '', /^[0-9a-f]{64}$/);
});
