/** What the names that users type mean to the image store: which row they look up, and what a tag may be called. */
import { InvalidParameterError } from '../../base/errors.ts';
import type { Digest } from '../digest.ts';
import {
  familiarName,
  familiarString,
  parseReference,
  type Reference,
  repositoryName,
  withDefaultTag,
} from '../reference.ts';
import type { NameRow } from './image-tables.ts';

export const IMAGE_ID = /^(?:sha256:)?([0-9a-f]{64})$/;

/** How a name is looked up: the digest counts where there is one, as in Docker. */
export function nameKey(reference: Reference): NameRow {
  const { digest } = reference;
  const repository = repositoryName(reference);
  return digest === undefined
    ? { repository, tag: withDefaultTag(reference).tag ?? '' }
    : { repository, digest };
}

/** An image as "No such image" names it: with its default tag, an ID whole. */
export function missingName(nameOrId: string): string {
  const full = IMAGE_ID.exec(nameOrId)?.[1];
  if (full !== undefined) return `sha256:${full}`;
  try {
    return familiarString(withDefaultTag(parseReference(nameOrId)));
  } catch {
    // An ID prefix need not be a valid name.
    return nameOrId;
  }
}

/** What a tag may be set to. Throws InvalidParameter with Docker's texts. */
export function tagTarget(text: string): Reference {
  const reference = parseReference(text);
  if (reference.digest !== undefined) {
    throw new InvalidParameterError('refusing to create a tag with a digest reference');
  }
  if (familiarName(reference) === 'sha256') {
    throw new InvalidParameterError('refusing to create an ambiguous tag using digest algorithm as name');
  }
  return withDefaultTag(reference);
}

/** The parts of `name@sha256:…`. Throws InvalidParameter where there is no digest. */
export function digestTarget(text: string): { repository: string; digest: Digest } {
  const reference = parseReference(text);
  if (reference.digest === undefined) throw new InvalidParameterError(`"${text}" has no digest`);
  return { repository: repositoryName(reference), digest: reference.digest };
}
