import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { NetworkCreateRequest } from '../api/networks.ts';
import { NotFoundError } from '../base/errors.ts';
import { judgeCreate } from './create-request.ts';
import type { NetworkRecord } from './model.ts';

const noConfiguration = (name: string): NetworkRecord => {
  throw new NotFoundError(`configuration network "${name}" does not exist`);
};
const judge = (request: Partial<NetworkCreateRequest>) =>
  judgeCreate({ Name: 'n', ...request }, noConfiguration);
const option = (name: string, value: string, more: Partial<NetworkCreateRequest> = {}) =>
  judge({ ...more, Options: { [name]: value } });

it("refuses with Docker's words and statuses", () => {
  const cases: [Partial<NetworkCreateRequest>, string, RegExp][] = [
    [{ Name: ' ' }, 'InvalidParameter', /^invalid name: name is empty$/],
    [{ Name: 'a\nb' }, 'InvalidParameter', /^invalid name/],
    [{ Name: '..' }, 'InvalidParameter', /^invalid name/],
    [{ Name: 'x'.repeat(256) }, 'InvalidParameter', /^invalid name/],
    [{ Name: 'bridge' }, 'Forbidden', /^operation is not permitted on predefined bridge network$/],
    [{ Driver: 'host' }, 'Forbidden', /^only one instance of "host" network is allowed$/],
    [{ Driver: 'null' }, 'Forbidden', /^only one instance of "null" network is allowed$/],
    [{ Driver: 'foo' }, 'NotFound', /^could not find plugin foo in v1 plugin registry: plugin not found$/],
    [{ Driver: 'overlay' }, 'Unavailable', /^This node is not a swarm manager/],
    [{ Scope: 'swarm' }, 'Unavailable', /^This node is not a swarm manager/],
    [{ Ingress: true }, 'Unavailable', /^This node is not a swarm manager/],
    [{ Scope: 'global' }, 'InvalidParameter', /^invalid scope: global$/],
    [{ IPAM: { Driver: 'foo' } }, 'NotFound', /^could not find plugin foo/],
    [{ IPAM: { Options: { a: 'b' } } }, 'NotImplemented', /IPAM option "a"/],
    [{ EnableIPv4: false }, 'InvalidParameter', /^IPv4 or IPv6 must be enabled$/],
    [
      { IPAM: { Config: [{ Subnet: '10.8.0.0/24' }, { Subnet: '10.9.0.0/24' }] } },
      'Forbidden',
      /^bridge driver doesn't support multiple subnets$/,
    ],
    [{ ConfigFrom: { Network: 'c' } }, 'NotFound', /^configuration network "c" does not exist$/],
    [{ ConfigFrom: { Network: 'c' }, Labels: { a: 'b' } }, 'Forbidden', /^user specified configurations/],
    [{ ConfigFrom: { Network: 'c' }, Options: { a: 'b' } }, 'Forbidden', /^network driver options/],
    [
      { ConfigFrom: { Network: 'c' }, ConfigOnly: true },
      'Forbidden',
      /^a configuration network cannot depend/,
    ],
    [{ ConfigOnly: true, Internal: true }, 'Forbidden', /^configuration network can only contain/],
  ];
  for (const [request, kind, message] of cases) assert.throws(() => judge(request), { kind, message });
});

it('judges options by name', () => {
  const bridge = 'com.docker.network.bridge.';
  for (const [name, value, kind] of [
    [`${bridge}enable_icc`, 'maybe', 'InvalidParameter'],
    [`${bridge}name`, 'much-too-long-a-name', 'InvalidParameter'],
    [`${bridge}host_binding_ipv4`, '::1', 'InvalidParameter'],
    [`${bridge}gateway_mode_ipv4`, 'fast', 'InvalidParameter'],
    [`${bridge}gateway_mode_ipv4`, 'isolated', 'InvalidParameter'],
    [`${bridge}default_bridge`, 'true', 'NotImplemented'],
    ['com.docker.network.driver.mtu', 'x', 'InvalidParameter'],
    ['com.docker.network.driver.mtu', '67', 'InvalidParameter'],
    ['com.docker.network.container_iface_prefix', '', 'InvalidParameter'],
    ['com.docker.network.nosuch', '1', 'NotImplemented'],
    ['mydock.egress', 'allow=', 'InvalidParameter'],
  ] as const) {
    assert.throws(() => option(name, value), { kind }, name);
  }
  assert.throws(() => option('macvlan_mode', 'x', { Driver: 'macvlan' }), /unknown macvlan mode 'x'/);
  assert.throws(() => option('ipvlan_mode', 'x', { Driver: 'ipvlan' }), /unknown ipvlan mode 'x'/);
  assert.throws(() => option('mydock.egress', 'none', { Driver: 'ipvlan' }), /passes no firewall/);
  assert.deepEqual(option('foo', 'bar').draft.options, { foo: 'bar' }, 'others are kept');
  assert.equal(option('com.docker.network.enable_ipv6', '1').draft.ipv6, true);
  assert.deepEqual(option('mydock.egress', 'allow=10.0.0.0/8,example.com').draft.egress, {
    subnets: ['10.0.0.0/8'],
    names: ['example.com'],
  });
});

it('keeps IPv4 first, and says what is not used', () => {
  const Config = [{ Subnet: 'fd00::/64' }, { Subnet: '10.9.0.0/24' }];
  const both = judge({ EnableIPv6: true, IPAM: { Config } });
  assert.deepEqual(
    both.draft.pools.map(({ subnet }) => subnet),
    ['10.9.0.0/24', 'fd00::/64'],
  );
  assert.equal(both.warning, '');
  const one = judge({ IPAM: { Config } });
  assert.equal(one.draft.pools.length, 1);
  assert.equal(one.warning, 'subnet fd00::/64 is not used: IPv6 is not enabled');
});

it('takes everything but its name from a configuration network', () => {
  const { draft } = judge({
    ConfigOnly: true,
    Labels: { a: 'b' },
    IPAM: { Config: [{ Subnet: '10.9.0.0/24' }] },
  });
  const source: NetworkRecord = {
    ...draft,
    id: '1',
    created: '',
    hostInterface: '',
    ownsHostInterface: false,
  };
  const made = judgeCreate(
    { Name: 'user', ConfigFrom: { Network: 'n' }, Internal: true },
    () => source,
  ).draft;
  assert.equal(made.configFrom, 'n');
  assert.equal(made.configOnly, false);
  assert.equal(made.internal, true);
  assert.deepEqual(made.labels, { a: 'b' });
  assert.deepEqual(made.pools, draft.pools);
});
