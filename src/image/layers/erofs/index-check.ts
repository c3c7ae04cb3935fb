/**
 * Whether an index is what was once written: its UUID is the front of a SHA-256 of all its other bytes, so that any
 * change on the disk shows, also where the tree could still be walked.
 */
import { createHash } from 'node:crypto';
import { SUPER, SUPER_BYTES, SUPER_OFFSET, superblockChecksum, UUID_BYTES } from './format.ts';

/** The UUID that belongs to these bytes, whatever is in the places of the UUID and the checksum. */
export function indexUuid(index: Buffer): Buffer {
  const superblock = Buffer.from(index.subarray(SUPER_OFFSET, SUPER_OFFSET + SUPER_BYTES));
  superblock.fill(0, SUPER.uuid, SUPER.uuid + UUID_BYTES);
  superblock.fill(0, SUPER.checksum, SUPER.checksum + 4);
  const hash = createHash('sha256').update(index.subarray(0, SUPER_OFFSET)).update(superblock);
  return hash
    .update(index.subarray(SUPER_OFFSET + SUPER_BYTES))
    .digest()
    .subarray(0, UUID_BYTES);
}

/** Whether every byte is as it was written. Reads all of the index. */
export function isIntact(index: Buffer): boolean {
  if (index.length < SUPER_OFFSET + SUPER_BYTES) return false;
  const uuid = index.subarray(SUPER_OFFSET + SUPER.uuid, SUPER_OFFSET + SUPER.uuid + UUID_BYTES);
  if (!indexUuid(index).equals(uuid)) return false;
  return index.readUInt32LE(SUPER_OFFSET + SUPER.checksum) === superblockChecksum(index);
}
