/**
 * Reads tar archives as bytes are pushed in: v7, ustar, PAX (global and local headers), GNU (long names, base-256
 * numbers, old sparse files) and star. It verifies checksums and structure and hands every entry with its content to
 * a sink; what entries mean, and whether their names are safe, is the sink's matter.
 */
import { type ByteString, EMPTY } from './byte-string.ts';
import { headerSum, sumBytes } from './tar-checksum.ts';
import {
  BLOCK_BYTES,
  checksumMatches,
  FIELD,
  padding,
  readNumber,
  readString,
  type TarEntry,
  type TarType,
  tarError,
} from './tar-format.ts';
import { parseDecimal, parsePaxRecords, parsePaxTime, paxXattrs } from './tar-pax.ts';
import {
  checkSparse,
  OldSparseMap,
  PaxSparseMap,
  parseSparseList,
  type SparseMap,
  type SparseSegment,
} from './tar-sparse.ts';

export interface TarSink {
  /**
   * One entry. `body` is its whole content where that lies at hand (always for entries without any); else the content
   * follows by `data`, and `end` closes it. `offset` is where its header lies in the archive, `contentOffset` where its
   * content does in one piece, at a multiple of 512: undefined for a sparse file, whose content is not stored as it is.
   * Bytes are valid only during the call.
   */
  entry(entry: TarEntry, body: Buffer | undefined, offset: number, contentOffset?: number): void;
  /** Content at a position of the file; holes of sparse files are skipped over. */
  data(chunk: Buffer, position: number): void;
  end(): void;
}

/**
 * Long names and PAX headers beyond this are refused, those of one entry together and global ones together, so that an
 * archive cannot ask for any amount of memory.
 */
const SPECIAL_MAX_BYTES = 1024 * 1024;

const TYPES: Readonly<Record<string, TarType>> = {
  '\0': 'file',
  '0': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'character',
  '4': 'block',
  '5': 'directory',
  '6': 'fifo',
  '7': 'file',
  D: 'directory',
  S: 'file',
};

type State = 'header' | 'special' | 'sparseMap' | 'data' | 'done';

export class TarReader {
  readonly #sink: TarSink;
  #state: State = 'header';
  /** Bytes taken so far, and where the header at hand lies. */
  #offset = 0;
  #headerOffset = 0;
  /** A block that straddles chunks. */
  readonly #partial = Buffer.alloc(BLOCK_BYTES);
  readonly #partialView = new DataView(this.#partial.buffer, this.#partial.byteOffset, BLOCK_BYTES);
  #partialBytes = 0;
  #chunkView: DataView = this.#partialView;
  #zeroBlocks = 0;

  readonly #global = new Map<string, ByteString>();
  #local = new Map<string, ByteString>();
  #longName: ByteString | undefined;
  #longLink: ByteString | undefined;

  #specialType = '';
  readonly #specialBytes = { global: 0, local: 0 };
  #special: Buffer[] = [];

  #entry: TarEntry | undefined;
  #segments: SparseSegment[] = [];
  #isSparse = false;
  #segment = 0;
  #segmentDone = 0;
  #map: SparseMap | undefined;
  /** Stored bytes still to come, and the padding behind them; `deliver` is false for content nobody wants. */
  #remaining = 0;
  #padding = 0;
  #deliver = false;
  /** The sink knows of the entry at hand and waits for its content. */
  #announced = false;

  constructor(sink: TarSink) {
    this.#sink = sink;
  }

  /** Takes the next bytes. Throws InvalidParameter for what is no tar; the reader is of no use after that. */
  push(chunk: Buffer): void {
    let at = 0;
    this.#chunkView = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    while (at < chunk.length && this.#state !== 'done') {
      if (this.#state === 'data' || this.#state === 'special') at = this.#consume(chunk, at);
      else at = this.#collectBlock(chunk, at);
    }
    this.#offset += chunk.length - at;
  }

  /** Says that there is no more. Throws where an entry is cut off; a missing end mark is accepted, as elsewhere. */
  finish(): void {
    if (this.#state === 'done') return;
    const between = this.#state === 'header' && this.#partialBytes === 0;
    if (!between) throw this.#error('unexpected end of archive', this.#entry?.name);
  }

  #error(text: string, name?: ByteString): Error {
    return tarError(text, this.#headerOffset, name);
  }

  #collectBlock(chunk: Buffer, at: number): number {
    if (this.#partialBytes === 0 && chunk.length - at >= BLOCK_BYTES) {
      this.#block(chunk.subarray(at, at + BLOCK_BYTES), this.#chunkView, at);
      return at + BLOCK_BYTES;
    }
    const take = Math.min(BLOCK_BYTES - this.#partialBytes, chunk.length - at);
    chunk.copy(this.#partial, this.#partialBytes, at, at + take);
    this.#partialBytes += take;
    if (this.#partialBytes === BLOCK_BYTES) {
      this.#partialBytes = 0;
      this.#block(this.#partial, this.#partialView, 0);
    }
    return at + take;
  }

  /** `block` is what `view` has at `at`. */
  #block(block: Buffer, view: DataView, at: number): void {
    if (this.#state === 'header') this.#headerOffset = this.#offset;
    this.#offset += BLOCK_BYTES;
    if (this.#state === 'sparseMap') this.#sparseMapBlock(block);
    else this.#headerBlock(block, sumBytes(view, at));
  }

  #headerBlock(block: Buffer, sum: number): void {
    if (sum === 0) {
      this.#zeroBlocks++;
      if (this.#zeroBlocks === 2) this.#state = 'done';
      return;
    }
    if (this.#zeroBlocks > 0) throw this.#error('data after a block of zeros');
    const stated = readNumber(block, FIELD.checksum);
    if (stated !== headerSum(block, sum) && !checksumMatches(block))
      throw this.#error('invalid header checksum');
    const type = String.fromCharCode(block[FIELD.type[0]] ?? 0);
    if ('LKxgX'.includes(type)) this.#beginSpecial(block, type);
    else this.#beginEntry(block, type);
  }

  #number(block: Buffer, field: keyof typeof FIELD, minimum = 0): number {
    const value = readNumber(block, FIELD[field]);
    if (!(value >= minimum && value <= Number.MAX_SAFE_INTEGER)) {
      throw this.#error(`invalid ${field} in header`, readString(block, FIELD.name));
    }
    return value;
  }

  #beginSpecial(block: Buffer, type: string): void {
    const size = this.#number(block, 'size');
    const kept = type === 'g' ? 'global' : 'local';
    this.#specialBytes[kept] += size;
    if (this.#specialBytes[kept] > SPECIAL_MAX_BYTES) {
      throw this.#error(`extended header of ${size} bytes is too large`);
    }
    this.#specialType = type;
    this.#special = [];
    this.#begin('special', size);
    if (size === 0) this.#endSpecial();
  }

  #begin(state: 'special' | 'data', size: number): void {
    this.#remaining = size;
    this.#padding = padding(size);
    this.#state = size === 0 ? 'header' : state;
  }

  #endSpecial(): void {
    const data = Buffer.concat(this.#special);
    this.#special = [];
    if (this.#specialType === 'L') this.#longName = untilNul(data);
    else if (this.#specialType === 'K') this.#longLink = untilNul(data);
    else {
      const wrong = parsePaxRecords(data, this.#specialType === 'g' ? this.#global : this.#local);
      if (wrong !== undefined) throw this.#error(wrong);
    }
  }

  #record(key: string): ByteString | undefined {
    return this.#local.get(key) ?? this.#global.get(key);
  }

  #beginEntry(block: Buffer, typeFlag: string): void {
    const magic = block.toString('latin1', FIELD.magic[0], FIELD.magic[0] + 8);
    const name = this.#name(block, magic);
    const type = TYPES[typeFlag];
    if (typeFlag === 'V') {
      this.#skip(this.#number(block, 'size'));
      return;
    }
    if (type === undefined) throw this.#error(`unsupported entry type ${JSON.stringify(typeFlag)}`, name);
    /* Before ustar a directory was a file whose name ends in a slash. */
    const isDirectory = type === 'file' && typeFlag === '\0' && name.endsWith('/');
    const entry: TarEntry = {
      name,
      type: isDirectory ? 'directory' : type,
      mode: this.#number(block, 'mode', -Number.MAX_SAFE_INTEGER) & 0o7777,
      uid: this.#paxNumber('uid') ?? this.#number(block, 'uid'),
      gid: this.#paxNumber('gid') ?? this.#number(block, 'gid'),
      size: 0,
      mtimeSec: this.#number(block, 'mtime', -Number.MAX_SAFE_INTEGER),
      mtimeNsec: 0,
      linkName: this.#longLink ?? (this.#record('linkpath') || readString(block, FIELD.linkName)),
      deviceMajor: 0,
      deviceMinor: 0,
      xattrs: this.#xattrs(),
    };
    this.#setTime(entry);
    if (entry.type === 'character' || entry.type === 'block') {
      entry.deviceMajor = this.#number(block, 'deviceMajor');
      entry.deviceMinor = this.#number(block, 'deviceMinor');
    }
    this.#entry = entry;
    if (type !== 'file') {
      /* Only files have content; sizes of links and directories mean nothing. */
      this.#announce(entry, NOTHING);
      this.#next();
      return;
    }
    const size = this.#paxNumber('size') ?? this.#number(block, 'size');
    if (isDirectory) {
      this.#announce(entry, NOTHING);
      this.#skip(size);
      return;
    }
    this.#beginFile(block, typeFlag, entry, size);
  }

  #name(block: Buffer, magic: string): ByteString {
    const name = this.#longName ?? (this.#record('GNU.sparse.name') || this.#record('path'));
    if (name !== undefined && name !== '') return name;
    const short = readString(block, FIELD.name);
    if (!magic.startsWith('ustar\0')) return short;
    const [trailer, length] = FIELD.starTrailer;
    const isStar = block.toString('latin1', trailer, trailer + length) === 'tar\0';
    const prefix = readString(block, isStar ? FIELD.starPrefix : FIELD.prefix);
    return prefix === '' ? short : (`${prefix}/${short}` as ByteString);
  }

  #paxNumber(key: string): number | undefined {
    const text = this.#record(key);
    if (text === undefined || text === '') return undefined;
    const value = parseDecimal(text);
    if (Number.isNaN(value)) throw this.#error(`invalid PAX ${key} ${JSON.stringify(text)}`);
    return value;
  }

  #setTime(entry: TarEntry): void {
    const text = this.#record('mtime');
    if (text === undefined || text === '') return;
    const time = parsePaxTime(text);
    if (time === undefined) throw this.#error(`invalid PAX mtime ${JSON.stringify(text)}`, entry.name);
    entry.mtimeSec = time.seconds;
    entry.mtimeNsec = time.nanoseconds;
  }

  #xattrs(): TarEntry['xattrs'] {
    if (this.#local.size === 0 && this.#global.size === 0) return NO_XATTRS;
    return paxXattrs(this.#global.size === 0 ? this.#local : new Map([...this.#global, ...this.#local]));
  }

  #beginFile(block: Buffer, typeFlag: string, entry: TarEntry, stored: number): void {
    this.#remaining = stored;
    this.#padding = padding(stored);
    this.#segments = [];
    this.#isSparse = typeFlag === 'S';
    if (typeFlag === 'S') {
      const map = new OldSparseMap(block);
      if (!(map.realSize >= 0)) throw this.#error('invalid size of a sparse file', entry.name);
      this.#beginSparse(entry, map.realSize, map, map.isComplete);
      return;
    }
    entry.size = stored;
    const realSize = this.#paxNumber('GNU.sparse.realsize') ?? this.#paxNumber('GNU.sparse.size');
    if (realSize === undefined) {
      this.#segments = [{ offset: 0, length: stored }];
      this.#beginData();
      return;
    }
    this.#isSparse = true;
    if (this.#record('GNU.sparse.major') === '1') {
      this.#beginSparse(entry, realSize, new PaxSparseMap(), false);
    } else {
      const segments = parseSparseList(this.#record('GNU.sparse.map') ?? '');
      if (segments === undefined) throw this.#error('invalid sparse map', entry.name);
      entry.size = realSize;
      this.#segments = segments;
      this.#beginSparseData();
    }
  }

  #beginSparse(entry: TarEntry, realSize: number, map: SparseMap, isComplete: boolean): void {
    entry.size = realSize;
    this.#segments = map.segments;
    this.#map = map;
    this.#state = 'sparseMap';
    if (isComplete) this.#beginSparseData();
  }

  #sparseMapBlock(block: Buffer): void {
    const map = this.#map;
    if (map === undefined) return;
    if (map.isData) this.#remaining -= BLOCK_BYTES;
    const result = this.#remaining < 0 ? 'sparse map is cut off' : map.push(block);
    if (typeof result === 'string') throw this.#error(result, this.#entry?.name);
    if (result) this.#beginSparseData();
  }

  #beginSparseData(): void {
    const entry = this.#entry;
    this.#map = undefined;
    if (entry === undefined) return;
    const wrong = checkSparse(this.#segments, entry.size, this.#remaining);
    if (wrong !== undefined) throw this.#error(wrong, entry.name);
    this.#beginData();
  }

  #beginData(): void {
    this.#segment = 0;
    this.#segmentDone = 0;
    this.#deliver = true;
    this.#state = 'data';
    const entry = this.#entry;
    if (this.#remaining > 0 || entry === undefined) return;
    if (entry.size === 0) {
      this.#announce(entry, NOTHING);
    } else {
      this.#announce(entry, undefined);
      this.#sink.end();
    }
    this.#next();
  }

  #announce(entry: TarEntry, body: Buffer | undefined): void {
    /* Headers of sparse maps lie between, so that only plain content begins behind the header. */
    const content = this.#isSparse && entry.type === 'file' ? undefined : this.#headerOffset + BLOCK_BYTES;
    this.#sink.entry(entry, body, this.#headerOffset, content);
  }

  /** Content that is not delivered. */
  #skip(size: number): void {
    this.#deliver = false;
    this.#begin('data', size);
    if (size === 0) this.#next();
  }

  #next(): void {
    this.#entry = undefined;
    this.#announced = false;
    if (this.#local.size > 0) this.#local = new Map();
    this.#specialBytes.local = 0;
    this.#longName = undefined;
    this.#longLink = undefined;
    this.#state = 'header';
  }

  #consume(chunk: Buffer, at: number): number {
    if (this.#remaining > 0) {
      const take = Math.min(this.#remaining, chunk.length - at);
      const piece = chunk.subarray(at, at + take);
      if (this.#state === 'special') this.#special.push(Buffer.from(piece));
      else if (this.#deliver) this.#deliverPiece(piece);
      this.#remaining -= take;
      this.#offset += take;
      if (this.#remaining > 0) return at + take;
      if (this.#deliver && this.#state === 'data' && this.#announced) this.#sink.end();
      if (this.#padding > 0) return at + take;
      this.#endContent();
      return at + take;
    }
    const take = Math.min(this.#padding, chunk.length - at);
    this.#padding -= take;
    this.#offset += take;
    if (this.#padding === 0) this.#endContent();
    return at + take;
  }

  #endContent(): void {
    if (this.#state === 'special') {
      this.#state = 'header';
      this.#endSpecial();
    } else {
      this.#next();
    }
  }

  #deliverPiece(piece: Buffer): void {
    const entry = this.#entry;
    if (entry === undefined) return;
    if (!this.#announced) {
      const whole =
        piece.length === entry.size && piece.length === this.#remaining && this.#segments.length === 1;
      this.#announce(entry, whole ? piece : undefined);
      if (whole) return;
      this.#announced = true;
    }
    let at = 0;
    while (at < piece.length) {
      const segment = this.#segments[this.#segment];
      if (segment === undefined) return;
      const take = Math.min(segment.length - this.#segmentDone, piece.length - at);
      if (take > 0) this.#sink.data(piece.subarray(at, at + take), segment.offset + this.#segmentDone);
      at += take;
      this.#segmentDone += take;
      if (this.#segmentDone < segment.length) continue;
      this.#segment++;
      this.#segmentDone = 0;
    }
  }
}

const NOTHING = Buffer.alloc(0);
const NO_XATTRS: TarEntry['xattrs'] = [];

function untilNul(data: Buffer): ByteString {
  const end = data.indexOf(0);
  return (data.length === 0 ? EMPTY : data.toString('latin1', 0, end < 0 ? data.length : end)) as ByteString;
}
