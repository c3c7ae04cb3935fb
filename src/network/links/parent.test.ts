import assert from 'node:assert/strict';
import { it } from 'node:test';
import { innerInterfaces } from './parent.ts';

it('only bridges and wires that lead nowhere are interfaces that lead to containers alone', () => {
  const network = (driver: 'bridge' | 'macvlan' | 'host', hostInterface: string, options = {}) =>
    innerInterfaces({ driver, hostInterface, options });
  assert.deepEqual(network('bridge', 'br-1'), ['br-1']);
  assert.deepEqual(network('macvlan', 'dm-0123456789ab'), ['dm-0123456789ab', 'dp-0123456789ab']);
  // The host must not become a router between its own interfaces.
  assert.deepEqual(network('macvlan', 'eth0', { parent: 'eth0' }), []);
  assert.deepEqual(network('host', ''), []);
});
