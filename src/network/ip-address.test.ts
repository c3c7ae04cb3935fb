import assert from 'node:assert/strict';
import { it } from 'node:test';
import * as ip from './ip-address.ts';

const subnet = (text: string) => ip.parseCidr(text).subnet;

it('reads addresses of both families and writes them canonically', () => {
  for (const text of [
    '0.0.0.0',
    '127.0.0.1',
    '172.17.0.2',
    '255.255.255.255',
    '::',
    '::1',
    'fd00::1',
    '2001:db8::',
  ]) {
    assert.equal(ip.formatAddress(ip.parseAddress(text)), text);
  }
  const canonical: [string, string][] = [
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['::ffff:10.1.2.3', '::ffff:10.1.2.3'],
    ['64:ff9b::10.1.2.3', '64:ff9b::a01:203'],
    ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
  ];
  for (const [text, wanted] of canonical) assert.equal(ip.formatAddress(ip.parseAddress(text)), wanted);
  for (const text of ['', '1.2.3', '1.2.3.256', '1.2.3.4/8', 'fe80::1%eth0', ':::', '1::2::3']) {
    assert.throws(() => ip.parseAddress(text), { kind: 'InvalidParameter' });
  }
});

it('turns addresses into bytes and back', () => {
  assert.deepEqual(ip.addressBytes(ip.parseAddress('200.1.2.3')), Buffer.from([200, 1, 2, 3]));
  for (const text of ['0.0.0.0', '10.0.0.1', '::', '::1', 'fd00:1:2:3:4:5:6:7']) {
    assert.equal(ip.formatAddress(ip.addressFromBytes(ip.addressBytes(ip.parseAddress(text)))), text);
  }
});

it('reads subnets and their sizes', () => {
  assert.equal(ip.formatSubnet(subnet('200.9.8.7/30')), '200.9.8.4/30');
  assert.equal(ip.formatSubnet(subnet('fd00:1:2:3::9/64')), 'fd00:1:2:3::/64');
  assert.equal(ip.subnetSize(subnet('10.0.0.0/29')), 8n);
  assert.equal(ip.subnetSize(subnet('::/0')), 1n << 128n);
  assert.equal(ip.formatAddress(ip.lastAddress(subnet('10.1.0.0/16'))), '10.1.255.255');
  assert.deepEqual(ip.maskBytes(subnet('10.0.0.0/20')), Buffer.from([255, 255, 240, 0]));
  for (const text of ['10.0.0.0', '10.0.0.0/33', '10.0.0/8', '10.0.0.0/8/8', 'x/8', '::/129']) {
    assert.throws(() => ip.parseCidr(text), { kind: 'InvalidParameter' });
  }
  assert.equal(ip.formatSubnet(ip.parseSubnet('10.9.0.0/24')), '10.9.0.0/24');
  assert.throws(() => ip.parseSubnet('10.9.0.1/24'), { message: /10\.9\.0\.0\/24/ });
});

it('tells what lies in what, within a family', () => {
  assert.ok(ip.contains(subnet('172.17.0.0/16'), ip.parseAddress('172.17.255.255')));
  assert.ok(!ip.contains(subnet('172.17.0.0/16'), ip.parseAddress('172.18.0.0')));
  assert.ok(!ip.contains(subnet('0.0.0.0/0'), ip.parseAddress('::')));
  assert.ok(ip.containsSubnet(subnet('10.0.0.0/8'), subnet('10.1.0.0/16')));
  assert.ok(!ip.containsSubnet(subnet('10.1.0.0/16'), subnet('10.0.0.0/8')));
  assert.ok(ip.overlaps(subnet('172.16.0.0/12'), subnet('172.17.0.0/16')));
  assert.ok(ip.overlaps(subnet('fd00::/8'), subnet('fd12:3456::/32')));
  assert.ok(!ip.overlaps(subnet('0.0.0.0/0'), subnet('::/0')));
});

it('derives and reads MAC addresses', () => {
  assert.equal(ip.macForAddress(ip.parseAddress('172.17.0.2')), '02:42:ac:11:00:02');
  assert.equal(ip.formatMac(ip.parseMac('02-AB-ac-11-00-02')), '02:ab:ac:11:00:02');
  for (const text of ['', '02:42:ac:11:00', '01:00:5e:00:00:01', '00:00:00:00:00:00', '02:42:ac:11:00:0g']) {
    assert.throws(() => ip.parseMac(text), { kind: 'InvalidParameter' });
  }
});
