import assert from 'node:assert/strict';
import { it } from 'node:test';
import { HostServers } from './host-servers.ts';

it('takes the first three addresses of resolv.conf, loopback and scoped ones too', () => {
  const text = `# nameserver 192.0.2.9
search example.com
 nameserver 127.0.0.53
nameserver fe80::1%eth0
nameserver not-an-address
nameserver
nameserver 192.0.2.1 # comment
nameserver 192.0.2.2
`;
  assert.deepEqual(new HostServers(() => text).list(), ['127.0.0.53', 'fe80::1%eth0', '192.0.2.1']);
});

it('asks public servers where the host has none', () => {
  assert.deepEqual(new HostServers(() => '').list(), ['8.8.8.8', '8.8.4.4']);
});

it('does not read the file for every query', () => {
  let reads = 0;
  const servers = new HostServers(() => {
    reads += 1;
    return 'nameserver 192.0.2.1';
  });
  for (let count = 0; count < 100; count++) servers.list();
  assert.ok(reads <= 2, String(reads));
});
