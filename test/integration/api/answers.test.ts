/** Details of answers that other engines get wrong: null and [], dates, networks, identity, health of OCI images. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, afterEach, before, test } from 'node:test';
import { busyboxImage } from '../../fixtures/catalog.ts';
import type { Registry } from '../../fixtures/registry.ts';
import { eventually } from '../command.ts';
import { type Daemon, daemonWithRegistry } from '../harness.ts';

let daemon: Daemon;
let registry: Registry;
let close: () => Promise<void>;

before(async () => {
  ({ daemon, registry, close } = await daemonWithRegistry());
});
after(async () => await close());
afterEach(async () => await daemon.removeContainers());

type Json = Record<string, unknown>;
const get = async (path: string): Promise<Json> => (await daemon.api('GET', path)).json<Json>();
/** A field of a nested object, by its path. */
const at = (value: unknown, path: string): unknown =>
  path.split('.').reduce<unknown>((inner, key) => (inner as Json)[key], value);

test('null, [], {} and zero dates stand where Docker has them', async () => {
  assert.equal((await daemon.api('GET', '/containers/json')).text.trim(), '[]');
  assert.deepEqual((await daemon.api('GET', '/volumes')).json<Json>()['Volumes'], []);
  const created = await daemon.api('POST', '/containers/create?name=bare', { Image: 'busybox' });
  const id = created.json<{ Id: string }>().Id;
  const bare = await get(`/containers/${id}/json`);
  const expected: Json = {
    'State.StartedAt': '0001-01-01T00:00:00Z',
    'State.FinishedAt': '0001-01-01T00:00:00Z',
    'State.Pid': 0,
    'State.ExitCode': 0,
    'State.Error': '',
    ExecIDs: null,
    Mounts: [],
    Args: [],
    Path: 'sh',
    'Config.Entrypoint': null,
    'Config.OnBuild': null,
    'Config.Volumes': null,
    'Config.Labels': { fixture: 'busybox' },
    'HostConfig.Binds': null,
    'HostConfig.CapAdd': null,
    'HostConfig.Links': null,
    'HostConfig.MemorySwappiness': null,
    'HostConfig.Dns': [],
    'HostConfig.Devices': [],
    'HostConfig.LogConfig': { Type: 'json-file', Config: {} },
    'HostConfig.RestartPolicy': { Name: 'no', MaximumRetryCount: 0 },
    'NetworkSettings.Ports': {},
  };
  for (const [path, value] of Object.entries(expected)) assert.deepEqual(at(bare, path), value, path);
  assert.match(String(bare['Created']), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,9}Z$/);
  const [listed] = (await daemon.api('GET', '/containers/json?all=1')).json<Json[]>();
  assert.deepEqual([listed?.['Ports'], listed?.['Mounts'], listed?.['Status']], [[], [], 'Created']);
  await daemon.ok('start', 'bare');
  await daemon.reaches('bare', 'exited');
  const ended = await get(`/containers/${id}/json`);
  for (const path of ['State.StartedAt', 'State.FinishedAt']) {
    assert.match(String(at(ended, path)), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,9}Z$/, path);
  }
  const exec = await daemon.api('POST', `/containers/${id}/exec`, { Cmd: ['true'] });
  assert.equal(exec.status, 409);
});

test('bridge, host and none are in the list of networks', async () => {
  const networks = (await daemon.api('GET', '/networks')).json<Json[]>();
  const found = networks.map(({ Name, Driver, Scope }) => [Name, Driver, Scope]);
  assert.deepEqual(found.toSorted(), [
    ['bridge', 'bridge', 'local'],
    ['host', 'host', 'local'],
    ['none', 'null', 'local'],
  ]);
  for (const { Id } of networks) assert.match(String(Id), /^[0-9a-f]{64}$/);
});

test('a program inside finds its own ID in its mountinfo', async () => {
  const id = await daemon.ok('run', '-d', 'busybox', 'cat', '/proc/self/mountinfo');
  await daemon.reaches(id, 'exited');
  const found = /\/containers\/([0-9a-f]{64})\/hostname/.exec(await daemon.ok('logs', id));
  assert.equal(found?.[1], id);
});

test('host.docker.internal is the host, where it is asked for', async () => {
  const gateway = await daemon.ok(
    ...['run', '--rm', '--add-host', 'host.docker.internal:host-gateway', 'busybox'],
    ...[
      'sh',
      '-c',
      "grep host.docker.internal /etc/hosts | cut -f1; ip route | sed -n 's/default via \\([^ ]*\\).*/\\1/p'",
    ],
  );
  const [named, route] = gateway.split('\n');
  assert.equal(named, route);
});

for (const format of ['docker', 'oci'] as const) {
  test(`HEALTHCHECK of an image with a manifest of ${format}`, async () => {
    const check = { Test: ['CMD-SHELL', 'test -e /ok'], Interval: 300_000_000, Retries: 3 };
    const command = ['sh', '-c', 'sleep 0.5; touch /ok; sleep 100000'];
    const config = { Healthcheck: check, Cmd: command, StopSignal: 'SIGKILL' };
    const reference = await registry.push(`health-${format}`, 'v1', await busyboxImage({ format, config }));
    await daemon.ok('pull', '-q', reference);
    const image = await get(`/images/${reference}/json`);
    assert.deepEqual(at(image, 'Config.Healthcheck'), check);
    const id = await daemon.ok('run', '-d', reference);
    assert.deepEqual(at(await get(`/containers/${id}/json`), 'Config.Healthcheck'), check);
    await eventually(
      'it is healthy',
      async () => at(await get(`/containers/${id}/json`), 'State.Health.Status') === 'healthy',
    );
    const [listed] = (await daemon.api('GET', '/containers/json')).json<Json[]>();
    assert.match(String(listed?.['Status']), /^Up .* \(healthy\)$/);
    await daemon.ok('rm', '-f', id);
    await daemon.ok('rmi', reference);
  });
}

test('one broken container does not fail the list', async () => {
  const good = await daemon.ok(
    'run',
    '-d',
    '--stop-signal',
    'KILL',
    '--name',
    'good',
    'busybox',
    'sleep',
    '100000',
  );
  const bad = await daemon.ok('create', '--name', 'bad', 'busybox');
  await daemon.stop();
  const path = join(daemon.dataRoot, 'mydock.db');
  const database = new DatabaseSync(path);
  const row = database.prepare('SELECT record FROM containers WHERE id = ?').get(bad) as { record: string };
  const breakWith = (record: string): void => {
    database.prepare('UPDATE containers SET record = ? WHERE id = ?').run(record, bad);
  };
  const survives = async (): Promise<void> => {
    await daemon.launch();
    const list = (await daemon.api('GET', '/containers/json?all=1')).json<{ Id: string }[]>();
    assert.ok(list.some(({ Id }) => Id === good));
    assert.equal(await daemon.inspect('good', '{{.State.Running}}'), 'true');
    await daemon.stop();
  };
  try {
    breakWith('{"cut');
    await survives();
    breakWith('{}');
    await survives();
  } finally {
    breakWith(row.record);
    database.close();
  }
  await daemon.launch();
  assert.equal(await daemon.ok('ps', '-a', '--filter', 'name=bad', '--format', '{{.Names}}'), 'bad');
});
