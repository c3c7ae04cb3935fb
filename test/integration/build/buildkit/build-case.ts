/** A small build whose image is known: what BuildKit makes of it stands in facts.json. */
import type { TarEntry } from '../../../fixtures/tar.ts';
import type { ImageFacts } from './image-facts.ts';

/** The files of a context by name: content, or all that an archive can say; names of folders end in a slash. */
export type ContextFiles = Readonly<Record<string, string | Omit<TarEntry, 'path'>>>;

export interface BuildFacts extends Partial<ImageFacts> {
  /** Of a build that failed; all else is absent then. */
  error?: string;
}

export interface BuildCase {
  /** Names the case in facts.json. */
  name: string;
  dockerfile: string;
  files?: ContextFiles;
  target?: string;
  /** Null: the value is the client's, who has none. */
  buildArgs?: Readonly<Record<string, string | null>>;
  labels?: Readonly<Record<string, string>>;
  /** Named contexts that are folders. */
  contexts?: Readonly<Record<string, ContextFiles>>;
  extraHosts?: readonly string[];
  /** Built before, in the same way, and tagged by the name. */
  bases?: Readonly<Record<string, { dockerfile: string }>>;
}
