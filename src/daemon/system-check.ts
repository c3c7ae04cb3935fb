/**
 * `mydock system check`: the database by SQLite's own checks, then every concept's records against its files. It reads
 * all contents unless it is to be quick, and changes nothing unless it is to repair.
 */
import type { SystemCheckSummary } from '../api/system.ts';
import { type CheckRun, found } from '../base/check.ts';
import type { Database } from '../base/database.ts';
import type { ContainerEngine } from '../container/engine.ts';
import type { ImageStore } from '../image/store/image-store.ts';
import type { NetworkManager } from '../network/network-manager.ts';
import { checkVolumes } from '../volume/check.ts';
import type { VolumeStore } from '../volume/volume-store.ts';

export interface SystemCheckSources {
  database: Database;
  engine: ContainerEngine;
  images: ImageStore;
  networks: NetworkManager;
  volumes: VolumeStore;
  volumesRoot: string;
}

export async function checkSystem(sources: SystemCheckSources, run: CheckRun): Promise<SystemCheckSummary> {
  await checkDatabase(sources.database, run);
  const { images, layers, blobs } = await sources.images.check(run);
  const containers = await sources.engine.check(run);
  for (const { table, reason } of await sources.networks.foreignDrops()) {
    const remedy = 'change it there: tables of other programs are never touched';
    await found(run, { object: `firewall table ${table}`, problem: reason, remedy });
  }
  const volumes = await checkVolumes(sources.volumes, sources.volumesRoot, run);
  return { Images: images, Layers: layers, Blobs: blobs, Containers: containers, Volumes: volumes };
}

async function checkDatabase(database: Database, run: CheckRun): Promise<void> {
  const rows = database.prepare(`PRAGMA ${run.quick ? 'quick_check' : 'integrity_check'}`).all();
  const problems = rows.map((row) => String(Object.values(row)[0])).filter((text) => text !== 'ok');
  if (problems.length > 0) {
    const finding = { object: 'database mydock.db', problem: problems.join('; ') };
    await found(run, { ...finding, remedy: 'make its indexes anew' }, () => {
      database.exec('REINDEX');
      const [left] = database.prepare('PRAGMA integrity_check').all();
      const text = String(Object.values(left ?? {})[0]);
      if (text !== 'ok') throw new Error(text);
    });
  }
  for (const row of database.prepare('PRAGMA foreign_key_check').all()) {
    const { table, rowid, parent } = row;
    await found(
      run,
      {
        object: `database mydock.db, table ${table}`,
        problem: `row ${rowid} names what table ${parent} does not have`,
        remedy: 'remove the row',
      },
      () => {
        database.prepare(`DELETE FROM "${table}" WHERE rowid = ?`).run(Number(rowid));
      },
    );
  }
}
