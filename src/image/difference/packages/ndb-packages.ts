/**
 * The headers in rpm's own database format, `Packages.db` (rpm's ndb): little-endian words; a header of 32 bytes,
 * pages of 16-byte slots that say which package lies where, and the packages in blocks of 16 bytes.
 */
import { InvalidParameterError } from '../../../base/errors.ts';
import type { TreeFile } from '../tree.ts';

const HEADER_BYTES = 32;
const SLOT_BYTES = 16;
const PAGE_BYTES = 4096;
const BLOCK_BYTES = 16;
const BLOB_HEAD_BYTES = 16;
const MAX_SLOT_PAGES = 2048;

/** In the order of the slots. Throws InvalidParameter where it is no such database. */
export function* ndbBlobs(file: TreeFile, maxValueBytes: number): Generator<Buffer, void, undefined> {
  const header = Buffer.alloc(HEADER_BYTES);
  if (
    file.read(header, 0) < HEADER_BYTES ||
    header.toString('latin1', 0, 4) !== 'RpmP' ||
    header.readUInt32LE(4) !== 0
  )
    throw new InvalidParameterError('not a database that can be read: no header');
  const slotPages = Math.min(header.readUInt32LE(12), MAX_SLOT_PAGES);
  const slots = Buffer.alloc(Math.max(slotPages * PAGE_BYTES - HEADER_BYTES, 0));
  const length = file.read(slots, HEADER_BYTES);
  for (let at = 0; at + SLOT_BYTES <= length; at += SLOT_BYTES) {
    if (slots.toString('latin1', at, at + 4) !== 'Slot') continue;
    const index = slots.readUInt32LE(at + 4);
    const position = slots.readUInt32LE(at + 8) * BLOCK_BYTES;
    if (index === 0 || position === 0) continue;
    const head = Buffer.alloc(BLOB_HEAD_BYTES);
    if (file.read(head, position) < head.length || head.toString('latin1', 0, 4) !== 'BlbS') continue;
    const size = head.readUInt32LE(12);
    if (head.readUInt32LE(4) !== index || size > maxValueBytes) continue;
    if (position + BLOB_HEAD_BYTES + size > file.sizeBytes) continue;
    const blob = Buffer.alloc(size);
    if (file.read(blob, position + BLOB_HEAD_BYTES) === size) yield blob;
  }
}
