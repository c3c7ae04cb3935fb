import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Database, openDatabase } from '../base/database.ts';
import { CONTAINER_MIGRATIONS, RecordTable } from './record.ts';

let folder: string;
let database: Database;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'record-'));
  database = openDatabase(join(folder, 'test.db'), [CONTAINER_MIGRATIONS]);
});
after(() => {
  database.close();
  rmSync(folder, { recursive: true });
});

function stored(id: string, fields: Record<string, unknown>) {
  const record = { id, name: id, config: {}, hostConfig: {}, layers: [], mounts: [], state: {}, ...fields };
  database
    .prepare('INSERT OR REPLACE INTO containers (id, name, created_at, record) VALUES (?, ?, ?, ?)')
    .run(id, id, '', JSON.stringify(record));
  return new RecordTable(database).load().records.find((one) => one.id === id);
}

test('records from when the default bridge was the only network are read as such', () => {
  const endpoint = {
    networkId: 'n',
    networkName: 'bridge',
    endpointId: 'e',
    ipAddress: '172.17.0.2',
    ports: [{ containerPort: 80, protocol: 'tcp', hostIp: '0.0.0.0', hostPort: 8080 }],
    netnsPath: '/run/netns/x',
    hostInterface: 'veth1',
  };
  const old = stored('old', { hostConfig: { NetworkMode: 'bridge' }, networkingConfig: {}, endpoint });
  assert.deepEqual(old?.networks, { bridge: {} });
  assert.deepEqual(old?.links, []);
  assert.equal(old?.sandbox?.netnsPath, '/run/netns/x');
  assert.deepEqual(old?.sandbox?.ports, endpoint.ports);
  assert.equal(old?.sandbox?.endpoints[0]?.ipAddress, '172.17.0.2');
  assert.equal('endpoint' in (old ?? {}), false);
});

test('the mode says which network that was', () => {
  const networksOf = (mode: string) =>
    stored('one', { hostConfig: { NetworkMode: mode }, networkingConfig: {}, endpoint: null });
  assert.deepEqual(networksOf('host')?.networks, { host: {} });
  assert.deepEqual(networksOf('none')?.networks, { none: {} });
  assert.deepEqual(networksOf('container:x')?.networks, {});
  assert.equal(networksOf('bridge')?.sandbox, null);
});

test('a container without any network stays so', () => {
  const none = stored('none', {
    hostConfig: { NetworkMode: 'bridge' },
    networks: {},
    links: [],
    sandbox: null,
  });
  assert.deepEqual(none?.networks, {});
});
