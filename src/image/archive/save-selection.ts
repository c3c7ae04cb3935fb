/** Which images a save is about, and under which names: by name that tag, by repository all of its tags, by ID none. */
import { NotFoundError } from '../../base/errors.ts';
import type { ImageID } from '../digest.ts';
import { configPlatform } from '../image-config.ts';
import { formatPlatform, imageMatchesPlatform, type Platform } from '../platform.ts';
import {
  canonicalString,
  familiarName,
  isNameOnly,
  parseReference,
  type Reference,
  withDefaultTag,
} from '../reference.ts';
import type { Image, ImageStore } from '../store/image-store.ts';

export interface SelectedImage {
  image: Image;
  /** Full names with a tag, sorted. */
  references: string[];
}

interface NamedImages extends Pick<ImageStore, 'resolve'> {
  list(): readonly Pick<Image, 'repoTags'>[];
}

/**
 * Sorted by image ID, so that the order of `names` does not matter. Throws NotFound for a name that means nothing, or an
 * image that is not for `platform`.
 */
export function selectImages(
  imageStore: NamedImages,
  names: readonly string[],
  platform: Platform | undefined,
): SelectedImage[] {
  const selected = new Map<ImageID, { image: Image; references: Set<string> }>();
  const select = (image: Image, reference?: Reference): void => {
    const entry = selected.get(image.id) ?? { image, references: new Set<string>() };
    selected.set(image.id, entry);
    if (reference !== undefined) entry.references.add(canonicalString(withDefaultTag(reference)));
  };
  for (const name of names) {
    for (const { image, reference } of meaning(imageStore, name)) {
      checkPlatform(image, name, platform);
      select(image, reference);
    }
  }
  return [...selected.values()]
    .map(({ image, references }) => ({ image, references: [...references].sort() }))
    .sort((left, right) => (left.image.id < right.image.id ? -1 : 1));
}

type Meaning = { image: Image; reference?: Reference };

function meaning(imageStore: NamedImages, name: string): Meaning[] {
  const reference = nameOf(name);
  if (reference === undefined) return [{ image: imageStore.resolve(name) }];
  if (isNameOnly(reference)) {
    const repository = familiarName(reference);
    const tags = imageStore
      .list()
      .flatMap(({ repoTags }) => repoTags.map((tag) => parseReference(tag)))
      .filter((tag) => familiarName(tag) === repository);
    // A repository without tags here may be the beginning of an ID.
    if (tags.length === 0) return [{ image: imageStore.resolve(name) }];
    return tags.map((tag) => ({ image: imageStore.resolve(canonicalString(tag)), reference: tag }));
  }
  const image = imageStore.resolve(name);
  return [reference.digest === undefined ? { image, reference } : { image }];
}

/** Undefined for IDs. */
function nameOf(name: string): Reference | undefined {
  return /^(?:sha256:[0-9a-f]+|[0-9a-f]{64})$/.test(name) ? undefined : parseReference(name);
}

function checkPlatform(image: Image, name: string, platform: Platform | undefined): void {
  if (platform === undefined || imageMatchesPlatform(platform, configPlatform(image.config))) return;
  throw new NotFoundError(
    `image with reference ${name} was found but does not provide the specified platform (${formatPlatform(platform)})`,
  );
}
