import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type EngineEvent, EventBus } from './event-bus.ts';
import { eventFilter } from './event-filter.ts';

const container = {
  record: { id: 'abcdef'.repeat(10), name: 'web', image: 'nginx:1', config: { Labels: { tier: 'front' } } },
};

test('listeners hear every event until they leave, and a container event bears labels, image and name', () => {
  const bus = new EventBus();
  const heard: EngineEvent[] = [];
  const leave = bus.subscribe((event) => heard.push(event));
  assert.equal(bus.listeners, 1);
  bus.container(container, 'die', { exitCode: '3' });
  leave();
  bus.container(container, 'destroy');
  assert.equal(bus.listeners, 0);
  assert.equal(heard.length, 1);
  assert.deepEqual(heard[0]?.Actor, {
    ID: container.record.id,
    Attributes: { tier: 'front', image: 'nginx:1', name: 'web', exitCode: '3' },
  });
});

test('times rise strictly and are those of the wall clock', () => {
  const bus = new EventBus();
  const before = BigInt(Date.now() - 50) * 1_000_000n;
  for (let n = 0; n < 200; n++) bus.publish('volume', 'create', `v${n}`, {});
  const times = bus.kept(0n, undefined).map(({ timeNs }) => timeNs);
  assert.equal(new Set(times).size, 200);
  assert.deepEqual(times, [...times].sort());
  assert.ok((times[0] ?? 0n) >= before && (times.at(-1) ?? 0n) <= BigInt(Date.now() + 50) * 1_000_000n);
});

test('the last 1024 events are kept, oldest first, and cut by time', () => {
  const bus = new EventBus();
  for (let n = 0; n < 1500; n++) bus.publish('volume', 'create', String(n), {});
  const all = bus.kept(0n, undefined);
  assert.equal(all.length, 1024);
  assert.equal(all[0]?.Actor.ID, '476');
  assert.equal(all.at(-1)?.Actor.ID, '1499');
  const middle = all[500];
  assert.ok(middle !== undefined);
  assert.deepEqual(
    bus.kept(middle.timeNs, middle.timeNs).map(({ Actor }) => Actor.ID),
    [middle.Actor.ID],
  );
  assert.equal(bus.kept(middle.timeNs, undefined).length, 524);
});

function accepted(filters: Record<string, string[]>, type: EngineEvent['Type'], action: string): boolean {
  const Attributes =
    type === 'image' ? { name: 'nginx:1' } : { image: 'nginx:1', name: 'web', tier: 'front', zone: 'a' };
  const Actor = { ID: type === 'image' ? 'nginx:1' : container.record.id, Attributes };
  return eventFilter(filters)({ Type: type, Action: action, Actor, timeNs: 1n });
}

test('filters choose as Docker chooses', () => {
  assert.ok(accepted({}, 'container', 'start'));
  assert.ok(accepted({ type: ['image', 'container'] }, 'container', 'start'));
  assert.ok(!accepted({ type: ['image'] }, 'container', 'start'));
  assert.ok(accepted({ event: ['start'] }, 'container', 'start'));
  assert.ok(!accepted({ event: ['star'] }, 'container', 'start'));
  assert.ok(accepted({ event: ['health_status'] }, 'container', 'health_status: healthy'));
  assert.ok(accepted({ event: ['health_status: healthy'] }, 'container', 'health_status: healthy'));
  assert.ok(!accepted({ event: ['health_status: unhealthy'] }, 'container', 'health_status: healthy'));
  assert.ok(accepted({ event: ['exec_create', 'die'] }, 'container', 'exec_create: sh -c x'));
  assert.ok(accepted({ container: ['web'] }, 'container', 'start'));
  assert.ok(accepted({ container: ['abcdef'] }, 'container', 'start'));
  assert.ok(!accepted({ container: ['other'] }, 'container', 'start'));
  assert.ok(!accepted({ container: ['web'] }, 'network', 'connect'));
  assert.ok(accepted({ image: ['nginx'] }, 'container', 'start'));
  assert.ok(accepted({ image: ['nginx:1'] }, 'image', 'pull'));
  assert.ok(!accepted({ image: ['ngin'] }, 'image', 'pull'));
  assert.ok(accepted({ label: ['tier=front', 'zone'] }, 'container', 'start'));
  assert.ok(!accepted({ label: ['tier=front', 'missing'] }, 'container', 'start'));
  assert.ok(accepted({ scope: ['local'] }, 'container', 'start'));
  assert.ok(!accepted({ scope: ['swarm'] }, 'container', 'start'));
  assert.ok(!accepted({ daemon: ['x'] }, 'container', 'start'));
});
