import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseChallenges } from './challenge.ts';

function parse(header: string): [string, Record<string, string>][] {
  return parseChallenges(header).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]);
}

test('challenges of real registries', () => {
  assert.deepEqual(
    parse(
      'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"',
    ),
    [
      [
        'bearer',
        {
          realm: 'https://auth.docker.io/token',
          service: 'registry.docker.io',
          scope: 'repository:a/b:pull,push',
        },
      ],
    ],
  );
  assert.deepEqual(parse('Basic realm="Registry Realm"'), [['basic', { realm: 'Registry Realm' }]]);
  assert.deepEqual(parse('Bearer realm=https://x/token?a=1,service=s'), [
    ['bearer', { realm: 'https://x/token?a=1', service: 's' }],
  ]);
});

test('several challenges, escapes, odd spacing and case', () => {
  assert.deepEqual(parse('Negotiate, BASIC Realm = "a\\"b, c" , charset="UTF-8",Bearer realm="r"'), [
    ['negotiate', {}],
    ['basic', { realm: 'a"b, c', charset: 'UTF-8' }],
    ['bearer', { realm: 'r' }],
  ]);
});

test('nonsense is survived', () => {
  for (const header of [
    '',
    ',,,',
    '"',
    '= = =',
    'Bearer realm="unterminated',
    'Bearer =x',
    '\u0000\u0001',
    '('.repeat(1e5),
  ]) {
    parseChallenges(header);
  }
  assert.deepEqual(parse('realm="r"'), []);
  assert.deepEqual(parse('Bearer realm="a",realm="b"'), [['bearer', { realm: 'a' }]]);
});
