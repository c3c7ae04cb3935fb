/** Scoped sockets under attack: what they do not give cannot be had by another spelling, reference or moment. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { ContainerInspectResponse, ContainerSummary } from '../../../src/api/containers.ts';
import { eventually } from '../command.ts';
import { TESTING_DOCKER } from '../engine.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';
import { socketFolder, TestSocket } from '../scoped-socket.ts';

const SLEEPER = { Image: 'busybox', Cmd: ['sleep', '100000'], StopSignal: 'SIGKILL' };
const CI = [
  '--allow',
  'containers.*,exec.inspect,images.*,networks.*,volumes.*,events,info,version,ping,system.df',
];

describe('scoped sockets', { skip: TESTING_DOCKER && 'about mydockd' }, () => {
  let daemon: Daemon;
  let close: () => Promise<void>;
  let ci: TestSocket;
  /** A mount root, and a folder beside it with a secret. */
  let root: string;
  let outside: string;

  before(async () => {
    ({ daemon, close } = await daemonWithBusybox());
    const folder = mkdtempSync('/srv/scoped-');
    root = join(folder, 'root');
    outside = join(folder, 'outside');
    mkdirSync(join(root, 'data'), { recursive: true });
    mkdirSync(outside);
    writeFileSync(join(root, 'data/file'), 'inside\n');
    writeFileSync(join(outside, 'secret'), 'secret\n');
    ci = await TestSocket.create(daemon, ...CI, '--label', 'project=x', '--mount-root', root);
    await daemon.ok(
      'run',
      '-d',
      '--name',
      'foreign',
      '--stop-signal',
      'SIGKILL',
      '-e',
      'SECRET=1',
      'busybox',
      'sleep',
      '100000',
    );
    await daemon.ok('volume', 'create', 'foreign-volume');
    await daemon.ok('network', 'create', 'foreign-network');
  });
  after(async () => {
    await ci?.remove();
    await daemon?.removeContainers();
    await daemon?.ok('volume', 'rm', '-f', 'foreign-volume');
    await daemon?.ok('network', 'rm', 'foreign-network');
    await close?.();
    rmSync(join(root, '..'), { recursive: true, force: true });
    rmSync(socketFolder(), { recursive: true, force: true });
  });

  const create = async (
    socket: TestSocket,
    body: Record<string, unknown> = {},
    name = '',
  ): Promise<string> => {
    const query = name === '' ? '' : `?name=${name}`;
    const answer = await socket.expect(201, 'POST', `/containers/create${query}`, { ...SLEEPER, ...body });
    return answer.json<{ Id: string }>().Id;
  };
  const remove = async (id: string): Promise<unknown> => await daemon.ok('rm', '-f', '-v', id);

  test('sockets are neither listed nor made through one: each of the verbs says why', async () => {
    for (const [name, ...words] of [
      ['list', 'ls'],
      ['create', 'create', '--read-only', `${socketFolder()}/made.sock`],
      ['inspect', 'inspect', ci.path],
      ['remove', 'rm', ci.path],
    ]) {
      const told = new RegExp(
        `operation sockets\\.${name} is not allowed on socket ".*": it is only there on the daemon's own socket`,
      );
      await daemon.fails(1, told, '-H', `unix://${ci.path}`, 'socket', ...words);
    }
    assert.match(await daemon.ok('socket', 'ls'), new RegExp(ci.path));
  });

  test('a refused request says which operation, which socket and what would allow it', async () => {
    const reader = await TestSocket.create(daemon, '--read-only', '--name', 'reader');
    const { text } = await reader.expect(403, 'POST', '/containers/create', SLEEPER);
    assert.match(
      text,
      /operation containers\.create is not allowed on socket \\"reader\\": it needs --allow containers\.create/,
    );
    assert.match(daemon.log, /"socket":"reader".*"msg":"audit: refused"/);
    await reader.remove();
  });

  test('every spelling of a path is the same request', async () => {
    const reader = await TestSocket.create(daemon, '--allow', 'ping,containers.list');
    await reader.expect(200, 'GET', '/v1.24/containers/json');
    await reader.expect(200, 'HEAD', '/v1.51/_ping');
    const spellings: [string, string][] = [
      ['GET', '/containers/foreign/json'],
      ['HEAD', '/containers/foreign/json'],
      ['GET', '/v1.30/containers/foreign/json'],
      ['GET', '/containers/%66oreign/json'],
      ['GET', '/containers/json/../foreign/json'],
      ['GET', '/containers/%2e%2e/containers/foreign/json'],
      ['GET', '/containers//foreign/json'],
      ['GET', '/_ping/../containers/foreign/json'],
      ['GET', '/v1.41/_ping/../containers/foreign/json'],
      ['GET', '/containers/foreign/json?x=/containers/json'],
      ['POST', '/containers/foreign/exec'],
      ['POST', '/v1.51/containers/foreign/kill?signal=0'],
      ['GET', '/containers/foreign/attach/ws?stream=1&stdin=1'],
      ['GET', '/containers/foreign/logs?stdout=1'],
      ['GET', '/containers/foreign/archive?path=/'],
      ['HEAD', '/containers/foreign/archive?path=/'],
      ['GET', '/images/json'],
    ];
    for (const [method, path] of spellings) {
      const { status, text } = await reader.api(method, path, method === 'POST' ? {} : undefined);
      assert.ok(status === 403 || status === 404, `${method} ${path}: ${status} ${text}`);
    }
    const upgrade = 'Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n';
    for (const target of [
      '/containers/foreign/attach?stream=1&stdin=1',
      '/v1.40/exec/x/start',
      'http://x/containers/foreign/attach?stream=1',
    ]) {
      assert.match(
        await reader.raw(`POST ${target} HTTP/1.1\r\nHost: x\r\n${upgrade}\r\n`),
        /^HTTP\/1\.1 403 /,
        target,
      );
    }
    const socket =
      'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
    assert.match(
      await reader.raw(`GET /containers/foreign/attach/ws?stream=1 HTTP/1.1\r\nHost: x\r\n${socket}\r\n`),
      /^HTTP\/1\.1 403 /,
    );
    await reader.remove();
  });

  test('a pull is not an import', async () => {
    const puller = await TestSocket.create(daemon, '--allow', 'images.pull');
    const { text } = await puller.expect(
      403,
      'POST',
      '/images/create?fromImage=busybox&fromSrc=http://127.0.0.1:1/x',
    );
    assert.match(text, /images\.import/);
    // The handler reads the first value: so does the check.
    await puller.expect(403, 'POST', '/images/create?fromSrc=-&fromSrc=');
    await puller.remove();
  });

  test('no request makes a container with more than its share of the host', async () => {
    const host: Record<string, unknown>[] = [
      { Privileged: true },
      { NetworkMode: 'host' },
      { PidMode: 'host' },
      { IpcMode: 'host' },
      { UTSMode: 'host' },
      { UsernsMode: 'host' },
      { CgroupnsMode: 'host' },
      { CapAdd: ['SYS_ADMIN'] },
      { CapAdd: ['all'] },
      { Devices: [{ PathOnHost: '/dev/kmsg', PathInContainer: '/dev/kmsg', CgroupPermissions: 'r' }] },
      { DeviceCgroupRules: ['c 1:11 r'] },
      { SecurityOpt: ['seccomp=unconfined'] },
      { SecurityOpt: ['apparmor=unconfined'] },
      { SecurityOpt: ['systempaths=unconfined'] },
      { MaskedPaths: [] },
      { ReadonlyPaths: [] },
      { CgroupParent: '/' },
      { OomScoreAdj: -1000 },
      { Binds: ['/:/host'] },
      { Binds: [`${outside}:/x:ro`] },
      { Binds: [`${root}/../outside:/x`] },
      { Binds: [`${root}/data:/x:rshared`] },
      { Binds: [`${root}/data:/x:idmap`] },
      { Mounts: [{ Type: 'bind', Source: outside, Target: '/x' }] },
      {
        Mounts: [{ Type: 'bind', Source: `${root}2`, Target: '/x', BindOptions: { CreateMountpoint: true } }],
      },
      {
        Mounts: [
          {
            Type: 'volume',
            Source: 'v',
            Target: '/x',
            VolumeOptions: { DriverConfig: { Options: { type: 'none', o: 'bind', device: '/' } } },
          },
        ],
      },
      {
        Mounts: [
          {
            Type: 'volume',
            Target: '/x',
            VolumeOptions: { DriverConfig: { Options: { type: 'nfs', o: 'addr=1.2.3.4', device: ':/' } } },
          },
        ],
      },
      { LogConfig: { Type: 'syslog', Config: {} } },
      { PortBindings: { '80/tcp': [{ HostPort: '80' }] } },
      { Annotations: { 'mydock.egress': 'none' } },
      { NewField: 1 },
    ];
    for (const one of host) {
      const { status, text } = await ci.api('POST', '/containers/create', { ...SLEEPER, HostConfig: one });
      assert.equal(status, 403, `${JSON.stringify(one)}: ${status} ${text}`);
      assert.match(text, /is not allowed on socket/);
    }
    // Whether a file of the host exists is not told.
    for (const Source of [join(outside, 'secret'), join(outside, 'missing')]) {
      await ci.expect(403, 'POST', '/containers/create', {
        ...SLEEPER,
        HostConfig: { Mounts: [{ Type: 'bind', Source, Target: '/x' }] },
      });
    }
    await ci.expect(403, 'POST', '/containers/create', { ...SLEEPER, Labels: { project: 'y' } });
    await ci.expect(403, 'POST', '/containers/create', { ...SLEEPER, Superuser: true });
    await ci.expect(403, 'POST', '/containers/create', {
      ...SLEEPER,
      NetworkingConfig: { EndpointsConfig: { bridge: { DriverOpts: { x: 'y' } } } },
    });
    assert.deepEqual((await ci.expect(200, 'GET', '/containers/json?all=1')).json<ContainerSummary[]>(), []);
    // What is refused leaves nothing behind.
    assert.equal(await daemon.ok('volume', 'ls', '-q'), 'foreign-volume');
  });

  test('of others nothing is seen, by no reference', async () => {
    const own = await create(ci, {}, 'own');
    const foreign = await daemon.inspect('foreign', '{{.Id}}');
    const seen = (await ci.expect(200, 'GET', '/containers/json?all=1')).json<ContainerSummary[]>();
    assert.deepEqual(
      seen.map(({ Id }) => Id),
      [own],
    );
    assert.equal(seen[0]?.Labels['project'], 'x');
    assert.equal((await ci.expect(200, 'GET', '/containers/json?limit=5')).json<unknown[]>().length, 1);
    for (const reference of ['foreign', foreign, foreign.slice(0, 12), '/foreign']) {
      const name = encodeURIComponent(reference);
      for (const [method, path] of [
        ['GET', `/containers/${name}/json`],
        ['GET', `/containers/${name}/security`],
        ['GET', `/containers/${name}/logs?stdout=1`],
        ['GET', `/containers/${name}/top`],
        ['GET', `/containers/${name}/stats?stream=0`],
        ['GET', `/containers/${name}/export`],
        ['GET', `/containers/${name}/archive?path=/etc/passwd`],
        ['POST', `/containers/${name}/stop?t=0`],
        ['POST', `/containers/${name}/kill`],
        ['POST', `/containers/${name}/wait`],
        ['POST', `/containers/${name}/rename?name=taken`],
        ['POST', `/containers/${name}/attach?stream=1&stdin=1`],
        ['DELETE', `/containers/${name}?force=1`],
        ['POST', `/commit?container=${name}&repo=stolen`],
        ['GET', `/containers/json?filters=${encodeURIComponent(JSON.stringify({ before: [reference] }))}`],
      ] as const) {
        const { status, text } = await ci.api(method, path);
        assert.equal(status, 404, `${method} ${path}: ${status} ${text}`);
        assert.ok(!text.includes(foreign) || reference === foreign, text);
      }
      await ci.expect(404, 'POST', `/containers/${name}/exec`, { Cmd: ['id'] });
      await ci.expect(404, 'POST', `/containers/${name}/update`, { Memory: 1 << 24 });
      await ci.expect(404, 'POST', '/networks/bridge/connect', { Container: reference });
      const shared: Record<string, unknown>[] = [
        { NetworkMode: `container:${reference}` },
        { PidMode: `container:${reference}` },
        { IpcMode: `container:${reference}` },
        { VolumesFrom: [reference] },
        { VolumesFrom: [`${reference}:ro`] },
        { Links: [`${reference}:db`] },
      ];
      for (const HostConfig of shared)
        await ci.expect(
          'VolumesFrom' in HostConfig || 'Links' in HostConfig ? 400 : 404,
          'POST',
          '/containers/create',
          { ...SLEEPER, HostConfig },
        );
    }
    // A prefix that several share is not ambiguous for whoever sees one of them.
    const conflict = await ci.expect(409, 'POST', '/containers/create?name=foreign', SLEEPER);
    assert.ok(!conflict.text.includes(foreign), conflict.text);
    assert.equal(await daemon.inspect('foreign', '{{.State.Status}}'), 'running');
    await remove(own);
  });

  test('execs belong to their containers', async () => {
    const { Id: exec } = (
      await daemon.api('POST', '/containers/foreign/exec', { Cmd: ['id'], Privileged: true })
    ).json<{ Id: string }>();
    for (const [method, path] of [
      ['GET', `/exec/${exec}/json`],
      ['POST', `/exec/${exec}/start`],
      ['POST', `/exec/${exec}/resize?h=1&w=1`],
    ] as const) {
      assert.equal((await ci.api(method, path, method === 'POST' ? {} : undefined)).status, 404, path);
    }
    const own = await create(ci);
    await ci.expect(204, 'POST', `/containers/${own}/start`);
    await ci.expect(403, 'POST', `/containers/${own}/exec`, { Cmd: ['id'], Privileged: true });
    await ci.expect(403, 'POST', `/containers/${own}/exec`, { Cmd: ['id'], Superuser: true });
    // Declared by somebody else: it may be looked at, not run.
    const { Id: privileged } = (
      await daemon.api('POST', `/containers/${own}/exec`, { Cmd: ['id'], Privileged: true })
    ).json<{ Id: string }>();
    await ci.expect(200, 'GET', `/exec/${privileged}/json`);
    await ci.expect(403, 'POST', `/exec/${privileged}/start`, { Detach: true });
    const { Id: good } = (await ci.expect(201, 'POST', `/containers/${own}/exec`, { Cmd: ['true'] })).json<{
      Id: string;
    }>();
    await ci.expect(200, 'POST', `/exec/${good}/start`, { Detach: true });
    await remove(own);
  });

  test('nobody acts inside a container that has more than the socket gives', async () => {
    await daemon.ok(
      'run',
      '-d',
      '--name',
      'strong',
      '--label',
      'project=x',
      '--privileged',
      '--stop-signal',
      'SIGKILL',
      'busybox',
      'sleep',
      '100000',
    );
    await daemon.ok(
      'run',
      '-d',
      '--name',
      'mounts',
      '--label',
      'project=x',
      '-v',
      `${outside}:/x`,
      '--stop-signal',
      'SIGKILL',
      'busybox',
      'sleep',
      '100000',
    );
    await daemon.ok(
      'run',
      '-d',
      '--name',
      'weak',
      '--label',
      'project=x',
      '--pid',
      'container:strong',
      '--stop-signal',
      'SIGKILL',
      'busybox',
      'sleep',
      '100000',
    );
    for (const name of ['strong', 'mounts', 'weak']) {
      await ci.expect(200, 'GET', `/containers/${name}/json`);
      const { text } = await ci.expect(403, 'POST', `/containers/${name}/exec`, { Cmd: ['id'] });
      assert.match(text, /acting inside container/);
      await ci.expect(403, 'POST', '/containers/create', { ...SLEEPER, HostConfig: { VolumesFrom: [name] } });
      await ci.expect(403, 'POST', '/containers/create', {
        ...SLEEPER,
        HostConfig: { PidMode: `container:${name}` },
      });
      assert.equal((await ci.api('PUT', `/containers/${name}/archive?path=/`, '')).status, 403);
    }
    await daemon.ok('rm', '-f', 'weak', 'strong', 'mounts');
  });

  test('a mount root is left neither by links nor at a later moment', async () => {
    const log = async (id: string): Promise<string> => {
      await ci.expect(204, 'POST', `/containers/${id}/start`);
      await eventually(
        'it has ended',
        async () => (await daemon.inspect(id, '{{.State.Status}}')) === 'exited',
      );
      return await daemon.ok('logs', id);
    };
    const show = (source: string, type: 'Binds' | 'Mounts' = 'Binds'): Record<string, unknown> => ({
      Cmd: ['sh', '-c', 'cat /x/file /x/secret 2>/dev/null; true'],
      HostConfig:
        type === 'Binds'
          ? { Binds: [`${source}:/x`] }
          : { Mounts: [{ Type: 'bind', Source: source, Target: '/x' }] },
    });
    for (const type of ['Binds', 'Mounts'] as const) {
      const id = await create(ci, show(join(root, 'data'), type));
      assert.equal(await log(id), 'inside');
      assert.equal(await daemon.inspect(id, '{{(index .Mounts 0).Source}}'), join(root, 'data'));
      await remove(id);
    }
    // Links that are there: absolute ones lead to places inside the root, and `..` ends at it.
    symlinkSync(outside, join(root, 'absolute'));
    symlinkSync('../outside', join(root, 'relative'));
    for (const name of ['absolute', 'relative']) {
      const id = await create(ci, show(join(root, name)));
      const { status } = await ci.api('POST', `/containers/${id}/start`);
      assert.notEqual(status, 204, name);
      await remove(id);
    }
    // Between create and start, and between two starts, a folder becomes a link.
    mkdirSync(join(root, 'swap'));
    writeFileSync(join(root, 'swap/file'), 'before\n');
    const id = await create(ci, show(join(root, 'swap')));
    assert.equal(await log(id), 'before');
    renameSync(join(root, 'swap'), join(root, 'moved'));
    symlinkSync(outside, join(root, 'swap'));
    assert.notEqual((await ci.api('POST', `/containers/${id}/start`)).status, 204);
    assert.equal(await daemon.ok('logs', id), 'before');
    // A link inside the root is followed inside the root.
    rmSync(join(root, 'swap'));
    symlinkSync('/data', join(root, 'swap'));
    await ci.expect(204, 'POST', `/containers/${id}/start`);
    await eventually('it has run', async () => (await daemon.ok('logs', id)) === 'before\ninside');
    await remove(id);
    // What `-v` makes where nothing is, is made inside: also behind a link.
    symlinkSync('/', join(root, 'top'));
    const made = await create(ci, show(join(root, 'top/made/here')));
    await ci.expect(204, 'POST', `/containers/${made}/start`);
    assert.deepEqual(readdirSync(join(root, 'made')), ['here']);
    await daemon.reaches(made, 'exited');
    await remove(made);
    for (const name of ['absolute', 'relative', 'swap', 'top']) rmSync(join(root, name));
  });

  test('a mount root that became a link is no mount root', async () => {
    const folder = mkdtempSync('/srv/scoped-');
    const given = join(folder, 'root');
    mkdirSync(given);
    const socket = await TestSocket.create(daemon, ...CI, '--label', 'project=x', '--mount-root', given);
    const id = await create(socket, { HostConfig: { Binds: [`${given}:/x`] } });
    renameSync(given, join(folder, 'moved'));
    symlinkSync(outside, given);
    const { status, text } = await socket.api('POST', `/containers/${id}/start`);
    assert.equal(status, 400, text);
    await remove(id);
    await socket.remove();
    rmSync(folder, { recursive: true });
  });

  test('volumes: those of others do not exist, cannot be mounted, taken over or pruned', async () => {
    const listed = (await ci.expect(200, 'GET', '/volumes')).json<{ Volumes: unknown[] }>();
    assert.deepEqual(listed.Volumes, []);
    await ci.expect(404, 'GET', '/volumes/foreign-volume');
    await ci.expect(404, 'DELETE', '/volumes/foreign-volume');
    await ci.expect(204, 'DELETE', '/volumes/foreign-volume?force=1');
    await ci.expect(404, 'POST', '/volumes/foreign-volume/export');
    await ci.expect(409, 'POST', '/volumes/create', { Name: 'foreign-volume' });
    await ci.expect(409, 'POST', '/containers/create', {
      ...SLEEPER,
      HostConfig: { Binds: ['foreign-volume:/x'] },
    });
    await ci.expect(403, 'POST', '/volumes/create', {
      Name: 'v',
      DriverOpts: { type: 'none', o: 'bind', device: '/' },
    });
    await ci.expect(403, 'POST', '/volumes/create', { Name: 'v', Labels: { project: 'y' } });
    const id = await create(ci, { HostConfig: { Binds: ['own-volume:/x'] }, Volumes: { '/anonymous': {} } });
    const own = (await ci.expect(200, 'GET', '/volumes')).json<{
      Volumes: { Labels: Record<string, string> }[];
    }>();
    assert.deepEqual(
      own.Volumes.map(({ Labels }) => Labels['project']),
      ['x', 'x'],
    );
    await remove(id);
    await ci.expect(200, 'POST', `/volumes/prune?filters=${encodeURIComponent('{"all":["true"]}')}`);
    assert.equal(await daemon.ok('volume', 'ls', '-q'), 'foreign-volume');
    // A volume of an administrator's, with the label, that shows the host.
    await daemon.ok(
      'volume',
      'create',
      '--label',
      'project=x',
      '-o',
      'type=none',
      '-o',
      'o=bind',
      '-o',
      `device=${outside}`,
      'shows-host',
    );
    await ci.expect(200, 'GET', '/volumes/shows-host');
    await ci.expect(403, 'POST', '/containers/create', {
      ...SLEEPER,
      HostConfig: { Binds: ['shows-host:/x'] },
    });
    await ci.expect(403, 'POST', '/volumes/shows-host/export');
    await daemon.ok('volume', 'rm', 'shows-host');
  });

  test('networks: those of others do not exist; own ones are plain bridges', async () => {
    await ci.expect(404, 'GET', '/networks/foreign-network');
    await ci.expect(404, 'DELETE', '/networks/foreign-network');
    await ci.expect(400, 'POST', '/containers/create', {
      ...SLEEPER,
      HostConfig: { NetworkMode: 'foreign-network' },
    });
    for (const body of [
      { Name: 'n', Driver: 'macvlan' },
      { Name: 'n', Options: { 'com.docker.network.bridge.name': 'docker0' } },
      { Name: 'n', IPAM: { Config: [{ Subnet: '8.8.8.0/24' }] } },
      { Name: 'n', ConfigFrom: { Network: 'x' } },
      { Name: 'n', Labels: { project: 'y' } },
      { Name: 'n', Unknown: 1 },
    ]) {
      await ci.expect(403, 'POST', '/networks/create', body);
    }
    const { Id } = (await ci.expect(201, 'POST', '/networks/create', { Name: 'own-network' })).json<{
      Id: string;
    }>();
    const bridge = (await ci.expect(200, 'GET', '/networks/bridge')).json<{ Containers: object }>();
    assert.deepEqual(bridge.Containers, {});
    await ci.expect(403, 'DELETE', '/networks/bridge');
    const id = await create(ci, { HostConfig: { NetworkMode: 'own-network' } });
    await remove(id);
    await ci.expect(200, 'POST', '/networks/prune');
    await ci.expect(404, 'GET', `/networks/${Id}`);
    assert.match(await daemon.ok('network', 'ls', '--format', '{{.Name}}'), /foreign-network/);
  });

  test('prunes, figures and events tell of the socket’s own alone', async () => {
    await daemon.ok('create', '--name', 'foreign-stopped', 'busybox', 'true');
    const own = await create(ci);
    const info = (await ci.expect(200, 'GET', '/info')).json<{
      Containers: number;
      ContainersRunning: number;
    }>();
    assert.deepEqual([info.Containers, info.ContainersRunning], [1, 0]);
    const usage = (await ci.expect(200, 'GET', '/system/df')).json<{
      Containers: { Id: string }[];
      Volumes: unknown[];
      BuildCache: unknown[];
    }>();
    assert.deepEqual(
      [usage.Containers.map(({ Id }) => Id), usage.Volumes, usage.BuildCache],
      [[own], [], []],
    );
    const pruned = (await ci.expect(200, 'POST', '/containers/prune')).json<{
      ContainersDeleted: string[];
    }>();
    assert.deepEqual(pruned.ContainersDeleted, [own]);
    await ci.expect(403, 'POST', '/images/prune');
    await daemon.ok('volume', 'create', 'foreign-event');
    await daemon.ok('volume', 'rm', 'foreign-event');
    const until = Date.now() / 1000 + 0.01;
    const { text } = await ci.expect(200, 'GET', `/events?since=0&until=${until.toFixed(3)}`);
    const events = text
      .split('\n')
      .filter((line) => line !== '')
      .map(
        (line) =>
          JSON.parse(line) as { Type: string; Actor: { ID: string; Attributes: Record<string, string> } },
      );
    assert.ok(events.some(({ Actor }) => Actor.ID === own));
    for (const { Type, Actor } of events) {
      if (Type === 'container') assert.equal(Actor.Attributes['project'], 'x', JSON.stringify(Actor));
      assert.ok(!JSON.stringify(Actor).includes('foreign'), JSON.stringify(Actor));
    }
    await daemon.ok('rm', 'foreign-stopped');
  });

  test('a socket without labels: what reads shows no environment, what acts stays within the limits', async () => {
    const reader = await TestSocket.create(daemon, '--read-only');
    const shown = (
      await reader.expect(200, 'GET', '/containers/foreign/json')
    ).json<ContainerInspectResponse>();
    assert.ok(shown.Config.Env?.includes('SECRET=***') && !JSON.stringify(shown).includes('SECRET=1'));
    for (const [method, path] of [
      ['GET', '/containers/foreign/export'],
      ['GET', '/containers/foreign/archive?path=/etc'],
      ['GET', '/images/get?names=busybox'],
      ['POST', '/volumes/foreign-volume/export'],
      ['POST', '/containers/foreign/attach?stream=1&logs=1'],
      ['GET', '/distribution/busybox/json'],
      ['GET', '/images/search?term=x'],
      ['POST', '/auth'],
      ['POST', '/build'],
      ['DELETE', '/containers/foreign/logs'],
    ] as const) {
      assert.equal((await reader.api(method, path)).status, 403, path);
    }
    await reader.expect(200, 'GET', '/containers/foreign/logs?stdout=1');
    await reader.remove();
  });

  test('images outside of the patterns cannot be named', async () => {
    const socket = await TestSocket.create(
      daemon,
      '--allow',
      'containers.create,images.*',
      '--image',
      'ci/*',
    );
    await socket.expect(403, 'POST', '/containers/create', SLEEPER);
    const id = await daemon.inspect('busybox', '{{.Id}}');
    await socket.expect(403, 'POST', '/containers/create', { ...SLEEPER, Image: id });
    await socket.expect(403, 'POST', '/images/busybox/tag?repo=ci/app');
    await socket.expect(403, 'POST', '/images/create?fromImage=other&tag=latest');
    await socket.expect(403, 'DELETE', '/images/busybox');
    await socket.expect(200, 'GET', '/images/json');
    await daemon.ok('tag', 'busybox', 'ci/app');
    const { Id } = (
      await socket.expect(201, 'POST', '/containers/create', { ...SLEEPER, Image: 'ci/app' })
    ).json<{ Id: string }>();
    await remove(Id);
    // The image has a name that matches and one that does not.
    await socket.expect(403, 'DELETE', '/images/busybox');
    await socket.expect(403, 'DELETE', `/images/${id}?force=1`);
    await socket.expect(403, 'POST', '/images/busybox/tag?repo=ci/other');
    await socket.expect(200, 'DELETE', '/images/ci/app');
    await socket.remove();
  });
});
