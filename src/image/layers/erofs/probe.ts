/**
 * Whether and how this machine can mount indexed layers, found out by doing it: a small image is made in the data root,
 * mounted, an overlay is mounted over it as for a container, and a file is read through both.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TEMPORARY_PREFIX } from '../../../base/atomic-file.ts';
import { errnoCode, errorMessage } from '../../../base/errors.ts';
import { removeTreeSync } from '../native-archive.ts';
import { mountOverlay, unmountSync } from '../overlay-mount.ts';
import { byteString } from '../tar/byte-string.ts';
import { TarReader } from '../tar/tar-reader.ts';
import { TarWriter } from '../tar/tar-writer.ts';
import { type MountMethod, mountImage } from './image-mount.ts';
import { mergeIndexes } from './merge.ts';
import { TarIndexer } from './tar-index.ts';

const PREFIX = `${TEMPORARY_PREFIX}probe-`;
const NAME = 'file';
const CONTENT = Buffer.alloc(1000, 'content');

export type ProbeResult = { method: MountMethod } | { refused: string };

/**
 * Tries both ways in `root`, an existing directory on the file system of the layers, the better one first. `refused`
 * says why neither works.
 */
export function probeErofs(
  root: string,
  methods: readonly MountMethod[] = ['file-backed', 'loop devices'],
): ProbeResult {
  sweepProbes(root);
  const directory = mkdtempSync(join(root, `${PREFIX}${process.pid}-`));
  try {
    const files = makeImage(directory);
    const reasons: string[] = [];
    for (const method of methods) {
      const refused = tryMethod(method, files, directory);
      if (refused === undefined) return { method };
      reasons.push(`${method}: ${refused}`);
    }
    return { refused: reasons.join('; ') };
  } finally {
    removeTreeSync(directory);
  }
}

/** What a daemon that was killed in the middle of this has left. One that is about to take over may be in it now. */
function sweepProbes(root: string): void {
  for (const name of readdirSync(root).filter((entry) => entry.startsWith(PREFIX))) {
    const pid = Number(/^\d+/.exec(name.slice(PREFIX.length))?.[0] ?? 0);
    if (pid !== process.pid && pid > 0 && isAlive(pid)) continue;
    const directory = join(root, name);
    for (const part of readdirSync(directory)) unmountSync(join(directory, part));
    removeTreeSync(directory);
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return errnoCode(error) !== 'ESRCH';
  }
}

function makeImage(directory: string): { image: string; devices: string[] } {
  const parts: Buffer[] = [];
  const writer = new TarWriter((bytes) => parts.push(Buffer.from(bytes)));
  writer.entry({ name: byteString(NAME), type: 'file', size: CONTENT.length });
  writer.data(CONTENT);
  writer.finish();
  const tar = Buffer.concat(parts);
  const indexer = new TarIndexer({ spill: () => undefined });
  const reader = new TarReader(indexer);
  reader.push(tar);
  reader.finish();
  const image = join(directory, 'image');
  const device = join(directory, 'tar');
  writeFileSync(image, mergeIndexes([indexer.finish().index]).index);
  writeFileSync(device, tar);
  return { image, devices: [device] };
}

/** Undefined where it works, else what went wrong. */
function tryMethod(
  method: MountMethod,
  files: { image: string; devices: string[] },
  directory: string,
): string | undefined {
  const name = (part: string): string => join(directory, `${method.slice(0, 4)}-${part}`);
  const [lower, upper, work, target] = [name('lower'), name('upper'), name('work'), name('target')];
  const mounted: string[] = [];
  try {
    for (const path of [lower, upper, work, target]) mkdirSync(path);
    mountImage(method, files, lower);
    mounted.push(lower);
    mountOverlay({ lowers: [lower], upper, work, target });
    mounted.push(target);
    return readFileSync(join(target, NAME)).equals(CONTENT)
      ? undefined
      : 'what is read is not what was written';
  } catch (error) {
    return errorMessage(error);
  } finally {
    for (const path of mounted.reverse()) unmountSync(path);
  }
}
