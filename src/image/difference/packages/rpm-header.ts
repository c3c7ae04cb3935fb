/**
 * rpm's header as its databases keep it: the number of index entries, the length of the data, the entries (tag, type,
 * offset, count, big-endian 32-bit words), the data. Every offset is checked; what does not fit is left out.
 */

const TAG = {
  name: 1000,
  version: 1001,
  release: 1002,
  epoch: 1003,
  architecture: 1022,
  oldFileNames: 1027,
  dirIndexes: 1116,
  baseNames: 1117,
  dirNames: 1118,
} as const;
const TYPE_INT32 = 4;
const TYPE_STRING = 6;
const TYPE_STRING_ARRAY = 8;
const TYPE_I18N_STRING = 9;
const PREFIX_BYTES = 8;
const ENTRY_BYTES = 16;
/** rpm's own limits are higher; no header in a distribution comes near to this. */
const MAX_ENTRIES = 65_536;

interface IndexEntry {
  type: number;
  offset: number;
  count: number;
}

export class RpmHeader {
  readonly #entries = new Map<number, IndexEntry>();
  readonly #data: Buffer;

  private constructor(blob: Buffer, count: number) {
    const dataStart = PREFIX_BYTES + count * ENTRY_BYTES;
    this.#data = blob.subarray(dataStart, dataStart + blob.readUInt32BE(4));
    for (let at = PREFIX_BYTES; at < dataStart; at += ENTRY_BYTES) {
      const tag = blob.readUInt32BE(at);
      const entry = {
        type: blob.readUInt32BE(at + 4),
        offset: blob.readUInt32BE(at + 8),
        count: blob.readUInt32BE(at + 12),
      };
      if (!this.#entries.has(tag)) this.#entries.set(tag, entry);
    }
  }

  /** Undefined for bytes that are no header. */
  static parse(blob: Buffer): RpmHeader | undefined {
    if (blob.length < PREFIX_BYTES) return undefined;
    const count = blob.readUInt32BE(0);
    if (count === 0 || count > MAX_ENTRIES) return undefined;
    if (PREFIX_BYTES + count * ENTRY_BYTES + blob.readUInt32BE(4) > blob.length) return undefined;
    return new RpmHeader(blob, count);
  }

  get name(): string {
    return this.#text(TAG.name);
  }

  get architecture(): string {
    return this.#text(TAG.architecture);
  }

  /** `epoch:version-release`; an epoch of 0 is left out. */
  get version(): string {
    const epoch = this.#integers(TAG.epoch, 1)[0] ?? 0;
    const release = this.#text(TAG.release);
    return `${epoch === 0 ? '' : `${epoch}:`}${this.#text(TAG.version)}${release === '' ? '' : `-${release}`}`;
  }

  /** Absolute paths, one char a byte. */
  *files(): Generator<string, void, undefined> {
    yield* this.#strings(TAG.oldFileNames);
    const folders = [...this.#strings(TAG.dirNames)];
    const indexes = this.#integers(TAG.dirIndexes, Number.MAX_SAFE_INTEGER);
    let at = 0;
    for (const name of this.#strings(TAG.baseNames)) {
      const folder = folders[indexes[at] ?? -1];
      at++;
      if (folder !== undefined) yield `${folder}${name}`;
    }
  }

  #text(tag: number): string {
    const entry = this.#entries.get(tag);
    if (entry?.type !== TYPE_STRING && entry?.type !== TYPE_I18N_STRING) return '';
    return this.#stringAt(entry.offset) ?? '';
  }

  *#strings(tag: number): Generator<string, void, undefined> {
    const entry = this.#entries.get(tag);
    if (entry?.type !== TYPE_STRING_ARRAY) return;
    let offset = entry.offset;
    for (let i = 0; i < entry.count; i++) {
      const text = this.#stringAt(offset);
      if (text === undefined) return;
      yield text;
      offset += text.length + 1;
    }
  }

  #integers(tag: number, limit: number): number[] {
    const entry = this.#entries.get(tag);
    if (entry?.type !== TYPE_INT32) return [];
    const room = Math.floor((this.#data.length - entry.offset) / 4);
    const count = Math.max(Math.min(entry.count, limit, room), 0);
    return Array.from({ length: count }, (_, i) => this.#data.readUInt32BE(entry.offset + i * 4));
  }

  #stringAt(offset: number): string | undefined {
    if (offset >= this.#data.length) return undefined;
    const end = this.#data.indexOf(0, offset);
    return end < 0 ? undefined : this.#data.toString('latin1', offset, end);
  }
}
