import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ContainerConfig } from '../api/containers.ts';
import type { HostConfig } from '../api/host-config.ts';
import type { EndpointSettings } from '../api/networks.ts';
import { InvalidParameterError, NotFoundError } from '../base/errors.ts';
import type { NetworkDriver, NetworkRecord } from '../network/model.ts';
import { requestedNetworks, requireCompatible } from './requested-networks.ts';

function network(name: string, driver: NetworkDriver = 'bridge'): NetworkRecord {
  return {
    id: Buffer.from(name).toString('hex').padEnd(64, '0'),
    name,
    created: '',
    driver,
    internal: false,
    attachable: false,
    ipv4: true,
    ipv6: false,
    pools: [],
    ipamOptions: {},
    options: {},
    labels: {},
    configOnly: false,
    configFrom: '',
    egress: null,
    hostInterface: '',
    ownsHostInterface: false,
  };
}

const ALL = [
  network('bridge'),
  network('host', 'host'),
  network('none', 'null'),
  network('front'),
  network('back'),
];

const networking = {
  find: (reference: string): NetworkRecord => {
    const found = ALL.find(({ name, id }) => name === reference || id.startsWith(reference));
    if (found === undefined) throw new NotFoundError(`network ${reference} not found`);
    return found;
  },
  validateEndpoint: (_: string, { IPAMConfig }: EndpointSettings): void => {
    if (IPAMConfig?.IPv4Address === '1.2.3.4') throw new InvalidParameterError('not that one');
  },
};

function judge(request: {
  mode?: string;
  endpoints?: Record<string, EndpointSettings | null>;
  config?: ContainerConfig;
  host?: HostConfig;
  version?: string;
}) {
  return requestedNetworks(networking, {
    config: request.config ?? {},
    hostConfig: { ...request.host, NetworkMode: request.mode ?? 'bridge' },
    networking: { EndpointsConfig: request.endpoints ?? null },
    apiVersion: request.version ?? '1.51',
  });
}

function refuses(message: string | RegExp, request: Parameters<typeof judge>[0]): void {
  assert.throws(() => judge(request), { kind: 'InvalidParameter', message });
}

describe('requestedNetworks', () => {
  it("is the mode's network, its settings found under name or ID", () => {
    assert.deepEqual(judge({}).networks, { bridge: {} });
    assert.deepEqual(judge({ mode: 'front', endpoints: {} }).networks, { front: {} });
    assert.deepEqual(judge({ endpoints: { default: { GwPriority: 1 } } }).networks, {
      bridge: { GwPriority: 1 },
    });
    const { id } = networking.find('front');
    const byId = judge({ mode: id.slice(0, 8), endpoints: { [id.slice(0, 8)]: { Aliases: ['a'] } } });
    assert.deepEqual(byId, { networks: { front: { Aliases: ['a'] } }, mode: id, warnings: [] });
  });

  it("takes several, the mode's first, and only what a request may set", () => {
    const { networks } = judge({
      mode: 'front',
      endpoints: {
        back: { IPAMConfig: { IPv4Address: '' }, Aliases: [], DriverOpts: {} },
        front: { IPAddress: '9.9.9.9', NetworkID: 'x', Links: ['db:store'] },
      },
    });
    assert.deepEqual(Object.entries(networks), [
      ['front', { Links: ['db:store'] }],
      ['back', {}],
    ]);
  });

  it('leaves the mode alone where endpoints say otherwise, as Docker does', () => {
    assert.deepEqual(judge({ endpoints: { back: {} } }).networks, { back: {} });
  });

  it('refuses what cannot be together', () => {
    refuses(/sharing network namespace/, { mode: 'container:x', endpoints: { front: {} } });
    refuses(/sharing network namespace/, { mode: 'host', endpoints: { host: {}, front: {} } });
    refuses(/must be created in host network mode/, { mode: 'front', endpoints: { front: {}, host: {} } });
    refuses(/private \(none\) mode/, { mode: 'none', endpoints: { none: {}, front: {} } });
    refuses('network gone not found', { mode: 'gone' });
    refuses('network gone not found', { mode: 'front', endpoints: { front: {}, gone: {} } });
    refuses(/given twice/, { mode: 'front', endpoints: { front: {}, [networking.find('front').id]: {} } });
    refuses('invalid config for network front: not that one', {
      mode: 'front',
      endpoints: { front: { IPAMConfig: { IPv4Address: '1.2.3.4' } } },
    });
    assert.deepEqual(judge({ mode: 'container:x', endpoints: { 'container:x': {} } }).networks, {});
    assert.deepEqual(judge({ mode: 'host', endpoints: { host: {} } }).networks, { host: {} });
  });

  it('gives the container-wide MAC address to the first network', () => {
    const MacAddress = '02:00:00:00:00:01';
    const config: ContainerConfig = { MacAddress };
    const now = judge({ mode: 'front', config });
    assert.deepEqual(now.networks, { front: { MacAddress } });
    assert.match(now.warnings.join(), /container-wide MacAddress field is now deprecated/);
    assert.equal(config.MacAddress, undefined);
    const old = judge({ config: { MacAddress }, endpoints: { back: { MacAddress: 'x' } }, version: '1.43' });
    assert.deepEqual(old, { networks: { back: { MacAddress } }, mode: 'bridge', warnings: [] });
    assert.deepEqual(judge({ endpoints: { back: { MacAddress } }, version: '1.43' }).networks, { back: {} });
    refuses('conflicting options: mac-address and the network mode', {
      mode: 'host',
      config: { MacAddress },
      version: '1.43',
    });
    refuses(/must match the endpoint-specific MAC address/, {
      mode: 'front',
      config: { MacAddress },
      endpoints: { front: { MacAddress: '02:00:00:00:00:02' } },
    });
    refuses(/NetworkMode must match the identity of a network/, {
      mode: 'front',
      config: { MacAddress },
      endpoints: { back: {} },
    });
  });

  it('knows that old API versions had one network', () => {
    refuses('Container cannot be created with multiple network endpoints: front, back', {
      mode: 'front',
      endpoints: { front: {}, back: {} },
      version: '1.43',
    });
  });

  it("refuses egress rules that the container's network cannot have", () => {
    const host = { Annotations: { 'mydock.egress': 'none' } };
    refuses(/egress rules and the network mode "host"/, { mode: 'host', host });
    refuses(/invalid egress policy/, { host: { Annotations: { 'mydock.egress': 'some' } } });
    assert.deepEqual(judge({ host }).networks, { bridge: {} });
  });
});

describe('requireCompatible', () => {
  const [bridge, host, none, front] = ['bridge', 'host', 'none', 'front'].map(networking.find) as [
    NetworkRecord,
    NetworkRecord,
    NetworkRecord,
    NetworkRecord,
  ];

  it('lets a container be on several networks', () => {
    requireCompatible('bridge', [bridge], front);
    requireCompatible('front', [], none);
    requireCompatible('none', [none], none);
  });

  it("refuses the host's network, shared ones, and others beside none, in Docker's words", () => {
    const refusal = (message: RegExp) => ({ kind: 'InvalidParameter', message });
    assert.throws(() => requireCompatible('bridge', [bridge], host), refusal(/must be created in host/));
    assert.throws(() => requireCompatible('host', [host], front), refusal(/sharing network namespace/));
    assert.throws(() => requireCompatible('container:x', [], front), refusal(/sharing network namespace/));
    assert.throws(() => requireCompatible('none', [none], front), refusal(/private \(none\) mode/));
    assert.throws(() => requireCompatible('front', [front], none), refusal(/private \(none\) mode/));
  });
});
