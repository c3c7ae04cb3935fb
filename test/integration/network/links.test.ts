/** `--link`: hosts entries and variables on the default bridge, names of one container's own on others. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually } from '../command.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox(['--bip', '10.86.0.1/24']));
  await daemon.ok('run', '-d', '--name', 'db', '-h', 'dbhost', '--expose', '5432', '-e', 'DATA=x', ...SLEEP);
});
after(async () => await close());

const SLEEP = ['busybox', 'sleep', '1000'];

async function address(container: string): Promise<string> {
  return await daemon.inspect(container, '{{.NetworkSettings.IPAddress}}');
}

async function inside(container: string, line: string): Promise<string> {
  return await daemon.ok('exec', container, 'sh', '-c', line);
}

test('a linked container is in the hosts file and the environment', async () => {
  await daemon.ok('run', '-d', '--name', 'web', '--link', 'db:store', ...SLEEP);
  const ip = await address('db');
  assert.match(await inside('web', 'cat /etc/hosts'), new RegExp(`^${ip}\tstore dbhost db$`, 'm'));
  const environment = await inside('web', 'tr "\\0" "\\n" < /proc/1/environ');
  assert.match(environment, new RegExp(`^STORE_PORT_5432_TCP_ADDR=${ip}$`, 'm'));
  assert.match(environment, /^STORE_NAME=\/web\/store$/m);
  assert.match(environment, /^STORE_ENV_DATA=x$/m);
  assert.match(await inside('web', 'env'), /^STORE_PORT=tcp:/m, 'of commands inside as well');
  assert.equal(await daemon.inspect('web', '{{json .HostConfig.Links}}'), '["/db:/web/store"]');
  assert.equal(await daemon.inspect('web/store', '{{.Name}}'), '/db');
});

test('its address is followed', async () => {
  await daemon.ok('stop', '-t', '0', 'db');
  // Takes the address that the other had, or the next one.
  await daemon.ok('run', '-d', '--name', 'thief', ...SLEEP);
  await daemon.ok('start', 'db');
  const ip = await address('db');
  await eventually('the hosts file has the new address', async () => {
    const hosts = await inside('web', 'cat /etc/hosts');
    return hosts.includes(`${ip}\tstore dbhost db`) && hosts.match(/store/g)?.length === 1;
  });
});

test('it must be there, and run', async () => {
  await daemon.fails(
    125,
    /could not get container for nobody: No such container: nobody/,
    'run',
    '--link',
    'nobody',
    'busybox',
    'true',
  );
  await daemon.ok('create', '--name', 'idle', 'busybox', 'true');
  await daemon.ok('create', '--name', 'needy', '--link', 'idle:lazy', ...SLEEP);
  await daemon.fails(1, /Cannot link to a non running container: \/idle AS \/needy\/lazy/, 'start', 'needy');
});

test('a link is removed by its name', async () => {
  await daemon.fails(1, /cannot remove the default link name of the container/, 'rm', '--link', 'db');
  await daemon.ok('rm', '--link', 'web/store');
  assert.doesNotMatch(await inside('web', 'cat /etc/hosts'), /store/);
  assert.equal(await daemon.inspect('web', '{{json .HostConfig.Links}}'), 'null');
});

test('containers that others need start first when the daemon does', async () => {
  await daemon.ok('create', '--name', 'first', '--restart', 'always', '--link', 'db:before', ...SLEEP);
  await daemon.ok('rm', '-f', 'db');
  await daemon.ok('run', '-d', '--name', 'last', '--restart', 'always', ...SLEEP);
  await daemon.ok('run', '-d', '--name', 'parent', '--restart', 'always', '--link', 'last:child', ...SLEEP);
  await daemon.ok(
    'run',
    '-d',
    '--name',
    'guest',
    '--restart',
    'always',
    '--network',
    'container:last',
    ...SLEEP,
  );
  const all = ['guest', 'parent', 'last'];
  const pids = await daemon.ok('inspect', '--format', '{{.State.Pid}}', ...all);
  await daemon.stop('SIGKILL');
  for (const pid of pids.split('\n')) process.kill(Number(pid), 'SIGKILL');
  await daemon.launch();
  await eventually('all run again', async () => {
    const state = await daemon.ok('inspect', '--format', '{{.State.Status}}', ...all);
    return state === 'running\nrunning\nrunning';
  });
  assert.match(await inside('parent', 'cat /etc/hosts'), new RegExp(`^${await address('last')}\tchild`, 'm'));
});

test('on a network of its own the alias is a name for this container alone', async () => {
  await daemon.ok('network', 'create', 'linked');
  await daemon.ok('run', '-d', '--name', 'box-a', '--network', 'linked', ...SLEEP);
  await daemon.ok('run', '-d', '--name', 'box-b', '--network', 'linked', '--link', 'box-a:peer', ...SLEEP);
  await daemon.ok('run', '-d', '--name', 'box-c', '--dns', '127.0.0.1', '--network', 'linked', ...SLEEP);
  const knows = async (container: string): Promise<boolean> =>
    (await daemon.mydock(['exec', container, 'ping', '-c', '1', '-W', '2', 'peer'])).code === 0;
  assert.equal(await knows('box-b'), true);
  assert.equal(await knows('box-c'), false);
  await daemon.ok('rm', '-f', 'box-a', 'box-b', 'box-c');
  await daemon.ok('network', 'rm', 'linked');
});
