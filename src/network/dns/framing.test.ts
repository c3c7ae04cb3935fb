import assert from 'node:assert/strict';
import { it } from 'node:test';
import { framed, MessageReader } from './framing.ts';

it('reads messages however the stream is cut', () => {
  const messages = ['', 'a', 'bb', 'c'.repeat(300)].map((text) => Buffer.from(text));
  const stream = Buffer.concat(messages.map(framed));
  for (const size of [1, 2, 3, 7, 1000]) {
    const reader = new MessageReader(300);
    const read: Buffer[] = [];
    for (let at = 0; at < stream.length; at += size)
      read.push(...reader.push(stream.subarray(at, at + size)));
    assert.deepEqual(read, messages, `pieces of ${size}`);
    assert.equal(reader.overflowed, false);
  }
});

it('reads nothing more behind a message that is too long', () => {
  const reader = new MessageReader(10);
  const stream = Buffer.concat([
    framed(Buffer.from('ok')),
    framed(Buffer.alloc(11)),
    framed(Buffer.from('no')),
  ]);
  assert.deepEqual(reader.push(stream), [Buffer.from('ok')]);
  assert.equal(reader.overflowed, true);
  assert.deepEqual(reader.push(framed(Buffer.from('no'))), []);
});
