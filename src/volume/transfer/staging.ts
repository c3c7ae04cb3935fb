/**
 * Folders in which a volume's new content is put together, out of everybody's sight, and what crashes leave of them. A
 * name that begins with TEMPORARY_PREFIX is nobody's volume; a volume whose folder bears the mark UNPUBLISHED and that
 * the database does not know never was one.
 */

import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { syncDirectory, TEMPORARY_PREFIX, writeFileAtomic } from '../../base/atomic-file.ts';
import { errorMessage } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import { makeDirectory } from '../../base/make-directory.ts';
import { step, stepSync } from '../../base/steps.ts';
import { applySizeLimit } from '../quota.ts';
import { removeNowOrLater } from '../retry-removal.ts';
import { snapshotsFolder } from '../snapshot-folder.ts';
import type { VolumeStore } from '../volume-store.ts';
import { runTransfer } from './transfer-thread.ts';

const STAGING = `${TEMPORARY_PREFIX}staging-`;
const UNPUBLISHED = 'unpublished';
/** Beside `_data`, while its entries are exchanged one by one. */
const EXCHANGING = 'exchanging';

/** A new folder with an empty `_data`, in `parent`, which is made where it is missing. */
export function makeStaging(parent: string): { folder: string; data: string } {
  makeDirectory(parent, 0o700);
  const folder = join(parent, `${STAGING}${randomBytes(6).toString('hex')}`);
  const data = join(folder, '_data');
  mkdirSync(folder, { mode: 0o700 });
  mkdirSync(data, { mode: 0o755 });
  return { folder, data };
}

/**
 * Gives a staging folder its volume's name; `make` then makes the volume known. A crash at any point leaves a volume or
 * none. The caller has made sure that nothing has the name.
 */
export function publishVolume(staging: string, folder: string, make: () => void): void {
  stepSync('volume-publish/mark', folder, () => {
    writeFileSync(join(staging, UNPUBLISHED), '');
    syncDirectory(staging);
  });
  stepSync('volume-publish/rename', folder, () => renameSync(staging, folder));
  try {
    make();
  } catch (error) {
    renameSync(folder, staging);
    throw error;
  }
  stepSync('volume-publish/done', folder, () => rmSync(join(folder, UNPUBLISHED), { force: true }));
}

interface ExchangeJournal {
  /** `out`: old entries go to `old`; `in`: new ones come from `data`. Both are renames, and can be done again. */
  phase: 'out' | 'in';
  /** The staging folder, by its name in the volume's folder. */
  staging: string;
}

/**
 * Puts `staging/_data`'s entries in the place of those of the volume, which containers that run see at once: one by
 * one, unlike an exchange of the folders. A crash in between is finished by the next daemon.
 */
export async function exchangeEntries(volumeFolder: string, staging: string): Promise<void> {
  mkdirSync(join(volumeFolder, staging, 'old'), { mode: 0o700 });
  stepSync('volume-exchange/journal', volumeFolder, () =>
    writeJournal(volumeFolder, { phase: 'out', staging }),
  );
  try {
    await step('volume-exchange/out', volumeFolder, () =>
      move(join(volumeFolder, '_data'), join(volumeFolder, staging, 'old'), false),
    );
  } catch (error) {
    await move(join(volumeFolder, staging, 'old'), join(volumeFolder, '_data'), false);
    rmSync(join(volumeFolder, EXCHANGING), { force: true });
    throw error;
  }
  await bringIn(volumeFolder, staging);
}

/** Whether an exchange has not come to its end, and waits for the next daemon. */
export function isExchanging(volumeFolder: string): boolean {
  return existsSync(join(volumeFolder, EXCHANGING));
}

/** Puts `staging/_data`'s entries into an empty volume. A crash in between is finished by the next daemon. */
export async function bringEntries(volumeFolder: string, staging: string): Promise<void> {
  try {
    await bringIn(volumeFolder, staging);
  } catch (error) {
    rmSync(join(volumeFolder, EXCHANGING), { force: true });
    throw error;
  }
}

async function bringIn(volumeFolder: string, staging: string): Promise<void> {
  stepSync('volume-exchange/journal', volumeFolder, () =>
    writeJournal(volumeFolder, { phase: 'in', staging }),
  );
  await step('volume-exchange/in', volumeFolder, () =>
    move(join(volumeFolder, staging, '_data'), join(volumeFolder, '_data'), true),
  );
  stepSync('volume-exchange/done', volumeFolder, () =>
    rmSync(join(volumeFolder, EXCHANGING), { force: true }),
  );
  syncDirectory(volumeFolder);
}

function writeJournal(volumeFolder: string, journal: ExchangeJournal): void {
  writeFileAtomic(join(volumeFolder, EXCHANGING), JSON.stringify(journal));
}

async function move(from: string, to: string, attributes: boolean): Promise<void> {
  await runTransfer({ kind: 'move', from, to, attributes });
}

/** Removes and finishes what a crash has left. Before anything else uses the volumes. */
export async function sweepStaging(root: string, store: VolumeStore): Promise<void> {
  for (const entry of readdirSync(root)) {
    const folder = join(root, entry);
    if (entry.startsWith(STAGING)) await discard(folder);
    else if (store.has(entry)) await sweepVolume(entry, folder, store);
    else if (existsSync(join(folder, UNPUBLISHED))) {
      const aside = join(root, `${STAGING}${randomBytes(6).toString('hex')}`);
      renameSync(folder, aside);
      await discard(aside);
    }
  }
}

async function sweepVolume(name: string, folder: string, store: VolumeStore): Promise<void> {
  if (!existsSync(folder)) return;
  try {
    rmSync(join(folder, UNPUBLISHED), { force: true });
    await finishExchange(folder);
    for (const place of [folder, snapshotsFolder(folder)]) {
      if (!existsSync(place)) continue;
      const left = readdirSync(place).filter((entry) => entry.startsWith(TEMPORARY_PREFIX));
      for (const entry of left) await discard(join(place, entry));
    }
    const bytes = store.sizeLimitBytes(name);
    // A restore may have been cut short while the limit was out of force.
    if (bytes > 0) applySizeLimit(name, store.path(name), bytes);
  } catch (error) {
    log.warn({ volume: name, error: errorMessage(error) }, 'cannot finish what was under way with a volume');
  }
}

async function finishExchange(folder: string): Promise<void> {
  const path = join(folder, EXCHANGING);
  if (!existsSync(path)) return;
  const { phase, staging } = JSON.parse(readFileSync(path, 'utf8')) as ExchangeJournal;
  if (phase === 'out') await move(join(folder, '_data'), join(folder, staging, 'old'), false);
  await bringIn(folder, staging);
}

/** Removes a folder of ours, with all that it holds. What cannot be removed now is tried again: it never rejects. */
export async function discard(folder: string): Promise<void> {
  await removeNowOrLater(folder, 'a folder in which a volume was made');
}
