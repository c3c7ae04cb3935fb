import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Respond, sendJson } from '../../client/fake-daemon.ts';
import { cpuPercent } from '../format/stats.ts';
import { mydock } from '../run-in-test.ts';

const ID = 'ab'.repeat(32);

const cpu = (total: number, system: number) => ({
  cpu_usage: { total_usage: total, usage_in_kernelmode: 0, usage_in_usermode: 0 },
  system_cpu_usage: system,
  online_cpus: 2,
  throttling_data: { periods: 0, throttled_periods: 0, throttled_time: 0 },
});

const STATS = {
  read: '',
  preread: '',
  pids_stats: { current: 3 },
  blkio_stats: { io_service_bytes_recursive: [{ major: 8, minor: 0, op: 'Read', value: 4096 }] },
  num_procs: 0,
  storage_stats: {},
  cpu_stats: cpu(200, 2000),
  precpu_stats: cpu(100, 1000),
  memory_stats: { usage: 3 * 2 ** 20, limit: 8 * 2 ** 20, stats: { inactive_file: 2 ** 20 } },
  name: '/web',
  id: ID,
  networks: { eth0: { rx_bytes: 1500, tx_bytes: 10 } },
};

test('stats works the figures out and prints them once', async () => {
  const { io, calls } = await mydock(['stats', '--no-stream', 'web'], (_, response) =>
    sendJson(response, STATS),
  );
  assert.equal(
    io.out(),
    'CONTAINER ID   NAME      CPU %     MEM USAGE / LIMIT   MEM %     NET I/O       BLOCK I/O    PIDS\n' +
      'abababababab   web       20.00%    2MiB / 8MiB         25.00%    1.5kB / 10B   4.1kB / 0B   3\n',
  );
  assert.deepEqual(calls, ['GET /containers/web/stats?stream=0']);
  assert.equal(cpuPercent({ ...STATS, precpu_stats: STATS.cpu_stats } as never), 0);
});

test('stats follows containers that come and forgets those that stop', async () => {
  const stopped = { ...STATS, pids_stats: {}, memory_stats: {} };
  let endEvents = (): unknown => assert.fail('events were not asked for');
  const respond: Respond = ({ url }, response) => {
    if (url.includes('/events')) {
      response.write(`${JSON.stringify({ Actor: { ID: 'cd'.repeat(32) } })}\n`);
      endEvents = () => response.end();
    } else if (url.includes('/containers/json')) sendJson(response, [{ Id: ID }]);
    else if (url.includes(ID)) response.end(`${JSON.stringify(STATS)}\n${JSON.stringify(stopped)}\n`);
    else response.write(`${JSON.stringify({ ...STATS, id: 'cd'.repeat(32), name: '/late' })}\n`);
  };
  const { io } = await mydock(['stats', '--format', '{{.Name}}'], respond, { onOutput: () => endEvents() });
  assert.equal(io.out(), 'late\n');
});

test('update sends what was given, and wants something', async () => {
  const nothing = await mydock(['update', 'c']);
  assert.equal(nothing.io.err(), 'you must provide one or more flags when using this command\n');
  assert.deepEqual(nothing.calls, []);
  const { daemon, io } = await mydock(
    ['update', '-m', '1g', '--restart', 'on-failure:2', 'c'],
    (_, response) => sendJson(response, { Warnings: ['careful'] }),
  );
  const body = JSON.parse(daemon.requests[0]?.body ?? '{}') as Record<string, unknown>;
  assert.equal(body['Memory'], 2 ** 30);
  assert.deepEqual(body['RestartPolicy'], { Name: 'on-failure', MaximumRetryCount: 2 });
  assert.equal('PidsLimit' in body, false);
  assert.deepEqual([io.out(), io.err()], ['c\n', 'careful\n']);
});

test('update changes published ports by their specifications', async () => {
  const words = ['--publish-add', '8081:80', '--publish-add', 'published=53,target=53,protocol=udp'];
  const { daemon } = await mydock(['update', ...words, '--publish-rm', '8080', 'c'], (_, response) =>
    sendJson(response, { Warnings: null }),
  );
  assert.deepEqual(JSON.parse(daemon.requests[0]?.body ?? '{}'), {
    PublishAdd: ['8081:80', '53:53/udp'],
    PublishRemove: ['8080'],
  });
});

test('port shows addresses in order, and one of them', async () => {
  const Ports = {
    '443/tcp': [{ HostIp: '::', HostPort: '8443' }],
    '80/tcp': [{ HostIp: '0.0.0.0', HostPort: '8080' }],
    '9/udp': null,
  };
  const respond: Respond = (_, response) => sendJson(response, { Id: ID, NetworkSettings: { Ports } });
  assert.equal(
    (await mydock(['port', 'c'], respond)).io.out(),
    '80/tcp -> 0.0.0.0:8080\n443/tcp -> [::]:8443\n',
  );
  assert.equal((await mydock(['port', 'c', '80'], respond)).io.out(), '0.0.0.0:8080\n');
  const none = await mydock(['port', 'c', '9/udp'], respond);
  assert.deepEqual([none.io.err(), none.exitCode], ["Error: No public port '9/udp' published for c\n", 1]);
});

test('port and ps say what other hosts can reach, where it is asked for or people read it', async () => {
  const open = { HostIp: '0.0.0.0', HostPort: 8080, ContainerPort: 80, Type: 'tcp' };
  const Ports = {
    '80/tcp': [
      { HostIp: '0.0.0.0', HostPort: '8080' },
      { HostIp: '127.0.0.1', HostPort: '8081' },
    ],
  };
  const inspected: Respond = (_, response) =>
    sendJson(response, { NetworkSettings: { Ports }, OpenPorts: [open] });
  const terminal = { terminal: { rows: 10, columns: 80 } };
  const bare = '80/tcp -> 0.0.0.0:8080\n80/tcp -> 127.0.0.1:8081\n';
  const noted = '80/tcp -> 0.0.0.0:8080  (open to other hosts)\n80/tcp -> 127.0.0.1:8081  (this host only)\n';
  assert.equal((await mydock(['port', 'c'], inspected)).io.out(), bare);
  assert.equal((await mydock(['port', '--open', 'c'], inspected)).io.out(), noted);
  assert.equal((await mydock(['port', 'c'], inspected, terminal)).io.out(), noted);
  assert.equal((await mydock(['port', '--open=false', 'c'], inspected, terminal)).io.out(), bare);

  const strict: Respond = (_, response) =>
    sendJson(response, { NetworkSettings: { Ports }, OpenPorts: [{ ...open, HostRules: true }] });
  assert.match(
    (await mydock(['port', '--open', 'c'], strict)).io.out(),
    /:8080 {2}\(open as far as this host's rules allow\)\n.* {2}\(this host only\)\n$/,
  );

  const row = {
    Id: ID,
    Names: ['/web'],
    Image: 'i',
    ImageID: '',
    Command: 'c',
    Created: 0,
    Labels: {},
    Mounts: [],
  };
  const listed: Respond = (_, response) =>
    sendJson(response, [
      { ...row, State: 'running', Status: 'Up', Ports: [], OpenPorts: [open, { ...open, HostIp: '::' }] },
    ]);
  const piped = await mydock(['ps'], listed);
  assert.deepEqual([piped.io.out().includes('OPEN'), piped.io.err()], [false, '']);
  const seen = await mydock(['ps'], listed, terminal);
  assert.deepEqual([seen.io.out(), seen.io.err()], [piped.io.out(), 'Open to other hosts: web 8080/tcp\n']);
  const column = await mydock(['ps', '--open'], listed, terminal);
  assert.match(column.io.out(), /OPEN TO OTHER HOSTS\n.* 0\.0\.0\.0:8080\/tcp, \[::\]:8080\/tcp\n$/);
  assert.equal(column.io.err(), '');
  const ruled: Respond = (_, response) =>
    sendJson(response, [
      { ...row, State: 'running', Status: 'Up', Ports: [], OpenPorts: [{ ...open, HostRules: true }] },
    ]);
  assert.match(
    (await mydock(['ps', '--open'], ruled)).io.out(),
    / 0\.0\.0\.0:8080\/tcp \(by the host's rules\)\n$/,
  );
});

test('rm --force says what it has not found, and does not claim to have removed it', async () => {
  const { io, exitCode } = await mydock(['rm', '-f', 'there', 'missing'], (request, response) => {
    if (request.url.endsWith('/containers/missing?force=1')) {
      return sendJson(response, { message: 'No such container: missing' }, 404);
    }
    sendJson(response, '', 204);
  });
  assert.equal(exitCode, 0);
  assert.equal(io.out(), 'there\n');
  assert.equal(io.err(), 'Error response from daemon: No such container: missing\n');
});

test('export refuses a terminal; top aligns its columns', async () => {
  const refused = await mydock(['export', 'c'], undefined, { terminal: { rows: 10, columns: 80 } });
  assert.equal(refused.io.err(), 'cowardly refusing to save to a terminal. Use the -o flag or redirect\n');
  const answer = { Titles: ['PID', 'CMD'], Processes: [['1', 'sh']] };
  const { io, calls } = await mydock(['top', 'c', '-o', 'pid'], (_, response) => sendJson(response, answer));
  assert.equal(io.out(), `PID${' '.repeat(17)}CMD\n1${' '.repeat(19)}sh\n`);
  assert.deepEqual(calls, ['GET /containers/c/top?ps_args=-o+pid']);
});

test('prune asks first, and system prune names what the daemon cannot do', async () => {
  const no = await mydock(['container', 'prune'], undefined, { stdin: ['n\n'] });
  assert.deepEqual([no.exitCode, no.calls], [0, []]);
  const { io, exitCode } = await mydock(['system', 'prune', '-f'], ({ url }, response) => {
    if (url.includes('/containers/')) sendJson(response, { ContainersDeleted: ['c'], SpaceReclaimed: 10 });
    else sendJson(response, { message: 'not implemented' }, 501);
  });
  assert.equal(io.out(), 'Deleted Containers:\nc\n\nTotal reclaimed space: 10B\n');
  assert.match(io.err(), /not removed: all dangling images: the daemon cannot do that yet/);
  assert.equal(exitCode, 0);
});

test('logs --clear and --restart-unhealthy', async () => {
  const cleared = await mydock(['logs', '--clear', 'c'], (_, response) => {
    response.writeHead(204).end();
  });
  assert.deepEqual(cleared.calls, ['DELETE /containers/c/logs']);
  const { daemon } = await mydock(['create', '--restart-unhealthy', 'busybox'], (_, response) =>
    sendJson(response, { Id: ID, Warnings: [] }, 201),
  );
  assert.deepEqual(JSON.parse(daemon.requests[0]?.body ?? '{}').Labels, {
    'mydock.restart-unhealthy': 'true',
  });
});
