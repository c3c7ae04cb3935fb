/**
 * What is looked at in another server's answer: whether it answers our question at all, and, for containers with an
 * egress policy, which addresses it gives to the name that was asked.
 */
import type { IpAddress } from '../ip-address.ts';
import { addressFromBytes } from '../ip-address.ts';
import type { Query } from './message.ts';
import {
  CLASS,
  FLAG,
  HEADER_BYTES,
  OPCODE_MASK,
  RCODE,
  RCODE_MASK,
  readQuestion,
  readRecord,
  TYPE,
} from './message.ts';
import { readName } from './name.ts';

/** More answer records than any name needs are not looked at. */
const RECORDS_MAX = 256;

/**
 * Whether `packet` is an answer to `query` sent under `id`: same question. A server that fails or refuses may leave the
 * question out.
 */
export function answersQuery(packet: Buffer, id: number, query: Query): boolean {
  if (packet.length < HEADER_BYTES || packet.readUInt16BE(0) !== id) return false;
  const flags = packet.readUInt16BE(2);
  if ((flags & FLAG.response) === 0 || (flags & OPCODE_MASK) !== 0) return false;
  const questions = packet.readUInt16BE(4);
  if (questions === 0) return isFailure(packet);
  const question = readQuestion(packet);
  if (questions !== 1 || question === undefined) return false;
  const { end, type, class: questionClass } = query.question;
  if (question.end !== end || question.type !== type || question.class !== questionClass) return false;
  // Servers may change the case of letters; a client that put its own in compares them itself.
  const name = (message: Buffer) => message.toString('latin1', HEADER_BYTES, end - 4).toLowerCase();
  return name(packet) === name(query.packet);
}

/** The server cannot or will not say; another one may. */
export function isFailure(packet: Buffer): boolean {
  const rcode = packet.readUInt16BE(2) & RCODE_MASK;
  return rcode !== RCODE.success && rcode !== RCODE.nameError;
}

export function isTruncated(packet: Buffer): boolean {
  return (packet.readUInt16BE(2) & FLAG.truncated) !== 0;
}

export interface AnsweredAddress {
  address: IpAddress;
  ttlSec: number;
}

/**
 * The addresses of the question's name and of the names that CNAME records in the same answer lead to. Other records
 * give nothing: a name server must not speak for names that nobody asked for.
 */
export function answeredAddresses(packet: Buffer): AnsweredAddress[] {
  const question = readQuestion(packet);
  if (question?.name === undefined) return [];
  const aliases = new Map<string, string>();
  const addresses: (AnsweredAddress & { name: string })[] = [];
  let at = question.end;
  for (let count = Math.min(packet.readUInt16BE(6), RECORDS_MAX); count > 0; count--) {
    const record = readRecord(packet, at);
    if (record === undefined) break;
    at = record.end;
    if (record.class !== CLASS.internet || record.name === undefined) continue;
    const data = packet.subarray(record.dataStart, record.end);
    if (record.type === TYPE.cname) {
      const target = readName(packet, record.dataStart, true);
      if (target?.text !== undefined && target.end === record.end) aliases.set(record.name, target.text);
    } else if (
      (record.type === TYPE.a && data.length === 4) ||
      (record.type === TYPE.aaaa && data.length === 16)
    ) {
      addresses.push({ name: record.name, address: addressFromBytes(data), ttlSec: record.ttl });
    }
  }
  const names = new Set<string>();
  for (let name: string | undefined = question.name; name !== undefined && !names.has(name); ) {
    names.add(name);
    name = aliases.get(name);
  }
  return addresses.filter(({ name }) => names.has(name)).map(({ address, ttlSec }) => ({ address, ttlSec }));
}
