/**
 * SQL of the image store: every statement on the image tables stands here, typed at both ends. No rules: what may be
 * removed and what a name means is decided in image-store.ts and image-removal.ts.
 */
import type { SQLInputValue, StatementSync } from 'node:sqlite';
import type { Database } from '../../base/database.ts';
import { type DiffID, type Digest, type ImageID, parseDiffID, parseDigest, parseImageID } from '../digest.ts';

export interface ImageLine {
  id: ImageID;
  parent: ImageID | undefined;
  sizeBytes: number;
  createdAt: string;
  lastTaggedAt: string;
}

export interface ImageRow extends ImageLine {
  config: Buffer;
  manifest: { digest: Digest; mediaType: string } | undefined;
  /** The index that led to the manifest. */
  index: Digest | undefined;
}

export interface LayerBlob {
  digest: Digest;
  sizeBytes: number;
  mediaType: string;
  /** The blob was seen to unpack to the layer; otherwise only a manifest says so. */
  verified: boolean;
}

/** A tag or a digest by which an image is known. */
export interface NameRow {
  repository: string;
  tag?: string;
  digest?: Digest;
}

type Row = Record<string, unknown>;

export class ImageTables {
  readonly #db: Database;
  readonly #statements = new Map<string, StatementSync>();

  constructor(db: Database) {
    this.#db = db;
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#db.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  #run(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.#prepare(sql).run(...values).changes);
  }

  #all(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.#prepare(sql).all(...values);
  }

  #strings(sql: string, ...values: SQLInputValue[]): string[] {
    return this.#all(sql, ...values).map((row) => String(row['value']));
  }

  #exists(sql: string, ...values: SQLInputValue[]): boolean {
    return this.#prepare(sql).get(...values) !== undefined;
  }

  image(id: ImageID): ImageRow | undefined {
    const row = this.#prepare('SELECT * FROM images WHERE id = ?').get(id);
    return row === undefined ? undefined : readImage(row);
  }

  images(): ImageRow[] {
    return this.#all('SELECT * FROM images ORDER BY created_at DESC, id').map(readImage);
  }

  /** The columns that lists show, newest first. */
  imageLines(): ImageLine[] {
    const sql =
      'SELECT id, parent, size_bytes, created_at, last_tagged_at FROM images ORDER BY created_at DESC, id';
    return this.#all(sql).map(readLine);
  }

  imageCount(): number {
    return Number(this.#strings('SELECT count(*) AS value FROM images')[0]);
  }

  insertImage(row: ImageRow): void {
    this.#run(
      'INSERT INTO images VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
      row.id,
      row.config,
      row.parent ?? null,
      row.sizeBytes,
      row.createdAt,
      row.lastTaggedAt,
      row.manifest?.digest ?? null,
      row.manifest?.mediaType ?? null,
      row.index ?? null,
    );
  }

  deleteImage(id: ImageID): void {
    this.#run('DELETE FROM images WHERE id = ?', id);
  }

  setManifest(id: ImageID, manifest: { digest: Digest; mediaType: string }): void {
    const sql = 'UPDATE images SET manifest_digest = ?, manifest_media_type = ? WHERE id = ?';
    this.#run(sql, manifest.digest, manifest.mediaType, id);
  }

  setIndex(id: ImageID, index: Digest | undefined): void {
    this.#run('UPDATE images SET index_digest = ? WHERE id = ?', index ?? null, id);
  }

  /** An image that has this manifest. */
  byManifest(digest: Digest): ImageID | undefined {
    const found = this.#strings(
      'SELECT id AS value FROM images WHERE manifest_digest = ? LIMIT 1',
      digest,
    )[0];
    return found === undefined ? undefined : parseImageID(found);
  }

  /** The images that came with an index. */
  ofIndex(index: Digest): ImageID[] {
    return this.#strings('SELECT id AS value FROM images WHERE index_digest = ? ORDER BY id', index).map(
      parseImageID,
    );
  }

  isOfTaggedIndex(id: ImageID): boolean {
    const sql = `SELECT 1 FROM images own JOIN images named ON named.index_digest = own.index_digest
       JOIN image_tags t ON t.image_id = named.id WHERE own.id = ? LIMIT 1`;
    return this.#exists(sql, id);
  }

  /** The image with a manifest that is in the index of one of the repository's tags. */
  byTaggedIndex(repository: string, manifest: Digest): ImageID | undefined {
    const sql = `SELECT own.id AS value FROM images own JOIN images named ON named.index_digest = own.index_digest
       JOIN image_tags t ON t.image_id = named.id WHERE own.manifest_digest = ? AND t.repository = ? LIMIT 1`;
    const found = this.#strings(sql, manifest, repository)[0];
    return found === undefined ? undefined : parseImageID(found);
  }

  setLastTagged(id: ImageID, time: string): void {
    this.#run('UPDATE images SET last_tagged_at = ? WHERE id = ?', time, id);
  }

  /** IDs whose hex digits begin so; at most two, which is enough to know that the prefix is ambiguous. */
  idsWithPrefix(hexPrefix: string): ImageID[] {
    const low = `sha256:${hexPrefix}`;
    const sql = 'SELECT id AS value FROM images WHERE id >= ? AND id < ? LIMIT 2';
    return this.#strings(sql, low, `${low}g`).map(parseImageID);
  }

  children(id: ImageID): ImageID[] {
    return this.#strings('SELECT id AS value FROM images WHERE parent = ?', id).map(parseImageID);
  }

  insertLayer(id: ImageID, position: number, diffId: DiffID, chainId: string): void {
    this.#run('INSERT INTO image_layers VALUES (?, ?, ?, ?)', id, position, diffId, chainId);
  }

  hasLayer(diffId: DiffID): boolean {
    return this.#exists('SELECT 1 FROM image_layers WHERE diff_id = ? LIMIT 1', diffId);
  }

  hasChain(chainId: string): boolean {
    return this.#exists('SELECT 1 FROM image_layers WHERE chain_id = ? LIMIT 1', chainId);
  }

  /** Number of images that hold the layer. */
  layerReferences(diffId: DiffID): number {
    const sql = 'SELECT count(DISTINCT image_id) AS value FROM image_layers WHERE diff_id = ?';
    return Number(this.#strings(sql, diffId)[0]);
  }

  layers(): Set<DiffID> {
    return new Set(this.#strings('SELECT DISTINCT diff_id AS value FROM image_layers').map(parseDiffID));
  }

  setTag(repository: string, tag: string, id: ImageID): void {
    const sql =
      'INSERT INTO image_tags VALUES (?, ?, ?) ON CONFLICT (repository, tag) DO UPDATE SET image_id = excluded.image_id';
    this.#run(sql, repository, tag, id);
  }

  setDigest(repository: string, digest: Digest, id: ImageID): void {
    const sql =
      'INSERT INTO image_digests VALUES (?, ?, ?) ON CONFLICT (repository, digest) DO UPDATE SET image_id = excluded.image_id';
    this.#run(sql, repository, digest, id);
  }

  deleteName(name: NameRow): boolean {
    if (name.digest !== undefined) {
      return (
        this.#run(
          'DELETE FROM image_digests WHERE repository = ? AND digest = ?',
          name.repository,
          name.digest,
        ) > 0
      );
    }
    return (
      this.#run('DELETE FROM image_tags WHERE repository = ? AND tag = ?', name.repository, name.tag ?? '') >
      0
    );
  }

  byName(name: NameRow): ImageID | undefined {
    const found =
      name.digest === undefined
        ? this.#strings(
            'SELECT image_id AS value FROM image_tags WHERE repository = ? AND tag = ?',
            name.repository,
            name.tag ?? '',
          )
        : this.#strings(
            'SELECT image_id AS value FROM image_digests WHERE repository = ? AND digest = ?',
            name.repository,
            name.digest,
          );
    return found[0] === undefined ? undefined : parseImageID(found[0]);
  }

  /** All names of an image: tags, then digests, each in order of name. */
  names(id: ImageID): NameRow[] {
    const tags = this.#all('SELECT repository, tag FROM image_tags WHERE image_id = ? ORDER BY 1, 2', id);
    const digests = this.#all(
      'SELECT repository, digest FROM image_digests WHERE image_id = ? ORDER BY 1, 2',
      id,
    );
    return [...tags, ...digests].map(readName);
  }

  /** The same for all images that have names. */
  allNames(): Map<ImageID, NameRow[]> {
    const names = new Map<ImageID, NameRow[]>();
    const tags = this.#all('SELECT * FROM image_tags ORDER BY repository, tag');
    const digests = this.#all('SELECT * FROM image_digests ORDER BY repository, digest');
    for (const row of [...tags, ...digests]) {
      const id = parseImageID(String(row['image_id']));
      const own = names.get(id);
      if (own === undefined) names.set(id, [readName(row)]);
      else own.push(readName(row));
    }
    return names;
  }

  /** Every image's layers, base first. */
  layersByImage(): Map<ImageID, DiffID[]> {
    const layers = new Map<ImageID, DiffID[]>();
    for (const row of this.#all('SELECT image_id, diff_id FROM image_layers ORDER BY image_id, position')) {
      const id = parseImageID(String(row['image_id']));
      const diffId = parseDiffID(String(row['diff_id']));
      const own = layers.get(id);
      if (own === undefined) layers.set(id, [diffId]);
      else own.push(diffId);
    }
    return layers;
  }

  /** The tags of a repository, in order. */
  tagsOf(repository: string): { tag: string; id: ImageID }[] {
    const sql = 'SELECT tag, image_id FROM image_tags WHERE repository = ? ORDER BY tag';
    return this.#all(sql, repository).map((row) => ({
      tag: String(row['tag']),
      id: parseImageID(String(row['image_id'])),
    }));
  }

  hasRepository(repository: string): boolean {
    return (
      this.#exists('SELECT 1 FROM image_tags WHERE repository = ? LIMIT 1', repository) ||
      this.#exists('SELECT 1 FROM image_digests WHERE repository = ? LIMIT 1', repository)
    );
  }

  /** Repositories that an image with this blob was pulled from or pushed to, in order. */
  repositoriesOfBlob(digest: Digest): string[] {
    return this.#strings(
      `SELECT DISTINCT d.repository AS value FROM image_blobs b JOIN image_digests d ON d.image_id = b.image_id
       WHERE b.digest = ? ORDER BY 1`,
      digest,
    );
  }

  addBlob(id: ImageID, digest: Digest): void {
    this.#run('INSERT OR IGNORE INTO image_blobs VALUES (?, ?)', id, digest);
  }

  blobsOf(id: ImageID): Digest[] {
    return this.#strings('SELECT digest AS value FROM image_blobs WHERE image_id = ?', id).map(parseDigest);
  }

  hasBlob(digest: Digest): boolean {
    return this.#exists('SELECT 1 FROM image_blobs WHERE digest = ? LIMIT 1', digest);
  }

  /** Every blob that an image needs kept. */
  blobs(): Digest[] {
    return this.#strings('SELECT DISTINCT digest AS value FROM image_blobs').map(parseDigest);
  }

  /** The blob is not here any more, whoever needs it. */
  forgetBlob(digest: Digest): void {
    this.#run('DELETE FROM image_blobs WHERE digest = ?', digest);
  }

  forgetParent(id: ImageID): void {
    this.#run('UPDATE images SET parent = NULL WHERE id = ?', id);
  }

  addLayerBlob(diffId: DiffID, blob: LayerBlob): void {
    this.#run(
      `INSERT INTO layer_blobs VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (diff_id, digest) DO UPDATE SET verified = max(verified, excluded.verified)`,
      diffId,
      blob.digest,
      blob.sizeBytes,
      blob.mediaType,
      blob.verified ? 1 : 0,
    );
  }

  /** A blob in the content store that every image with the layer keeps from now on. */
  keepLayerBlob(diffId: DiffID, blob: LayerBlob): void {
    this.addLayerBlob(diffId, blob);
    this.#run(
      'INSERT OR IGNORE INTO image_blobs SELECT DISTINCT image_id, ? FROM image_layers WHERE diff_id = ?',
      blob.digest,
      diffId,
    );
  }

  layerBlobs(diffId: DiffID): LayerBlob[] {
    const sql = 'SELECT * FROM layer_blobs WHERE diff_id = ? ORDER BY verified DESC, digest';
    return this.#all(sql, diffId).map((row) => ({
      digest: parseDigest(String(row['digest'])),
      sizeBytes: Number(row['size_bytes']),
      mediaType: String(row['media_type']),
      verified: row['verified'] === 1,
    }));
  }

  deleteLayerBlobs(diffId: DiffID): void {
    this.#run('DELETE FROM layer_blobs WHERE diff_id = ?', diffId);
  }

  /** Of layers that no image has, and that are none of `layers`. */
  forgetLayerBlobsBut(layers: readonly DiffID[]): void {
    this.#run(
      `DELETE FROM layer_blobs WHERE diff_id NOT IN (SELECT diff_id FROM image_layers)
       AND diff_id NOT IN (SELECT value FROM json_each(?))`,
      JSON.stringify(layers),
    );
  }
}

function readName(row: Row): NameRow {
  const repository = String(row['repository']);
  return typeof row['digest'] === 'string'
    ? { repository, digest: parseDigest(row['digest']) }
    : { repository, tag: String(row['tag']) };
}

function readLine(row: Row): ImageLine {
  const parent = row['parent'];
  return {
    id: parseImageID(String(row['id'])),
    parent: typeof parent === 'string' ? parseImageID(parent) : undefined,
    sizeBytes: Number(row['size_bytes']),
    createdAt: String(row['created_at']),
    lastTaggedAt: String(row['last_tagged_at']),
  };
}

function readImage(row: Row): ImageRow {
  const text = (key: string): string | undefined => (row[key] === null ? undefined : String(row[key]));
  const manifestDigest = text('manifest_digest');
  const indexDigest = text('index_digest');
  const config = row['config'];
  if (!(config instanceof Uint8Array)) throw new Error('images.config is not a blob');
  return {
    ...readLine(row),
    config: Buffer.from(config.buffer, config.byteOffset, config.byteLength),
    manifest:
      manifestDigest === undefined
        ? undefined
        : { digest: parseDigest(manifestDigest), mediaType: text('manifest_media_type') ?? '' },
    index: indexDigest === undefined ? undefined : parseDigest(indexDigest),
  };
}
