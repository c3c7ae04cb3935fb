/** pause, resume, update and events: verbs over the control groups of a container. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Bundle } from './bundle.ts';

interface Event {
  type: string;
  id: string;
  data: { pids?: { current: number; limit?: number }; memory?: { usage: { limit: number; usage: number } } };
}

let bundle: Bundle;
before(async () => {
  bundle = await Bundle.make();
  bundle.configure('while :; do echo alive; sleep 0.02; done', (config) => {
    config.linux.resources['pids'] = { limit: 20 };
  });
  await bundle.runDetached('box');
});
after(async () => {
  await bundle.succeeds(['delete', '--force', 'box']);
  bundle.close();
});

async function figures(): Promise<Event['data']> {
  const event = JSON.parse(await bundle.succeeds(['events', '--stats', 'box'])) as Event;
  assert.deepEqual([event.type, event.id], ['stats', 'box']);
  return event.data;
}

test('a paused container stands still, and goes on', async () => {
  await bundle.succeeds(['pause', 'box']);
  assert.equal((await bundle.state('box')).status, 'paused');
  const before = bundle.output.length;
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal(bundle.output.length, before);
  await bundle.fails(['pause', 'box'], /container not running or created: paused/);
  await bundle.fails(['exec', 'box', 'true'], /cannot exec in a paused container/);
  await bundle.fails(['delete', 'box'], /that is not stopped: paused/);
  await bundle.succeeds(['resume', 'box']);
  await bundle.fails(['resume', 'box'], /container not paused/);
  assert.equal((await bundle.state('box')).status, 'running');
});

test('a paused container can be killed', async () => {
  bundle.configure('exec sleep 1000');
  await bundle.runDetached('frozen');
  await bundle.succeeds(['pause', 'frozen']);
  await bundle.succeeds(['kill', 'frozen', 'KILL']);
  await bundle.becomes('frozen', 'stopped');
  await bundle.succeeds(['delete', 'frozen']);
  await bundle.runDetached('frozen');
  await bundle.succeeds(['pause', 'frozen']);
  await bundle.succeeds(['delete', '--force', 'frozen']);
});

test('limits change by options, by a file and from standard input', async () => {
  assert.equal((await figures()).pids?.limit, 20);
  await bundle.succeeds(['update', '--pids-limit', '30', '--memory', '64m', '--memory-swap', '64m', 'box']);
  assert.equal((await figures()).pids?.limit, 30);
  assert.equal((await figures()).memory?.usage.limit, 64 << 20);
  const file = join(bundle.folder, 'resources.json');
  writeFileSync(file, JSON.stringify({ memory: { limit: 128 << 20, swap: 128 << 20 } }));
  await bundle.succeeds(['update', '--resources', file, 'box']);
  assert.equal((await figures()).memory?.usage.limit, 128 << 20);
  assert.equal((await figures()).pids?.limit, 30, 'what is not named stays');
  await bundle.succeeds(['update', '-r', '-', 'box'], { stdin: '{"pids":{"limit":40}}' });
  assert.equal((await figures()).pids?.limit, 40);
});

test('updates that cannot be are refused, and change nothing', async () => {
  const before = (await figures()).pids?.limit;
  await bundle.fails(['update', '--memory', '12x', 'box'], /--memory 12x: must be a whole number/);
  await bundle.fails(['update', '--pids-limit', '5k', 'box'], /--pids-limit 5k: must be a whole number/);
  await bundle.fails(['update', '--l3-cache-schema', 'x', 'box'], /--l3-cache-schema is not supported/);
  await bundle.fails(['update', '--cpuset-cpus', '4096', 'box'], /cpuset/);
  await bundle.fails(['update', '-r', '/nosuch', 'box'], /\(ENOENT\)/);
  assert.equal((await figures()).pids?.limit, before);
});

test('events follow until the container ends', async () => {
  bundle.configure('exec sleep 1000');
  await bundle.runDetached('short');
  const live = bundle.live(['events', '--interval', '50ms', 'short']);
  await live.sees(/("type":"stats"[\s\S]*){3}/);
  await bundle.succeeds(['kill', 'short', 'KILL']);
  const result = await live.ended;
  assert.equal(result.code, 0);
  for (const line of result.stdout.trim().split('\n')) assert.equal((JSON.parse(line) as Event).id, 'short');
  await bundle.fails(['events', '--stats', 'short'], /container with id short is not running/);
  await bundle.succeeds(['delete', 'short']);
});

test('an OOM kill is an event', async () => {
  bundle.configure('exec sleep 1000', (config) => {
    config.linux.resources['memory'] = { limit: 16 << 20, swap: 16 << 20 };
  });
  await bundle.runDetached('greedy');
  const live = bundle.live(['events', '--interval', '100ms', 'greedy']);
  await live.sees(/"type":"stats"/);
  const fill = ['dd', 'if=/dev/zero', 'of=/dev/shm/x', 'bs=1M', 'count=60'];
  assert.equal((await bundle.call(['exec', 'greedy', ...fill])).code, 137);
  await live.sees(/"type":"oom","id":"greedy"/);
  live.child.kill('SIGTERM');
  await live.ended;
  await bundle.succeeds(['delete', '--force', 'greedy']);
});

test('a group that has processes already is not taken', async () => {
  const { pid } = await bundle.state('box');
  const path = /^\d+:[^:]*\bpids\b[^:]*:(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))?.[1];
  bundle.configure('true', (config) => {
    config.linux.cgroupsPath = path ?? '/mydock/box';
  });
  await bundle.fails(
    ['create', '--bundle', bundle.folder, 'second'],
    /cgroup .* is in use by other processes \(EBUSY\)/,
  );
  assert.equal((await bundle.state('box')).status, 'running');
});
