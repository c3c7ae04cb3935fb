/** `docker export`: the root filesystem of a container, without its volumes, as one tar. */
import { closeSync, openSync } from 'node:fs';
import { archiveOwners } from './archive/archive-owners.ts';
import { O_DIRECTORY, O_PATH } from './archive/inside.ts';
import { packTree } from './archive/pack.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './engine-context.ts';
import { withRoot } from './root-view.ts';

/** Calls `begin` when the root is there, and passes the tar to what it returns. */
export async function exportContainer(
  engine: EngineContext,
  container: Container,
  begin: () => (chunk: Buffer) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  await withRoot(engine, container, async (root, removed) => {
    const fd = openSync(root, O_PATH | O_DIRECTORY);
    try {
      const write = begin();
      const source = { parentFd: fd, base: '.', name: '', owners: archiveOwners(container) };
      await packTree(source, write, AbortSignal.any([signal, removed]));
    } finally {
      closeSync(fd);
    }
  });
  engine.events.container(container, 'export');
}
