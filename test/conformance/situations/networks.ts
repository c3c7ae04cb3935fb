/** The networks group: made, listed, looked at, with containers coming and going, removed, pruned. */
import assert from 'node:assert/strict';
import { created, NOBODY, removed, running, type Stage } from './stage.ts';

export async function driveNetworks(stage: Stage): Promise<void> {
  await driveCreate(stage);
  await driveListAndInspect(stage);
  await driveConnect(stage);
  await driveRemove(stage);
}

async function driveCreate({ recorder }: Stage): Promise<void> {
  const operation = 'POST /networks/create';
  const make = async (what: string, body: unknown, expect = 201): Promise<void> => {
    await recorder.drive({ operation, what, expect, body });
  };
  await make('a name alone', { Name: 'plain' });
  await make('everything that a bridge has', {
    Name: 'full',
    CheckDuplicate: true,
    Driver: 'bridge',
    Scope: 'local',
    Internal: false,
    Attachable: true,
    Ingress: false,
    ConfigOnly: false,
    ConfigFrom: null,
    EnableIPv4: true,
    EnableIPv6: true,
    IPAM: {
      Driver: 'default',
      Options: {},
      Config: [
        {
          Subnet: '10.141.0.0/24',
          IPRange: '10.141.0.128/25',
          Gateway: '10.141.0.254',
          AuxiliaryAddresses: { printer: '10.141.0.200' },
        },
        { Subnet: 'fd00:141::/64' },
      ],
    },
    Options: { 'com.docker.network.bridge.enable_icc': 'true', 'com.docker.network.driver.mtu': '1400' },
    Labels: { a: 'b' },
  });
  await make('null where something may be absent', {
    Name: 'nulls',
    IPAM: null,
    ConfigFrom: null,
    EnableIPv4: null,
    EnableIPv6: null,
    Options: null,
    Labels: null,
  });
  await make('internal', { Name: 'inside', Internal: true });
  await make('a configuration for others', {
    Name: 'plan',
    ConfigOnly: true,
    IPAM: { Config: [{ Subnet: '10.142.0.0/24' }] },
  });
  await make('a name that is taken', { Name: 'plain' }, 409);
  await make('no name', {}, 400);
  await make('a name that is none', { Name: '/' }, 400);
  await make('a predefined name', { Name: 'bridge' }, 403);
  await make('a second host network', { Name: 'x', Driver: 'host' }, 403);
  await make('a driver that is not there', { Name: 'x', Driver: 'no-such-driver' }, 404);
  await make('a subnet that is none', { Name: 'x', IPAM: { Config: [{ Subnet: 'ten' }] } }, 400);
  await make('a subnet that is taken', { Name: 'x', IPAM: { Config: [{ Subnet: '10.141.0.0/25' }] } }, 403);
  await make(
    'a gateway outside the subnet',
    { Name: 'x', IPAM: { Config: [{ Subnet: '10.143.0.0/24', Gateway: '10.144.0.1' }] } },
    400,
  );
  await make('a wrong type', { Name: 'x', Labels: ['a'] }, 400);
}

async function driveListAndInspect(stage: Stage): Promise<void> {
  const { recorder } = stage;
  const operation = 'GET /networks';
  const custom = ['full', 'inside', 'nulls', 'plain', 'plan'];
  for (const [filters, expected] of [
    ['{}', ['bridge', ...custom, 'host', 'none'].toSorted()],
    ['{"name":["host"]}', ['host']],
    ['{"name":{"full":true}}', ['full']],
    ['{"type":["builtin"]}', ['bridge', 'host', 'none']],
    ['{"type":["custom"],"driver":["bridge"]}', custom],
    ['{"label":["a=b"]}', ['full']],
    ['{"scope":["swarm"]}', []],
    ['{"dangling":["true"]}', custom],
  ] as const) {
    await recorder.drive({
      operation,
      what: `filters ${filters}`,
      expect: 200,
      query: { filters },
      verify: (answer) => {
        const names = answer.json<{ Name: string }[]>().map(({ Name }) => Name);
        assert.deepEqual(names.toSorted(), expected);
      },
    });
  }
  for (const filters of ['{"colour":["x"]}', '{"type":["x"]}', '{"dangling":["x"]}', 'x']) {
    await recorder.drive({ operation, what: `filters ${filters}`, expect: 400, query: { filters } });
  }
  const inspect = 'GET /networks/{id}';
  for (const id of ['bridge', 'host', 'none', ...custom]) {
    await recorder.drive({ operation: inspect, what: id, expect: 200, path: { id } });
  }
  await recorder.drive({ operation: inspect, what: 'a missing one', expect: 404, path: { id: NOBODY } });
  const path = { id: 'plain' };
  await recorder.drive({
    operation: inspect,
    what: 'verbose',
    expect: 200,
    path,
    query: { verbose: 'true' },
  });
  await recorder.drive({
    operation: inspect,
    what: 'of a swarm',
    expect: 404,
    path,
    query: { scope: 'swarm' },
  });
}

async function driveConnect(stage: Stage): Promise<void> {
  const { recorder, daemon } = stage;
  const runs = await running(stage, 'runs');
  const rests = await created(stage, 'rests');
  const alone = await running(stage, 'alone', { HostConfig: { NetworkMode: 'host' } });
  const connect = async (what: string, expect: number, id: string, body: unknown): Promise<void> => {
    await recorder.drive({ operation: 'POST /networks/{id}/connect', what, expect, path: { id }, body });
  };
  await connect('a running container', 200, 'plain', { Container: runs });
  await connect('with all that an endpoint has', 200, 'full', {
    Container: 'runs',
    EndpointConfig: {
      IPAMConfig: {
        IPv4Address: '10.141.0.77',
        IPv6Address: 'fd00:141::77',
        LinkLocalIPs: ['169.254.34.68'],
      },
      Links: ['rests:other'],
      Aliases: ['nick'],
      MacAddress: '02:00:00:00:00:77',
      DriverOpts: { 'com.example.some-option': 'x' },
      GwPriority: 10,
    },
  });
  await connect('a container that does not run', 200, 'plain', { Container: rests, EndpointConfig: null });
  await connect('one that is on it', 403, 'plain', { Container: runs });
  await connect('a missing container', 404, 'plain', { Container: NOBODY });
  await connect('a missing network', 404, NOBODY, { Container: runs });
  await connect('a wrong type', 400, 'plain', { Container: 1 });
  await connect('an address of another subnet', 400, 'full', {
    Container: rests,
    EndpointConfig: { IPAMConfig: { IPv4Address: '10.150.0.1' } },
  });
  const inspected = await daemon.api('GET', '/containers/runs/json');
  const { Networks } = inspected.json<{ NetworkSettings: { Networks: Record<string, unknown> } }>()
    .NetworkSettings;
  assert.deepEqual(Object.keys(Networks).toSorted(), ['bridge', 'full', 'plain']);
  await recorder.drive({
    operation: 'GET /networks/{id}',
    what: 'with a container',
    expect: 200,
    path: { id: 'full' },
    verify: (answer) => {
      const { Containers } = answer.json<{ Containers: Record<string, { IPv4Address: string }> }>();
      assert.equal(Containers[runs]?.IPv4Address, '10.141.0.77/24');
    },
  });
  await recorder.drive({
    operation: 'GET /containers/{id}/json',
    what: 'on several networks',
    expect: 200,
    path: { id: runs },
  });
  const disconnect = async (what: string, expect: number, id: string, body: unknown): Promise<void> => {
    await recorder.drive({ operation: 'POST /networks/{id}/disconnect', what, expect, path: { id }, body });
  };
  await disconnect('a running container', 200, 'full', { Container: runs });
  await disconnect('a container that does not run', 200, 'plain', { Container: rests });
  await disconnect('one that is not on it', 403, 'full', { Container: runs });
  await disconnect('a missing container', 404, 'plain', { Container: NOBODY });
  await disconnect('a missing network', 404, NOBODY, { Container: runs });
  await disconnect('a wrong type', 400, 'plain', { Container: runs, Force: 'yes' });
  await recorder.drive({
    operation: 'DELETE /networks/{id}',
    what: 'one in use',
    expect: 403,
    path: { id: 'plain' },
  });
  await removed(stage, runs, rests, alone);
}

async function driveRemove({ recorder }: Stage): Promise<void> {
  const operation = 'DELETE /networks/{id}';
  await recorder.drive({ operation, what: 'by name', expect: 204, path: { id: 'full' } });
  await recorder.drive({ operation, what: 'a missing one', expect: 404, path: { id: 'full' } });
  await recorder.drive({ operation, what: 'a predefined one', expect: 403, path: { id: 'bridge' } });
  await recorder.drive({ operation, what: 'a configuration', expect: 204, path: { id: 'plan' } });
  const prune = 'POST /networks/prune';
  await recorder.drive({
    operation: prune,
    what: 'a wrong filter',
    expect: 400,
    query: { filters: '{"x":["y"]}' },
  });
  await recorder.drive({
    operation: prune,
    what: 'those made before',
    expect: 200,
    query: { filters: '{"until":["1h"]}' },
    verify: (answer) => assert.deepEqual(answer.json(), { NetworksDeleted: null }),
  });
  await recorder.drive({
    operation: prune,
    what: 'all',
    expect: 200,
    verify: (answer) => {
      const { NetworksDeleted } = answer.json<{ NetworksDeleted: string[] }>();
      assert.deepEqual(NetworksDeleted.toSorted(), ['inside', 'nulls', 'plain']);
    },
  });
}
