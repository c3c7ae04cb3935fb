/**
 * The image whose pull is timed: 5 layers, 80,400 entries, 1.47 GB unpacked, about 440 MB compressed. The content is
 * made by a fixed generator, so that it is the same everywhere; the compressed layers are kept in the fixtures' cache.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Image, makeImage, makeLayer } from '../fixtures/image.ts';
import { cached } from '../fixtures/packages.ts';
import { makeTar, type TarEntry } from '../fixtures/tar.ts';

const LAYERS = 5;
const FILES_PER_LAYER = 15_280;
const DIRECTORIES_PER_LAYER = 800;
const MEAN_FILE_BYTES = 19_200;
/** The part of each file that does not compress. */
const RANDOM_PART = 0.28;

/** xorshift32: reproducible, and fast enough for half a gigabyte. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

function layerEntries(number: number): TarEntry[] {
  const random = generator(number + 1);
  const words = Buffer.alloc(64 * 1024, 'the quick brown fox jumps over the lazy dog, again and again; ');
  const entries: TarEntry[] = [];
  for (let i = 0; i < DIRECTORIES_PER_LAYER; i++)
    entries.push({ path: `data/${number}/${i}/`, type: 'directory' });
  for (let i = 0; i < FILES_PER_LAYER; i++) {
    const size = Math.floor((random() / 2 ** 32) * 2 * MEAN_FILE_BYTES);
    const data = Buffer.allocUnsafe(size);
    const noise = Math.floor((size * RANDOM_PART) / 4) * 4;
    for (let at = 0; at < noise; at += 4) data.writeUInt32LE(random(), at);
    words.copy(data, noise, 0, size - noise);
    entries.push({ path: `data/${number}/${i % DIRECTORIES_PER_LAYER}/file-${i}`, data });
  }
  return entries;
}

export async function largeImage(): Promise<Image> {
  return await largeImageOf(LAYERS);
}

/** The same with the first so many of its layers. */
export async function largeImageOf(count: number): Promise<Image> {
  const folder = await cached('bench-large-2', async (path) => {
    console.log('making the large image (once)');
    mkdirSync(path);
    for (let number = 0; number < LAYERS; number++) {
      const layer = makeLayer(makeTar(layerEntries(number)), 'gzip');
      writeFileSync(join(path, `${number}.gz`), layer.data);
      writeFileSync(join(path, `${number}.diffid`), layer.diffId);
    }
    return Promise.resolve();
  });
  const layers = Array.from({ length: count }, (_, number) => ({
    diffId: readFileSync(join(folder, `${number}.diffid`), 'utf8'),
    compression: 'gzip' as const,
    data: readFileSync(join(folder, `${number}.gz`)),
  }));
  return makeImage({ layers, config: { Cmd: ['none'] } });
}
