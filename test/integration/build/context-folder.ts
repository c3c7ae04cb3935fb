/** Folders for builds of our client: files by their names, and commands that see what an image has. */
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Daemon } from '../harness.ts';

export type Files = Readonly<Record<string, string>>;

/** A new folder, gone with the daemon's own. */
export function contextFolder(daemon: Daemon, files: Files): string {
  const folder = mkdtempSync(join(daemon.folder, 'context-'));
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
  return folder;
}

/** What a command in a container of the image prints. */
export async function shows(daemon: Daemon, image: string, ...command: string[]): Promise<string> {
  return await daemon.ok('run', '--rm', '--network', 'none', image, ...command);
}
