/**
 * Sums over header blocks, fast: every header of every layer is summed, and most of what reading a tar of small files
 * costs is that. What the sums mean is tar-format.ts's matter.
 */
import { BLOCK_BYTES, FIELD } from './tar-format.ts';

/** The sum of a block's bytes: two at a time in the halves of a word, which 128 words cannot overflow. */
export function sumBytes(view: DataView, at: number): number {
  let halves = 0;
  for (let i = at; i < at + BLOCK_BYTES; i += 4) {
    const word = view.getUint32(i, true);
    halves += (word & 0x00ff00ff) + ((word >>> 8) & 0x00ff00ff);
  }
  return (halves & 0xffff) + Math.floor(halves / 0x10000);
}

/** The unsigned checksum of a header whose bytes' sum is known: the checksum's own field counts as spaces. */
export function headerSum(block: Buffer, sum: number): number {
  const [start, length] = FIELD.checksum;
  let field = 0;
  for (let i = start; i < start + length; i++) field += block[i] ?? 0;
  return sum - field + length * 0x20;
}
