/**
 * Archives as clients give them: compressed in any of the ways that Docker takes, gzip and zstd inflated here, bzip2 and xz
 * by programs. Layers of images have two of these at most: inflate.ts.
 */
import type { LayerCompression } from '../snapshotter.ts';
import { runDecompressor } from './decompressor.ts';
import { detectCompression, type InflateOptions, inflate } from './inflate.ts';

export type ArchiveCompression = LayerCompression | 'bzip2' | 'xz';

/** What compresses a stream, by its first bytes (at least 6, where there are as many). */
export function detectArchiveCompression(head: Uint8Array): ArchiveCompression {
  const [a, b, c, d, e, f] = head;
  if (a === 0x42 && b === 0x5a && c === 0x68) return 'bzip2';
  if (a === 0xfd && b === 0x37 && c === 0x7a && d === 0x58 && e === 0x5a && f === 0) return 'xz';
  return detectCompression(head);
}

/** Yields the uncompressed bytes. Broken data throw InvalidParameter, naming the compression and what is wrong. */
export function inflateArchive(
  source: AsyncIterable<Buffer>,
  compression: ArchiveCompression,
  options: InflateOptions = {},
): AsyncGenerator<Buffer, void, undefined> {
  return compression === 'bzip2' || compression === 'xz'
    ? runDecompressor(compression, source)
    : inflate(source, compression, options);
}
