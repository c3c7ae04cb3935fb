import assert from 'node:assert/strict';
import { it } from 'node:test';
import * as address from './address.ts';

const subnet = (text: string) => address.parseCidr(text).subnet;

it('reads and writes IPv4 addresses over the whole range', () => {
  for (const text of ['0.0.0.0', '127.0.0.1', '172.17.0.2', '255.255.255.255']) {
    assert.equal(address.formatIPv4(address.parseIPv4(text)), text);
  }
  assert.deepEqual(address.ipv4Bytes(address.parseIPv4('200.1.2.3')), Buffer.from([200, 1, 2, 3]));
  for (const text of ['', '1.2.3', '1.2.3.256', '::1', '1.2.3.4/8']) {
    assert.throws(() => address.parseIPv4(text), { kind: 'InvalidParameter' });
  }
});

it('reads subnets and their sizes', () => {
  assert.deepEqual(address.parseCidr('10.9.8.7/22'), {
    address: address.parseIPv4('10.9.8.7'),
    subnet: { base: address.parseIPv4('10.9.8.0'), prefixLength: 22 },
  });
  assert.equal(address.formatSubnet(subnet('200.9.8.7/30')), '200.9.8.4/30');
  assert.equal(address.subnetSize(subnet('10.0.0.0/29')), 8);
  assert.equal(address.formatSubnet(subnet('1.2.3.4/0')), '0.0.0.0/0');
  for (const text of ['10.0.0.0', '10.0.0.0/33', '10.0.0/8', '10.0.0.0/8/8', 'x/8']) {
    assert.throws(() => address.parseCidr(text), { kind: 'InvalidParameter' });
  }
});

it('tells what lies in what', () => {
  assert.ok(address.contains(subnet('172.17.0.0/16'), address.parseIPv4('172.17.255.255')));
  assert.ok(!address.contains(subnet('172.17.0.0/16'), address.parseIPv4('172.18.0.0')));
  assert.ok(address.overlaps(subnet('172.16.0.0/12'), subnet('172.17.0.0/16')));
  assert.ok(address.overlaps(subnet('172.17.0.0/16'), subnet('172.17.9.9/32')));
  assert.ok(!address.overlaps(subnet('172.17.0.0/16'), subnet('172.18.0.0/16')));
});

it('derives and reads MAC addresses', () => {
  assert.equal(address.macForAddress(address.parseIPv4('172.17.0.2')), '02:42:ac:11:00:02');
  assert.equal(address.formatMac(address.parseMac('02-AB-ac-11-00-02')), '02:ab:ac:11:00:02');
  for (const text of ['', '02:42:ac:11:00', '01:00:5e:00:00:01', '00:00:00:00:00:00', '02:42:ac:11:00:0g']) {
    assert.throws(() => address.parseMac(text), { kind: 'InvalidParameter' });
  }
});
