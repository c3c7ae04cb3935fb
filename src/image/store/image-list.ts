/**
 * All images at a glance, for lists and filters. A configuration is read once to take its labels and platform out of
 * it; a list of thousands of images then costs three queries, and only these few facts stay in memory.
 */
import type { ImageID } from '../digest.ts';
import type { ImageConfig } from '../image-config.ts';
import { familiarFromRepository } from '../reference.ts';
import type { ImageTables, NameRow } from './image-tables.ts';

export interface ListedImage {
  id: ImageID;
  /** Familiar: `ubuntu:latest`, `localhost:5000/x:1`. */
  repoTags: string[];
  /** Familiar: `ubuntu@sha256:…`. */
  repoDigests: string[];
  /** Sum over its layers, shared ones included. */
  sizeBytes: number;
  /** RFC 3339, from the configuration; empty where it says nothing. */
  createdAt: string;
  /** RFC 3339 time at which the image got its last name here. */
  lastTaggedAt: string;
  /** Undefined where the configuration has none. */
  labels: Readonly<Record<string, string>> | undefined;
  architecture: string;
  os: string;
  variant: string;
  parent?: ImageID;
}

type Facts = Pick<ListedImage, 'labels' | 'architecture' | 'os' | 'variant'>;

export class ImageList {
  readonly #tables: ImageTables;
  /** Configurations never change under their ID. */
  readonly #facts = new Map<ImageID, Facts>();

  constructor(tables: ImageTables) {
    this.#tables = tables;
  }

  /** Newest first. */
  all(): ListedImage[] {
    const names = this.#tables.allNames();
    return this.#tables.imageLines().map(({ parent, ...line }) => {
      const own = names.get(line.id) ?? [];
      return {
        ...line,
        ...this.#factsOf(line.id),
        repoTags: own.filter(({ tag }) => tag !== undefined).map(familiarNameRow),
        repoDigests: own.filter(({ digest }) => digest !== undefined).map(familiarNameRow),
        ...(parent === undefined ? {} : { parent }),
      };
    });
  }

  #factsOf(id: ImageID): Facts {
    let facts = this.#facts.get(id);
    if (facts === undefined) {
      const row = this.#tables.image(id);
      if (row === undefined) return { labels: undefined, architecture: '', os: '', variant: '' };
      facts = readFacts(row.config);
      this.#facts.set(id, facts);
    }
    return facts;
  }

  /** The image is gone. */
  forget(id: ImageID): void {
    this.#facts.delete(id);
  }
}

/** A third of what `parseImageConfig` costs, which has checked these bytes before they were stored. */
function readFacts(config: Buffer): Facts {
  const {
    config: run,
    architecture,
    os,
    variant,
  } = JSON.parse(config.toString('utf8')) as Partial<ImageConfig>;
  return {
    labels: run?.Labels ?? undefined,
    architecture: architecture ?? '',
    os: os ?? '',
    variant: variant ?? '',
  };
}

/** `ubuntu:latest` or `ubuntu@sha256:…` */
export function familiarNameRow({ repository, tag, digest }: NameRow): string {
  const name = familiarFromRepository(repository);
  return digest === undefined ? `${name}:${tag}` : `${name}@${digest}`;
}
