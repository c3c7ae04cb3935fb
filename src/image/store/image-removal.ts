/**
 * Docker's rules for `rmi`. By name: the name goes, and the image with its last one, unless something needs it. By ID:
 * all names go, if they are of one repository. Hard conflicts (children, running containers) always stop it; soft ones
 * (several repositories, stopped containers) give way to force. Parents that nobody names or uses go along.
 */

import { type Database, transaction } from '../../base/database.ts';
import { ConflictError } from '../../base/errors.ts';
import { step, stepSync } from '../../base/steps.ts';
import type { DiffID, Digest, ImageID } from '../digest.ts';
import { chainIds, parseImageConfig } from '../image-config.ts';
import { familiarFromRepository, parseReference, repositoryName, withDefaultTag } from '../reference.ts';
import type { ImageHolds } from './image-holds.ts';
import type { ImageRow, ImageTables, NameRow } from './image-tables.ts';

/** A container that was made from an image. */
export interface ImageUser {
  containerId: string;
  running: boolean;
}

export interface RemoveOptions {
  force: boolean;
  /** Leave parents alone. */
  noPrune: boolean;
  usedBy: (imageId: ImageID) => readonly ImageUser[];
}

/** One line of the answer, in the wire's spelling. */
export type RemovedItem = { Untagged: string; Deleted?: never } | { Deleted: string; Untagged?: never };

export interface Removal {
  /** In the order in which it happened, with the chain IDs of layers behind the image that they were of. */
  items: RemovedItem[];
  /** Images that are gone, as they were. */
  images: ImageRow[];
  /** What the layers and blobs took that went with them. */
  freedBytes: number;
}

interface Progress {
  items: RemovedItem[];
  images: ImageRow[];
  layers: DiffID[];
  blobs: Digest[];
}

interface Conflicts {
  /** Names and stopped containers count too. */
  names: boolean;
  stopped: boolean;
}

export class ImageRemover {
  readonly #db: Database;
  readonly #tables: ImageTables;
  readonly #holds: ImageHolds;

  constructor(options: { database: Database; tables: ImageTables; holds: ImageHolds }) {
    this.#db = options.database;
    this.#tables = options.tables;
    this.#holds = options.holds;
  }

  /** `given` is what the user typed and `id` what it means. Throws Conflict with Docker's texts, having changed nothing. */
  async remove(id: ImageID, given: string, options: RemoveOptions): Promise<Removal> {
    const progress: Progress = { items: [], images: [], layers: [], blobs: [] };
    const strike = (): void => {
      if (isIdPrefix(id, given)) this.#removeById(id, options, progress);
      else this.#removeByName(id, given, options, progress);
    };
    stepSync('image-remove/record', id, () => transaction(this.#db, strike));
    const { items, images, layers, blobs } = progress;
    const freedBytes = await step('image-remove/collect', id, () => this.#holds.collect(layers, blobs));
    return { items, images, freedBytes };
  }

  #removeByName(id: ImageID, given: string, options: RemoveOptions, progress: Progress): void {
    const user = options.usedBy(id)[0];
    if (!options.force && isSingleReference(this.#tables.names(id)) && user !== undefined) {
      throw new ConflictError(
        `conflict: unable to remove repository reference "${given}" (must force) - container ${short(user.containerId)} is using its referenced image ${short(id)}`,
      );
    }
    const reference = withDefaultTag(parseReference(given));
    const repository = repositoryName(reference);
    const { digest, tag = '' } = reference;
    this.#untag(digest === undefined ? { repository, tag } : { repository, digest }, progress);
    const left = this.#tables.names(id);
    const sameRepository = left.filter((name) => name.repository === repository);
    // Digests of a repository go with its last tag.
    if (digest === undefined && sameRepository.every((name) => name.tag === undefined)) {
      for (const name of sameRepository) this.#untag(name, progress);
    }
    if (this.#tables.names(id).length > 0) return;
    this.#delete(id, options, progress, true);
  }

  #removeById(id: ImageID, options: RemoveOptions, progress: Progress): void {
    const names = this.#tables.names(id);
    if (isSingleReference(names)) {
      const conflict = this.#conflict(id, options, { names: false, stopped: !options.force });
      if (conflict !== undefined) throw conflict.error;
      for (const name of names) this.#untag(name, progress);
    }
    this.#delete(id, options, progress, false);
  }

  #untag(name: NameRow, { items }: Progress): void {
    this.#tables.deleteName(name);
    const familiar = familiarFromRepository(name.repository);
    items.push({
      Untagged: name.digest === undefined ? `${familiar}:${name.tag}` : `${familiar}@${name.digest}`,
    });
  }

  /** With `quiet`, a conflict leaves the image silently, unless nobody names or uses it and the user should know why. */
  #delete(id: ImageID, options: RemoveOptions, progress: Progress, quiet: boolean): void {
    const conflict = this.#conflict(id, options, { names: !options.force, stopped: !options.force });
    if (conflict !== undefined) {
      const dangling = this.#tables.names(id).length === 0 && this.#tables.children(id).length === 0;
      if (quiet && (!dangling || conflict.used)) return;
      throw conflict.error;
    }
    const row = this.#tables.image(id);
    if (row === undefined) return;
    for (const name of this.#tables.names(id)) this.#untag(name, progress);
    const diffIds = parseImageConfig(row.config).rootfs.diff_ids;
    progress.layers.push(...diffIds);
    progress.blobs.push(...this.#tables.blobsOf(id));
    this.#tables.deleteImage(id);
    progress.images.push(row);
    progress.items.push({ Deleted: id });
    for (const chainId of chainIds(diffIds).reverse()) {
      if (this.#tables.hasChain(chainId)) break;
      progress.items.push({ Deleted: chainId });
    }
    if (options.noPrune || row.parent === undefined) return;
    this.#delete(row.parent, { ...options, force: false }, progress, true);
  }

  #conflict(
    id: ImageID,
    options: RemoveOptions,
    soft: Conflicts,
  ): { error: ConflictError; used: boolean } | undefined {
    const conflict = (how: string, why: string, used: boolean): { error: ConflictError; used: boolean } => ({
      error: new ConflictError(`conflict: unable to delete ${short(id)} (${how}) - ${why}`),
      used,
    });
    if (this.#tables.children(id).length > 0) {
      return conflict('cannot be forced', 'image has dependent child images', false);
    }
    const users = options.usedBy(id);
    const running = users.find((user) => user.running);
    if (running !== undefined) {
      const why = `image is being used by running container ${short(running.containerId)}`;
      return conflict('cannot be forced', why, true);
    }
    if (soft.names && this.#tables.names(id).length > 0) {
      return conflict('must be forced', 'image is referenced in multiple repositories', false);
    }
    const stopped = users[0];
    if (!soft.stopped || stopped === undefined) return undefined;
    const why = `image is being used by stopped container ${short(stopped.containerId)}`;
    return conflict('must be forced', why, true);
  }
}

/** Whether all names are of one repository, with at most one tag. */
function isSingleReference(names: readonly NameRow[]): boolean {
  if (names.length === 0) return false;
  const tags = names.filter(({ tag }) => tag !== undefined);
  return tags.length <= 1 && new Set(names.map(({ repository }) => repository)).size === 1;
}

function isIdPrefix(id: ImageID, given: string): boolean {
  return id.startsWith(given) || id.slice('sha256:'.length).startsWith(given);
}

/** 12 hex digits. */
function short(id: string): string {
  return id.replace(/^sha256:/, '').slice(0, 12);
}
