/**
 * What walks through a tree have seen of its folders, as much of it as tells how new the tree is: COPY lists most of a
 * context, and whoever looks for its newest file need not list that again. All walks heed the same ignore rules.
 */
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from '../../image/layers/native-archive.ts';
import { TREE_FIELDS } from '../../native/tree.ts';

/** Names of folders that are remembered: beyond, folders are listed again. */
const NAMES_MAX = 200_000;

/** An entry of a folder that is not ignored, or may have something below it that is not. */
export interface WalkedEntry {
  readonly name: string;
  /** One of TREE_FIELDS. */
  field(index: number): number;
}

export interface WalkedFolder {
  /** Seconds since 1970, of its files and links; undefined where there is none. */
  newestSec: number | undefined;
  folders: readonly string[];
}

export class WalkedFolders {
  readonly #folders = new Map<string, WalkedFolder>();
  #names = 0;
  #walks = 0;
  #waiting: (() => void)[] = [];

  /** `path` is relative to the root, '' for that itself. */
  add(path: string, entries: Iterable<WalkedEntry>): void {
    if (this.#names >= NAMES_MAX || this.#folders.has(path)) return;
    const folder = summaryOf(entries);
    this.#names += 1 + folder.folders.length;
    this.#folders.set(path, folder);
  }

  find(path: string): WalkedFolder | undefined {
    return this.#folders.get(path);
  }

  /** A walk begins; what is returned ends it. */
  begin(): () => void {
    this.#walks++;
    return () => {
      this.#walks--;
      if (this.#walks > 0) return;
      for (const go of this.#waiting.splice(0)) go();
    };
  }

  /** Resolves once no walk is under way: what it sees need not be looked at meanwhile. */
  async idle(): Promise<void> {
    while (this.#walks > 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }
}

export function summaryOf(entries: Iterable<WalkedEntry>): WalkedFolder {
  let newestSec: number | undefined;
  const folders: string[] = [];
  for (const entry of entries) {
    const type = entry.field(TREE_FIELDS.mode) & S_IFMT;
    if (type === S_IFDIR) folders.push(entry.name);
    if (type !== S_IFREG && type !== S_IFLNK) continue;
    newestSec = Math.max(newestSec ?? Number.NEGATIVE_INFINITY, entry.field(TREE_FIELDS.seconds));
  }
  return { newestSec, folders };
}
