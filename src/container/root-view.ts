/**
 * Looking into a container's root filesystem, running or not, without being in the way of its start and end: as long
 * as somebody looks, the root stays mounted at its place, and whoever comes last unmounts it. A removal ends all views.
 */
import { ConflictError } from '../base/errors.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './engine-context.ts';
import { containerPaths } from './paths.ts';
import { mountRoot, unmountRoot } from './rootfs.ts';

/** One look into a root. */
export class RootView {
  readonly #removed = new AbortController();
  readonly #closed = Promise.withResolvers<void>();

  /** Fires when the container is about to be removed: the view must end. */
  get signal(): AbortSignal {
    return this.#removed.signal;
  }

  /** Asks for the end of the view, and resolves when it has ended. */
  end(): Promise<void> {
    this.#removed.abort(new ConflictError('the container is being removed'));
    return this.#closed.promise;
  }

  closed(): void {
    this.#closed.resolve();
  }
}

/** Calls `use` with the mounted root, without the container's volumes. Throws Conflict while it is being removed. */
export async function withRoot<T>(
  engine: EngineContext,
  container: Container,
  use: (root: string, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const view = new RootView();
  const root = await open(engine, container, view);
  try {
    return await use(root, view.signal);
  } finally {
    container.views.delete(view);
    view.closed();
    if (container.views.size === 0 && !container.running) await unmountUnused(engine, container);
  }
}

/** Ends all views of a container; for its removal. */
export async function endViews(container: Container): Promise<void> {
  await Promise.all([...container.views].map((view) => view.end()));
}

async function open(engine: EngineContext, container: Container, view: RootView): Promise<string> {
  // A stop may hold the lock for as long as its patience lasts, and the root of what runs is there anyway.
  if (container.running) {
    container.views.add(view);
    return containerPaths(engine.settings.dataRoot, engine.settings.execRoot, container.id).rootfs;
  }
  return await container.mutex.run(async () => {
    if (container.record.state.status === 'removing' || engine.containers.find(container.id) !== container) {
      throw new ConflictError(`container ${container.id} is being removed`);
    }
    if (!container.running) await container.teardown;
    const root = await mountRoot(engine, container, 'view');
    container.views.add(view);
    return root;
  });
}

/** In the background of whatever the container does meanwhile: a start keeps the mount. */
async function unmountUnused(engine: EngineContext, container: Container): Promise<void> {
  const unmount = async (): Promise<void> => {
    if (container.views.size > 0 || container.running) return;
    if (engine.containers.find(container.id) !== container) return;
    await container.teardown;
    await unmountRoot(engine, container.id);
  };
  if (container.record.state.status === 'removing') return;
  await container.mutex.run(unmount);
}
