import assert from 'node:assert/strict';
import { randomBytes, randomInt } from 'node:crypto';
import { describe, it } from 'node:test';
import { formatAddress } from '../ip-address.ts';
import { queryBytes, readReply, TYPES, wireName } from './dns-fixture.ts';
import type { Query } from './message.ts';
import { buildReply, datagramLimit, RCODE, readQuery, readRecord, truncate } from './message.ts';
import { encodeName, readName } from './name.ts';
import { addressOfReverseName } from './reverse-name.ts';
import { answeredAddresses, answersQuery } from './upstream-answer.ts';

function query(bytes: Buffer): Query {
  const received = readQuery(bytes);
  assert.ok(received !== undefined && 'query' in received);
  return received.query;
}

function rcodeOf(bytes: Buffer): number | undefined {
  const received = readQuery(bytes);
  return received !== undefined && 'reply' in received ? readReply(received.reply).rcode : undefined;
}

describe('names', () => {
  it('are read with pointers that lead back', () => {
    const packet = Buffer.concat([wireName('Example.COM'), Buffer.from([3, 0x77, 0x77, 0x77, 0xc0, 0])]);
    assert.deepEqual(readName(packet, 0, true), { text: 'example.com', end: 13 });
    assert.deepEqual(readName(packet, 13, true), { text: 'www.example.com', end: 19 });
    assert.equal(readName(packet, 13, false), undefined);
  });

  it('are malformed where they loop, lead forward, leave the packet or grow too long', () => {
    assert.equal(readName(Buffer.from([0xc0, 0]), 0, true), undefined);
    assert.equal(readName(Buffer.from([1, 0x61, 0xc0, 0]), 0, true), undefined, 'into itself');
    assert.equal(readName(Buffer.from([0xc0, 2, 0]), 0, true), undefined);
    assert.equal(readName(Buffer.from([5, 0x61]), 0, true), undefined);
    assert.equal(readName(Buffer.from([0xc0]), 0, true), undefined);
    assert.equal(readName(Buffer.concat([Buffer.of(64), Buffer.alloc(65)]), 0, true), undefined);
    const long = (labels: number) =>
      Buffer.concat([...Array<Buffer>(labels).fill(Buffer.from([1, 0x61])), Buffer.of(0)]);
    assert.equal(readName(long(127), 0, true)?.end, 255);
    assert.equal(readName(long(128), 0, true), undefined);
  });

  it('have no text where a label holds what could be taken for something else', () => {
    for (const label of ['a.b', 'a b', 'a\\b', 'a\0', 'a\n', '\xe9']) {
      const packet = Buffer.concat([Buffer.of(label.length), Buffer.from(label, 'latin1'), wireName('com')]);
      assert.deepEqual(readName(packet, 0, false), { text: undefined, end: label.length + 6 }, label);
    }
    assert.equal(readName(wireName('_dns-sd._udp.x'), 0, false)?.text, '_dns-sd._udp.x');
    assert.equal(readName(Buffer.of(0), 0, false)?.text, '');
  });

  it('are written where they fit', () => {
    assert.deepEqual(encodeName('web.net'), wireName('web.net'));
    assert.equal(encodeName('a..b'), undefined);
    assert.equal(encodeName('a'.repeat(64)), undefined);
    assert.equal(encodeName(Array<string>(5).fill('a'.repeat(60)).join('.')), undefined);
  });

  it('of addresses are read in both families', () => {
    const text = (name: string) => {
      const address = addressOfReverseName(name);
      return address === undefined ? undefined : formatAddress(address);
    };
    assert.equal(text('2.0.18.172.in-addr.arpa'), '172.18.0.2');
    assert.equal(text('18.172.in-addr.arpa'), undefined);
    assert.equal(text('256.0.18.172.in-addr.arpa'), undefined);
    const nibbles = '2'.padEnd(28, '0').padEnd(30, '0').concat('df').split('').join('.');
    assert.equal(text(`${nibbles}.ip6.arpa`), 'fd00::2');
    assert.equal(text('2.0.0.ip6.arpa'), undefined);
  });
});

describe('queries', () => {
  it('are read with their EDNS settings, without what lies behind them', () => {
    const bytes = queryBytes('Web.Example', { type: TYPES.AAAA, edns: 1232, dnssecOk: true });
    const read = query(Buffer.concat([bytes, Buffer.from('garbage')]));
    assert.deepEqual(read.packet, bytes);
    assert.equal(read.question.name, 'web.example');
    assert.equal(read.question.type, TYPES.AAAA);
    assert.deepEqual(read.edns, { payloadBytes: 1232, version: 0, dnssecOk: true });
    assert.equal(datagramLimit(read), 1232);
    assert.equal(datagramLimit(query(queryBytes('a'))), 512);
    assert.equal(datagramLimit(query(queryBytes('a', { edns: 10 }))), 512);
    assert.equal(datagramLimit(query(queryBytes('a', { edns: 65535 }))), 4096);
  });

  it('that are malformed are told so, and what is no query gets nothing', () => {
    const good = queryBytes('example.com', { edns: 1232 });
    const changed = (at: number, value: number) => {
      const bytes = Buffer.from(good);
      bytes[at] = value;
      return bytes;
    };
    assert.equal(rcodeOf(changed(5, 2)), RCODE.formatError, 'two questions');
    assert.equal(rcodeOf(changed(5, 0)), RCODE.formatError, 'no question');
    assert.equal(rcodeOf(changed(7, 1)), RCODE.formatError, 'an answer');
    assert.equal(rcodeOf(changed(11, 2)), RCODE.formatError, 'a record that is not there');
    assert.equal(rcodeOf(good.subarray(0, 20)), RCODE.formatError);
    assert.equal(rcodeOf(good.subarray(0, 12)), RCODE.formatError);
    assert.equal(rcodeOf(changed(12, 0xc0)), RCODE.formatError, 'a pointer as question');
    assert.equal(rcodeOf(Buffer.concat([good, Buffer.alloc(5000)])), RCODE.formatError, 'too long');
    assert.equal(rcodeOf(changed(2, 0x20 | 1)), RCODE.notImplemented, 'another opcode');
    const twice = Buffer.concat([good, good.subarray(-11)]);
    twice[11] = 2;
    assert.equal(rcodeOf(twice), RCODE.formatError, 'two OPT records');
    assert.equal(readQuery(good.subarray(0, 11)), undefined);
    assert.equal(readQuery(changed(2, 0x81)), undefined, 'an answer is never answered');
  });
});

describe('replies', () => {
  const records = (count: number) =>
    Array.from({ length: count }, (_, index) => ({
      type: TYPES.A,
      ttlSec: 600,
      data: Uint8Array.of(10, 0, 0, index),
    }));

  it('keep ID, case and flags, and echo EDNS only where it was asked', () => {
    const plain = readReply(buildReply(query(queryBytes('WeB', { id: 77 })), RCODE.success, records(2), 512));
    assert.equal(plain.id, 77);
    assert.equal(plain.name, 'WeB');
    assert.deepEqual(plain.answers, ['10.0.0.0', '10.0.0.1']);
    assert.deepEqual(plain.ttls, [600, 600]);
    assert.equal(plain.edns, undefined);
    assert.equal(plain.bytes.readUInt16BE(2), 0x8180);
    const edns = readReply(
      buildReply(query(queryBytes('web', { edns: 1232, dnssecOk: true })), RCODE.badVersion, [], 512),
    );
    assert.deepEqual(edns.edns, { payload: 4096, dnssecOk: true, extendedRcode: 1 });
    assert.equal(edns.rcode, 0);
  });

  it('hold what fits and say that there is more', () => {
    const reply = readReply(buildReply(query(queryBytes('web')), RCODE.success, records(100), 512));
    assert.equal(reply.truncated, true);
    assert.equal(reply.answers.length, Math.floor((512 - 12 - 9) / 16));
    const whole = buildReply(query(queryBytes('web')), RCODE.success, records(100), 65535);
    assert.equal(readReply(whole).answers.length, 100);
    const cut = readReply(truncate(whole, query(queryBytes('web')).question));
    assert.deepEqual([cut.truncated, cut.answers.length, cut.name], [true, 0, 'web']);
  });
});

describe('anything that a client or a server could send', () => {
  /** Bytes, or a message with some bytes changed, cut or doubled. */
  function mutated(seed: Buffer): Buffer {
    if (randomInt(4) === 0) return randomBytes(randomInt(80));
    const bytes = Buffer.from(seed);
    for (let count = randomInt(1, 6); count > 0; count--) bytes[randomInt(bytes.length)] = randomInt(256);
    return randomInt(3) === 0 ? bytes.subarray(0, randomInt(bytes.length + 1)) : bytes;
  }

  it('is read without an exception, and answered with what can be read', () => {
    const asked = query(queryBytes('www.example.com', { id: 0x1234 }));
    const answer = Buffer.concat([
      Buffer.from([0x12, 0x34, 0x81, 0x80, 0, 1, 0, 2, 0, 0, 0, 0]),
      asked.packet.subarray(12),
      Buffer.from([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 4, 1, 0x61, 0xc0, 16]),
      Buffer.from([0xc0, 45, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 1]),
    ]);
    assert.equal(answersQuery(answer, 0x1234, asked), true);
    assert.deepEqual(
      answeredAddresses(answer).map(({ ttlSec }) => ttlSec),
      [9],
    );
    const seed = queryBytes('www.example.com', { edns: 1232 });
    const counts = { query: 0, reply: 0, nothing: 0 };
    for (let round = 0; round < 100_000; round++) {
      const received = readQuery(mutated(seed));
      if (received === undefined) counts.nothing += 1;
      else if ('reply' in received) counts.reply += 1;
      else {
        counts.query += 1;
        const reply = buildReply(received.query, RCODE.success, [], 512);
        assert.ok(reply.length <= 512 && (reply.readUInt16BE(2) & 0x8000) !== 0);
        assert.equal(reply.readUInt16BE(4), 1);
      }
      const strange = mutated(answer);
      if (strange.length >= 12) {
        answersQuery(strange, 0x1234, asked);
        for (const { address } of answeredAddresses(strange)) formatAddress(address);
        readRecord(strange, randomInt(strange.length));
      }
    }
    for (const count of Object.values(counts)) assert.ok(count > 1000, JSON.stringify(counts));
  });
});
