/**
 * How much room an inode needs and where it may lie: chunk indexes of files, data that go beside their inodes, and blocks
 * that neither may cross.
 */
import {
  alignUp,
  BLOCK_BYTES,
  CHUNK_BITS_MAX,
  CHUNK_INDEX_BYTES,
  INLINE_MAX,
  INODE_BYTES,
} from './format.ts';

/** The bits of the smallest chunk that holds the file whole, or of the largest there is. */
export function chunkBits(size: number): number {
  const blocks = Math.ceil(size / BLOCK_BYTES);
  return blocks > 2 ** CHUNK_BITS_MAX ? CHUNK_BITS_MAX : 32 - Math.clz32(blocks - 1);
}

export function chunkCount(size: number): number {
  return Math.ceil(size / (2 ** chunkBits(size) * BLOCK_BYTES));
}

/** Bytes of a file's chunk indexes, with what aligns them. */
export function fileTail(attributes: number, size: number): number {
  if (size === 0) return 0;
  return alignUp(attributes, CHUNK_INDEX_BYTES) - attributes + chunkCount(size) * CHUNK_INDEX_BYTES;
}

/** The data's size where it goes beside its inode, else 0. */
export function inlineBytes(size: number): number {
  return size <= INLINE_MAX ? size : 0;
}

/** Whether an inode may lie at `at`: neither it nor its inline data may cross into another block. */
export function fits(at: number, attributes: number, inline: number): boolean {
  if ((at % BLOCK_BYTES) + INODE_BYTES > BLOCK_BYTES) return false;
  return ((at + INODE_BYTES + attributes) % BLOCK_BYTES) + inline <= BLOCK_BYTES;
}
