import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvalidParameterError } from '../../base/errors.ts';
import { parseCdiSpec } from './parse-spec.ts';

const ROUNDS = 600;

/** xorshift32 with a fixed seed: what fails once fails again. */
function numbers(seed: number): (bound: number) => number {
  let state = seed;
  return (bound) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % bound;
  };
}

const WHOLE = {
  cdiVersion: '1.0.0',
  kind: 'vendor.com/card',
  annotations: { note: 'a' },
  devices: [
    {
      name: 'one',
      containerEdits: {
        env: ['CARD=one'],
        deviceNodes: [
          {
            path: '/dev/card0',
            hostPath: '/dev/null',
            type: 'c',
            major: 1,
            minor: 3,
            fileMode: 432,
            permissions: 'rw',
          },
        ],
        mounts: [{ hostPath: '/usr/lib/card', containerPath: '/usr/lib/card', options: ['ro', 'bind'] }],
        hooks: [
          { hookName: 'createContainer', path: '/usr/bin/card', args: ['card'], env: ['A=1'], timeout: 5 },
        ],
        additionalGids: [44],
      },
    },
  ],
  containerEdits: { env: ['ALL=1'] },
};

const VALUES: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1.5,
  2 ** 53,
  4294967296,
  '',
  'x',
  '/',
  '../..',
  'a=b',
  '\u0000',
  '\ud800',
  [],
  [[]],
  {},
  ['', 1],
  { __proto__: 1 },
  { constructor: 'x' },
  'vendor.com/card=one',
  '0.3.0',
  'rwmrwm',
  '9'.repeat(400),
];

/** One member somewhere in the tree is replaced, removed or added. */
function change(tree: unknown, below: (bound: number) => number): void {
  let at: unknown = tree;
  for (;;) {
    if (typeof at !== 'object' || at === null) return;
    const holder = at as Record<string, unknown>;
    const keys = Object.keys(holder);
    const key = keys[below(Math.max(keys.length, 1))];
    if (key !== undefined && below(3) !== 0 && typeof holder[key] === 'object' && holder[key] !== null) {
      at = holder[key];
      continue;
    }
    const kind = below(4);
    if (kind === 0 && key !== undefined) delete holder[key];
    else if (kind === 1) holder[below(2) === 0 ? 'unheardOf' : 'env'] = VALUES[below(VALUES.length)];
    else if (key !== undefined) holder[key] = structuredClone(VALUES[below(VALUES.length)]);
    return;
  }
}

async function parses(text: string, format: 'json' | 'yaml'): Promise<boolean> {
  try {
    const spec = await parseCdiSpec(text, format);
    assert.ok(spec.devices.length > 0);
    for (const { name, containerEdits } of spec.devices) {
      assert.match(name, /^[A-Za-z0-9]/);
      for (const node of containerEdits.deviceNodes ?? []) assert.ok(node.path.startsWith('/'), node.path);
      for (const mount of containerEdits.mounts ?? []) assert.ok(mount.containerPath.startsWith('/'));
      for (const entry of containerEdits.env ?? []) assert.match(entry, /^[^=]+=/s);
    }
    return true;
  } catch (error) {
    assert.ok(error instanceof InvalidParameterError, `${error}: ${text}`);
    assert.notEqual(error.message, '');
    return false;
  }
}

test('whatever a CDI file holds, it is read whole or refused as invalid', async () => {
  const below = numbers(1);
  let read = 0;
  assert.equal(await parses(JSON.stringify(WHOLE), 'json'), true);
  for (let round = 0; round < ROUNDS; round++) {
    const tree = structuredClone(WHOLE);
    for (let left = 1 + below(2); left > 0; left--) change(tree, below);
    if (await parses(JSON.stringify(tree), below(4) === 0 ? 'yaml' : 'json')) read += 1;
  }
  assert.ok(read > ROUNDS / 50 && read < ROUNDS, `${read} of ${ROUNDS} are good`);
});

test('a CDI file of broken YAML, of deep nesting or of many aliases is refused', async () => {
  const bomb = Array.from({ length: 20 }, (_, index) =>
    index === 0 ? 'a0: &a0 [x]' : `a${index}: &a${index} [${`*a${index - 1},`.repeat(20)}]`,
  ).join('\n');
  const texts = ['\t', '{', 'a: b: c', '&a [*a]', '- &a *a', '['.repeat(20_000), '!!js/function x', bomb];
  for (const text of texts) assert.equal(await parses(text, 'yaml'), false, text.slice(0, 40));
  assert.equal(await parses('['.repeat(100_000), 'json'), false);
});
