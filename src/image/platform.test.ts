import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  acceptablePlatforms,
  amd64Variant,
  formatPlatform,
  imageMatchesPlatform,
  parsePlatform,
  platformRank,
} from './platform.ts';

const HOST = { os: 'linux', architecture: 'amd64', variant: 'v3' };
const parse = (text: string): string => formatPlatform(parsePlatform(text, HOST));

test('platforms are parsed and normalised', () => {
  const cases: [string, string][] = [
    ['linux', 'linux/amd64/v3'],
    ['amd64', 'linux/amd64'],
    ['x86_64', 'linux/amd64'],
    ['arm64', 'linux/arm64'],
    ['aarch64', 'linux/arm64'],
    ['armhf', 'linux/arm/v7'],
    ['linux/arm64', 'linux/arm64'],
    ['linux/arm64/v8', 'linux/arm64/v8'],
    ['linux/arm/7', 'linux/arm/v7'],
    ['linux/arm/v6', 'linux/arm/v6'],
    ['LINUX/AMD64', 'linux/amd64'],
    ['windows/amd64', 'windows/amd64'],
  ];
  for (const [text, expected] of cases) assert.equal(parse(text), expected, text);
});

test('what cannot be a platform is refused', () => {
  for (const text of ['', 'nonsense', 'linux/', 'a/b/c/d', 'linux/am d64', '/']) {
    assert.throws(() => parsePlatform(text, HOST), { kind: 'InvalidParameter' }, text);
  }
});

test('what a machine runs, best first', () => {
  const show = (text: string): string[] => acceptablePlatforms(parsePlatform(text, HOST)).map(formatPlatform);
  assert.deepEqual(show('linux'), ['linux/amd64/v3', 'linux/amd64/v2', 'linux/amd64', 'linux/386']);
  assert.deepEqual(show('linux/arm/v7'), ['linux/arm/v7', 'linux/arm/v6', 'linux/arm/v5']);
  assert.deepEqual(show('linux/arm64/v8').slice(0, 3), ['linux/arm64', 'linux/arm/v8', 'linux/arm/v7']);
  assert.deepEqual(show('linux/s390x'), ['linux/s390x']);
});

test('arm64 with and without v8 are the same; a lower arm cannot run a higher', () => {
  const arm64 = { os: 'linux', architecture: 'arm64' };
  assert.equal(platformRank({ ...arm64, variant: 'v8' }, arm64), 0);
  assert.equal(platformRank(arm64, { ...arm64, variant: 'v8' }), 0);
  const v6 = { os: 'linux', architecture: 'arm', variant: 'v6' };
  assert.equal(platformRank(v6, { ...v6, variant: 'v7' }), undefined);
  assert.equal(platformRank(v6, { os: 'linux', architecture: 'unknown' }), undefined);
});

test('a configuration without a variant passes for any variant of its architecture', () => {
  const v6 = { os: 'linux', architecture: 'arm', variant: 'v6' };
  assert.equal(imageMatchesPlatform(v6, { os: 'linux', architecture: 'arm' }), true);
  assert.equal(imageMatchesPlatform(v6, { os: 'linux', architecture: 'arm', variant: 'v7' }), false);
  assert.equal(imageMatchesPlatform(HOST, { os: 'linux', architecture: 'arm64' }), false);
});

test('the amd64 level is read from the processor’s flags', () => {
  const v2 = 'cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3';
  const v3 = `${v2} avx avx2 bmi1 bmi2 f16c fma abm movbe xsave`;
  assert.equal(amd64Variant('flags\t\t: fpu sse2\n'), '');
  assert.equal(amd64Variant(`model: x\nflags\t\t: ${v2}\n`), 'v2');
  assert.equal(amd64Variant(`flags\t\t: ${v3}\n`), 'v3');
  assert.equal(amd64Variant(`flags\t\t: ${v3.replace('ssse3 ', '')} avx512f\n`), '');
});
