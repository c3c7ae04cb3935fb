import assert from 'node:assert/strict';
import { it } from 'node:test';
import { parseAddress } from '../ip-address.ts';
import { Admission, admissionSec } from './admission.ts';

it('admits public addresses only, and none of the host', () => {
  const admission = new Admission(() => ['203.0.113.9', '2a00::9']);
  const admits = (text: string) => admission.admits(parseAddress(text));
  for (const text of [
    '192.0.2.7',
    '8.8.8.8',
    '172.32.0.1',
    '2a00::1',
    '2001:db8::1',
    '64:ff9b::808:808',
    '2002:808:808::1',
  ]) {
    assert.ok(admits(text), text);
  }
  for (const text of [
    '203.0.113.9',
    '2a00::9',
    '0.0.0.0',
    '127.0.0.1',
    '10.1.2.3',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '169.254.169.254',
    '100.64.0.1',
    '224.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    '::ffff:8.8.8.8',
    '::7f00:1',
    'fe80::1',
    'fec0::1',
    'fd00:ec2::254',
    'ff02::1',
    '64:ff9b::a9fe:a9fe',
    '64:ff9b::cb00:7109',
    '2002:a00:1::1',
  ]) {
    assert.ok(!admits(text), text);
  }
});

it('knows the host by its interfaces', () => {
  assert.equal(new Admission().admits(parseAddress('127.0.0.1')), false);
});

it('keeps addresses longer than their TTL', () => {
  assert.equal(admissionSec(0), 360);
  assert.equal(admissionSec(3600), 3900);
  assert.equal(admissionSec(0x7fffffff), 86_700);
  assert.equal(admissionSec(0xffffffff), 360);
});
