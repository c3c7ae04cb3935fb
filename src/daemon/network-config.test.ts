import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { daemonCommand, readConfig } from './config.ts';

const directory = mkdtempSync(join(tmpdir(), 'mydock-network-config-'));
after(() => rmSync(directory, { recursive: true }));

function file(content: unknown): string {
  const path = join(directory, 'daemon.json');
  writeFileSync(path, JSON.stringify(content));
  return path;
}

const read = (...args: string[]) => readConfig(daemonCommand().exitOverride(), args);

test('address pools come from flags and from the file, and are joined', () => {
  const path = file({ 'default-address-pools': [{ base: '10.10.0.0/16', size: 24 }] });
  const flags = [
    '--default-address-pool',
    'base=10.20.0.0/16,size=26',
    '--default-address-pool=base=fd00::/48,size=64',
  ];
  assert.deepEqual(read('--config-file', path, ...flags).defaultAddressPools, [
    { base: '10.10.0.0/16', size: 24 },
    { base: '10.20.0.0/16', size: 26 },
    { base: 'fd00::/48', size: 64 },
  ]);
  for (const wrong of [
    'base=10.0.0.0/8',
    'base=10.0.0.0/8,size=',
    'base=10.0.0.0/8,size=x',
    'base=10.0.0.0/8,size=24,more=1',
    '10.0.0.0/8',
    'base=10.0.0.0/8,size=7',
    'base=10.0.0.0/8,size=32',
    'base=10.1.0.0/8,size=24',
    'base=ten,size=24',
  ]) {
    assert.throws(() => read('--default-address-pool', wrong), /--default-address-pool/, wrong);
  }
  assert.throws(
    () => read('--config-file', file({ 'default-address-pools': {} })),
    /"default-address-pools"/,
  );
});

test('containers of the default bridge reach each other unless that is switched off', () => {
  assert.equal(read().icc, true);
  assert.equal(read('--icc').icc, true);
  assert.equal(read('--icc=false').icc, false);
  assert.equal(read('--config-file', file({ icc: false })).icc, false);
  assert.throws(() => read('--icc=maybe'), /--icc: invalid value "maybe"/);
});

test('what describes the default bridge is checked by name', () => {
  const config = read('--ipv6', '--fixed-cidr-v6=fd00:1::/64', '--mtu', '1400', '--firewall', 'strict');
  assert.deepEqual(
    [config.ipv6, config.fixedCidrV6, config.mtu, config.firewall],
    [true, 'fd00:1::/64', 1400, 'strict'],
  );
  assert.equal(read().firewall, 'default');
  assert.throws(() => read('--firewall', 'open'), /invalid --firewall "open": one of default, strict/);
  assert.throws(() => read('--mtu', '60'), /invalid --mtu 60/);
  assert.throws(() => read('--mtu', '0'), /--mtu/);
  assert.throws(() => read('--bip', '10.0.0.1'), /invalid --bip "10.0.0.1"/);
  assert.throws(() => read('--fixed-cidr', 'fd00::/64'), /invalid --fixed-cidr "fd00::\/64"/);
  assert.throws(() => read('--fixed-cidr-v6', '10.0.0.0/8'), /invalid --fixed-cidr-v6/);
  assert.throws(() => read('--default-gateway', 'fd00::1'), /invalid --default-gateway "fd00::1"/);
  assert.throws(
    () => read('--bip', '10.9.0.1/24', '--fixed-cidr', '10.8.0.0/25'),
    /it is not in the subnet of --bip 10.9.0.1\/24/,
  );
});
