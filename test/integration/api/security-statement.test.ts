/** `inspect --security`: a statement of each thing that makes a container more, or less, than the default. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import type { ContainerSecurity, SecurityLevel } from '../../../src/api/security.ts';
import { TESTING_DOCKER } from '../engine.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';
import { socketFolder, TestSocket } from '../scoped-socket.ts';

describe('inspect --security', { skip: TESTING_DOCKER && 'about mydockd' }, () => {
  let daemon: Daemon;
  let close: () => Promise<void>;
  before(async () => {
    ({ daemon, close } = await daemonWithBusybox());
  });
  after(async () => await close());
  afterEach(async () => await daemon.removeContainers());

  const run = async (...args: string[]): Promise<string> =>
    await daemon.ok('run', '-d', '--stop-signal', 'SIGKILL', ...args, 'busybox', 'sleep', '100000');
  const statement = async (id: string): Promise<ContainerSecurity> => {
    const [found] = JSON.parse(
      await daemon.ok('inspect', '--security', '--format', 'json', id),
    ) as ContainerSecurity[];
    assert.ok(found !== undefined);
    return found;
  };
  /** The finding that matches must be there with that level. */
  const has = ({ Findings }: ContainerSecurity, topic: string, level: SecurityLevel, text: RegExp): void => {
    const found = Findings.filter(({ Topic, Finding }) => Topic === topic && text.test(Finding));
    assert.deepEqual(
      found.map(({ Level }) => Level),
      [level],
      `${topic} ${text} in ${JSON.stringify(Findings, null, 1)}`,
    );
    assert.ok(found.every(({ Reason }) => Reason.endsWith('.')));
  };

  test('a container by default: nothing dangerous, and what it lacks is said', async () => {
    const found = await statement(await run());
    assert.deepEqual([found.Running, found.Source, found.Level], [true, 'config.json', 'weak']);
    has(found, 'capabilities', 'info', /14 default capabilities/);
    has(found, 'seccomp', 'info', /default profile/);
    has(found, 'no-new-privileges', 'weak', /not set/);
    has(found, 'limits', 'weak', /no memory limit/);
    has(found, 'limits', 'weak', /no limit of processes/);
    has(found, 'user', 'weak', /root without a user namespace/);
    has(found, 'egress', 'info', /every address/);
    has(found, 'root', 'info', /writable/);
    assert.ok(!found.Findings.some(({ Level }) => Level === 'dangerous'));
  });

  test('a hardened one', async () => {
    const args = [
      '--cap-drop',
      'ALL',
      '--security-opt',
      'no-new-privileges',
      '--read-only',
      '-u',
      '1000',
      '-m',
      '64m',
      '--pids-limit',
      '50',
    ];
    const found = await statement(await run(...args, '--network', 'none'));
    assert.equal(found.Level, 'info', JSON.stringify(found.Findings));
    has(found, 'capabilities', 'info', /has no capabilities/);
    has(found, 'limits', 'info', /67108864 bytes/);
    has(found, 'limits', 'info', /at most 50 processes/);
    has(found, 'root', 'info', /read-only/);
    has(found, 'egress', 'info', /no network/);
  });

  test('everything that opens the host, running and stopped', async () => {
    const args = [
      ...[
        '--privileged',
        '--pid',
        'host',
        '--network',
        'host',
        '--ipc',
        'host',
        '--uts',
        'host',
        '--oom-score-adj',
        '-100',
      ],
      ...['-v', '/etc:/host-etc', '-v', '/srv:/srv:ro', '-v', `${daemon.socket}:/var/run/docker.sock`],
    ];
    const id = await run(...args);
    const check = (found: ContainerSecurity): void => {
      assert.equal(found.Level, 'dangerous');
      has(found, 'privileged', 'dangerous', /privileged/);
      has(found, 'capabilities', 'dangerous', /CAP_SYS_ADMIN/);
      has(found, 'seccomp', 'dangerous', /no filter/);
      for (const type of ['pid', 'network', 'ipc'])
        has(found, 'namespaces', 'dangerous', new RegExp(`^${type} namespace of the host`));
      has(found, 'namespaces', 'weak', /^uts namespace of the host/);
      has(found, 'devices', 'dangerous', /every device/);
      has(found, 'masked paths', 'dangerous', /not masked: .*\/proc\/kcore/);
      has(found, 'masked paths', 'dangerous', /writable: .*\/proc\/sys/);
      has(found, 'mounts', 'dangerous', /writes to \/etc of the host/);
      has(found, 'mounts', 'info', /reads \/srv of the host/);
      has(found, 'engine socket', 'dangerous', /ENGINE'S SOCKET IS MOUNTED: .*mydock/);
      has(found, 'limits', 'weak', /OOM score -100/);
    };
    check(await statement(id));
    await daemon.ok('kill', id);
    await daemon.reaches(id, 'exited');
    const stopped = await statement(id);
    assert.deepEqual([stopped.Running, stopped.Source], [false, 'record']);
    check(stopped);
  });

  test('single doors: capabilities, profiles, devices, sysctls, shared namespaces, ports, egress', async () => {
    await run('--name', 'other');
    const found = await statement(
      await run(
        ...[
          '--cap-add',
          'SYS_PTRACE',
          '--cap-add',
          'NET_ADMIN',
          '--cap-drop',
          'CHOWN',
          '--device',
          '/dev/null:/dev/x:r',
        ],
        ...[
          '--security-opt',
          'seccomp=unconfined',
          '--sysctl',
          'net.ipv4.ip_forward=1',
          '--pid',
          'container:other',
        ],
        ...[
          '-p',
          '8081:80',
          '-p',
          '127.0.0.1:8082:81',
          '--egress',
          'allow=10.0.0.1',
          '-v',
          '/run:/r:ro',
          '--restart',
          'always',
        ],
      ),
    );
    has(found, 'capabilities', 'dangerous', /CAP_SYS_PTRACE/);
    has(found, 'capabilities', 'weak', /CAP_NET_ADMIN/);
    has(found, 'capabilities', 'info', /lacks CAP_CHOWN/);
    has(found, 'seccomp', 'dangerous', /no filter/);
    has(found, 'devices', 'weak', /\/dev\/null \(r\)/);
    has(found, 'sysctls', 'info', /ip_forward=1/);
    has(found, 'namespaces', 'weak', /pid namespace of container other/);
    has(found, 'ports', 'weak', /0\.0\.0\.0:8081 leads to 80\/tcp, open/);
    has(found, 'ports', 'info', /127\.0\.0\.1:8082 leads to 81\/tcp$/);
    has(found, 'egress', 'info', /may reach 10\.0\.0\.1/);
    has(found, 'engine socket', 'dangerous', /SOCKET IS MOUNTED: .*\/run\/mydock-\d+\.sock through \/run/);
    has(found, 'restart', 'info', /always/);
    await daemon.ok('volume', 'create', '-o', 'type=none', '-o', 'o=bind', '-o', 'device=/etc', 'hidden');
    const hidden = await statement(await run('-v', 'hidden:/x'));
    has(hidden, 'mounts', 'dangerous', /writes to \/etc of the host/);
    await daemon.removeContainers();
    await daemon.ok('volume', 'rm', 'hidden');
  });

  test('a scoped socket in a container is no engine’s socket', async () => {
    const socket = await TestSocket.create(daemon, '--read-only', '--name', 'given');
    const found = await statement(await run('-v', `${socket.path}:/run/docker.sock`));
    has(found, 'engine socket', 'weak', /the scoped socket "given"/);
    assert.ok(!found.Findings.some(({ Topic, Level }) => Topic === 'engine socket' && Level === 'dangerous'));
    await socket.remove();
    assert.ok(socketFolder());
  });

  test('a table for people, the gravest first; an error for what is no container', async () => {
    await run('--name', 'shown', '--cap-add', 'SYS_ADMIN');
    const table = await daemon.ok('inspect', '--security', 'shown');
    const [title, heading, first] = table.split('\n');
    assert.match(title ?? '', /^shown \([0-9a-f]{12}\), runs: dangerous$/);
    assert.match(heading ?? '', /^LEVEL +TOPIC +FINDING +WHY$/);
    assert.match(first ?? '', /^dangerous +capabilities +has CAP_SYS_ADMIN +It mounts/);
    await daemon.fails(1, /No such container: nothing/, 'inspect', '--security', 'nothing');
    await daemon.fails(
      1,
      /--security is for containers alone/,
      'inspect',
      '--security',
      '--type',
      'image',
      'busybox',
    );
  });
});
