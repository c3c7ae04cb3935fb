import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Network } from '../../../api/networks.ts';
import { listFilter, pruneFilter } from './filter.ts';
import { checkNetworkConnect, checkNetworkCreate } from './request-shapes.ts';

function network(Name: string, fields: Partial<Network> = {}): Network {
  return {
    Name,
    Id: Buffer.from(Name).toString('hex').padEnd(64, '0'),
    Created: '2024-01-02T00:00:00Z',
    Scope: 'local',
    Driver: 'bridge',
    EnableIPv4: true,
    EnableIPv6: false,
    IPAM: { Driver: 'default', Options: null, Config: null },
    Internal: false,
    Attachable: false,
    Ingress: false,
    ConfigFrom: { Network: '' },
    ConfigOnly: false,
    Containers: {},
    Options: {},
    Labels: {},
    ...fields,
  };
}

const NETWORKS = [
  network('bridge'),
  network('none', { Driver: 'null' }),
  network('front', { Labels: { tier: 'front', keep: '' } }),
  network('back', { Labels: { tier: 'back' }, Driver: 'macvlan' }),
  network('plan', { ConfigOnly: true }),
];

const shown = (filters: Record<string, string[]>, used: string[] = []): string[] =>
  NETWORKS.filter(listFilter(filters, ({ Name }) => used.includes(Name))).map(({ Name }) => Name);

test('a list is chosen as Docker chooses it', () => {
  assert.equal(shown({}).length, 5);
  assert.deepEqual(shown({ driver: ['null', 'macvlan'] }), ['none', 'back']);
  assert.deepEqual(shown({ driver: ['mac'] }), []);
  assert.deepEqual(shown({ name: ['ron'] }), ['front']);
  assert.deepEqual(shown({ name: ['^b'] }), ['bridge', 'back']);
  assert.deepEqual(shown({ name: ['('] }), []);
  assert.deepEqual(shown({ id: [Buffer.from('back').toString('hex')] }), ['back']);
  assert.deepEqual(shown({ label: ['tier'] }), ['front', 'back']);
  assert.deepEqual(shown({ label: ['tier', 'keep'] }), ['front']);
  assert.deepEqual(shown({ label: ['constructor'] }), []);
  assert.deepEqual(shown({ label: ['tier=back'] }), ['back']);
  assert.deepEqual(shown({ 'label!': ['tier=back', 'keep'], type: ['custom'] }), ['plan']);
  assert.deepEqual(shown({ type: ['builtin'] }), ['bridge', 'none']);
  assert.deepEqual(shown({ type: ['custom', 'builtin'] }).length, 5);
  assert.deepEqual(shown({ scope: ['swarm'] }), []);
  assert.deepEqual(shown({ dangling: ['true'] }, ['front']), ['back', 'plan']);
  assert.deepEqual(shown({ dangling: ['0'] }, ['front']), ['bridge', 'none', 'front']);
});

test('filters that cannot be read are refused', () => {
  assert.throws(() => shown({ colour: ['x'] }), {
    kind: 'InvalidParameter',
    message: "invalid filter 'colour'",
  });
  assert.throws(() => shown({ type: ['x'] }), { message: "invalid filter: 'type'='x'" });
  assert.throws(() => shown({ dangling: ['maybe'] }), { message: /invalid value for filter 'dangling'/ });
  assert.throws(() => shown({ dangling: ['1', '0'] }), { message: /more than one value/ });
  assert.throws(() => pruneFilter({ name: ['x'] }), {
    kind: 'InvalidParameter',
    message: "invalid filter 'name'",
  });
  assert.throws(() => pruneFilter({ until: ['soon'] }), { message: /failed to parse value/ });
  assert.throws(() => pruneFilter({ until: ['1s', '2s'] }), {
    message: 'more than one until filter specified',
  });
});

test('a prune takes neither predefined networks nor configurations, and obeys its filters', () => {
  const pruned = (filters: Record<string, string[]>): string[] =>
    NETWORKS.filter(pruneFilter(filters)).map(({ Name }) => Name);
  assert.deepEqual(pruned({}), ['front', 'back']);
  assert.deepEqual(pruned({ label: ['tier=front'] }), ['front']);
  assert.deepEqual(pruned({ 'label!': ['keep'] }), ['back']);
  assert.deepEqual(pruned({ until: ['2024-01-01T00:00:00Z'] }), []);
  assert.deepEqual(pruned({ until: ['1m'] }), ['front', 'back']);
});

test('bodies are checked by type, and old clients’ fields mean nothing', () => {
  const body = {
    Name: 'n',
    CheckDuplicate: true,
    EnableIPv4: false,
    IPAM: { Config: [{ Subnet: '10.0.0.0/24' }] },
  };
  assert.deepEqual(checkNetworkCreate(body, false), { Name: 'n', IPAM: body.IPAM });
  assert.equal(checkNetworkCreate(body, true).EnableIPv4, false);
  assert.equal(checkNetworkCreate({}, true).Name, '');
  assert.equal(checkNetworkCreate({ Name: 'n', constructor: 'unknown', toString: {} }, true).Name, 'n');
  assert.throws(() => checkNetworkCreate(undefined, true), { message: /got EOF while reading request body/ });
  for (const wrong of [
    { Name: 1 },
    { Name: 'n', IPAM: [] },
    { Name: 'n', IPAM: { Config: [{ AuxiliaryAddresses: ['x'] }] } },
    { Name: 'n', Options: { a: 1 } },
    { Name: 'n', Internal: 'yes' },
    { Name: 'n', Labels: { constructor: 1 } },
  ]) {
    assert.throws(() => checkNetworkCreate(wrong, true), { kind: 'InvalidParameter' }, JSON.stringify(wrong));
  }
  assert.deepEqual(checkNetworkConnect({ Container: 'c', EndpointConfig: null }), {
    container: 'c',
    settings: {},
  });
  assert.throws(() => checkNetworkConnect({ Container: 'c', EndpointConfig: { Aliases: 'a' } }), {
    message: /in field EndpointConfig.Aliases/,
  });
});
