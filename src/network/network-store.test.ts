/** What an older daemon left in the database: networks keep their IDs, running containers everything they have. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { openDatabase } from '../base/database.ts';
import { describeSandbox } from './describe-network.ts';
import { NETWORK_SCHEMA } from './network-schema.ts';
import { NETWORK_MIGRATIONS, NetworkStore } from './network-store.ts';

it('carries over a database that knew one network', () => {
  const directory = mkdtempSync(join(tmpdir(), 'mydock-store-'));
  const path = join(directory, 'db');
  const old = openDatabase(path, [{ concept: 'network', steps: NETWORK_SCHEMA.slice(0, 1) }]);
  old.exec(`
    INSERT INTO network_predefined VALUES ('bridge', 'b1', '2026-01-01T00:00:00.000Z', '172.17.0.0/16', '172.17.0.1', 2886795267);
    INSERT INTO network_predefined VALUES ('host', 'h1', '2026-01-01T00:00:00.000Z', '', '', 0);
    INSERT INTO network_predefined VALUES ('none', 'n1', '2026-01-01T00:00:00.000Z', '', '', 0);
    INSERT INTO network_sandbox VALUES ('web', '/run/netns/1');
    INSERT INTO network_sandbox VALUES ('bare', '/run/netns/2');
    INSERT INTO network_endpoint VALUES ('web', 'e1', 'web-1', 2886795266, '02:42:ac:11:00:02', 'vethe1',
      '[{"containerPort":80,"protocol":"tcp","hostIp":"0.0.0.0","hostPort":8080}]');
    INSERT INTO network_host VALUES ('uplinks', '{}');`);
  old.close();
  const database = openDatabase(path, [NETWORK_MIGRATIONS]);
  const store = new NetworkStore(database);
  assert.deepEqual(
    store.networks().map(({ record, state }) => [record.name, record.id, record.driver, state]),
    [
      ['bridge', 'b1', 'bridge', 'ready'],
      ['host', 'h1', 'host', 'ready'],
      ['none', 'n1', 'null', 'ready'],
    ],
  );
  const sandbox = store.sandbox('web');
  assert.ok(sandbox);
  const bridge = store.network('b1')?.record;
  assert.ok(bridge);
  assert.deepEqual(
    describeSandbox(sandbox, store.endpoints('web'), () => bridge),
    {
      netnsPath: '/run/netns/1',
      endpoints: [
        {
          networkId: 'b1',
          networkName: 'bridge',
          endpointId: 'e1',
          ipAddress: '172.17.0.2',
          prefixLength: 16,
          gateway: '172.17.0.1',
          ipv6Address: '',
          ipv6PrefixLength: 0,
          ipv6Gateway: '',
          macAddress: '02:42:ac:11:00:02',
          dnsNames: [],
          containerInterface: 'eth0',
          hostInterface: 'vethe1',
        },
      ],
      ports: [{ containerPort: 80, protocol: 'tcp', hostIp: '0.0.0.0', hostPort: 8080 }],
      dns: false,
    },
  );
  assert.deepEqual(store.sandbox('bare')?.netnsPath, '/run/netns/2');
  assert.deepEqual(store.endpoints('bare'), []);
  assert.ok(store.takenAddresses('b1').has('172.17.0.2'));
  assert.equal(sandbox.nextInterface['eth'], 1);
  database.close();
  rmSync(directory, { recursive: true });
});
