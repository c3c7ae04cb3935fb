/** Images in and out of archives: save, load and import over one set of stores, and the folder that loads work in. */
import { readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { makeDirectory } from '../../base/make-directory.ts';
import type { Image } from '../store/image-store.ts';
import { type ImporterDeps, type ImportRequest, importImage } from './image-importer.ts';
import { type LoadRequest, loadImages } from './image-loader.ts';
import { type SaveRequest, saveImages } from './image-saver.ts';

export interface ImageArchivesOptions extends ImporterDeps {
  /** On the data root's file system: layers and blobs are moved out of it. Made where it is missing. */
  directory: string;
}

export class ImageArchives {
  readonly #options: ImageArchivesOptions;

  constructor(options: ImageArchivesOptions) {
    this.#options = options;
    makeDirectory(options.directory, 0o700);
  }

  /** Removes what loads left that a crash interrupted. Call it before the first load. */
  async sweep(): Promise<void> {
    const { directory } = this.#options;
    for (const name of readdirSync(directory)) {
      await rm(join(directory, name), { recursive: true, force: true });
    }
  }

  /** See `saveImages`. */
  async save(request: SaveRequest): Promise<void> {
    await saveImages(this.#options, request);
  }

  /** See `loadImages`. */
  async load(request: LoadRequest): Promise<Image[]> {
    return await loadImages(this.#options, request);
  }

  /** See `importImage`. */
  async import(request: ImportRequest): Promise<Image> {
    return await importImage(this.#options, request);
  }
}
