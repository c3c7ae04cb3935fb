/** `network inspect`, and what container inspect says of networks. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { ContainerInspectResponse } from '../../../src/api/containers.ts';
import type { Network } from '../../../src/api/networks.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
  await daemon.ok(
    'network',
    'create',
    '--subnet',
    '10.131.0.0/24',
    '--ipv6',
    '--subnet',
    'fd00:131::/64',
    'seen',
  );
});
after(async () => {
  await daemon.removeContainers();
  await daemon.ok('network', 'prune', '-f');
  await close();
});

const inspect = async (reference: string): Promise<Network> =>
  (JSON.parse(await daemon.ok('network', 'inspect', reference)) as [Network])[0];

test('by name, ID and the start of an ID; what is missing is said', async () => {
  const { Id } = await inspect('seen');
  for (const reference of [Id, Id.slice(0, 12)]) assert.equal((await inspect(reference)).Name, 'seen');
  const missing = await daemon.mydock(['network', 'inspect', 'nobody', 'seen']);
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /Error response from daemon: network nobody not found/);
  assert.equal((JSON.parse(missing.stdout) as Network[])[0]?.Name, 'seen');
  assert.equal((await daemon.api('GET', '/networks/seen?scope=swarm')).status, 404);
  assert.equal((await daemon.api('GET', '/networks/seen?verbose=maybe')).status, 400);
  assert.equal((await daemon.api('GET', '/networks/seen?verbose=true')).status, 200);
});

test('running containers stand in it, with their addresses; stopped ones do not', async () => {
  await daemon.ok(
    'run',
    '-d',
    '--name',
    'one',
    '--network',
    'seen',
    '--stop-signal',
    'KILL',
    'busybox',
    'sleep',
    '1000',
  );
  const found = Object.entries((await inspect('seen')).Containers);
  const container = (await daemon.api('GET', '/containers/one/json')).json<ContainerInspectResponse>();
  const endpoint = container.NetworkSettings.Networks['seen'];
  assert.deepEqual(found, [
    [
      container.Id,
      {
        Name: 'one',
        EndpointID: endpoint?.EndpointID,
        MacAddress: endpoint?.MacAddress,
        IPv4Address: `${endpoint?.IPAddress}/24`,
        IPv6Address: `${endpoint?.GlobalIPv6Address}/64`,
      },
    ],
  ]);
  assert.match(endpoint?.IPAddress ?? '', /^10\.131\.0\.\d+$/);
  assert.equal(await daemon.inspect('one', '{{.NetworkSettings.IPAddress}}'), '');
  // Old clients read the containers of lists.
  const listed = (await daemon.api('GET', '/v1.27/networks')).json<Network[]>();
  assert.ok(Object.hasOwn(listed.find(({ Name }) => Name === 'seen')?.Containers ?? {}, container.Id));
  await daemon.ok('stop', 'one');
  assert.deepEqual((await inspect('seen')).Containers, {});
  assert.equal(await daemon.inspect('one', '{{.NetworkSettings.Networks.seen.IPAddress}}'), '');
});

test('several networks: all of them in the container’s description', async () => {
  await daemon.ok('network', 'create', 'other');
  await daemon.ok(
    ...[
      'run',
      '-d',
      '--name',
      'both',
      '--stop-signal',
      'KILL',
      '--network',
      'name=seen,ip=10.131.0.40,alias=nick',
    ],
    ...['--network', 'name=other,gw-priority=5', 'busybox', 'sleep', '1000'],
  );
  const { Networks } = (await daemon.api('GET', '/containers/both/json')).json<ContainerInspectResponse>()
    .NetworkSettings;
  assert.deepEqual(Object.keys(Networks).toSorted(), ['other', 'seen']);
  assert.deepEqual(
    [Networks['seen']?.IPAddress, Networks['seen']?.IPAMConfig?.IPv4Address, Networks['seen']?.Aliases],
    ['10.131.0.40', '10.131.0.40', ['nick']],
  );
  assert.ok(Networks['seen']?.DNSNames?.includes('nick') && Networks['seen'].DNSNames.includes('both'));
  assert.equal(Networks['other']?.GwPriority, 5);
  const route = await daemon.ok('exec', 'both', 'ip', 'route');
  assert.match(route, new RegExp(`default via ${Networks['other']?.Gateway} `));
  assert.match(
    await daemon.ok('ps', '--format', '{{.Networks}}', '--filter', 'name=both'),
    /^(seen,other|other,seen)$/,
  );
});
