/** What the tests of sources share: sources over a real store of layers, and clients that are folders of this machine. */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Duplex, Readable } from 'node:stream';
import { InvalidParameterError, NotImplementedError } from '../../../base/errors.ts';
import { IgnoreRules } from '../../../base/ignore/ignore-rules.ts';
import type { DiffID, Digest } from '../../../image/digest.ts';
import { ErofsSnapshotter } from '../../../image/layers/erofs/snapshotter.ts';
import { OverlaySnapshotter } from '../../../image/layers/overlay.ts';
import type { Snapshotter } from '../../../image/layers/snapshotter.ts';
import type { BuildSession, ClientStore, FolderRequest } from '../../session.ts';
import { BuildSources, type BuildSourcesOptions, type SourceIo } from '../build-sources.ts';

export class SourcesFixture {
  readonly directory = mkdtempSync(join(tmpdir(), 'mydock-sources-'));
  readonly build = join(this.directory, 'build');
  readonly snapshotter: Snapshotter;
  sources: BuildSources;
  readonly #options: Partial<BuildSourcesOptions>;

  constructor(driver: 'erofs' | 'overlay' = 'erofs', options: Partial<BuildSourcesOptions> = {}) {
    const store = join(this.directory, 'layers');
    mkdirSync(store);
    this.snapshotter =
      driver === 'overlay'
        ? new OverlaySnapshotter(store, { lasting: false })
        : new ErofsSnapshotter(store, {
            mountDirectory: join(this.directory, 'mounts'),
            method: 'file-backed',
            lasting: false,
          });
    this.#options = options;
    this.sources = this.open();
  }

  /** As the next daemon opens them. */
  open(): BuildSources {
    const held: DiffID[] = [];
    const images: BuildSourcesOptions['images'] = {
      holdNew: () => {
        const own: DiffID[] = [];
        return {
          onStored: (diffId) => {
            own.push(diffId);
            held.push(diffId);
          },
          release: async () => {
            for (const diffId of own.splice(0)) {
              held.splice(held.indexOf(diffId), 1);
              if (!held.includes(diffId)) await this.snapshotter.remove(diffId);
            }
          },
        };
      },
    };
    this.sources = new BuildSources({
      directory: this.build,
      snapshotter: this.snapshotter,
      images,
      registry: { env: {}, stallTimeoutMs: 5000 },
      ...this.#options,
    });
    return this.sources;
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  /** Names of trees that were not released. */
  trees(): string[] {
    return readdirSync(join(this.build, 'trees'));
  }

  async close(): Promise<void> {
    await this.sources.sweep();
    await this.snapshotter.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export function io(given: Partial<SourceIo> = {}): SourceIo {
  return { signal: new AbortController().signal, ...given };
}

export async function* bodyOf(...chunks: (Buffer | string)[]): AsyncGenerator<Buffer> {
  for (const chunk of chunks) yield Buffer.from(chunk);
}

/** A client with folders, uploads and secrets; counts what it was asked. */
export class FakeSession implements BuildSession {
  readonly id = 'fake';
  readonly sharedKey: string;
  readonly asked: FolderRequest[] = [];
  readonly folders: Record<string, string>;
  uploads: Record<string, Buffer> = {};
  secrets: Record<string, string> = {};
  stores: Record<string, Map<Digest, Buffer>> = {};

  constructor(folders: Record<string, string> = {}, sharedKey = 'client') {
    this.folders = folders;
    this.sharedKey = sharedKey;
  }

  /** Copies the whole folder each time, without what is excluded. */
  async syncFolder(
    request: FolderRequest,
    directory: string,
    options: { onProgress?: (received: { bytes: number; files: number }) => void },
  ): Promise<void> {
    this.asked.push(request);
    const source = this.folders[request.name];
    if (source === undefined) throw new Error(`no folder ${request.name}`);
    for (const name of readdirSync(directory)) rmSync(join(directory, name), { recursive: true });
    const rules = new IgnoreRules(request.exclude ?? []);
    const wanted = request.followPaths;
    for (const name of readdirSync(source)) {
      if (wanted !== undefined && !wanted.includes(name)) continue;
      if (!rules.excludes(name)) cpSync(join(source, name), join(directory, name), { recursive: true });
    }
    options.onProgress?.({ bytes: 1, files: 1 });
  }

  upload(id: string): Promise<Readable> {
    const data = this.uploads[id];
    return data === undefined
      ? Promise.reject(new Error('no upload'))
      : Promise.resolve(Readable.from([data]));
  }

  secret(id: string): Promise<Buffer | undefined> {
    const secret = this.secrets[id];
    return Promise.resolve(secret === undefined ? undefined : Buffer.from(secret));
  }

  hasSshAgent(): Promise<boolean> {
    return Promise.resolve(false);
  }

  connectSshAgent(): Promise<Duplex> {
    return Promise.reject(new NotImplementedError('no agent'));
  }

  credentials(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  sendFile(): never {
    throw new NotImplementedError('no outputs');
  }

  sendFolder(): never {
    throw new NotImplementedError('no outputs');
  }

  /** Of blobs as they are, whatever their digests say. */
  store(name: string): ClientStore {
    const blobs = this.stores[name];
    if (blobs === undefined) throw new NotImplementedError(`no store ${name}`);
    return {
      size: (digest) => Promise.resolve(blobs.get(digest)?.length),
      read: async function* ({ digest }) {
        const blob = blobs.get(digest);
        if (blob === undefined) throw new InvalidParameterError(`no blob ${digest}`);
        for (let at = 0; at < blob.length; at += 1000) yield blob.subarray(at, at + 1000);
      },
      write: async ({ digest }, content) => {
        const pieces: Uint8Array[] = [];
        for await (const piece of content) pieces.push(Buffer.from(piece));
        blobs.set(digest, Buffer.concat(pieces));
      },
    };
  }
}
