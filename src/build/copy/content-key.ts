/**
 * One digest of all that a copy takes: names, types, modes, links, attributes, content; owners and times of trees in
 * which they are results of the build. Two copies with the same key and definition upon the same root are the same.
 */
import { createHash, type Hash } from 'node:crypto';
import { TREE_FIELDS } from '../../native/tree.ts';
import type { ContentDigests } from './content-digests.ts';
import type { Match, SelectedNode } from './selection.ts';
import type { Turns } from './turns.ts';

/** What a source came to. */
export type SelectedSource =
  | { kind: 'matches'; matches: readonly Match[] }
  | { kind: 'inline'; name: string; content: Buffer };

export async function contentKeyOf(
  sources: readonly SelectedSource[],
  digests: ContentDigests,
  turns: Turns,
): Promise<string> {
  const hash = createHash('sha256');
  for (const source of sources) {
    if (source.kind === 'inline') {
      hash.update(`inline\0${source.name}\0${source.content.length}\0`).update(source.content);
      continue;
    }
    hash.update('source\0');
    for (const match of source.matches) {
      /* The name is of no matter where a directory's content is copied. */
      const isDirectory = match.node.entry.isDirectory;
      hash.update(`match\0${isDirectory ? '' : match.name}\0`, 'latin1');
      await new KeyWriter(hash, digests, match.tree.times === 'kept', match.node).write(match.node, turns);
    }
  }
  return `sha256:${hash.digest('hex')}`;
}

class KeyWriter {
  readonly #hash: Hash;
  readonly #digests: ContentDigests;
  readonly #kept: boolean;
  /** Numbers of files of which several names are copied. */
  readonly #files: ReadonlyMap<string, number>;

  constructor(hash: Hash, digests: ContentDigests, kept: boolean, top: SelectedNode) {
    this.#files = numberFiles(top);
    this.#hash = hash;
    this.#digests = digests;
    this.#kept = kept;
  }

  /** Every field ends in NUL or has a fixed length, and a directory in `end`, so that no two trees read the same. */
  async write(node: SelectedNode, turns: Turns): Promise<void> {
    await turns.take();
    this.#entry(node, '');
    await this.#children(node, turns);
  }

  async #children(node: SelectedNode, turns: Turns): Promise<void> {
    if (node.children === undefined) return;
    await turns.take();
    if (node.implied) this.#hash.update('implied\0');
    for (const child of node.children) {
      this.#entry(child, child.entry.name);
      if (child.children !== undefined) await this.#children(child, turns);
    }
    this.#hash.update('end\0');
  }

  #entry(node: SelectedNode, name: string): void {
    const { entry } = node;
    const fields = [name, entry.field(TREE_FIELDS.mode), entry.link];
    if (this.#kept) {
      const { uid, gid, seconds, nanoseconds } = TREE_FIELDS;
      fields.push(entry.field(uid), entry.field(gid), entry.field(seconds), entry.field(nanoseconds));
    }
    if (!entry.isDirectory && !entry.isFile) {
      fields.push(entry.field(TREE_FIELDS.major), entry.field(TREE_FIELDS.minor));
    }
    if (!entry.isDirectory && entry.field(TREE_FIELDS.links) > 1) {
      fields.push(this.#files.get(entry.identity) ?? '');
    }
    this.#hash.update(`${fields.length}\0${fields.join('\0')}\0${entry.xattrs.length}\0`, 'latin1');
    for (const xattr of entry.xattrs) {
      this.#hash.update(`${xattr.name}\0${xattr.value.length}\0`, 'latin1').update(xattr.value);
    }
    if (entry.isFile) this.#hash.update(this.#digests.digest(entry));
  }
}

/** By identity, which is itself of chance, in the order of the names. */
function numberFiles(top: SelectedNode): Map<string, number> {
  const names = new Map<string, number>();
  const count = ({ entry, children }: SelectedNode): void => {
    if (!entry.isDirectory && entry.field(TREE_FIELDS.links) > 1) {
      names.set(entry.identity, (names.get(entry.identity) ?? 0) + 1);
    }
    for (const child of children ?? []) count(child);
  };
  count(top);
  const several = [...names].filter(([, times]) => times > 1);
  return new Map(several.map(([identity], index) => [identity, index]));
}
