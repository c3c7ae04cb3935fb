/** Container operations that answer with JSON or with a status alone. */
import assert from 'node:assert/strict';
import { created, exited, NOBODY, removed, running, type Stage } from './stage.ts';

/** A container of everything that inspect and list show. */
const RICH = {
  Hostname: 'rich',
  Env: ['A=1', 'EMPTY='],
  Labels: { one: '1', two: '' },
  Tty: false,
  OpenStdin: true,
  ExposedPorts: { '80/tcp': {}, '53/udp': {} },
  Volumes: { '/anonymous': {} },
  Healthcheck: { Test: ['CMD', 'true'], Interval: 1_000_000_000, Retries: 2 },
  StopTimeout: 3,
  HostConfig: {
    Binds: ['/etc:/host-etc:ro', 'named:/named'],
    Mounts: [{ Type: 'tmpfs', Target: '/scratch', TmpfsOptions: { SizeBytes: 1_048_576 } }],
    PortBindings: { '80/tcp': [{ HostIp: '127.0.0.1', HostPort: '' }] },
    RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 3 },
    Memory: 67_108_864,
    NanoCpus: 500_000_000,
    PidsLimit: 100,
    CapAdd: ['NET_ADMIN'],
    CapDrop: ['MKNOD'],
    Dns: ['127.0.0.53'],
    ExtraHosts: ['other:10.0.0.1'],
    Tmpfs: { '/run': 'size=1m' },
    Ulimits: [{ Name: 'nofile', Soft: 100, Hard: 200 }],
    Sysctls: { 'net.ipv4.ip_forward': '1' },
    LogConfig: { Type: 'json-file', Config: { 'max-size': '1m' } },
    SecurityOpt: ['no-new-privileges'],
    Devices: [{ PathOnHost: '/dev/null', PathInContainer: '/dev/other', CgroupPermissions: 'rwm' }],
    Init: true,
    ReadonlyRootfs: true,
  },
};

export async function driveCreate({ recorder, daemon }: Stage): Promise<void> {
  const operation = 'POST /containers/create';
  const create = async (what: string, expect: number, body: unknown, query = {}): Promise<void> => {
    const answer = await recorder.drive({ operation, what, expect, body, query });
    if (answer.status === 201) await daemon.api('DELETE', `/containers/${answer.json<{ Id: string }>().Id}`);
  };
  await create('an image and nothing else', 201, { Image: 'busybox' });
  await create('a name', 201, { Image: 'busybox' }, { name: 'a-name' });
  await create('a platform', 201, { Image: 'busybox' }, { platform: 'linux' });
  await create('all kinds of settings', 201, { Image: 'busybox', ...RICH });
  await create('fields that the API does not have', 201, { Image: 'busybox', Unknown: { x: 1 } });
  await create('no command, by null', 201, { Image: 'busybox', Cmd: null, HostConfig: null });
  await create('an unknown image', 404, { Image: 'no-such-image' });
  await create('a wrong type', 400, { Image: 'busybox', Env: 'A=1' });
  await create('a wrong name', 400, { Image: 'busybox' }, { name: '-/-' });
  await create('a wrong restart policy', 400, {
    Image: 'busybox',
    HostConfig: { RestartPolicy: { Name: 'sometimes' } },
  });
  await create('too little memory', 400, { Image: 'busybox', HostConfig: { Memory: 1000 } });
  await create('a wrong port', 400, {
    Image: 'busybox',
    HostConfig: { PortBindings: { '80/tcp': [{ HostPort: '99999' }] } },
  });
  await create('a body that is no JSON', 400, Buffer.from('{"Image":'));
  const id = await created({ daemon }, 'taken');
  await create('a name that is taken', 409, { Image: 'busybox' }, { name: 'taken' });
  await removed({ daemon }, id);
}

export async function driveListAndInspect(stage: Stage): Promise<void> {
  const { recorder } = stage;
  const rich = await running(stage, 'rich', RICH);
  const plain = await created(stage, 'plain');
  const ended = await exited(stage, 'ended', ['sh', '-c', 'exit 3']);
  const terminal = await running(stage, 'terminal', { Tty: true, HostConfig: { NetworkMode: 'none' } });
  const shared = await running(stage, 'shared', { HostConfig: { NetworkMode: 'container:rich' } });
  const list = 'GET /containers/json';
  const names = (text: string): string[] =>
    (JSON.parse(text) as { Names: string[] }[]).flatMap(({ Names }) => Names).sort();
  const listed = async (what: string, query: Record<string, string>, expected: string[]): Promise<void> => {
    await recorder.drive({
      operation: list,
      what,
      expect: 200,
      query,
      verify: ({ text }) => assert.deepEqual(names(text), expected.map((name) => `/${name}`).sort()),
    });
  };
  const by = (filters: Record<string, string[]>): Record<string, string> => ({
    all: '1',
    filters: JSON.stringify(filters),
  });
  await listed('running ones', {}, ['rich', 'terminal', 'shared']);
  await listed('all', { all: 'true' }, ['rich', 'terminal', 'shared', 'plain', 'ended']);
  await listed('with sizes', { all: '1', size: '1' }, ['rich', 'terminal', 'shared', 'plain', 'ended']);
  await listed('the last two', { limit: '2' }, ['terminal', 'shared']);
  await listed('filter name', by({ name: ['^/?rich$'] }), ['rich']);
  await listed('filter id', by({ id: [plain.slice(0, 20)] }), ['plain']);
  await listed('filter label', by({ label: ['one=1'] }), ['rich']);
  await listed('filter exited', by({ exited: ['3'] }), ['ended']);
  await listed('filter status', by({ status: ['created'] }), ['plain']);
  await listed('filter ancestor', by({ ancestor: ['busybox'], status: ['created'] }), ['plain']);
  await listed('filter before', by({ before: ['plain'] }), ['rich']);
  await listed('filter since', by({ since: ['terminal'] }), ['shared']);
  await listed('filter volume', by({ volume: ['named'] }), ['rich']);
  await listed('filter network', by({ network: ['none'] }), ['terminal']);
  await listed('filter publish', by({ publish: ['80/tcp'] }), ['rich']);
  await listed('filter expose', by({ expose: ['53/udp'] }), ['rich']);
  await listed('filter is-task', by({ 'is-task': ['true'] }), []);
  await listed('filter health', by({ health: ['none'], status: ['created'] }), ['plain']);
  await listed('filters of old clients', { all: '1', filters: '{"name":{"rich":true}}' }, ['rich']);
  await recorder.drive({
    operation: list,
    what: 'an unknown filter',
    expect: 400,
    query: by({ colour: ['red'] }),
  });
  await recorder.drive({
    operation: list,
    what: 'filters that are no JSON',
    expect: 400,
    query: { filters: '{' },
  });
  await recorder.drive({
    operation: list,
    what: 'a limit that is no number',
    expect: 400,
    query: { limit: 'x' },
  });
  const inspect = 'GET /containers/{id}/json';
  for (const [what, id] of Object.entries({ rich, plain, ended, terminal, shared })) {
    await recorder.drive({ operation: inspect, what: `${what}, by ID`, expect: 200, path: { id } });
  }
  await recorder.drive({ operation: inspect, what: 'by name', expect: 200, path: { id: 'rich' } });
  await recorder.drive({
    operation: inspect,
    what: "by the ID's beginning",
    expect: 200,
    path: { id: rich.slice(0, 12) },
  });
  await recorder.drive({
    operation: inspect,
    what: 'with size',
    expect: 200,
    path: { id: rich },
    query: { size: '1' },
  });
  await recorder.drive({ operation: inspect, what: 'a missing one', expect: 404, path: { id: NOBODY } });
  await removed(stage, shared, rich, plain, ended, terminal);
  await stage.daemon.api('DELETE', '/volumes/named');
}

/** start, stop, restart, kill, pause, unpause, rename, update, resize, top, wait, remove */
export async function driveLifecycle(stage: Stage): Promise<void> {
  const { recorder } = stage;
  const id = await created(stage, 'cycle');
  const other = await created(stage, 'other');
  const verb = async (
    name: string,
    what: string,
    expect: number,
    query: Record<string, string> = {},
    container = id,
  ): Promise<void> => {
    const operation = `POST /containers/{id}/${name}`;
    await recorder.drive({ operation, what, expect, query, path: { id: container } });
  };
  await verb('stop', 'a container that was never started', 304);
  await verb('kill', 'a stopped container', 409);
  await verb('pause', 'a stopped container', 409);
  await verb('resize', 'a stopped container', 409, { h: '24', w: '80' });
  await verb('start', 'a created container', 204);
  await verb('start', 'a running container', 304);
  for (const name of ['start', 'stop', 'restart', 'kill', 'pause', 'unpause', 'wait']) {
    await verb(name, 'a missing container', 404, {}, NOBODY);
  }
  await verb('resize', 'a running container', 200, { h: '24', w: '80' });
  await verb('resize', 'a size that is no number', 400, { h: 'x', w: '80' });
  await verb('kill', 'an unknown signal', 400, { signal: 'SIGNONE' });
  await verb('kill', 'a signal by name', 204, { signal: 'SIGWINCH' });
  await verb('stop', 'a wait that is no number', 400, { t: 'x' });
  await verb('wait', 'an unknown condition', 400, { condition: 'rainy' });
  await verb('rename', 'a free name', 204, { name: 'renamed' });
  await verb('rename', 'a taken name', 409, { name: 'other' });
  await verb('rename', 'a wrong name', 400, { name: '-' });
  await verb('rename', 'no name', 400);
  await verb('rename', 'a missing container', 404, { name: 'x-y' }, NOBODY);
  await verb('unpause', 'a container that is not paused', 409);
  await verb('pause', 'a running container', 204);
  await verb('pause', 'a paused container', 409);
  await verb('unpause', 'a paused container', 204);
  await verb('restart', 'a running container', 204, { t: '0' });
  await driveTopAndUpdate(stage, id, other);
  await verb('stop', 'a running container', 204, { t: '0' });
  await verb('stop', 'a stopped container', 304);
  await verb('wait', 'a container that has ended', 200, { condition: 'not-running' });
  await verb('start', 'a stopped container', 204);
  await verb('kill', 'a running container', 204);
  await verb('wait', 'a container that is about to end', 200);
  await driveRemove(stage, id, other);
}

async function driveTopAndUpdate({ recorder }: Stage, id: string, stopped: string): Promise<void> {
  const top = 'GET /containers/{id}/top';
  await recorder.drive({ operation: top, what: 'a running container', expect: 200, path: { id } });
  await recorder.drive({
    operation: top,
    what: 'columns by ps_args',
    expect: 200,
    path: { id },
    query: { ps_args: '-o pid,comm' },
  });
  await recorder.drive({ operation: top, what: 'a stopped container', expect: 409, path: { id: stopped } });
  await recorder.drive({ operation: top, what: 'a missing container', expect: 404, path: { id: NOBODY } });
  const operation = 'POST /containers/{id}/update';
  const update = async (what: string, expect: number, body: unknown, target = id): Promise<void> => {
    await recorder.drive({ operation, what, expect, path: { id: target }, body });
  };
  await update('limits of a running container', 200, { Memory: 134_217_728, MemorySwap: -1, PidsLimit: 200 });
  await update('a restart policy', 200, { RestartPolicy: { Name: 'unless-stopped' } });
  await update('a stopped container', 200, { CpuShares: 512 }, stopped);
  await update('a wrong type', 400, { Memory: 'much' });
  await update('a wrong policy', 400, { RestartPolicy: { Name: 'sometimes' } });
  await update('a missing container', 404, {}, NOBODY);
}

async function driveRemove({ recorder, daemon }: Stage, id: string, other: string): Promise<void> {
  const operation = 'DELETE /containers/{id}';
  await daemon.api('POST', `/containers/${id}/start`);
  await recorder.drive({ operation, what: 'a running container', expect: 409, path: { id } });
  await recorder.drive({ operation, what: 'by force', expect: 204, path: { id }, query: { force: '1' } });
  await recorder.drive({ operation, what: 'a missing container', expect: 404, path: { id } });
  await recorder.drive({
    operation,
    what: 'with volumes',
    expect: 204,
    path: { id: other },
    query: { v: '1' },
  });
}

export async function drivePrune(stage: Stage): Promise<void> {
  const operation = 'POST /containers/prune';
  const { recorder } = stage;
  await created(stage, 'pruned', { Labels: { keep: 'no' } });
  const kept = await created(stage, 'kept', { Labels: { keep: 'yes' } });
  const filters = JSON.stringify({ 'label!': ['keep=yes'] });
  await recorder.drive({
    operation,
    what: 'filter label!',
    expect: 200,
    query: { filters },
    verify: (answer) =>
      assert.equal(answer.json<{ ContainersDeleted: string[] }>().ContainersDeleted.length, 1),
  });
  await recorder.drive({
    operation,
    what: 'an unknown filter',
    expect: 400,
    query: { filters: '{"colour":["red"]}' },
  });
  await recorder.drive({ operation, what: 'all', expect: 200 });
  await recorder.drive({ operation, what: 'nothing to do', expect: 200 });
  await removed(stage, kept);
}
