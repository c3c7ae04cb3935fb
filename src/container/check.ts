/** The check of containers: every record against its folder, and every folder against the records. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type CheckRun, found } from '../base/check.ts';
import { makeDirectory } from '../base/make-directory.ts';
import { removeTreeSync } from '../image/layers/native-archive.ts';
import type { EngineContext } from './engine-context.ts';
import { containerPaths, containersDirectory } from './paths.ts';
import { removeDiscarded, stuckHomes } from './removed-homes.ts';

/** A container that is being made or removed has a folder and no record for a moment. */
const SETTLED_MS = 60_000;

/** Returns how many were looked at. What is wrong with their layers is the image check's to say. */
export async function checkContainers(engine: EngineContext, run: CheckRun): Promise<number> {
  const { dataRoot, execRoot } = engine.settings;
  const containers = engine.containers.all();
  for (const { id, record } of containers) {
    const { home } = containerPaths(dataRoot, execRoot, id);
    // The folder of one that is being removed goes first.
    if (existsSync(home) || record.state.status === 'removing') continue;
    const object = `container ${record.name} (${id})`;
    const problem = `its folder ${home} is missing`;
    await found(run, { object, problem, remedy: 'make it anew; what the container wrote is lost' }, () => {
      makeDirectory(home, 0o710);
    });
  }
  const unreadable = engine.containers.unreadable();
  for (const [id, name] of unreadable) {
    const remedy = `remove its row from the database; its files are in ${containerPaths(dataRoot, execRoot, id).home}`;
    await found(run, { object: `container ${name} (${id})`, problem: 'its record cannot be read', remedy });
  }
  const directory = containersDirectory(dataRoot);
  for (const id of readdirSync(directory)) {
    if (engine.containers.find(id)?.id === id || unreadable.has(id)) continue;
    const folder = join(directory, id);
    const stat = statSync(folder, { throwIfNoEntry: false });
    if (stat === undefined || Date.now() - stat.ctimeMs < SETTLED_MS) continue;
    const finding = { object: `folder ${folder}`, problem: 'no container has it', remedy: 'remove it' };
    await found(run, finding, () => removeTreeSync(folder));
  }
  // What has kept them may be over.
  await Promise.allSettled(stuckHomes(dataRoot).map(({ path }) => removeDiscarded(path)));
  for (const { path, reason } of stuckHomes(dataRoot)) {
    const finding = {
      object: `folder ${path}`,
      problem: `left by a removed container, as it cannot be removed (${reason})`,
      remedy: 'free what holds it, such as files made immutable (chattr -R -i), and remove it',
    };
    await found(run, finding, () => removeDiscarded(path));
  }
  return containers.length + unreadable.size;
}
