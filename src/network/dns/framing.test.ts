import assert from 'node:assert/strict';
import { it } from 'node:test';
import { framed, MessageReader } from './framing.ts';

const message = (bytes: number): Buffer => Buffer.alloc(bytes, String(bytes));

it('reads messages however the stream is cut', () => {
  const messages = [12, 13, 14, 300].map(message);
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

it('reads nothing more behind a message that is too long, or too short to be one', () => {
  for (const wrong of [0, 11, 31]) {
    const reader = new MessageReader(30);
    const stream = Buffer.concat([20, wrong, 20].map(message).map(framed));
    assert.deepEqual(reader.push(stream), [message(20)]);
    assert.equal(reader.overflowed, true);
    assert.deepEqual(reader.push(framed(message(20))), []);
  }
});
