/** The tables of the build cache. */
import type { Migrations } from '../../base/database.ts';

/** `build_steps.layer` is null where a step changed nothing. Times are milliseconds since 1970. */
export const BUILD_MIGRATIONS: Migrations = {
  concept: 'build',
  steps: [
    `CREATE TABLE build_cache (
       parent TEXT NOT NULL,
       step TEXT NOT NULL,
       image TEXT NOT NULL,
       PRIMARY KEY (parent, step)
     ) STRICT, WITHOUT ROWID;`,
    `DROP TABLE build_cache;
     CREATE TABLE build_steps (
       key TEXT PRIMARY KEY,
       definition TEXT NOT NULL,
       layer TEXT,
       size_bytes INTEGER NOT NULL,
       blob TEXT,
       description TEXT NOT NULL,
       parent TEXT,
       created_ms INTEGER NOT NULL,
       last_used_ms INTEGER NOT NULL,
       usage_count INTEGER NOT NULL
     ) STRICT, WITHOUT ROWID;
     CREATE INDEX build_steps_definition ON build_steps (definition);
     CREATE INDEX build_steps_layer ON build_steps (layer);
     CREATE TABLE build_step_aliases (
       alias TEXT PRIMARY KEY,
       key TEXT NOT NULL REFERENCES build_steps (key) ON DELETE CASCADE
     ) STRICT, WITHOUT ROWID;
     CREATE INDEX build_step_aliases_key ON build_step_aliases (key);`,
  ],
};
