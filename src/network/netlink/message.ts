/**
 * Netlink messages as bytes: header, attributes, nesting, and the way back. Knows nothing of routes or tables; those
 * encode their own fixed headers and attributes with what is here. Numbers are in the host's byte order unless the
 * name says otherwise (nftables wants network order). Source: netlink(7), linux/netlink.h.
 */
import { endianness } from 'node:os';

export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;

export const NLM_F_REQUEST = 0x1;
export const NLM_F_ACK = 0x4;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;
export const NLM_F_DUMP = 0x300;
/** In an answer: an error carries only the header of its request, and attributes that explain it. */
export const NLM_F_CAPPED = 0x100;
export const NLM_F_ACK_TLVS = 0x200;
/** What was listed changed meanwhile: entries may be missing. */
export const NLM_F_DUMP_INTR = 0x10;

export const NLMSG_HEADER_BYTES = 16;
const NLA_F_NESTED = 0x8000;
const NLA_TYPE_MASK = 0x3fff;

if (endianness() !== 'LE') throw new Error('netlink: machines of big-endian byte order are not supported');

const align = (length: number): number => (length + 3) & ~3;

/** Writes messages one behind the other into one growing buffer. */
export class MessageWriter {
  #buffer = Buffer.alloc(1024);
  #length = 0;
  #messageStart = -1;

  /** Opens a message; the family's own fixed header follows through `bytes`, then attributes. */
  begin(type: number, flags: number, sequence: number): void {
    this.#messageStart = this.#length;
    this.#reserve(NLMSG_HEADER_BYTES);
    this.#buffer.writeUInt16LE(type, this.#length + 4);
    this.#buffer.writeUInt16LE(flags, this.#length + 6);
    this.#buffer.writeUInt32LE(sequence, this.#length + 8);
    this.#length += NLMSG_HEADER_BYTES;
  }

  /** Closes the message that `begin` opened. */
  end(): void {
    this.#buffer.writeUInt32LE(this.#length - this.#messageStart, this.#messageStart);
  }

  /** Raw bytes, padded to four. */
  bytes(data: Uint8Array): void {
    this.#reserve(align(data.length));
    this.#buffer.set(data, this.#length);
    this.#length += align(data.length);
  }

  attribute(type: number, data: Uint8Array): void {
    this.#attributeHeader(type, data.length);
    this.bytes(data);
  }

  u8(type: number, value: number): void {
    this.attribute(type, Uint8Array.of(value));
  }

  u16(type: number, value: number): void {
    const data = Buffer.alloc(2);
    data.writeUInt16LE(value);
    this.attribute(type, data);
  }

  u16be(type: number, value: number): void {
    const data = Buffer.alloc(2);
    data.writeUInt16BE(value);
    this.attribute(type, data);
  }

  u32(type: number, value: number): void {
    const data = Buffer.alloc(4);
    data.writeUInt32LE(value >>> 0);
    this.attribute(type, data);
  }

  u32be(type: number, value: number): void {
    const data = Buffer.alloc(4);
    data.writeUInt32BE(value >>> 0);
    this.attribute(type, data);
  }

  /** A string with its terminating NUL. */
  string(type: number, value: string): void {
    this.attribute(type, Buffer.from(`${value}\0`));
  }

  /** An attribute that holds what `body` writes. */
  nest(type: number, body: () => void): void {
    const start = this.#length;
    this.#attributeHeader(type | NLA_F_NESTED, 0);
    body();
    this.#buffer.writeUInt16LE(this.#length - start, start);
  }

  /** All messages so far. */
  finish(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  #attributeHeader(type: number, payloadLength: number): void {
    this.#reserve(4);
    this.#buffer.writeUInt16LE(4 + payloadLength, this.#length);
    this.#buffer.writeUInt16LE(type, this.#length + 2);
    this.#length += 4;
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#buffer.length) return;
    const grown = Buffer.alloc(Math.max(this.#buffer.length * 2, this.#length + more));
    this.#buffer.copy(grown, 0, 0, this.#length);
    this.#buffer = grown;
  }
}

export interface NetlinkMessage {
  type: number;
  flags: number;
  sequence: number;
  /** What follows the header. */
  payload: Buffer;
}

/** Cuts concatenated messages. Throws RangeError where a length leaves the buffer. */
export function parseMessages(buffer: Buffer): NetlinkMessage[] {
  const messages: NetlinkMessage[] = [];
  for (let at = 0; at < buffer.length; ) {
    const length = at + NLMSG_HEADER_BYTES <= buffer.length ? buffer.readUInt32LE(at) : 0;
    if (length < NLMSG_HEADER_BYTES || at + length > buffer.length) {
      throw new RangeError(`netlink: message of length ${length} at byte ${at} of ${buffer.length}`);
    }
    messages.push({
      type: buffer.readUInt16LE(at + 4),
      flags: buffer.readUInt16LE(at + 6),
      sequence: buffer.readUInt32LE(at + 8),
      payload: buffer.subarray(at + NLMSG_HEADER_BYTES, at + length),
    });
    at += align(length);
  }
  return messages;
}

/** Attributes by type; of a repeated one the last. Throws RangeError where a length leaves the buffer. */
export function parseAttributes(buffer: Buffer): Map<number, Buffer> {
  return new Map(listAttributes(buffer));
}

/** One attribute of those from `start` on, for long lists of which little is wanted. Undefined where there is none. */
export function findAttribute(buffer: Buffer, start: number, wanted: number): Buffer | undefined {
  for (let at = start; at + 4 <= buffer.length; ) {
    const length = buffer.readUInt16LE(at);
    if (length < 4 || at + length > buffer.length) {
      throw new RangeError(`netlink: attribute of length ${length} at byte ${at} of ${buffer.length}`);
    }
    const type = buffer.readUInt16LE(at + 2) & NLA_TYPE_MASK;
    if (type === wanted) return buffer.subarray(at + 4, at + length);
    at += align(length);
  }
  return undefined;
}

/** Those of `wanted` types from `start` on, as `parseAttributes`: of a link the kernel tells fifty, and few are asked for. */
export function pickAttributes(
  buffer: Buffer,
  start: number,
  wanted: ReadonlySet<number>,
): Map<number, Buffer> {
  const picked = new Map<number, Buffer>();
  for (let at = start; at + 4 <= buffer.length; ) {
    const length = buffer.readUInt16LE(at);
    if (length < 4 || at + length > buffer.length) {
      throw new RangeError(`netlink: attribute of length ${length} at byte ${at} of ${buffer.length}`);
    }
    const type = buffer.readUInt16LE(at + 2) & NLA_TYPE_MASK;
    if (wanted.has(type)) picked.set(type, buffer.subarray(at + 4, at + length));
    at += align(length);
  }
  return picked;
}

/** Attributes in order, for lists whose elements share one type. */
export function listAttributes(buffer: Buffer): [type: number, value: Buffer][] {
  const attributes: [number, Buffer][] = [];
  for (let at = 0; at + 4 <= buffer.length; ) {
    const length = buffer.readUInt16LE(at);
    if (length < 4 || at + length > buffer.length) {
      throw new RangeError(`netlink: attribute of length ${length} at byte ${at} of ${buffer.length}`);
    }
    attributes.push([buffer.readUInt16LE(at + 2) & NLA_TYPE_MASK, buffer.subarray(at + 4, at + length)]);
    at += align(length);
  }
  return attributes;
}

/** A NUL-terminated string attribute. */
export function attributeString(value: Buffer | undefined): string {
  if (value === undefined) return '';
  const end = value.indexOf(0);
  return value.toString('utf8', 0, end < 0 ? value.length : end);
}
