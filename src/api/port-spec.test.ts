import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PortSpecError, parsePublishedSelector, parsePublishSpec } from './port-spec.ts';

test('what is to be published', () => {
  const tcp = { protocol: 'tcp' as const, hostIp: '' };
  assert.deepEqual(parsePublishSpec('80'), [{ ...tcp, containerPort: 80, hostPort: 0 }]);
  assert.deepEqual(parsePublishSpec('8080:80'), [{ ...tcp, containerPort: 80, hostPort: 8080 }]);
  assert.deepEqual(parsePublishSpec('[::1]:53:53/UDP'), [
    { protocol: 'udp', hostIp: '::1', containerPort: 53, hostPort: 53 },
  ]);
  assert.deepEqual(parsePublishSpec('127.0.0.1::80'), [
    { protocol: 'tcp', hostIp: '127.0.0.1', containerPort: 80, hostPort: 0 },
  ]);
  assert.deepEqual(parsePublishSpec('8000-8001:90-91'), [
    { ...tcp, containerPort: 90, hostPort: 8000 },
    { ...tcp, containerPort: 91, hostPort: 8001 },
  ]);
  assert.deepEqual(parsePublishSpec('8000-8009:80'), [
    { ...tcp, containerPort: 80, hostPort: 8000, hostPortEnd: 8009 },
  ]);
  for (const [spec, message] of [
    ['', 'no port specified: <empty>'],
    ['8080:', 'no port specified: 8080:<empty>'],
    ['x:80', 'invalid hostPort: x'],
    ['1:70000', 'invalid containerPort: 70000'],
    ['1.2.3:1:80', 'invalid IP address: 1.2.3'],
    ['80/icmp', 'invalid proto: icmp'],
    ['1-2:1-3', 'invalid ranges specified for container and host Ports: 1-3 and 1-2'],
  ] as const) {
    assert.throws(() => parsePublishSpec(spec), new PortSpecError(message), spec);
  }
});

test('what is to be withdrawn: a port alone is the host’s', () => {
  assert.deepEqual(parsePublishedSelector('8080'), [{ protocol: 'tcp', hostPort: 8080 }]);
  assert.deepEqual(parsePublishedSelector('53/udp'), [{ protocol: 'udp', hostPort: 53 }]);
  assert.deepEqual(parsePublishedSelector('8080:80'), [
    { protocol: 'tcp', hostPort: 8080, containerPort: 80 },
  ]);
  assert.deepEqual(parsePublishedSelector('[::1]:8080:80'), [
    { protocol: 'tcp', hostPort: 8080, containerPort: 80, hostIp: '::1' },
  ]);
  assert.deepEqual(parsePublishedSelector('8080-8081'), [
    { protocol: 'tcp', hostPort: 8080 },
    { protocol: 'tcp', hostPort: 8081 },
  ]);
  for (const wrong of ['', ':80', '8080:', 'x', '80:1-2', '1.2.3:1:2', '80/icmp']) {
    assert.throws(() => parsePublishedSelector(wrong), PortSpecError, wrong);
  }
});
