/**
 * Writes tar archives deterministically: ustar headers, with a PAX header only for what ustar cannot say (long names,
 * large numbers, fractions of a second, attributes). The same entries always give the same bytes.
 */
import { InvalidParameterError } from '../../../base/errors.ts';
import type { ByteString } from './byte-string.ts';
import { printable } from './byte-string.ts';
import { BLOCK_BYTES, FIELD, padding, type TarEntry, type TarType, ZERO_BLOCK } from './tar-format.ts';
import { formatPaxRecords, xattrKey } from './tar-pax.ts';
import { formatSparseMap, type SparseSegment } from './tar-sparse.ts';

/** What an entry needs; all else defaults to 0, or to nothing. Mode defaults to 0644, directories to 0755. */
export type TarHeader = Pick<TarEntry, 'name' | 'type'> &
  Partial<TarEntry> & {
    /** A file with holes, in GNU's PAX format 1.0: only these stretches of its `size` bytes follow as data. */
    sparse?: readonly SparseSegment[] | undefined;
  };

const TYPE_FLAGS: Readonly<Record<TarType, string>> = {
  file: '0',
  hardlink: '1',
  symlink: '2',
  character: '3',
  block: '4',
  directory: '5',
  fifo: '6',
};

const PAX_NAME_BYTES = 80;

export class TarWriter {
  readonly #write: (bytes: Buffer) => void;
  /** Content bytes that the entry at hand still lacks, and the padding behind them. */
  #missing = 0;
  #padding = 0;
  #name: ByteString = '' as ByteString;

  /** `write` gets the archive's bytes in order; it must not keep them beyond the call unless it copies them. */
  constructor(write: (bytes: Buffer) => void) {
    this.#write = write;
  }

  /** Begins an entry; exactly `size` bytes of `data` must follow where it is a file (of its stretches, with `sparse`). */
  entry(header: TarHeader): void {
    if (header.sparse !== undefined) this.#sparse(header, header.sparse);
    else this.#entry(header, new Map());
  }

  #sparse({ sparse: _, ...header }: TarHeader, segments: readonly SparseSegment[]): void {
    const size = header.size ?? 0;
    const last = segments.at(-1);
    // GNU tar ends a file where its last stretch ends, also an empty one.
    const open = last === undefined || last.offset + last.length < size;
    const map = formatSparseMap(open ? [...segments, { offset: size, length: 0 }] : segments);
    const stored = segments.reduce((sum, { length }) => sum + length, 0);
    const records = new Map<string, ByteString>([
      ['GNU.sparse.major', '1' as ByteString],
      ['GNU.sparse.minor', '0' as ByteString],
      ['GNU.sparse.name', header.name],
      ['GNU.sparse.realsize', String(size) as ByteString],
    ]);
    // Programs that do not know the format make this file of it.
    const slash = header.name.lastIndexOf('/') + 1;
    const shown = `${header.name.slice(0, slash)}GNUSparseFile.0/${header.name.slice(slash)}` as ByteString;
    this.#entry({ ...header, name: shown, size: map.length + stored }, records);
    this.data(map);
  }

  #entry(header: TarHeader, records: Map<string, ByteString>): void {
    this.#checkComplete();
    this.#name = header.name;
    const size = header.type === 'file' ? (header.size ?? 0) : 0;
    const block = formatHeader(header, size, records);
    if (records.size > 0) {
      const data = formatPaxRecords(records);
      this.#write(paxHeader(header.name, data.length));
      this.#write(data);
      this.#pad(padding(data.length));
    }
    this.#write(block);
    this.#missing = size;
    this.#padding = padding(size);
  }

  data(chunk: Buffer): void {
    if (chunk.length === 0) return;
    if (chunk.length > this.#missing) {
      throw new InvalidParameterError(
        `tar entry ${printable(this.#name)} got more content than its size says`,
      );
    }
    this.#write(chunk);
    this.#missing -= chunk.length;
    if (this.#missing === 0) this.#pad(this.#padding);
  }

  /** Ends the archive: two blocks of zeros. */
  finish(): void {
    this.#checkComplete();
    this.#pad(2 * BLOCK_BYTES);
  }

  #checkComplete(): void {
    if (this.#missing === 0) return;
    throw new InvalidParameterError(
      `tar entry ${printable(this.#name)} lacks ${this.#missing} bytes of content`,
    );
  }

  #pad(length: number): void {
    for (let left = length; left > 0; left -= BLOCK_BYTES) {
      this.#write(left >= BLOCK_BYTES ? ZERO_BLOCK : ZERO_BLOCK.subarray(0, left));
    }
  }
}

function putString(block: Buffer, [offset, length]: readonly [number, number], text: string): void {
  block.write(text, offset, length, 'latin1');
}

/** Octal with a NUL behind it, where it fits; else 0 and the record. */
function putNumber(
  block: Buffer,
  field: readonly [number, number],
  value: number,
  key: string,
  records: Map<string, ByteString>,
): void {
  const [, length] = field;
  const fits = Number.isSafeInteger(value) && value >= 0 && value < 8 ** (length - 1);
  if (!fits) records.set(key, String(value) as ByteString);
  putString(block, field, (fits ? value : 0).toString(8).padStart(length - 1, '0'));
}

function putTime(block: Buffer, header: TarHeader, records: Map<string, ByteString>): void {
  const seconds = header.mtimeSec ?? 0;
  const nanoseconds = header.mtimeNsec ?? 0;
  putNumber(block, FIELD.mtime, seconds, 'mtime', records);
  if (nanoseconds === 0) return;
  const negative = seconds < 0;
  const whole = negative ? -(seconds + 1) : seconds;
  const rest = negative ? 1_000_000_000 - nanoseconds : nanoseconds;
  const fraction = String(rest).padStart(9, '0').replace(/0+$/, '');
  records.set('mtime', `${negative ? '-' : ''}${whole}.${fraction}` as ByteString);
}

/** Name into the name field, with its front in the prefix field where that helps; else into a record. */
function putName(block: Buffer, name: ByteString, records: Map<string, ByteString>): void {
  if (name.length <= FIELD.name[1]) {
    putString(block, FIELD.name, name);
    return;
  }
  /* A name that ends in a slash is not cut there: the name field must not be empty. */
  const cut = name.indexOf('/', Math.max(1, name.length - 1 - FIELD.name[1]));
  if (cut > 0 && cut <= FIELD.prefix[1] && cut < name.length - 1) {
    putString(block, FIELD.prefix, name.slice(0, cut));
    putString(block, FIELD.name, name.slice(cut + 1));
    return;
  }
  records.set('path', name);
  putString(block, FIELD.name, name.slice(0, FIELD.name[1]));
}

function formatHeader(header: TarHeader, size: number, records: Map<string, ByteString>): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  const link = header.linkName ?? '';
  putName(block, header.name, records);
  putString(
    block,
    FIELD.mode,
    (header.mode ?? (header.type === 'directory' ? 0o755 : 0o644)).toString(8).padStart(7, '0'),
  );
  putNumber(block, FIELD.uid, header.uid ?? 0, 'uid', records);
  putNumber(block, FIELD.gid, header.gid ?? 0, 'gid', records);
  putNumber(block, FIELD.size, size, 'size', records);
  putTime(block, header, records);
  putString(block, FIELD.type, TYPE_FLAGS[header.type]);
  if (link.length > FIELD.linkName[1]) records.set('linkpath', link as ByteString);
  putString(block, FIELD.linkName, link.slice(0, FIELD.linkName[1]));
  putString(block, FIELD.magic, 'ustar\x0000');
  putNumber(block, FIELD.deviceMajor, header.deviceMajor ?? 0, 'SCHILY.devmajor', records);
  putNumber(block, FIELD.deviceMinor, header.deviceMinor ?? 0, 'SCHILY.devminor', records);
  for (const { name, value } of header.xattrs ?? []) {
    records.set(
      xattrKey(name),
      Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('latin1') as ByteString,
    );
  }
  return withChecksum(block);
}

/** The header of a PAX header: named after the entry, for programs that do not know PAX. */
function paxHeader(name: ByteString, size: number): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  const base = name.replace(/\/+$/, '').replace(/^.*\//s, '').slice(0, PAX_NAME_BYTES);
  putString(block, FIELD.name, `PaxHeaders.0/${base}`);
  putString(block, FIELD.mode, '0000644');
  putString(block, FIELD.uid, '0000000');
  putString(block, FIELD.gid, '0000000');
  putString(block, FIELD.size, size.toString(8).padStart(11, '0'));
  putString(block, FIELD.mtime, '00000000000');
  putString(block, FIELD.type, 'x');
  putString(block, FIELD.magic, 'ustar\x0000');
  return withChecksum(block);
}

function withChecksum(block: Buffer): Buffer {
  putString(block, FIELD.checksum, '        ');
  let sum = 0;
  for (let i = 0; i < BLOCK_BYTES; i++) sum += block[i] ?? 0;
  putString(block, FIELD.checksum, `${sum.toString(8).padStart(6, '0')}\0 `);
  return block;
}
