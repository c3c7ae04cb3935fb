/**
 * A cache in a folder of this machine (`type=local`), as an OCI layout: `oci-layout`, `index.json`, `blobs/sha256/…`. The
 * client named the folder and proved by device and inode that it sees the same one. Whoever owns the folder may do
 * anything in it meanwhile: everything is reached from the folder's descriptor, without following links.
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  createReadStream,
  createWriteStream,
  fchownSync,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { TEMPORARY_PREFIX } from '../../base/atomic-file.ts';
import { errnoCode, InternalError, InvalidParameterError, NotFoundError } from '../../base/errors.ts';
import { type Digest, digestHex, digestOf } from '../../image/digest.ts';
import { parseManifest } from '../../image/manifest.ts';
import { OCI_INDEX } from '../../image/media-types.ts';
import type { ContentStore } from '../../image/store/content-store.ts';
import {
  byDescriptor,
  ifThere,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_PATH,
  openInsideWithoutLinks,
  readableFile,
} from '../../native/inside-root.ts';
import { bringBlob } from '../bring-blob.ts';
import { type CacheBlob, MAX_DOCUMENT_BYTES } from './cache-document.ts';

const INDEX = 'index.json';
const REF_NAME = 'org.opencontainers.image.ref.name';
const DEFAULT_TAG = 'latest';
const COPY_BYTES = 1 << 20;

export class CacheFolder {
  readonly #fd: number;
  readonly #path: string;

  /** `attribute`: `src` or `dest`. Throws InvalidParameter where the daemon does not see the client's folder. */
  constructor(attributes: Readonly<Record<string, string>>, attribute: 'src' | 'dest') {
    const path = attributes[attribute] ?? '';
    if (!path.startsWith('/')) {
      throw new InvalidParameterError(`a cache of type local needs ${attribute}=FOLDER, got "${path}"`);
    }
    this.#path = path;
    try {
      this.#fd = openSync(path, O_PATH | O_DIRECTORY);
    } catch (error) {
      throw new NotFoundError(`cannot open the cache folder ${path}`, error);
    }
    const { dev, ino } = fstatSync(this.#fd, { bigint: true });
    if (attributes['device'] === String(dev) && attributes['inode'] === String(ino)) return;
    closeSync(this.#fd);
    throw new InvalidParameterError(
      `the daemon does not see the cache folder ${path} as its client does: caches of type local need a client on the daemon's machine`,
    );
  }

  close(): void {
    closeSync(this.#fd);
  }

  /** The manifest under a tag, or a digest. */
  manifest(tag = DEFAULT_TAG): { bytes: Buffer; mediaType: string } {
    const entries = this.#index();
    const found = tag.startsWith('sha256:')
      ? entries.find(({ digest }) => digest === tag)
      : (entries.find(({ annotations }) => annotations?.[REF_NAME] === tag) ??
        (entries.length === 1 ? entries[0] : undefined));
    if (found === undefined) throw new NotFoundError(`the folder ${this.#path} has no cache "${tag}"`);
    return { bytes: this.bytes(found.digest, MAX_DOCUMENT_BYTES), mediaType: found.mediaType };
  }

  #index() {
    const bytes = this.#read(INDEX, MAX_DOCUMENT_BYTES);
    if (bytes === undefined)
      throw new NotFoundError(`the folder ${this.#path} has no cache: ${INDEX} is missing`);
    const index = parseManifest(bytes, OCI_INDEX);
    if (index.kind !== 'index') throw new InvalidParameterError(`${this.#path}/${INDEX} is no index`);
    return index.manifests;
  }

  /** A small blob, checked against its digest. */
  bytes(digest: Digest, maxBytes: number): Buffer {
    const bytes = this.#read(blobPath(digest), maxBytes);
    if (bytes === undefined) throw new NotFoundError(`the folder ${this.#path} has no blob ${digest}`);
    if (digestOf(bytes) !== digest) {
      throw new InvalidParameterError(`blob ${digest} of the folder ${this.#path} is damaged`);
    }
    return bytes;
  }

  #read(name: string, maxBytes: number): Buffer | undefined {
    const fd = this.#open(name);
    if (fd === undefined) return undefined;
    try {
      const { size } = fstatSync(fd);
      if (size > maxBytes) {
        throw new InvalidParameterError(`${this.#path}/${name} has more than ${maxBytes} bytes`);
      }
      return readFileSync(fd);
    } finally {
      closeSync(fd);
    }
  }

  /** To read from; undefined where it is not there, or no regular file. */
  #open(name: string): number | undefined {
    const fd = ifThere(() => openInsideWithoutLinks(this.#fd, name, O_PATH | O_NOFOLLOW));
    return fd === undefined ? undefined : readableFile(fd);
  }

  has({ digest, sizeBytes }: CacheBlob): boolean {
    const fd = this.#open(blobPath(digest));
    if (fd === undefined) return false;
    try {
      return fstatSync(fd).size === sizeBytes;
    } finally {
      closeSync(fd);
    }
  }

  /** Copies a blob into the content store, which checks its digest. */
  async copyTo(
    store: Pick<ContentStore, 'size' | 'ingest'>,
    { digest, sizeBytes }: CacheBlob,
    signal: AbortSignal,
  ): Promise<void> {
    // What is here already need not be in the folder.
    if (store.size(digest) === sizeBytes) return;
    const fd = this.#open(blobPath(digest));
    if (fd === undefined) throw new NotFoundError(`the folder ${this.#path} has no blob ${digest}`);
    // The descriptor is the stream's from here on.
    const content = createReadStream('', { fd, highWaterMark: COPY_BYTES });
    try {
      await bringBlob(store, { digest, sizeBytes }, content, signal);
    } finally {
      // Also where nobody came to read it.
      content.destroy();
    }
  }

  /** A new blob, under its name once it is whole; it belongs to whom the folder does. */
  async putFile(digest: Digest, path: string, signal: AbortSignal): Promise<void> {
    await this.#put(blobPath(digest), async (fd) => {
      const target = createWriteStream('', { fd, autoClose: false });
      await pipeline(createReadStream(path, { highWaterMark: COPY_BYTES }), target, { signal });
    });
  }

  async putBytes(digest: Digest, bytes: Buffer): Promise<void> {
    await this.#put(blobPath(digest), (fd) => Promise.resolve(writeFileSync(fd, bytes)));
  }

  /** The manifest under a tag; other tags of the folder stay. */
  async publish(
    { bytes, mediaType, digest }: { bytes: Buffer; mediaType: string; digest: Digest },
    tag = DEFAULT_TAG,
  ): Promise<void> {
    await this.putBytes(digest, bytes);
    const entry = { mediaType, digest, size: bytes.length, annotations: { [REF_NAME]: tag } };
    const manifests = [...this.#otherEntries(tag), entry];
    await this.#putJson('oci-layout', { imageLayoutVersion: '1.0.0' });
    await this.#putJson(INDEX, { schemaVersion: 2, mediaType: OCI_INDEX, manifests });
  }

  async #putJson(name: string, value: unknown): Promise<void> {
    await this.#put(name, (fd) => Promise.resolve(writeFileSync(fd, JSON.stringify(value))));
  }

  #otherEntries(tag: string): unknown[] {
    const bytes = this.#read(INDEX, MAX_DOCUMENT_BYTES);
    if (bytes === undefined) return [];
    const index = parseManifest(bytes, OCI_INDEX);
    if (index.kind !== 'index') return [];
    return index.manifests
      .filter(({ annotations }) => annotations?.[REF_NAME] !== tag)
      .map(({ mediaType, digest, sizeBytes, annotations }) => ({
        mediaType,
        digest,
        size: sizeBytes,
        ...(annotations === undefined ? {} : { annotations }),
      }));
  }

  async #put(name: string, write: (fd: number) => Promise<void>): Promise<void> {
    const parts = name.split('/');
    const last = parts.pop() ?? '';
    const folder = this.#makeFolders(parts);
    const here = byDescriptor(folder);
    const temporary = `${here}/${TEMPORARY_PREFIX}${randomBytes(8).toString('hex')}`;
    try {
      const fd = openSync(temporary, 'wx', 0o644);
      try {
        await write(fd);
        // By its descriptor: the name may be another file's by now.
        const { uid, gid } = fstatSync(this.#fd);
        fchownSync(fd, uid, gid);
      } finally {
        closeSync(fd);
      }
      renameSync(temporary, `${here}/${last}`);
    } catch (error) {
      rmSync(temporary, { force: true });
      throw new InternalError(`cannot write ${this.#path}/${name}`, error);
    } finally {
      closeSync(folder);
    }
  }

  /** The last of them, opened. */
  #makeFolders(names: readonly string[]): number {
    const { uid, gid } = fstatSync(this.#fd);
    let fd = openInsideWithoutLinks(this.#fd, '.', O_PATH | O_DIRECTORY);
    for (const name of names) {
      const parent = fd;
      try {
        let made = true;
        try {
          mkdirSync(`${byDescriptor(parent)}/${name}`);
        } catch (error) {
          if (errnoCode(error) !== 'EEXIST') throw error;
          made = false;
        }
        fd = openInsideWithoutLinks(parent, name, constants.O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        if (made) fchownSync(fd, uid, gid);
      } finally {
        closeSync(parent);
      }
    }
    return fd;
  }
}

function blobPath(digest: Digest): string {
  return `blobs/sha256/${digestHex(digest)}`;
}
