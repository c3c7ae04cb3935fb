/**
 * COPY and ADD as a step of a build: what is taken is found once, its content's digest is asked of what is remembered,
 * and the layer is written while the files are read.
 */

import { createHash } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { posix } from 'node:path';
import { InvalidParameterError } from '../../base/errors.ts';
import { step } from '../../base/steps.ts';
import { Turns } from '../../base/turns.ts';
import type { CommittedLayer, Snapshotter } from '../../image/layers/snapshotter.ts';
import { byteString } from '../../image/layers/tar/byte-string.ts';
import { O_DIRECTORY, O_PATH } from '../../native/inside-root.ts';
import type { NewLayers } from '../new-layers.ts';
import { releaseAll } from '../release-all.ts';
import type { SourceTree } from '../source/source-tree.ts';
import { ContentDigests } from './content-digests.ts';
import { contentKeyOf, type SelectedSource } from './content-key.ts';
import { resolveOwner } from './copy-owner.ts';
import type { CopyRequest, ParentRoot, PreparedCopy } from './copy-step.ts';
import { CopyWriter, type WriterOptions } from './copy-writer.ts';
import { Destination } from './destination.ts';
import type { FileDigests } from './file-digests.ts';
import { parseModeChange } from './mode-change.ts';
import { type SelectionOptions, selectMatches } from './selection.ts';
import { TreeFiles } from './tree-files.ts';

export interface CopyEnvironment {
  snapshotter: Pick<Snapshotter, 'create'>;
  fileDigests: FileDigests;
  /** Stores an archive that ADD unpacks, and shows its files until they are released. */
  openArchive(path: string, title: string, signal: AbortSignal): Promise<SourceTree>;
  signal: AbortSignal;
}

interface Selected {
  sources: readonly SelectedSource[];
  digests: ContentDigests;
}

/**
 * Judges what can be judged without looking at files: throws InvalidParameter for a bad `--chmod`. Several files may go
 * to one name, as BuildKit has it: the last of them stays.
 */
export function prepareCopy(request: CopyRequest, env: CopyEnvironment): PreparedCopy {
  return new Copy(request, env);
}

class Copy implements PreparedCopy {
  readonly definition: string;
  readonly #request: CopyRequest;
  readonly #env: CopyEnvironment;
  #selected: Promise<Selected> | undefined;
  #key: Promise<string> | undefined;

  constructor(request: CopyRequest, env: CopyEnvironment) {
    this.#request = request;
    this.#env = env;
    parseModeChange(request.chmod);
    this.definition = definitionOf(request);
  }

  async contentKnown(): Promise<boolean> {
    if (this.#key !== undefined || this.#rememberedKey() !== undefined) return true;
    return (await this.#select()).digests.isComplete;
  }

  contentKey(): Promise<string> {
    this.#key ??= this.#findKey();
    /* Whoever awaits it hears of its failure. */
    this.#key.catch(() => undefined);
    return this.#key;
  }

  async #findKey(): Promise<string> {
    const remembered = this.#rememberedKey();
    if (remembered !== undefined) return remembered;
    const { sources, digests } = await this.#select();
    const { destination } = this.#request;
    await step('build/digest', destination, () => digests.complete(this.#env.signal));
    const key = await step('build/content-key', destination, () =>
      contentKeyOf(sources, new Turns(this.#env.signal)),
    );
    const selection = this.#selectionOfFixed();
    if (selection !== undefined) this.#env.fileDigests.rememberKey(selection, key);
    return key;
  }

  async write(parent: ParentRoot, newLayers: NewLayers): Promise<CommittedLayer | undefined> {
    const { sources } = await this.#select();
    const trees = new OpenTrees();
    const failed = new AbortController();
    const signal = AbortSignal.any([this.#env.signal, failed.signal]);
    const key = this.contentKey().catch((error: unknown) => {
      failed.abort(error);
      throw error;
    });
    const layer = this.#write(parent, sources, { trees, newLayers, signal }).finally(() => trees.close());
    const [written, known] = await Promise.allSettled([layer, key]);
    if (written.status === 'rejected') throw written.reason;
    if (known.status === 'rejected') throw known.reason;
    return written.value;
  }

  async #write(
    parent: ParentRoot,
    sources: readonly SelectedSource[],
    { trees, newLayers, signal }: { trees: OpenTrees; newLayers: NewLayers; signal: AbortSignal },
  ): Promise<CommittedLayer | undefined> {
    const { link, destination: written } = this.#request;
    const root = link ? undefined : new TreeFiles({ path: parent.path });
    try {
      const destination = new Destination((path) => root?.look(path));
      const options: WriterOptions = {
        destination: byteString(absoluteDestination(this.#request)),
        isDirectory: isDirectoryPath(written),
        owner: resolveOwner(this.#request.chown, link ? undefined : parent.path),
        mode: parseModeChange(this.#request.chmod),
        epochSeconds: this.#request.epochSeconds,
        unpack: this.#request.unpack,
        turns: new Turns(signal),
        openArchive: (path, title) => trees.adopt(this.#env.openArchive(path, title, signal)),
        selectAll: async (tree) => await selectAll(tree, signal),
        rootOf: (tree) => trees.rootOf(tree),
      };
      for (const [index, source] of sources.entries()) {
        const spec = this.#request.sources[index];
        const unpack = spec?.kind === 'file' ? spec.unpack : options.unpack;
        const writer = new CopyWriter(destination, { ...options, unpack });
        if (source.kind === 'inline') writer.copyInline(source.name, source.content);
        else for (const match of source.matches) await writer.copyMatch(match);
      }
      if (destination.isEmpty) return undefined;
      return await step('build/write-layer', written, () =>
        this.#env.snapshotter.create((layer) => destination.write(layer), newLayers, signal),
      );
    } finally {
      root?.close();
    }
  }

  #select(): Promise<Selected> {
    this.#selected ??= step('build/select', this.#request.destination, () => this.#find());
    this.#selected.catch(() => undefined);
    return this.#selected;
  }

  async #find(): Promise<Selected> {
    const listedMs = Date.now();
    const { parents, excludes, sources } = this.#request;
    const options = { parents, excludes, signal: this.#env.signal };
    const selected: SelectedSource[] = [];
    for (const source of sources) selected.push(await selectSource(source, options));
    const matches = selected.flatMap((source) => (source.kind === 'matches' ? source.matches : []));
    const turns = new Turns(this.#env.signal);
    return {
      sources: selected,
      digests: await ContentDigests.lookUp(this.#env.fileDigests, matches, listedMs, turns),
    };
  }

  #rememberedKey(): string | undefined {
    const selection = this.#selectionOfFixed();
    return selection === undefined ? undefined : this.#env.fileDigests.key(selection);
  }

  /** What is selected, where all of it is in trees that never change. */
  #selectionOfFixed(): string | undefined {
    const parts: unknown[] = [this.#request.parents, this.#request.excludes];
    for (const source of this.#request.sources) {
      if (source.kind === 'inline') parts.push(source.name, source.content);
      else if (source.tree.identity === undefined || source.tree.ignore !== undefined) return undefined;
      else if (source.kind === 'file') parts.push(source.tree.identity, source.name);
      else parts.push(source.tree.identity, source.patterns, source.literal === true);
    }
    return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
  }
}

async function selectSource(
  source: CopyRequest['sources'][number],
  options: SelectionOptions,
): Promise<SelectedSource> {
  if (source.kind === 'inline') {
    return { kind: 'inline', name: source.name, content: Buffer.from(source.content) };
  }
  if (source.kind === 'tree') {
    const { tree, patterns, literal = false } = source;
    return { kind: 'matches', matches: await selectMatches(tree, patterns, { ...options, literal }) };
  }
  const plain = { parents: false, excludes: [], literal: true, signal: options.signal };
  return { kind: 'matches', matches: await selectMatches(source.tree, [source.name], plain) };
}

async function selectAll(tree: SourceTree, signal: AbortSignal) {
  const [match] = await selectMatches(tree, ['/'], { parents: false, excludes: [], signal });
  if (match?.kind !== 'directory') throw new InvalidParameterError(`${tree.title}: not a directory`);
  return match.node;
}

/** Trees that files are read from while a layer is written. */
class OpenTrees {
  readonly #roots = new Map<string, number>();
  readonly #adopted: SourceTree[] = [];

  /** Released with the others. */
  async adopt(opening: Promise<SourceTree>): Promise<SourceTree> {
    const tree = await opening;
    this.#adopted.push(tree);
    return tree;
  }

  rootOf({ path }: SourceTree): number {
    const known = this.#roots.get(path);
    if (known !== undefined) return known;
    const fd = openSync(path, O_PATH | O_DIRECTORY);
    this.#roots.set(path, fd);
    return fd;
  }

  async close(): Promise<void> {
    for (const fd of this.#roots.values()) closeSync(fd);
    await releaseAll(this.#adopted.map((tree) => () => tree.release()));
  }
}

/** `.` is the working directory, and a directory as well. */
function isDirectoryPath(path: string): boolean {
  return path === '' || path === '.' || path.endsWith('/') || path.endsWith('/.');
}

function absoluteDestination({ destination, workingDir }: CopyRequest): string {
  const path = destination.startsWith('/') ? destination : `/${workingDir}/${destination}`;
  return posix.normalize(path).replace(/^\/+|\/+$/g, '');
}

function definitionOf(request: CopyRequest): string {
  const { instruction, chown, chmod, link, parents, excludes, unpack, epochSeconds, sources } = request;
  return JSON.stringify({
    instruction,
    destination: absoluteDestination(request),
    isDirectory: isDirectoryPath(request.destination),
    chown,
    chmod,
    link,
    parents,
    excludes,
    unpack,
    sources: sources.map((source) =>
      source.kind === 'file' && !source.unpack ? 'as it comes' : source.kind,
    ),
    epochSeconds,
  });
}
