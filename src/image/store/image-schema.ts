/** The image store's tables in `mydock.db`. Digests are stored as `sha256:<hex>`, repositories by their full name. */
import type { Migrations } from '../../base/database.ts';

export const IMAGE_MIGRATIONS: Migrations = {
  concept: 'image',
  steps: [
    `
    CREATE TABLE images (
      id TEXT PRIMARY KEY,
      config BLOB NOT NULL,
      parent TEXT,
      size_bytes INTEGER NOT NULL,
      created_at TEXT NOT NULL,
      last_tagged_at TEXT NOT NULL,
      manifest_digest TEXT,
      manifest_media_type TEXT
    ) STRICT;
    CREATE INDEX images_by_parent ON images (parent);

    CREATE TABLE image_layers (
      image_id TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
      position INTEGER NOT NULL,
      diff_id TEXT NOT NULL,
      chain_id TEXT NOT NULL,
      PRIMARY KEY (image_id, position)
    ) STRICT;
    CREATE INDEX image_layers_by_diff_id ON image_layers (diff_id);
    CREATE INDEX image_layers_by_chain_id ON image_layers (chain_id);

    CREATE TABLE image_tags (
      repository TEXT NOT NULL,
      tag TEXT NOT NULL,
      image_id TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
      PRIMARY KEY (repository, tag)
    ) STRICT;
    CREATE INDEX image_tags_by_image ON image_tags (image_id);

    CREATE TABLE image_digests (
      repository TEXT NOT NULL,
      digest TEXT NOT NULL,
      image_id TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
      PRIMARY KEY (repository, digest)
    ) STRICT;
    CREATE INDEX image_digests_by_image ON image_digests (image_id);

    -- Blobs in the content store that an image needs kept: its manifest, index and compressed layers.
    CREATE TABLE image_blobs (
      image_id TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
      digest TEXT NOT NULL,
      PRIMARY KEY (image_id, digest)
    ) STRICT;
    CREATE INDEX image_blobs_by_digest ON image_blobs (digest);

    -- Compressed forms that a layer is known by. verified is 0 where only a manifest claims it.
    CREATE TABLE layer_blobs (
      diff_id TEXT NOT NULL,
      digest TEXT NOT NULL,
      size_bytes INTEGER NOT NULL,
      media_type TEXT NOT NULL,
      verified INTEGER NOT NULL,
      PRIMARY KEY (diff_id, digest)
    ) STRICT;
    `,
    // The index that led to the manifest, which a push takes along.
    `
    ALTER TABLE images ADD COLUMN index_digest TEXT;
    CREATE INDEX images_by_manifest ON images (manifest_digest);
    `,
    `
    CREATE INDEX images_by_index ON images (index_digest);
    `,
  ],
};
