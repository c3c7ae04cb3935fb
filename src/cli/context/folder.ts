/** A build context that is a folder, for a daemon on the same machine: what names it beyond doubt, so that nothing needs to be sent. */
import { realpath, stat } from 'node:fs/promises';

/** What the daemon compares before it reads the folder in place. Numbers as text: they may have 64 bits. */
export interface ContextFolder {
  path: string;
  device: string;
  inode: string;
}

export async function contextFolder(root: string): Promise<ContextFolder> {
  const path = await realpath(root);
  const { dev, ino } = await stat(path, { bigint: true });
  return { path, device: String(dev), inode: String(ino) };
}
