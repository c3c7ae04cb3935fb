/**
 * Several layers as one with the same effect on what lies below them. What there is at the end is read from the root
 * filesystem that they make; the layers' tars only say which names to look at. What was there below and is gone gets a
 * whiteout, name by name, so that no opaque directory is needed.
 */
import { InvalidParameterError } from '../../base/errors.ts';
import { Turns } from '../../base/turns.ts';
import type { DiffID } from '../../image/digest.ts';
import { TAR_TYPES } from '../../image/layers/native-archive.ts';
import type {
  CommittedLayer,
  LayerContent,
  LayerEntry,
  LayerWriter,
} from '../../image/layers/snapshotter.ts';
import { type ByteString, bytesOf, EMPTY, printable } from '../../image/layers/tar/byte-string.ts';
import { pathMeaning, whiteoutName } from '../../image/layers/tar/entry-path.ts';
import { TarReader } from '../../image/layers/tar/tar-reader.ts';
import { TREE_FIELDS } from '../../native/tree.ts';
import { type FileEntry, TreeFiles, utf8 } from '../copy/tree-files.ts';
import type { NewLayers } from '../new-layers.ts';
import type { BuildParts } from './build-parts.ts';

export interface MergeRequest {
  /** Base first; they stay as they are. */
  below: readonly DiffID[];
  /** Those to be merged, lowest first. The caller sees to it that all of them stay. */
  layers: readonly DiffID[];
  newLayers: NewLayers;
}

type MergeParts = Pick<BuildParts, 'snapshotter' | 'sources'>;

/** A directory's names that the layers have something to say about, each with those below it. */
interface Names extends Map<string, Names> {}

/** The same layers give the same one. */
export async function mergeLayers(
  parts: MergeParts,
  request: MergeRequest,
  signal: AbortSignal,
): Promise<CommittedLayer> {
  const names: Names = new Map();
  for (const diffId of request.layers) await readNames(parts, diffId, names, signal);
  const { sources, snapshotter } = parts;
  const whole = await sources.openLayers([...request.below, ...request.layers], 'squashed layers');
  try {
    const below = await sources.openLayers(request.below, 'base of squashed layers');
    try {
      const trees = [new TreeFiles(whole), new TreeFiles(below)] as const;
      try {
        return await snapshotter.create(
          (writer) => new Merge(trees[0], trees[1], writer, signal).directory(EMPTY, names, true),
          request.newLayers,
          signal,
        );
      } finally {
        for (const tree of trees) tree.close();
      }
    } finally {
      await below.release();
    }
  } finally {
    await whole.release();
  }
}

async function readNames(
  { snapshotter }: MergeParts,
  diffId: DiffID,
  names: Names,
  signal: AbortSignal,
): Promise<void> {
  const reader = new TarReader({
    entry: ({ name }) => {
      const meaning = pathMeaning(name);
      // Layers that are stored have been judged.
      if ('refused' in meaning) throw new InvalidParameterError(`${printable(name)}: ${meaning.refused}`);
      if (meaning.kind !== 'ignored') addName(names, meaning.path);
    },
    data: () => {},
    end: () => {},
  });
  for await (const chunk of snapshotter.exportTar(diffId) as AsyncIterable<Buffer>) {
    signal.throwIfAborted();
    reader.push(chunk);
  }
  reader.finish();
}

function addName(names: Names, path: ByteString): void {
  let at = names;
  for (const name of path.split('/')) {
    if (name === '') continue;
    const known = at.get(name) ?? new Map<string, Names>();
    at.set(name, known);
    at = known;
  }
}

class Merge {
  readonly #whole: TreeFiles;
  readonly #below: TreeFiles;
  readonly #writer: LayerWriter;
  readonly #turns: Turns;
  /** The first name of a file that has several. */
  readonly #firstNames = new Map<string, ByteString>();

  constructor(whole: TreeFiles, below: TreeFiles, writer: LayerWriter, signal: AbortSignal) {
    this.#whole = whole;
    this.#below = below;
    this.#writer = writer;
    this.#turns = new Turns(signal);
  }

  /** `isBelow`: whether the layers below have the directory, too. */
  async directory(path: ByteString, names: Names, isBelow: boolean): Promise<void> {
    await this.#turns.take();
    const there = byName(await this.#whole.list(path));
    const before = byName(isBelow ? await this.#below.list(path) : []);
    const gone = [...before.keys()].filter((name) => !there.has(name));
    const changed = [...names.keys()].filter((name) => there.has(name));
    for (const name of [...gone, ...changed].sort()) {
      const entry = there.get(name);
      if (entry === undefined) await this.#whiteout((path === '' ? name : `${path}/${name}`) as ByteString);
      else await this.#entry(entry, names.get(name) ?? new Map(), before.get(name)?.isDirectory === true);
    }
  }

  async #whiteout(path: ByteString): Promise<void> {
    const name = bytesOf(whiteoutName(path));
    await this.#writer.add({ name, type: 'file', mode: 0o600 });
  }

  async #entry(entry: FileEntry, names: Names, isBelow: boolean): Promise<void> {
    const type = TAR_TYPES.get(entry.format);
    if (type === undefined)
      throw new InvalidParameterError(`/${utf8(entry.path)}: files of this type cannot be in a layer`);
    const layerEntry: LayerEntry = {
      name: bytesOf(entry.path),
      type,
      mode: entry.isLink ? 0o777 : entry.mode,
      uid: entry.field(TREE_FIELDS.uid),
      gid: entry.field(TREE_FIELDS.gid),
      mtimeSec: entry.field(TREE_FIELDS.seconds),
      mtimeNsec: entry.field(TREE_FIELDS.nanoseconds),
      xattrs: entry.xattrs.map(({ name, value }) => ({ name: utf8(name as ByteString), value })),
    };
    if (type === 'directory') {
      await this.#writer.add(layerEntry);
      await this.directory(entry.path, names, isBelow);
      return;
    }
    const first = this.#firstName(entry);
    if (first !== undefined) {
      await this.#writer.add({ ...layerEntry, type: 'hardlink', linkName: bytesOf(first) });
      return;
    }
    if (type === 'symlink') layerEntry.linkName = bytesOf(entry.link);
    if (type === 'character' || type === 'block') {
      layerEntry.deviceMajor = entry.field(TREE_FIELDS.major);
      layerEntry.deviceMinor = entry.field(TREE_FIELDS.minor);
    }
    await this.#writer.add(layerEntry, this.#content(entry));
  }

  #content(entry: FileEntry): LayerContent | undefined {
    if (!entry.isFile || entry.sizeBytes === 0) return undefined;
    return { file: { rootFd: this.#whole.rootFd, path: entry.path, state: entry.state } };
  }

  #firstName(entry: FileEntry): ByteString | undefined {
    if (entry.field(TREE_FIELDS.links) < 2) return undefined;
    const first = this.#firstNames.get(entry.identity);
    if (first === undefined) this.#firstNames.set(entry.identity, entry.path);
    return first;
  }
}

function byName(entries: readonly FileEntry[]): Map<string, FileEntry> {
  return new Map(entries.map((entry) => [String(entry.name), entry]));
}
