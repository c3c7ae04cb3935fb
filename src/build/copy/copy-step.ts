/**
 * What COPY and ADD are once all names in them are known: trees to take from, what to take, where it goes. Carried out
 * without unpacking anything: the files become a layer while they are read.
 */
import type { CommittedLayer } from '../../image/layers/snapshotter.ts';
import type { NewLayers } from '../new-layers.ts';
import type { SourceTree } from '../source/source-tree.ts';

export type CopySourceSpec =
  /** Paths and patterns as they stand in the instruction, variables expanded; `literal`: none of them is a pattern. */
  | { kind: 'tree'; tree: SourceTree; patterns: readonly string[]; literal?: boolean }
  /** A file whose content stands in the Dockerfile. */
  | { kind: 'inline'; name: string; content: string }
  /**
   * A downloaded file (`ADD https://…`); mode 0600, the time that the server said, unless times are uniform. An archive
   * stays one unless `unpack` is set.
   */
  | { kind: 'file'; name: string; tree: SourceTree; unpack: boolean };

export interface CopyRequest {
  /** `COPY` or `ADD`, for error texts. */
  instruction: 'COPY' | 'ADD';
  sources: readonly CopySourceSpec[];
  /** As written, variables expanded; relative paths count from `workingDir`. */
  destination: string;
  workingDir: string;
  /** `user[:group]`, names looked up in the parent's root; empty is 0:0 for contexts, and the source's owner where BuildKit keeps it. */
  chown: string;
  /** Octal digits or symbolic (`u=rwX,go=rX`); empty keeps the source's. */
  chmod: string;
  /** The result does not depend on what lies below it. */
  link: boolean;
  /** Parent folders of sources are kept, from a `/./` in the pattern on. */
  parents: boolean;
  excludes: readonly string[];
  /** Local archives are unpacked. */
  unpack: boolean;
  /** Time of all that gets no other: entries of `uniform` trees, folders that are made. Seconds since 1970. */
  epochSeconds: number;
}

/** The root that the copy goes upon, mounted read-only. */
export interface ParentRoot {
  path: string;
}

export interface PreparedCopy {
  /** Everything that decides the result besides the parent and the content: part of the cache key. */
  readonly definition: string;
  /** False as long as files must be read for `contentKey`. */
  contentKnown(): Promise<boolean>;
  /**
   * A digest of all that is copied: names, types, modes, owners where they matter, content; times only of trees that keep
   * them. Reads what is not remembered yet. Throws InvalidParameter with Docker's texts where nothing is found.
   */
  contentKey(): Promise<string>;
  /**
   * Makes the layer in one pass: files are read once, hashed for `contentKey` on the way, which costs nothing afterwards. Undefined
   * where nothing would change.
   */
  write(parent: ParentRoot, newLayers: NewLayers): Promise<CommittedLayer | undefined>;
}
