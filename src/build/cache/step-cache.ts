/**
 * Results of steps by their keys. A key is made of everything that decides the result, the layers below included, so a
 * record is never wrong, only gone: one whose layer is missing is forgotten and counts as a miss. Records keep their
 * layers (`layers` belongs into ImageStore.setLayerUsers) until prune or the budget takes them.
 */

import type { Database } from '../../base/database.ts';
import { transaction } from '../../base/database.ts';
import { step, stepSync } from '../../base/steps.ts';
import { Turns } from '../../base/turns.ts';
import { type DiffID, parseDiffID, parseDigest } from '../../image/digest.ts';
import type { Snapshotter } from '../../image/layers/snapshotter.ts';
import type { AddLayer, Hold, ImageStore, NewLayersHold } from '../../image/store/image-store.ts';
import type { BuildCacheEntry } from '../builder.ts';
import type { BuiltLayer } from '../solve/solved.ts';
import type { CachedStep, CacheSource } from './cache-source.ts';
import type { CacheStore } from './cache-store.ts';

export interface StepRecord {
  key: string;
  /** Digest of what the step is, without what lies below it and without content: see `mayHave`. */
  definition: string;
  layer: BuiltLayer | undefined;
  description: string;
  /** Key of the record below. */
  parent: string | undefined;
}

export interface StepCacheOptions {
  /** Opened with BUILD_MIGRATIONS. */
  database: Database;
  images: Pick<ImageStore, 'hold' | 'holdNew' | 'collectLayers' | 'layerReferences'>;
  snapshotter: Pick<Snapshotter, 'layer'>;
}

/** Of one record. They save reading content; those of builds long gone are of no use. */
const ALIASES_MAX = 64;

type Row = Record<string, unknown>;

export class StepCache implements CacheSource, CacheStore {
  readonly #db: Database;
  readonly #options: StepCacheOptions;
  /** How many builds in flight use a record. */
  readonly #users = new Map<string, number>();

  constructor(options: StepCacheOptions) {
    this.#db = options.database;
    this.#options = options;
  }

  /** Layers of all records. */
  layers(): DiffID[] {
    const rows = this.#db.prepare('SELECT DISTINCT layer FROM build_steps WHERE layer IS NOT NULL').all();
    return rows.map((row) => parseDiffID(String(row['layer'])));
  }

  /** Whether a step like this was ever done, on whatever: where not, no key need be made to look for it. */
  mayHave(definition: string): boolean {
    return (
      this.#db.prepare('SELECT 1 FROM build_steps WHERE definition = ? LIMIT 1').get(definition) !== undefined
    );
  }

  /** By key or alias. The layer is there now; who needs it to stay holds it and looks again. */
  find(key: string): Promise<CachedStep | undefined> {
    return Promise.resolve(this.#find(key));
  }

  #find(key: string): CachedStep | undefined {
    const row =
      this.#db.prepare('SELECT * FROM build_steps WHERE key = ?').get(key) ??
      this.#db
        .prepare(
          'SELECT build_steps.* FROM build_step_aliases JOIN build_steps USING (key) WHERE build_step_aliases.alias = ?',
        )
        .get(key);
    if (row === undefined) return undefined;
    const found = { key: String(row['key']), layer: this.#layerOf(row) };
    if (found.layer === undefined || this.hasLayer(found.layer.diffId)) return found;
    this.forget(found.key);
    return undefined;
  }

  #layerOf(row: Row): BuiltLayer | undefined {
    if (typeof row['layer'] !== 'string') return undefined;
    const blob = typeof row['blob'] === 'string' ? (JSON.parse(row['blob']) as Partial<AddLayer>) : {};
    return {
      ...(blob.blobDigest === undefined ? {} : { ...blob, blobDigest: parseDigest(blob.blobDigest) }),
      diffId: parseDiffID(row['layer']),
      sizeBytes: Number(row['size_bytes']),
      cacheKey: String(row['key']),
    };
  }

  /** In place of an earlier record of that key. */
  store({ key, definition, layer, description, parent }: StepRecord): void {
    const now = Date.now();
    const { blobDigest, blobSizeBytes, mediaType } = layer ?? {};
    this.#db
      .prepare(
        `INSERT INTO build_steps VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1)
         ON CONFLICT (key) DO UPDATE SET layer = excluded.layer, size_bytes = excluded.size_bytes,
           blob = excluded.blob, last_used_ms = excluded.last_used_ms, usage_count = usage_count + 1`,
      )
      .run(
        key,
        definition,
        layer?.diffId ?? null,
        layer?.sizeBytes ?? 0,
        blobDigest === undefined ? null : JSON.stringify({ blobDigest, blobSizeBytes, mediaType }),
        description,
        parent ?? null,
        now,
        now,
      );
  }

  /** Another name under which a record is found: it says less about content, and is known sooner. */
  alias(alias: string, key: string): void {
    if (alias === key) return;
    this.#db
      .prepare('INSERT OR REPLACE INTO build_step_aliases SELECT ?, key FROM build_steps WHERE key = ?')
      .run(alias, key);
    const count = this.#db.prepare('SELECT count(*) AS count FROM build_step_aliases WHERE key = ?').get(key);
    if (Number(count?.['count']) <= ALIASES_MAX) return;
    this.#db.prepare('DELETE FROM build_step_aliases WHERE key = ? AND alias <> ?').run(key, alias);
  }

  /** Marks a record as used now, and as in use until the function that it returns is called. */
  use(key: string): () => void {
    this.#db
      .prepare('UPDATE build_steps SET last_used_ms = ?, usage_count = usage_count + 1 WHERE key = ?')
      .run(Date.now(), key);
    return this.keep(key);
  }

  /** In use until the function that it returns is called. */
  keep(key: string): () => void {
    this.#users.set(key, (this.#users.get(key) ?? 0) + 1);
    let done = false;
    return () => {
      if (done) return;
      done = true;
      const left = (this.#users.get(key) ?? 0) - 1;
      if (left > 0) this.#users.set(key, left);
      else this.#users.delete(key);
    };
  }

  /** Whether a layer is here whole. */
  hasLayer(layer: DiffID): boolean {
    return this.#options.snapshotter.layer(layer) !== undefined;
  }

  /** Keeps a layer from being removed while a build goes on. */
  async hold(layer: DiffID): Promise<Hold> {
    return await this.#options.images.hold({ layers: [layer] });
  }

  /** The same for layers that the build is yet to make. Those that neither an image nor a record has go with the hold. */
  holdNew(): NewLayersHold {
    return this.#options.images.holdNew();
  }

  forget(key: string): void {
    this.#db.prepare('DELETE FROM build_steps WHERE key = ?').run(key);
  }

  async entries(): Promise<readonly BuildCacheEntry[]> {
    const rows = this.#db.prepare('SELECT * FROM build_steps ORDER BY created_ms, key').all();
    const turns = new Turns();
    const entries: BuildCacheEntry[] = [];
    for (const row of rows) {
      await turns.take();
      entries.push(this.#entry(row));
    }
    return entries;
  }

  #entry(row: Row): BuildCacheEntry {
    const id = String(row['key']);
    const layer = typeof row['layer'] === 'string' ? parseDiffID(row['layer']) : undefined;
    return {
      id,
      type: 'regular',
      description: String(row['description']),
      inUse: this.#users.has(id),
      shared: layer !== undefined && this.#options.images.layerReferences(layer) > 0,
      sizeBytes: Number(row['size_bytes']),
      createdMs: Number(row['created_ms']),
      lastUsedMs: Number(row['last_used_ms']),
      usageCount: Number(row['usage_count']),
      parents: typeof row['parent'] === 'string' ? [row['parent']] : [],
    };
  }

  /** The layer goes with the last record and image that has it; only then are its bytes free. */
  async remove(id: string): Promise<number> {
    if (this.#users.has(id)) return 0;
    const row = this.#db.prepare('SELECT layer FROM build_steps WHERE key = ?').get(id);
    stepSync('build/remove-record', id, () => this.forget(id));
    if (typeof row?.['layer'] !== 'string') return 0;
    const layer = parseDiffID(row['layer']);
    const before = this.#options.snapshotter.layer(layer);
    await step('build/remove-layer', layer, () => this.#options.images.collectLayers([layer]));
    const gone = before !== undefined && this.#options.snapshotter.layer(layer) === undefined;
    return gone ? before.sizeBytes : 0;
  }

  /** Forgets records whose layers are no more. At the start, after the storage driver's own sweep. */
  sweep(): void {
    const missing = this.layers().filter((layer) => !this.hasLayer(layer));
    transaction(this.#db, () => {
      for (const layer of missing) this.#db.prepare('DELETE FROM build_steps WHERE layer = ?').run(layer);
    });
  }
}
