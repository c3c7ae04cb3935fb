/**
 * How an exported cache says which steps it has: records from keys to layers. In a cache of its own that is the
 * configuration of a manifest whose layers are the records'; in an image (`type=inline`) it is one field of the image's
 * configuration, and the layers are the image's. The same records give the same bytes. What is read was written by
 * anyone: it is bounded, and says no more than where a layer of a diffID might be had.
 */
import { InvalidParameterError } from '../../base/errors.ts';
import { type DiffID, type Digest, parseDiffID, parseDigest } from '../../image/digest.ts';
import type { ImageConfig } from '../../image/image-config.ts';
import { JsonReader } from '../../image/json.ts';
import type { Descriptor } from '../../image/manifest.ts';
import { checkLayerType } from '../../image/media-types.ts';

export const CACHE_CONFIG_TYPE = 'application/vnd.mydock.cacheconfig.v1+json';
export const BUILDKIT_CACHE_TYPE = 'application/vnd.buildkit.cacheconfig.v0';
/** Field of an image's configuration. */
export const INLINE_FIELD = 'mydock.cache.v1';

export const MAX_DOCUMENT_BYTES = 16 << 20;
const MAX_RECORDS = 100_000;
const MAX_ALIASES = 64;
const VERSION = 1;
const KEY = /^[0-9a-f]{64}$/;

export interface CacheBlob {
  digest: Digest;
  sizeBytes: number;
  mediaType: string;
}

export interface CacheLayer {
  diffId: DiffID;
  /** Its compressed form; undefined where only a copy that is here already can be used. */
  blob: CacheBlob | undefined;
}

export interface CacheRecord {
  key: string;
  /** See StepRecord; undefined in caches that do not tell. */
  definition: string | undefined;
  /** Other keys that find it. */
  aliases: readonly string[];
  /** Undefined: the step changes nothing. */
  layer: CacheLayer | undefined;
}

/** Layers in the order in which records name them first. Every layer must have a blob. */
export function formatCache(records: readonly CacheRecord[]): { bytes: Buffer; blobs: CacheBlob[] } {
  const layers = new Map<DiffID, { index: number; blob: CacheBlob }>();
  const lines = records.map((record) => {
    const { layer } = record;
    if (layer !== undefined && !layers.has(layer.diffId)) {
      if (layer.blob === undefined) throw new TypeError(`layer ${layer.diffId} of a cache has no blob`);
      layers.set(layer.diffId, { index: layers.size, blob: layer.blob });
    }
    const index = layer === undefined ? undefined : layers.get(layer.diffId)?.index;
    return recordLine(record, index);
  });
  const document = {
    version: VERSION,
    layers: [...layers].map(([diffId, { blob }]) => ({
      diffId,
      digest: blob.digest,
      size: blob.sizeBytes,
      mediaType: blob.mediaType,
    })),
    records: lines,
  };
  return {
    bytes: Buffer.from(JSON.stringify(document)),
    blobs: [...layers.values()].map(({ blob }) => blob),
  };
}

/** Throws InvalidParameter for what is no cache. */
export function parseCache(bytes: Uint8Array): CacheRecord[] {
  const json = JsonReader.parse(bytes, 'cache configuration');
  if (json.integer('version') !== VERSION) json.fail('version', String(VERSION));
  const layers = (json.objects('layers') ?? []).map((layer): CacheLayer => {
    const mediaType = layer.string('mediaType') ?? '';
    checkLayerType(mediaType);
    const sizeBytes = layer.integer('size') ?? -1;
    if (sizeBytes < 0) layer.fail('size', 'a number of bytes');
    const digest = parseDigest(layer.string('digest') ?? '');
    return { diffId: parseDiffID(layer.string('diffId') ?? ''), blob: { digest, sizeBytes, mediaType } };
  });
  return parseRecords(json, layers);
}

/** What an image's configuration says of itself; `diffIds` are the image's, base first. */
export function formatInline(records: readonly CacheRecord[], diffIds: readonly DiffID[]): unknown {
  return {
    version: VERSION,
    records: records.map((record) => {
      const { layer } = record;
      return recordLine(record, layer === undefined ? undefined : diffIds.indexOf(layer.diffId));
    }),
  };
}

/**
 * Undefined where the image tells nothing. `blobs`: of the image's layers, base first; empty where the image is one of
 * this machine's. Throws InvalidParameter for what cannot be read.
 */
export function parseInline(config: ImageConfig, blobs: readonly Descriptor[]): CacheRecord[] | undefined {
  const field = config[INLINE_FIELD];
  if (field === undefined) return undefined;
  const json = new JsonReader(field, `image configuration: ${INLINE_FIELD}`);
  if (json.integer('version') !== VERSION) json.fail('version', String(VERSION));
  const layers = config.rootfs.diff_ids.map((diffId, index): CacheLayer => {
    const blob = blobs[index];
    return { diffId, blob: blob === undefined || blob.urls !== undefined ? undefined : blob };
  });
  return parseRecords(json, layers);
}

function recordLine({ key, definition, aliases }: CacheRecord, layer: number | undefined) {
  return {
    key,
    ...(definition === undefined ? {} : { definition }),
    ...(aliases.length === 0 ? {} : { aliases: [...aliases].sort() }),
    ...(layer === undefined ? {} : { layer }),
  };
}

function parseRecords(json: JsonReader, layers: readonly CacheLayer[]): CacheRecord[] {
  const records = json.objects('records') ?? [];
  if (records.length > MAX_RECORDS) {
    throw new InvalidParameterError(`${json.where}: has more than ${MAX_RECORDS} records`);
  }
  return records.map((record) => {
    const key = record.string('key') ?? '';
    const definition = record.string('definition');
    const aliases = record.strings('aliases') ?? [];
    const index = record.integer('layer');
    const layer = index === undefined ? undefined : layers[index];
    if (index !== undefined && layer === undefined) record.fail('layer', 'the number of a layer');
    if (
      aliases.length > MAX_ALIASES ||
      ![key, definition ?? key, ...aliases].every((text) => KEY.test(text))
    ) {
      record.fail('key', 'keys of 64 hex digits');
    }
    return { key, definition, aliases, layer };
  });
}
