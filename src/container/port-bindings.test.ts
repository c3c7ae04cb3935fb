import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parsePublishedSelector, parsePublishSpec } from '../api/port-spec.ts';
import type { BoundPort } from '../network/model.ts';
import { type PortRequests, planPortChange, portMapping, portMappings } from './port-bindings.ts';

const bound = (hostIp: string, hostPort: number, containerPort = 80): BoundPort => ({
  containerPort,
  protocol: 'tcp',
  hostIp,
  hostPort,
});
const both = (hostPort: number, containerPort = 80): BoundPort[] => [
  bound('0.0.0.0', hostPort, containerPort),
  bound('::', hostPort, containerPort),
];
const none: PortRequests = { bindings: {}, publishAll: false, exposed: [] };

function change(
  requests: PortRequests,
  ports: BoundPort[] | null,
  { add = [], remove = [] }: { add?: string[]; remove?: string[] },
) {
  return planPortChange(requests, ports, {
    add: add.flatMap(parsePublishSpec),
    remove: remove.flatMap(parsePublishedSelector),
  });
}

describe('portMapping', () => {
  it('reads keys and bindings of the API', () => {
    assert.deepEqual(portMapping('53/udp', { HostIp: '::1', HostPort: '5353' }), {
      containerPort: 53,
      protocol: 'udp',
      hostIp: '::1',
      hostPort: 5353,
    });
    assert.deepEqual(portMapping('80', { HostIp: '', HostPort: '8000-8010' }), {
      containerPort: 80,
      protocol: 'tcp',
      hostIp: '',
      hostPort: 8000,
      hostPortEnd: 8010,
    });
    assert.equal(portMapping('9/sctp', { HostIp: '', HostPort: '' }).protocol, 'sctp');
  });

  it('refuses what is none', () => {
    for (const [key, port] of [
      ['http', ''],
      ['80/icmp', ''],
      ['80/tcp', 'x'],
      ['80/tcp', '1-2-3'],
      ['70000/tcp', ''],
      ['80/tcp', '70000'],
    ] as const) {
      assert.throws(() => portMapping(key, { HostIp: '', HostPort: port }), { kind: 'InvalidParameter' });
    }
  });
});

describe('portMappings', () => {
  it('has exposed ports with publishAll, where they have no binding', () => {
    const requests: PortRequests = {
      bindings: { '80/tcp': [{ HostIp: '', HostPort: '8080' }], '81/tcp': [], '82/tcp': null },
      publishAll: true,
      exposed: ['80/tcp', '81/tcp'],
    };
    assert.deepEqual(
      portMappings(requests).map(({ containerPort, hostPort }) => [containerPort, hostPort]),
      [
        [80, 8080],
        [81, 0],
      ],
    );
    assert.equal(portMappings({ ...requests, publishAll: false }).length, 1);
  });
});

describe('planPortChange', () => {
  it('adds to what there is', () => {
    const requests = { ...none, bindings: { '80/tcp': [{ HostIp: '', HostPort: '8080' }] } };
    const plan = change(requests, both(8080), { add: ['127.0.0.1:81:80', '53:53/udp', '9'] });
    assert.deepEqual(plan.bindings, {
      '80/tcp': [
        { HostIp: '', HostPort: '8080' },
        { HostIp: '127.0.0.1', HostPort: '81' },
      ],
      '53/udp': [{ HostIp: '', HostPort: '53' }],
      '9/tcp': [{ HostIp: '', HostPort: '' }],
    });
    assert.equal(plan.add.length, 3);
    assert.deepEqual(plan.remove, []);
  });

  it('withdraws by host port, both families, also one that the daemon chose', () => {
    const requests = {
      ...none,
      bindings: {
        '80/tcp': [
          { HostIp: '', HostPort: '' },
          { HostIp: '', HostPort: '8080' },
        ],
      },
    };
    const ports = [...both(32768), ...both(8080)];
    const chosen = change(requests, ports, { remove: ['32768'] });
    assert.deepEqual(chosen.bindings, { '80/tcp': [{ HostIp: '', HostPort: '8080' }] });
    assert.deepEqual(chosen.remove, both(32768));
    const fixed = change(requests, ports, { remove: ['8080:80'] });
    assert.deepEqual(fixed.bindings, { '80/tcp': [{ HostIp: '', HostPort: '' }] });
    assert.deepEqual(fixed.remove, both(8080));
  });

  it('keeps the other address of a binding', () => {
    const requests = { ...none, bindings: { '80/tcp': [{ HostIp: '', HostPort: '8080' }] } };
    const plan = change(requests, both(8080), { remove: ['0.0.0.0:8080:80'] });
    assert.deepEqual(plan.bindings, { '80/tcp': [{ HostIp: '::', HostPort: '8080' }] });
    assert.deepEqual(plan.remove, [bound('0.0.0.0', 8080)]);
  });

  it('tells a binding of a range from others', () => {
    const requests = {
      ...none,
      bindings: {
        '80/tcp': [
          { HostIp: '', HostPort: '8000-8010' },
          { HostIp: '', HostPort: '8000' },
        ],
      },
    };
    const plan = change(requests, [...both(8000), ...both(8001)], { remove: ['8000'] });
    assert.deepEqual(plan.bindings, { '80/tcp': [{ HostIp: '', HostPort: '8000-8010' }] });
  });

  it('writes out what is left of -P', () => {
    const requests = { ...none, publishAll: true, exposed: ['80/tcp', '81/tcp'] };
    const ports = [...both(32768), ...both(32769, 81)];
    const plan = change(requests, ports, { remove: ['32768'] });
    assert.equal(plan.publishAll, false);
    assert.deepEqual(plan.bindings, { '81/tcp': [{ HostIp: '', HostPort: '' }] });
    const added = change(requests, ports, { add: ['8080:80'] });
    assert.equal(added.publishAll, true);
    assert.deepEqual(added.bindings, { '80/tcp': [{ HostIp: '', HostPort: '8080' }] });
  });

  it('takes stored bindings of a stopped container', () => {
    const requests = { ...none, bindings: { '80/tcp': [{ HostIp: '', HostPort: '8080' }] } };
    const plan = change(requests, null, { remove: ['8080'], add: ['8081:80'] });
    assert.deepEqual(plan.bindings, { '80/tcp': [{ HostIp: '', HostPort: '8081' }] });
    assert.deepEqual(plan.remove, []);
  });

  it('refuses what is not published, by name', () => {
    const requests = { ...none, bindings: { '80/tcp': [{ HostIp: '', HostPort: '8080' }] } };
    for (const [spec, named] of [
      ['8081', '8081/tcp'],
      ['8080/udp', '8080/udp'],
      ['8080:81', '8080:81/tcp'],
      ['[::1]:8080:80', '[::1]:8080:80/tcp'],
    ] as const) {
      assert.throws(() => change(requests, both(8080), { remove: [spec] }), {
        kind: 'NotFound',
        message: `port ${named} is not published`,
      });
    }
  });
});
