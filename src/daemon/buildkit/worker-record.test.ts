import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatPlatform, type Platform } from '../../image/platform.ts';
import { announced } from './worker-record.ts';

const names = (platforms: readonly Platform[]): string[] => announced(platforms).map(formatPlatform);

test('a level of amd64 is announced with all below it, and what is emulated as it is', () => {
  const own = { os: 'linux', architecture: 'amd64', variant: 'v3' };
  const others = [
    { os: 'linux', architecture: '386' },
    { os: 'linux', architecture: 'arm', variant: 'v7' },
    { os: 'linux', architecture: 'amd64' },
  ];
  assert.deepEqual(names([own, ...others]), [
    'linux/amd64',
    'linux/amd64/v2',
    'linux/amd64/v3',
    'linux/386',
    'linux/arm/v7',
  ]);
  assert.deepEqual(names([{ os: 'linux', architecture: 'arm64', variant: 'v8' }]), ['linux/arm64/v8']);
});
