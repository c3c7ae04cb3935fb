/**
 * DNS messages as the resolver needs them: queries of clients, read strictly, and its own replies. Answers of other
 * servers are passed on as bytes (upstream-answer.ts looks into them). Source: RFC 1035 section 4.1, RFC 6891 (EDNS).
 */
import { readName } from './name.ts';

export const HEADER_BYTES = 12;
export const MESSAGE_BYTES_MAX = 65535;
/** One question with room for EDNS options, padding among them (RFC 8467). Longer ones are refused. */
export const QUERY_BYTES_MAX = 4096;
/** What a client without EDNS takes over UDP. */
const PLAIN_PAYLOAD_BYTES = 512;
/** What we send over UDP at most, and say that we take. The loopback carries it in one piece. */
const PAYLOAD_BYTES_MAX = 4096;

export const TYPE = { a: 1, cname: 5, ptr: 12, aaaa: 28, opt: 41, any: 255 } as const;
export const CLASS = { internet: 1, any: 255 } as const;
export const RCODE = {
  success: 0,
  formatError: 1,
  serverFailure: 2,
  nameError: 3,
  notImplemented: 4,
  refused: 5,
  badVersion: 16,
} as const;

/** Bits of the header's flags. */
export const FLAG = { response: 0x8000, truncated: 0x0200, recursionDesired: 0x0100, checkingDisabled: 0x10 };
const FLAG_RECURSION_AVAILABLE = 0x0080;
export const OPCODE_MASK = 0x7800;
export const RCODE_MASK = 0x000f;
const EDNS_DO = 0x8000;

export interface Question {
  /** Undefined where it holds bytes that no host name has. */
  name: string | undefined;
  type: number;
  class: number;
  /** The byte behind the question section. */
  end: number;
}

export interface Query {
  /** The client's bytes, without anything behind the message. */
  packet: Buffer;
  id: number;
  flags: number;
  question: Question;
  edns: { payloadBytes: number; version: number; dnssecOk: boolean } | undefined;
}

/** What a client sent: a query, something to be refused with `reply`, or (undefined) nothing worth an answer. */
export type Received = { query: Query } | { reply: Buffer } | undefined;

/** Answers are never answered, so that two servers cannot keep each other busy. */
export function readQuery(packet: Buffer): Received {
  if (packet.length < HEADER_BYTES) return undefined;
  const flags = packet.readUInt16BE(2);
  if ((flags & FLAG.response) !== 0) return undefined;
  if ((flags & OPCODE_MASK) !== 0) return { reply: headerReply(packet, RCODE.notImplemented) };
  const query = packet.length > QUERY_BYTES_MAX ? undefined : readBody(packet, flags);
  return query === undefined ? { reply: headerReply(packet, RCODE.formatError) } : { query };
}

/** One question, no answers, and additional records among which one may be OPT. */
function readBody(packet: Buffer, flags: number): Query | undefined {
  const [questions, answers, authorities, additionals] = [4, 6, 8, 10].map((at) => packet.readUInt16BE(at));
  if (questions !== 1 || answers !== 0 || authorities !== 0) return undefined;
  const question = readQuestion(packet);
  if (question === undefined) return undefined;
  let edns: Query['edns'];
  let at = question.end;
  for (let count = additionals ?? 0; count > 0; count--) {
    const record = readRecord(packet, at);
    if (record === undefined) return undefined;
    at = record.end;
    if (record.type !== TYPE.opt) continue;
    if (edns !== undefined || record.name !== '') return undefined;
    const version = (record.ttl >>> 16) & 0xff;
    edns = { payloadBytes: record.class, version, dnssecOk: (record.ttl & EDNS_DO) !== 0 };
  }
  return { packet: packet.subarray(0, at), id: packet.readUInt16BE(0), flags, question, edns };
}

/** The first question of any message; undefined where there is none. */
export function readQuestion(packet: Buffer): Question | undefined {
  const name = readName(packet, HEADER_BYTES, false);
  if (name === undefined || name.end + 4 > packet.length) return undefined;
  const { text, end } = name;
  return { name: text, type: packet.readUInt16BE(end), class: packet.readUInt16BE(end + 2), end: end + 4 };
}

export interface WireRecord {
  name: string | undefined;
  type: number;
  class: number;
  ttl: number;
  dataStart: number;
  end: number;
}

/** The resource record at `offset`; undefined where it is malformed. */
export function readRecord(packet: Buffer, offset: number): WireRecord | undefined {
  const name = readName(packet, offset, true);
  if (name === undefined || name.end + 10 > packet.length) return undefined;
  const at = name.end;
  const end = at + 10 + packet.readUInt16BE(at + 8);
  if (end > packet.length) return undefined;
  return {
    name: name.text,
    type: packet.readUInt16BE(at),
    class: packet.readUInt16BE(at + 2),
    ttl: packet.readUInt32BE(at + 4),
    dataStart: at + 10,
    end,
  };
}

/** What fits into one datagram for the client. */
export function datagramLimit(query: Query): number {
  const asked = query.edns?.payloadBytes ?? PLAIN_PAYLOAD_BYTES;
  return Math.min(Math.max(asked, PLAIN_PAYLOAD_BYTES), PAYLOAD_BYTES_MAX);
}

export interface OwnRecord {
  type: number;
  ttlSec: number;
  data: Uint8Array;
}

/**
 * A reply of our own about the question's name. Records that do not fit into `limitBytes` are left out and the reply
 * says that it is truncated: a client asks again over TCP, or does with those that it got.
 */
export function buildReply(
  query: Query,
  rcode: number,
  records: readonly OwnRecord[],
  limitBytes: number,
): Buffer {
  const { question } = query;
  const opt = query.edns === undefined ? Buffer.alloc(0) : buildOpt(query.edns.dnssecOk, rcode);
  const pieces: Buffer[] = [];
  let length = question.end + opt.length;
  for (const record of records) {
    const piece = buildRecord(record, question.class === CLASS.any ? CLASS.internet : question.class);
    if (length + piece.length > limitBytes) break;
    length += piece.length;
    pieces.push(piece);
  }
  const head = Buffer.from(query.packet.subarray(0, question.end));
  const truncated = pieces.length < records.length ? FLAG.truncated : 0;
  head.writeUInt16BE(replyFlags(query.flags, rcode) | truncated, 2);
  head.writeUInt16BE(pieces.length, 6);
  head.writeUInt16BE(opt.length === 0 ? 0 : 1, 10);
  return Buffer.concat([head, ...pieces, opt]);
}

/** Without the question: for messages that could not be read that far. */
function headerReply(packet: Buffer, rcode: number): Buffer {
  const reply = Buffer.alloc(HEADER_BYTES);
  packet.copy(reply, 0, 0, 2);
  const flags = packet.readUInt16BE(2);
  reply.writeUInt16BE(replyFlags(flags, rcode) | (flags & OPCODE_MASK), 2);
  return reply;
}

function replyFlags(queryFlags: number, rcode: number): number {
  const kept = queryFlags & (FLAG.recursionDesired | FLAG.checkingDisabled);
  return FLAG.response | FLAG_RECURSION_AVAILABLE | kept | (rcode & RCODE_MASK);
}

/** The name is a pointer to the question's. */
function buildRecord(record: OwnRecord, recordClass: number): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0xc000 | HEADER_BYTES, 0);
  head.writeUInt16BE(record.type, 2);
  head.writeUInt16BE(recordClass, 4);
  head.writeUInt32BE(record.ttlSec, 6);
  head.writeUInt16BE(record.data.length, 10);
  return Buffer.concat([head, record.data]);
}

/** Root name, our payload size, the upper bits of the code, version 0, and the client's DO bit (RFC 3225). */
function buildOpt(dnssecOk: boolean, rcode: number): Buffer {
  const opt = Buffer.alloc(11);
  opt.writeUInt16BE(TYPE.opt, 1);
  opt.writeUInt16BE(PAYLOAD_BYTES_MAX, 3);
  opt.writeUInt8(rcode >> 4, 5);
  opt.writeUInt16BE(dnssecOk ? EDNS_DO : 0, 7);
  return opt;
}

/** `message` cut to its question, with the truncation bit: the client asks again over TCP. */
export function truncate(message: Buffer, question: Question): Buffer {
  const short = Buffer.from(message.subarray(0, question.end));
  short.writeUInt16BE(short.readUInt16BE(2) | FLAG.truncated, 2);
  short.fill(0, 6, HEADER_BYTES);
  return short;
}
