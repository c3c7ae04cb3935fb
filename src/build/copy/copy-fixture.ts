/** For tests of COPY: trees and parents in folders, and a layer as lines of text. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DiffID, parseDiffID } from '../../image/digest.ts';
import {
  type BlobOptions,
  type CommittedLayer,
  type LayerContent,
  type LayerEntry,
  type LayerFileRun,
  type LayerWriter,
  RUN_NUMBERS,
} from '../../image/layers/snapshotter.ts';
import { type ByteString, bytesOf } from '../../image/layers/tar/byte-string.ts';
import { readTreeFile } from '../../image/layers/tree-content.ts';
import { STATE_COUNT } from '../../native/tree.ts';
import type { SourceTree } from '../source/source-tree.ts';
import type { CopyRequest, PreparedCopy } from './copy-step.ts';
import { FileDigests } from './file-digests.ts';
import { prepareCopy } from './prepare-copy.ts';

export const EPOCH = 1_000_000;
const LAYER: CommittedLayer = { diffId: parseDiffID(`sha256:${'0'.repeat(64)}`), sizeBytes: 0 };

export class CopyFixture {
  readonly directory = mkdtempSync(join(tmpdir(), 'mydock-copy-'));
  readonly context = join(this.directory, 'context');
  readonly root = join(this.directory, 'root');
  fileDigests = new FileDigests(':memory:');
  /** Of the last layer. */
  lines: string[] = [];
  /** Layers that were held in the moment when they were there. */
  readonly held: DiffID[] = [];
  /** Called before a file is read. */
  beforeRead: ((name: string) => void) | undefined;

  constructor() {
    mkdirSync(this.context);
    mkdirSync(this.root);
  }

  remove(): void {
    this.fileDigests.close();
    rmSync(this.directory, { recursive: true });
  }

  tree(change: Partial<SourceTree> = {}): SourceTree {
    return {
      path: this.context,
      title: 'build context',
      times: 'uniform',
      live: true,
      release: async () => undefined,
      ...change,
    };
  }

  prepare(patterns: readonly string[], destination: string, change: Partial<CopyRequest> = {}): PreparedCopy {
    const request: CopyRequest = {
      instruction: 'COPY',
      sources: [{ kind: 'tree', tree: this.tree(), patterns }],
      destination,
      workingDir: '/',
      chown: '',
      chmod: '',
      link: false,
      parents: false,
      excludes: [],
      unpack: false,
      epochSeconds: EPOCH,
      ...change,
    };
    return prepareCopy(request, {
      snapshotter: { create: (write, options) => this.#create(write, options) },
      fileDigests: this.fileDigests,
      openArchive: () => Promise.reject(new Error('no archive was expected')),
      signal: new AbortController().signal,
    });
  }

  /** The layer of a copy, a line an entry; empty where nothing would change. */
  async copy(
    patterns: readonly string[],
    destination: string,
    change: Partial<CopyRequest> = {},
  ): Promise<string[]> {
    this.lines = [];
    const newLayers = { onStored: (diffId: DiffID) => void this.held.push(diffId) };
    await this.prepare(patterns, destination, change).write({ path: this.root }, newLayers);
    return this.lines;
  }

  async #create(
    write: (layer: LayerWriter) => Promise<void>,
    options: BlobOptions | undefined,
  ): Promise<CommittedLayer> {
    const lines: string[] = [];
    await write({
      add: async (entry, content) => {
        lines.push(await this.#line(entry, content));
      },
      addFiles: async (run) => {
        for (const file of filesOf(run)) lines.push(await this.#line(file.entry, file.content));
      },
    });
    this.lines = lines;
    options?.onStored?.(LAYER.diffId);
    return LAYER;
  }

  async #line(entry: LayerEntry, content: LayerContent | undefined): Promise<string> {
    const name = Buffer.from(entry.name).toString('latin1');
    const link = entry.linkName === undefined ? '' : ` -> ${Buffer.from(entry.linkName).toString('latin1')}`;
    const mode = (entry.mode ?? 0).toString(8);
    const time = entry.mtimeSec === EPOCH ? '' : ` @${entry.mtimeSec}`;
    const text = content === undefined ? '' : ` = ${await this.#text(name, content)}`;
    const xattrs = (entry.xattrs ?? []).map((xattr) => ` +${xattr.name}`).join('');
    return `${entry.type} ${name} ${mode} ${entry.uid}:${entry.gid}${time}${link}${xattrs}${text}`;
  }

  async #text(name: string, content: LayerContent): Promise<string> {
    if (content instanceof Uint8Array) return Buffer.from(content).toString();
    if ('path' in content) return readFileSync(content.path, 'utf8');
    if (!('file' in content)) throw new Error(`${name}: content of another kind`);
    this.beforeRead?.(name);
    const pieces: Buffer[] = [];
    const buffer = Buffer.alloc(64);
    await readTreeFile(content.file, buffer, (piece) => void pieces.push(Buffer.from(piece)));
    return Buffer.concat(pieces).toString('latin1');
  }
}

/** A run as the entries that it stands for. */
function filesOf(run: LayerFileRun): { entry: LayerEntry; content: LayerContent | undefined }[] {
  const { rootFd, directory, to, numbers, seconds } = run;
  const names = Buffer.from(run.names).toString('latin1').split('\0').slice(0, -1);
  const below = (path: string, name: string) => (path === '' ? name : `${path}/${name}`) as ByteString;
  return names.map((name, i) => {
    const state = run.states.subarray(i * STATE_COUNT, (i + 1) * STATE_COUNT);
    const [mode = 0, uid = 0, gid = 0, mtimeNsec = 0] = numbers.subarray(i * RUN_NUMBERS.count);
    const mtimeSec = seconds[i] ?? 0;
    return {
      entry: { name: bytesOf(below(to, name)), type: 'file', mode, uid, gid, mtimeSec, mtimeNsec },
      content: state[0] === 0 ? undefined : { file: { rootFd, path: below(directory, name), state } },
    };
  });
}

/** A name that is not UTF-8. */
export function rawName(directory: string, bytes: string): Buffer {
  return Buffer.concat([Buffer.from(`${directory}/`), bytesOf(bytes as never)]);
}
