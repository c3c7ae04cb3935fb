/** `top` and `stats`, and attach over a WebSocket. */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { after, before, test } from 'node:test';
import { WebSocket } from 'ws';
import { eventually } from '../command.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => await close());

interface Stats {
  read: string;
  name: string;
  pids_stats: { current?: number };
  cpu_stats: { cpu_usage: { total_usage: number }; system_cpu_usage?: number; online_cpus?: number };
  precpu_stats: { cpu_usage: { total_usage: number }; system_cpu_usage?: number };
  memory_stats: { usage?: number; limit?: number; stats?: Record<string, number> };
  networks?: Record<string, { tx_bytes: number }>;
}

test('top shows the processes, and what ps is asked for', async () => {
  await daemon.ok('run', '-d', '--name', 'tops', 'busybox', 'sh', '-c', 'sleep 1234 & sleep 1000');
  const top = async (args = '') => await daemon.api('GET', `/containers/tops/top${args}`);
  const table = (await top()).json<{ Titles: string[]; Processes: string[][] }>();
  assert.deepEqual(table.Titles, ['UID', 'PID', 'PPID', 'C', 'STIME', 'TTY', 'TIME', 'CMD']);
  const commands = table.Processes.map((row) => row.at(-1));
  assert.ok(commands.includes('sleep 1234'), JSON.stringify(table));
  assert.equal(table.Processes[0]?.[1], await daemon.inspect('tops', '{{.State.Pid}}'));
  const other = (await top('?ps_args=-o%20pid,args')).json<{ Titles: string[]; Processes: string[][] }>();
  assert.deepEqual(other.Titles, ['PID', 'COMMAND']);
  assert.equal(other.Processes.length, table.Processes.length);
  assert.match((await top('?ps_args=-o%20args')).text, /Couldn't find PID field in ps output/);
  assert.equal((await top('?ps_args=-o%20nonsense')).status, 500);
  await daemon.ok('rm', '-f', 'tops');
  assert.equal((await top()).status, 404);
});

test('stats: one sample, one with its forerunner, zeros for a stopped container', async () => {
  await daemon.ok('run', '-d', '--name', 'stat', '-m', '64m', 'busybox', 'sh', '-c', 'while :; do :; done');
  const get = async (query: string) =>
    (await daemon.api('GET', `/containers/stat/stats?${query}`)).json<Stats>();
  const quick = await get('stream=0&one-shot=1');
  assert.equal(quick.name, '/stat');
  assert.equal(quick.memory_stats.limit, 64 * 1024 * 1024);
  assert.ok((quick.memory_stats.usage ?? 0) > 0);
  assert.equal(quick.precpu_stats.cpu_usage.total_usage, 0);
  assert.equal(quick.pids_stats.current, 1);
  assert.ok('eth0' in (quick.networks ?? {}));
  const full = await get('stream=0');
  const cpu = full.cpu_stats.cpu_usage.total_usage - full.precpu_stats.cpu_usage.total_usage;
  const system = (full.cpu_stats.system_cpu_usage ?? 0) - (full.precpu_stats.system_cpu_usage ?? 0);
  const share = (cpu / system) * (full.cpu_stats.online_cpus ?? 0) * 100;
  assert.ok(share > 5 && share <= 130, `${share} %`);
  await daemon.ok('kill', 'stat');
  await daemon.ok('wait', 'stat');
  const stopped = await get('stream=0');
  assert.equal(stopped.read, '0001-01-01T00:00:00Z');
  assert.deepEqual(stopped.memory_stats, {});
  assert.equal((await daemon.api('GET', '/containers/stat/stats?one-shot=1')).status, 400);
  await daemon.ok('rm', 'stat');
});

test('stats stream until the client goes away', async () => {
  await daemon.ok('run', '-d', '--name', 'flow', 'busybox', 'sleep', '1000');
  const samples: Stats[] = [];
  const outgoing = request({ socketPath: daemon.socket, path: '/containers/flow/stats' }, (response) => {
    let text = '';
    response.on('error', () => undefined);
    response.setEncoding('utf8').on('data', (part: string) => {
      text += part;
      const lines = text.split('\n');
      text = lines.pop() ?? '';
      for (const line of lines) samples.push(JSON.parse(line) as Stats);
    });
  });
  outgoing.on('error', () => undefined);
  outgoing.end();
  await eventually('three samples', () => samples.length >= 3, 10_000);
  outgoing.destroy();
  assert.ok(Date.parse(samples[2]?.read ?? '') - Date.parse(samples[1]?.read ?? '') >= 900);
  await daemon.ok('rm', '-f', 'flow');
});

test('attach over a WebSocket carries input and output', async () => {
  await daemon.ok(
    'run',
    '-d',
    '-i',
    '--name',
    'socket',
    'busybox',
    'sh',
    '-c',
    'while read line; do echo "got $line"; done; exit 4',
  );
  const path = 'containers/socket/attach/ws?stream=1&stdin=1&stdout=1';
  const client = new WebSocket(`ws+unix://${daemon.socket}:/v1.51/${path}`);
  let output = '';
  let binary = true;
  client.on('message', (data, isBinary) => {
    output += String(data);
    binary &&= isBinary;
  });
  const closed = new Promise((resolve) => client.once('close', resolve));
  await new Promise((resolve, reject) => {
    client.once('open', resolve);
    client.once('error', reject);
  });
  client.send('one\n');
  client.send(Buffer.from('two\n'));
  await eventually('the answers', () => output === 'got one\ngot two\n');
  assert.equal(binary, true);
  await daemon.ok('kill', 'socket');
  await closed;
  await daemon.ok('rm', 'socket');
  const refused = await daemon.api('GET', `/${path}`);
  assert.equal(refused.status, 400);
});
