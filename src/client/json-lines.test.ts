import assert from 'node:assert/strict';
import { test } from 'node:test';
import { jsonLines } from './json-lines.ts';

async function* pieces(text: string, size: number) {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function all(values: AsyncIterable<unknown>): Promise<unknown[]> {
  const list: unknown[] = [];
  for await (const value of values) list.push(value);
  return list;
}

test('values are found however the bytes are split, with or without newlines between them', async () => {
  const stream = '{"a":"é}{"}\r\n{"b":1}{"c":"\\"}{"}\n\n{"d":2}';
  for (let size = 1; size < 12; size++) {
    const values = await all(jsonLines(pieces(stream, size)));
    assert.deepEqual(values, [{ a: 'é}{' }, { b: 1 }, { c: '"}{' }, { d: 2 }]);
  }
});

test('what is no JSON throws', async () => {
  await assert.rejects(all(jsonLines(pieces('{"a":1}\nnonsense\n', 99))), SyntaxError);
});
