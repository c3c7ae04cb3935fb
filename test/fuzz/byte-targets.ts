/** What reads bytes that strangers send: archives, indexes, messages of the name server, of gRPC, of the kernel, HTTP heads. */
import { FrameReader } from '../../src/api/grpc/frames.ts';
import { Router, splitVersion } from '../../src/daemon/router.ts';
import { IndexReader } from '../../src/image/layers/erofs/index-reader.ts';
import { buildIndex, describeEntry } from '../../src/image/layers/erofs/suite/build-index.ts';
import { randomTar } from '../../src/image/layers/erofs/suite/random-tar.ts';
import { parsePaxRecords } from '../../src/image/layers/tar/tar-pax.ts';
import { parseSparseList } from '../../src/image/layers/tar/tar-sparse.ts';
import { MessageReader } from '../../src/network/dns/framing.ts';
import {
  buildReply,
  QUERY_BYTES_MAX,
  readQuery,
  readQuestion,
  readRecord,
  truncate,
} from '../../src/network/dns/message.ts';
import { listAttributes, parseMessages } from '../../src/network/netlink/message.ts';
import { Random } from '../soak/random.ts';
import { tarOf } from '../soak/tar.ts';
import type { FuzzTarget } from './target.ts';

const random = new Random(1);
const number = (): number => random.below(2 ** 31) / 2 ** 31;
/** Some random ones are refused. */
function isWhole(tar: Buffer): boolean {
  try {
    buildIndex(tar);
    return true;
  } catch {
    return false;
  }
}

const TARS = [
  tarOf({ a: 'content', 'b/c': 'x'.repeat(700) }),
  ...Array.from({ length: 20 }, () => randomTar(number)).filter(isWhole),
];
const TAR_WORDS = [
  'ustar\0',
  'ustar  \0',
  '././@LongLink',
  '77777777777\0',
  '30 mtime=1.5\n',
  'GNU.sparse.major=1',
  '\x80\0\0\0',
  '../..',
  '.wh.',
  '.wh..wh..opq',
];

const QUERY = Buffer.concat([
  Buffer.from('1234010000010000000000010377777707657861', 'hex'),
  Buffer.from('6d706c6503636f6d0000010001', 'hex'),
  Buffer.from('0000291000000000000000', 'hex'),
]);
const ROUTER = new Router(
  ['/containers/{id:.*}/json', '/images/{name:.*}', '/volumes/{name}', '/_ping'].map((path) => ({
    method: 'GET',
    path,
    handle: () => undefined,
  })),
);

function netlinkMessage(...attributes: Buffer[]): Buffer {
  const payload = Buffer.concat([Buffer.alloc(16), ...attributes]);
  const head = Buffer.alloc(16);
  head.writeUInt32LE(16 + payload.length, 0);
  head.writeUInt16LE(16, 4);
  return Buffer.concat([head, payload]);
}

/** Deepest lists of attributes that are looked into. */
const NESTED_MAX = 4;

function walkAttributes(buffer: Buffer, depth: number): void {
  for (const [, value] of listAttributes(buffer)) {
    if (depth >= NESTED_MAX || value.length < 4) continue;
    try {
      walkAttributes(value, depth + 1);
    } catch (error) {
      // A value that is no list.
      if (!(error instanceof RangeError)) throw error;
    }
  }
}

export const byteTargets: readonly FuzzTarget[] = [
  {
    name: 'tar',
    refusals: ['InvalidParameter'],
    words: TAR_WORDS,
    seeds: TARS,
    run: (input) => {
      const { index } = buildIndex(input);
      const reader = new IndexReader(index);
      for (const { inode } of reader.walk()) describeEntry(reader, inode);
    },
  },
  {
    name: 'erofs-index',
    refusals: ['Internal'],
    words: ['\0\0\0\0', '\xff\xff\xff\xff', '\x01\0'],
    seeds: TARS.map((tar) => buildIndex(tar).index),
    run: (input) => {
      const reader = new IndexReader(input);
      for (const { path, inode } of reader.walk()) {
        describeEntry(reader, inode);
        reader.extents(inode);
        reader.lookup(path);
      }
    },
  },
  {
    name: 'pax',
    refusals: ['InvalidParameter'],
    words: ['path=', 'size=', 'SCHILY.xattr.user.a=', 'GNU.sparse.map=', '0,1,2,3', '\n', '='],
    seeds: ['30 mtime=1234567890.123456789\n', '19 path=a/very/long\n11 size=12\n', '0,512,1024,512'].map(
      (text) => Buffer.from(text),
    ),
    run: (input) => {
      parsePaxRecords(input, new Map());
      parseSparseList(input.toString('latin1'));
    },
  },
  {
    name: 'dns',
    refusals: [],
    words: ['\xc0\x0c', '\x03www', '\0\0\x01\0\x01', '\0\0\x29', '\xff'],
    seeds: [QUERY, Buffer.concat([QUERY.subarray(0, 12), Buffer.from([0xc0, 12, 0, 1, 0, 1])])],
    run: (input) => {
      const reader = new MessageReader(QUERY_BYTES_MAX);
      for (const half of [input.subarray(0, input.length >> 1), input.subarray(input.length >> 1)])
        reader.push(half);
      const received = readQuery(input);
      const question = readQuestion(input);
      for (let offset = 0; offset < Math.min(input.length, 200); offset += 7) readRecord(input, offset);
      if (question !== undefined) truncate(input, question);
      if (received !== undefined && 'query' in received) buildReply(received.query, 0, [], QUERY_BYTES_MAX);
    },
  },
  {
    name: 'grpc-frames',
    refusals: ['GrpcError', 'Error'],
    words: ['\0\0\0\0\x01', '\0\0\0\0\0', '\x01\0\0\0\0', '\0\xff\xff\xff\xff'],
    seeds: [Buffer.from([0, 0, 0, 0, 3, 1, 2, 3, 0, 0, 0, 0, 0])],
    run: (input) => {
      const reader = new FrameReader();
      for (let at = 0; at < input.length; at += 3) for (const _ of reader.push(input.subarray(at, at + 3)));
      reader.end();
    },
  },
  {
    name: 'netlink',
    refusals: ['RangeError'],
    words: ['\x08\0\x01\0', '\x04\0\x02\x80', '\0\0', '\x03\0', '\xff\xff'],
    seeds: [
      netlinkMessage(Buffer.from('0800010001020304', 'hex'), Buffer.from('0c000280080001000a000000', 'hex')),
    ],
    run: (input) => {
      for (const { payload } of parseMessages(input)) walkAttributes(payload.subarray(16), 0);
    },
  },
  {
    name: 'http-target',
    refusals: ['InvalidParameter', 'NotFound'],
    words: [
      '/v1.51',
      '/v9.9',
      '/containers/',
      '/json',
      '%2f',
      '%00',
      '?',
      '#',
      '//',
      '/..',
      '\\',
      'http://x:y@z',
    ],
    seeds: ['/v1.41/containers/a%2fb/json?all=1', '//x/images/a/b:c', 'http://h:1/volumes/v', '*'].map(
      (text) => Buffer.from(text),
    ),
    run: (input) => {
      const url = URL.parse(input.toString('latin1'), 'http://mydock');
      if (url === null) return;
      ROUTER.match('GET', splitVersion(url.pathname).path);
    },
  },
];
