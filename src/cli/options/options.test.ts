import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { environmentOf, labelsOf } from './environment.ts';
import { filterQuery } from './filter.ts';
import { parseDnsSearch, parseExtraHost, parseLink } from './host-names.ts';
import { deviceFlags, parseSysctl, parseThrottleBps, parseUlimit } from './limits.ts';
import { parseMount } from './mount.ts';
import { chooseNetworks, parseNetworkAttachment } from './network.ts';
import { publishedPorts } from './ports.ts';
import { parseBytes, parseDurationNs, parseNanoCpus, parseSwapBytes, parseTimestamp } from './quantity.ts';
import { parseReference } from './reference.ts';
import { securityOptions } from './security-opt.ts';
import { tmpfsFlags, volumeFlags } from './volumes.ts';

function inFolder(body: (folder: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), 'mydock-options-'));
  try {
    body(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('sizes are powers of 1024 whatever their suffix', () => {
  const sizes: [string, number][] = [
    ['32', 32],
    ['32b', 32],
    ['32k', 32768],
    ['1.5GiB', 1.5 * 2 ** 30],
    ['2 MB', 2 * 2 ** 20],
    ['1T', 2 ** 40],
  ];
  for (const [text, bytes] of sizes) assert.equal(parseBytes(text), bytes, text);
  for (const bad of ['', 'm', '-1', '1q', '1kbb', '1.2.3'])
    assert.throws(() => parseBytes(bad), /invalid/, bad);
  assert.equal(parseSwapBytes('-1'), -1);
});

test("durations are Go's", () => {
  assert.equal(parseDurationNs('1h2m3.5s'), (3600 + 120 + 3.5) * 1e9);
  assert.equal(parseDurationNs('300ms'), 3e8);
  assert.equal(parseDurationNs('-1us'), -1000);
  assert.equal(parseDurationNs('0'), 0);
  assert.throws(() => parseDurationNs('5'), /missing unit in duration "5"/);
  assert.throws(() => parseDurationNs('5x'), /unknown unit "x" in duration "5x"/);
});

test('CPUs are exact to a billionth', () => {
  assert.equal(parseNanoCpus('1.5'), 1_500_000_000);
  assert.equal(parseNanoCpus('.1'), 100_000_000);
  assert.equal(parseNanoCpus('1/2'), 500_000_000);
  assert.throws(() => parseNanoCpus('0.0000000001'), /too precise/);
  assert.throws(() => parseNanoCpus('abc'), /rational/);
});

test('times are Unix seconds, relative, or absolute to the nanosecond', () => {
  const now = Date.parse('2024-01-02T00:00:00Z');
  assert.equal(parseTimestamp('1700000000.5', now), '1700000000.5');
  assert.equal(parseTimestamp('10m', now), `${now / 1000 - 600}.000000000`);
  assert.equal(parseTimestamp('2024-01-01T00:00:00.123456789Z', now), '1704067200.123456789');
  assert.equal(parseTimestamp('2024-01-01T01:00:00+01:00', now), '1704067200.000000000');
  assert.throws(() => parseTimestamp('yesterday', now), /failed to parse value as time or duration/);
});

test('ports: every form of -p', () => {
  const bindings = (...specs: string[]) => publishedPorts(specs, []).bindings;
  assert.deepEqual(bindings('80'), { '80/tcp': [{ HostIp: '', HostPort: '' }] });
  assert.deepEqual(bindings('8080:80/UDP'), { '80/udp': [{ HostIp: '', HostPort: '8080' }] });
  assert.deepEqual(bindings('127.0.0.1::80'), { '80/tcp': [{ HostIp: '127.0.0.1', HostPort: '' }] });
  assert.deepEqual(bindings('[::1]:81:80'), { '80/tcp': [{ HostIp: '::1', HostPort: '81' }] });
  assert.deepEqual(bindings('10-11:20-21'), {
    '20/tcp': [{ HostIp: '', HostPort: '10' }],
    '21/tcp': [{ HostIp: '', HostPort: '11' }],
  });
  assert.deepEqual(bindings('8000-8010:80'), { '80/tcp': [{ HostIp: '', HostPort: '8000-8010' }] });
  assert.deepEqual(bindings('1:80', '2:80')['80/tcp']?.length, 2);
  assert.deepEqual(bindings('published=5,target=80,protocol=udp'), {
    '80/udp': [{ HostIp: '', HostPort: '5' }],
  });
});

test('ports: what is refused, and how', () => {
  const refused: [string, RegExp][] = [
    ['a:80', /invalid hostPort: a/],
    ['80:b', /invalid containerPort: b/],
    ['1.2.3:80:80', /invalid IP address: 1\.2\.3/],
    ['1-3:1-2', /invalid ranges/],
    ['80/foo', /invalid proto: foo/],
    ['70000', /invalid containerPort/],
    ['', /no port specified/],
  ];
  for (const [spec, message] of refused) assert.throws(() => publishedPorts([spec], []), message, spec);
  assert.deepEqual(Object.keys(publishedPorts(['80'], ['90-91/udp']).exposed), [
    '80/tcp',
    '90/udp',
    '91/udp',
  ]);
});

test('volumes: binds, names, anonymous, relative sources', () => {
  const { binds, anonymous } = volumeFlags(['/a:/b:ro', 'name:/c', '/d', './e:/f', '..:/g'], '/work');
  assert.deepEqual(binds, ['/a:/b:ro', 'name:/c', '/work/e:/f', '/:/g']);
  assert.deepEqual(anonymous, { '/d': {} });
  assert.throws(() => volumeFlags([':/x'], '/'), /empty section between colons/);
  assert.deepEqual(tmpfsFlags(['/t', '/u:size=1m,mode=700']), { '/t': '', '/u': 'size=1m,mode=700' });
});

test('mounts: fields, types, quoting', () => {
  assert.deepEqual(parseMount('type=bind,src=./x,dst=/y,ro,bind-propagation=rslave', '/w'), {
    Type: 'bind',
    Source: '/w/x',
    Target: '/y',
    ReadOnly: true,
    BindOptions: { Propagation: 'rslave' },
  });
  assert.deepEqual(parseMount('source=v,target=/v,volume-opt=type=nfs,"volume-opt=o=a,b",volume-nocopy'), {
    Type: 'volume',
    Source: 'v',
    Target: '/v',
    VolumeOptions: { DriverConfig: { Options: { type: 'nfs', o: 'a,b' } }, NoCopy: true },
  });
  assert.deepEqual(parseMount('type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1777').TmpfsOptions, {
    SizeBytes: 1048576,
    Mode: 0o1777,
  });
  assert.throws(() => parseMount('x'), /invalid field 'x' must be a key=value pair/);
  assert.throws(() => parseMount('type=bind'), /target is required/);
  assert.throws(() => parseMount('type=tmpfs,target=/t,volume-nocopy'), /cannot mix 'volume-\*' options/);
});

test('the environment comes from files, then flags, bare names from here', () => {
  inFolder((folder) => {
    const file = join(folder, 'env');
    writeFileSync(file, '\uFEFF# c\nA=1 \n  B= x=y\n\nHOME\nUNSET\n');
    assert.deepEqual(environmentOf([file], ['C', 'D=', 'E=1=2', 'NOT'], { HOME: '/h', C: 'c' }), [
      'A=1 ',
      'B= x=y',
      'HOME=/h',
      'C=c',
      'D=',
      'E=1=2',
      'NOT',
    ]);
    writeFileSync(file, 'bad name=1\n');
    assert.throws(() => environmentOf([file], [], {}), /variable 'bad name' contains whitespaces/);
    writeFileSync(file, 'l=1\nm\n');
    assert.deepEqual(labelsOf([file], ['l=2', 'n=a=b']), { l: '2', m: '', n: 'a=b' });
  });
  assert.throws(
    () => environmentOf(['/nonexistent'], [], {}),
    /open \/nonexistent: no such file or directory/,
  );
});

test('limits and devices', () => {
  assert.deepEqual(parseUlimit('nofile=10:20'), { Name: 'nofile', Soft: 10, Hard: 20 });
  assert.deepEqual(parseUlimit('core=-1'), { Name: 'core', Soft: -1, Hard: -1 });
  assert.throws(() => parseUlimit('nofile=5:3'), /5 > 3/);
  assert.throws(() => parseUlimit('foo=1'), /invalid ulimit type: foo/);
  assert.deepEqual(
    deviceFlags(['/dev/a', '/dev/a:/dev/b', '/dev/a:r', '/dev/a:/dev/b:rw', 'v.com/gpu=all']),
    {
      devices: [
        { PathOnHost: '/dev/a', PathInContainer: '/dev/a', CgroupPermissions: 'rwm' },
        { PathOnHost: '/dev/a', PathInContainer: '/dev/b', CgroupPermissions: 'rwm' },
        { PathOnHost: '/dev/a', PathInContainer: '/dev/a', CgroupPermissions: 'r' },
        { PathOnHost: '/dev/a', PathInContainer: '/dev/b', CgroupPermissions: 'rw' },
      ],
      requests: [{ Driver: 'cdi', DeviceIDs: ['v.com/gpu=all'] }],
    },
  );
  assert.deepEqual(parseThrottleBps('/dev/sda:1mb'), { Path: '/dev/sda', Rate: 1048576 });
  assert.throws(() => parseThrottleBps('x'), /bad format: x/);
  assert.equal(parseSysctl('net.core.somaxconn=1'), 'net.core.somaxconn=1');
  assert.throws(() => parseSysctl('vm.swappiness=1'), /not allowed/);
});

test('host names', () => {
  assert.equal(parseExtraHost('a:1.2.3.4'), 'a:1.2.3.4');
  assert.equal(parseExtraHost('a=[::1]'), 'a:::1');
  assert.equal(parseExtraHost('a:::1'), 'a:::1');
  assert.equal(parseExtraHost('a:host-gateway'), 'a:host-gateway');
  assert.throws(() => parseExtraHost('a:b'), /invalid IP address in add-host: "b"/);
  assert.throws(() => parseExtraHost('a'), /bad format for add-host: "a"/);
  assert.equal(parseLink('db'), 'db:db');
  assert.equal(parseDnsSearch('.'), '.');
  assert.throws(() => parseDnsSearch('-x'), /not a valid domain/);
});

const NO_FLAGS = {
  aliases: [],
  links: [],
  linkLocalIps: [],
  ip: undefined,
  ip6: undefined,
  macAddress: undefined,
};

test('networks: plain names are left to the daemon, settings travel', () => {
  assert.deepEqual(chooseNetworks([], NO_FLAGS), { mode: 'default', config: { EndpointsConfig: {} } });
  const attachments = ['name=a,alias=x,driver-opt=K=v', 'b'].map(parseNetworkAttachment);
  assert.deepEqual(chooseNetworks(attachments, { ...NO_FLAGS, ip: '1.2.3.4' }), {
    mode: 'a',
    config: {
      EndpointsConfig: {
        a: { Aliases: ['x'], DriverOpts: { k: 'v' }, IPAMConfig: { IPv4Address: '1.2.3.4' } },
        b: {},
      },
    },
  });
  assert.throws(
    () => chooseNetworks(['a', 'a'].map(parseNetworkAttachment), NO_FLAGS),
    /network "a" is specified multiple times/,
  );
  assert.equal(chooseNetworks([parseNetworkAttachment('constructor')], NO_FLAGS).mode, 'constructor');
  for (const [words, flags, message] of [
    ['name=a,ip=1.2.3.4', { ip: '1.2.3.5' }, /both --ip and per-network IPv4 address/],
    ['name=a,alias=x', { aliases: ['y'] }, /both --network-alias and per-network alias/],
    ['name=a,mac-address=02:00:00:00:00:01', { macAddress: '02:00:00:00:00:02' }, /both --mac-address/],
    ['bridge', { aliases: ['y'] }, /aliases are only supported for user-defined networks/],
  ] as const) {
    assert.throws(() => chooseNetworks([parseNetworkAttachment(words)], { ...NO_FLAGS, ...flags }), message);
  }
  assert.throws(
    () => chooseNetworks(['a', 'host'].map(parseNetworkAttachment), NO_FLAGS),
    /non-user-defined/,
  );
});

test('a seccomp profile is sent, not its path', () => {
  inFolder((folder) => {
    const file = join(folder, 'p.json');
    writeFileSync(file, '{ "defaultAction": "SCMP_ACT_ALLOW" }\n');
    const flags = [
      `seccomp=${file}`,
      'seccomp=unconfined',
      'no-new-privileges',
      'systempaths=unconfined',
      'label:x',
    ];
    assert.deepEqual(securityOptions(flags), {
      options: [
        'seccomp={"defaultAction":"SCMP_ACT_ALLOW"}',
        'seccomp=unconfined',
        'no-new-privileges',
        'label:x',
      ],
      unconfinedPaths: true,
    });
    writeFileSync(file, 'nope');
    assert.throws(() => securityOptions([`seccomp=${file}`]), /compacting json for seccomp profile/);
  });
});

test('image references', () => {
  const name = (text: string) => parseReference(text).familiar;
  assert.equal(name('ubuntu'), 'ubuntu:latest');
  assert.equal(parseReference('ubuntu').repository, 'docker.io/library/ubuntu');
  assert.equal(name('docker.io/library/ubuntu:22.04'), 'ubuntu:22.04');
  assert.equal(name('me/app'), 'me/app:latest');
  assert.equal(name('localhost:5000/a/b:c'), 'localhost:5000/a/b:c');
  assert.equal(parseReference('localhost/a').repository, 'localhost/a');
  const digest = `sha256:${'a'.repeat(64)}`;
  assert.equal(name(`u@${digest}`), `u@${digest}`);
  assert.equal(parseReference(`u@${digest}`).tag, undefined);
  for (const bad of ['', 'a b', 'UP', 'a:', 'a@sha256:1', 'a//b', '-a', 'a/_b']) {
    assert.throws(() => parseReference(bad), /invalid reference format/, bad);
  }
});

test('filters gather their values', () => {
  assert.equal(filterQuery(['label=a=b', 'status=x', 'label=c']), '{"label":["a=b","c"],"status":["x"]}');
  assert.equal(filterQuery([]), undefined);
});
