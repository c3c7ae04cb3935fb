/**
 * Archives of Docker before 1.10: a directory a layer, named by the layer's old ID, with `json` (its configuration and
 * its parent) and `layer.tar`, and `repositories` over them. The configuration of today is made of the old ones: the
 * top one's fields, the digests of the tars, and one history entry a layer.
 */
import { InvalidParameterError } from '../../base/errors.ts';
import { type DiffID, digestOf, parseDiffID } from '../digest.ts';
import { type HistoryEntry, parseImageConfig } from '../image-config.ts';
import { JsonReader } from '../json.ts';
import { MAX_CONFIG_BYTES } from '../manifest.ts';
import { canonicalString, parseReference } from '../reference.ts';
import type { ArchiveImage, ArchiveLayer } from './archive-images.ts';
import { MAX_IMAGES, MAX_LIST_BYTES, REPOSITORIES_FILE } from './archive-layout.ts';
import type { Spool } from './spool.ts';

const OLD_ID = /^[0-9a-f]{64}$/;
/** Docker's own limit was 127. */
const MAX_PARENTS = 1024;

/** Throws InvalidParameter where something is missing or broken. */
export async function readLegacyImages(spool: Spool): Promise<ArchiveImage[]> {
  const images = new Map<string, ArchiveImage>();
  for (const [name, id] of await readRepositories(spool)) {
    const image = images.get(id) ?? (await readImage(spool, id));
    images.set(id, image);
    image.references.push(name);
  }
  return [...images.values()];
}

/** Full names with their tags, and the old ID behind each. */
async function readRepositories(spool: Spool): Promise<[string, string][]> {
  const json = JsonReader.parse(await spool.read(REPOSITORIES_FILE, MAX_LIST_BYTES), REPOSITORIES_FILE);
  const names: [string, string][] = [];
  for (const repository of Object.keys(json.value)) {
    for (const [tag, id] of Object.entries(json.stringMap(repository) ?? {})) {
      const reference = parseReference(`${repository}:${tag}`);
      if (!OLD_ID.test(id)) {
        throw new InvalidParameterError(`${REPOSITORIES_FILE}: ${repository}:${tag} has no valid image ID`);
      }
      names.push([canonicalString(reference), id]);
    }
  }
  if (names.length > MAX_IMAGES) {
    throw new InvalidParameterError(
      `${REPOSITORIES_FILE} names ${names.length} images: more than ${MAX_IMAGES}`,
    );
  }
  return names;
}

async function readImage(spool: Spool, topId: string): Promise<ArchiveImage> {
  const layers: ArchiveLayer[] = [];
  const history: HistoryEntry[] = [];
  let top: JsonReader | undefined;
  let id: string | undefined = topId;
  while (id !== undefined) {
    if (!OLD_ID.test(id)) throw new InvalidParameterError(`image archive: invalid layer ID of ${topId}`);
    if (layers.length >= MAX_PARENTS) {
      throw new InvalidParameterError(`image archive: ${topId} has more than ${MAX_PARENTS} parents`);
    }
    const json = JsonReader.parse(await spool.read(`${id}/json`, MAX_CONFIG_BYTES), `${id}/json`);
    top ??= json;
    const file = `${id}/layer.tar`;
    layers.unshift({ diffId: tarDigest(spool, file), file, mediaType: undefined });
    history.unshift(historyOf(json));
    id = json.string('parent') || undefined;
  }
  const configBytes = todaysConfig(
    top?.value ?? {},
    layers.map(({ diffId }) => diffId),
    history,
  );
  return {
    id: digestOf(configBytes),
    config: parseImageConfig(configBytes),
    configBytes,
    layers,
    manifest: undefined,
    index: undefined,
    references: [],
    repoDigests: [],
    parent: undefined,
  };
}

/** Docker never compressed these; one that is compressed fails later, for it is no tar. */
function tarDigest(spool: Spool, file: string): DiffID {
  const stat = spool.stat(file);
  if (stat === undefined) throw new InvalidParameterError(`image archive: file ${file} is missing`);
  return parseDiffID(stat.digest);
}

function historyOf(json: JsonReader): HistoryEntry {
  const command = json.object('container_config')?.strings('Cmd') ?? [];
  const entry: HistoryEntry = {};
  for (const [key, value] of [
    ['created', json.string('created')],
    ['created_by', command.join(' ')],
    ['author', json.string('author')],
    ['comment', json.string('comment')],
  ] as const) {
    if (value !== undefined && value !== '') entry[key] = value;
  }
  return entry;
}

/** Fields in alphabetical order, as Docker wrote them when it did the same. */
function todaysConfig(old: Record<string, unknown>, diffIds: DiffID[], history: HistoryEntry[]): Buffer {
  const { id: _, parent: __, Size: ___, parent_id: ____, layer_id: _____, throwaway: ______, ...kept } = old;
  const config = { ...kept, rootfs: { type: 'layers', diff_ids: diffIds }, history };
  const sorted = Object.entries(config).sort(([left], [right]) => (left < right ? -1 : 1));
  return Buffer.from(JSON.stringify(Object.fromEntries(sorted)));
}
