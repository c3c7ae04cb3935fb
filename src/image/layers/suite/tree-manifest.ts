/**
 * What a directory tree holds, entry by entry, for comparing trees in tests: type and mode, owner, time, link count,
 * device, attributes, target or content. Reads through lstat and plain reads only, not through the code under test.
 */
import { createHash } from 'node:crypto';
import { closeSync, constants, lstatSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs';
import { addon } from '../../../native/addon.ts';

export type Manifest = Map<string, Record<string, string>>;

/** Keys are paths relative to `root`, as Latin-1; the root is `.`. */
export function treeManifest(root: string): Manifest {
  const manifest: Manifest = new Map();
  const visit = (path: Buffer, key: string): void => {
    const entry = describe(path);
    manifest.set(key, entry);
    if (entry['type'] !== 'directory') return;
    let directories = 0;
    for (const name of readdirSync(path, { encoding: 'buffer' }).sort(Buffer.compare)) {
      const childKey = key === '.' ? name.toString('latin1') : `${key}/${name.toString('latin1')}`;
      visit(Buffer.concat([path, Buffer.from('/'), name]), childKey);
      if (manifest.get(childKey)?.['type'] === 'directory') directories++;
    }
    /* overlayfs tells 1 of directories that it merges, other file systems 2 and one for each directory inside. */
    if (entry['links'] === '1' || entry['links'] === `${directories + 2}`) entry['links'] = 'right';
  };
  visit(Buffer.from(root), '.');
  return manifest;
}

function describe(path: Buffer): Record<string, string> {
  const stat = lstatSync(path, { bigint: true });
  const entry: Record<string, string> = {
    mode: stat.mode.toString(8),
    owner: `${stat.uid}:${stat.gid}`,
    mtime: `${stat.mtimeNs}`,
    links: `${stat.nlink}`,
    xattrs: xattrs(path),
  };
  if (stat.isDirectory()) return { type: 'directory', ...entry };
  if (stat.isSymbolicLink()) {
    return {
      type: 'symlink',
      ...entry,
      target: readlinkSync(path, { encoding: 'buffer' }).toString('latin1'),
    };
  }
  if (stat.isFile()) return { type: 'file', ...entry, size: `${stat.size}`, content: contentDigest(path) };
  return { type: 'special', ...entry, device: `${stat.rdev}` };
}

/** overlayfs's marks are seen only where no overlay is mounted, and mean what is compared otherwise. */
function xattrs(path: Buffer): string {
  return addon()
    .listXattrs(path)
    .filter(({ name }) => !name.startsWith('trusted.overlay.'))
    .map(({ name, value }) => `${name}=${value.toString('hex')}`)
    .sort()
    .join(' ');
}

/** Memory that is new for each file would cost the kernel more than the files do. */
const buffer = Buffer.allocUnsafe(256 * 1024);

function contentDigest(path: Buffer): string {
  const hash = createHash('sha256');
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    for (;;) {
      const length = readSync(fd, buffer, 0, buffer.length, null);
      if (length === 0) return hash.digest('hex');
      hash.update(buffer.subarray(0, length));
    }
  } finally {
    closeSync(fd);
  }
}
