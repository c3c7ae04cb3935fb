import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Respond, sendJson } from '../../client/fake-daemon.ts';
import { naturalOrder } from '../format/natural-order.ts';
import { mydock } from '../run-in-test.ts';

const ID = 'cd'.repeat(32);
const made: Respond = (_, response) => sendJson(response, { Id: ID, Warning: '' }, 201);

async function createBody(...words: string[]): Promise<Record<string, unknown>> {
  const { daemon, io, calls } = await mydock(['network', 'create', ...words], made);
  assert.deepEqual([io.out(), io.err(), calls], [`${ID}\n`, '', ['POST /networks/create']]);
  return JSON.parse(daemon.requests[0]?.body ?? '{}') as Record<string, unknown>;
}

test('create sends what docker sends, and prints the ID', async () => {
  assert.deepEqual(await createBody('front'), {
    Name: 'front',
    Driver: 'bridge',
    Scope: '',
    Internal: false,
    Attachable: false,
    Ingress: false,
    ConfigOnly: false,
    ConfigFrom: null,
    IPAM: { Driver: 'default', Options: {}, Config: [] },
    Options: {},
    Labels: {},
  });
  const body = await createBody(
    '--subnet=10.1.0.0/24,fd00:1::/64',
    '--gateway=10.1.0.254',
    '--ip-range=10.1.0.128/25',
    '--aux-address=router=10.1.0.5',
    '--aux-address=printer=fd00:1::9',
    '--ipv6',
    '--ipv4=false',
    '--internal',
    '--label=a=b',
    '-o=parent=eth0',
    '--config-from=base',
    '--egress=allow=example.com,10.0.0.0/8',
    'back',
  );
  assert.deepEqual(body['IPAM'], {
    Driver: 'default',
    Options: {},
    Config: [
      {
        Subnet: '10.1.0.0/24',
        AuxiliaryAddresses: { router: '10.1.0.5' },
        IPRange: '10.1.0.128/25',
        Gateway: '10.1.0.254',
      },
      { Subnet: 'fd00:1::/64', AuxiliaryAddresses: { printer: 'fd00:1::9' } },
    ],
  });
  assert.deepEqual(
    [
      body['EnableIPv4'],
      body['EnableIPv6'],
      body['Internal'],
      body['ConfigFrom'],
      body['Options'],
      body['Labels'],
    ],
    [
      false,
      true,
      true,
      { Network: 'base' },
      { parent: 'eth0', 'mydock.egress': 'allow=example.com,10.0.0.0/8' },
      { a: 'b' },
    ],
  );
});

test('create refuses addresses that lie in no subnet, before it asks the daemon', async () => {
  for (const [words, message] of [
    [['--gateway=10.0.0.1'], 'every ip-range or gateway must have a corresponding subnet'],
    [['--subnet=10.0.0.0/24', '--gateway=10.0.1.1'], 'no matching subnet for gateway 10.0.1.1'],
    [['--subnet=10.0.0.0/24', '--ip-range=10.0.1.0/25'], 'no matching subnet for range 10.0.1.0/25'],
    [['--subnet=10.0.0.0/24', '--aux-address=a=fd00::1'], 'no matching subnet for aux-address fd00::1'],
    [['--subnet=10.0.0.0', '--gateway=10.0.0.1'], 'invalid subnet: invalid CIDR address: 10.0.0.0'],
    [
      ['--subnet=10.0.0.0/16', '--subnet=10.0.1.0/24'],
      'multiple overlapping subnet configuration is not supported',
    ],
    [
      ['--subnet=10.0.0.0/24', '--subnet=10.0.1.0/24', '--gateway=10.0.0.1', '--gateway=10.0.0.2'],
      'cannot configure multiple gateways (10.0.0.2, 10.0.0.1) for the same subnet (10.0.0.0/24)',
    ],
  ] as const) {
    const { io, calls, exitCode } = await mydock(['network', 'create', ...words, 'n'], made);
    assert.deepEqual([io.err(), calls, exitCode], [`${message}\n`, [], 1]);
  }
});

test('connect and disconnect name the container in the body, and print nothing', async () => {
  const done: Respond = (_, response) => void response.end();
  const connected = await mydock(
    [
      'network',
      'connect',
      '--alias=a,b',
      '--ip=10.1.0.9',
      '--link=db',
      '--driver-opt=k=v',
      '--gw-priority=-3',
      'n',
      'c',
    ],
    done,
  );
  assert.deepEqual([connected.io.out(), connected.calls], ['', ['POST /networks/n/connect']]);
  assert.deepEqual(JSON.parse(connected.daemon.requests[0]?.body ?? ''), {
    Container: 'c',
    EndpointConfig: {
      IPAMConfig: { IPv4Address: '10.1.0.9' },
      Links: ['db:db'],
      Aliases: ['a', 'b'],
      DriverOpts: { k: 'v' },
      GwPriority: -3,
    },
  });
  const bad = await mydock(['network', 'connect', '--driver-opt=k', 'n', 'c'], done);
  assert.deepEqual([bad.io.err(), bad.calls], ['invalid key/value pair format in driver options\n', []]);
  const cut = await mydock(['network', 'disconnect', '-f', 'n', 'c'], done);
  assert.deepEqual([cut.io.out(), cut.calls], ['', ['POST /networks/n/disconnect']]);
  assert.deepEqual(JSON.parse(cut.daemon.requests[0]?.body ?? ''), { Container: 'c', Force: true });
});

test('rm goes on after a failure; with -f a missing network is none', async () => {
  const respond: Respond = ({ url }, response) =>
    url.endsWith('/gone')
      ? sendJson(response, { message: 'network gone not found' }, 404)
      : void response.writeHead(204).end();
  const plain = await mydock(['network', 'rm', 'gone', 'there'], respond);
  assert.deepEqual(
    [plain.io.out(), plain.io.err(), plain.exitCode],
    ['there\n', 'Error response from daemon: network gone not found\n', 1],
  );
  const forced = await mydock(['network', 'rm', '-f', 'gone', 'there'], respond);
  assert.deepEqual([forced.io.out(), forced.io.err(), forced.exitCode], ['there\n', '', 0]);
});

test('prune asks, and lists what it removed', async () => {
  const respond: Respond = (_, response) => sendJson(response, { NetworksDeleted: ['a', 'b'] });
  const refused = await mydock(['network', 'prune'], respond, { stdin: ['n\n'] });
  assert.match(
    refused.io.out(),
    /^WARNING! This will remove all custom networks not used by at least one container\.\n/,
  );
  assert.deepEqual([refused.calls, refused.exitCode], [[], 0]);
  const { io, calls } = await mydock(['network', 'prune', '-f', '--filter', 'until=10m'], respond);
  assert.equal(io.out(), 'Deleted Networks:\na\nb\n\n');
  assert.deepEqual(calls.map(decodeURIComponent), ['POST /networks/prune?filters={"until":["10m"]}']);
});

test('numbers in names count as numbers in lists', () => {
  const names = ['net10', 'net2', 'net', 'a', 'net02', 'net2b'];
  assert.deepEqual(names.toSorted(naturalOrder), ['a', 'net', 'net2', 'net2b', 'net02', 'net10']);
});
