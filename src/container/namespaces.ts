/** Which namespaces a container shares, and with whom: the host or another container (`container:NAME`). */
import { ConflictError } from '../base/errors.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './engine-context.ts';
import { isLive } from './state.ts';

/** The container that a mode `container:NAME` names; undefined for other modes. Throws NotFound. */
export function sharedWith(engine: EngineContext, mode: string | undefined): Container | undefined {
  const name = /^container:(.+)$/.exec(mode ?? '')?.[1];
  return name === undefined ? undefined : engine.containers.get(name);
}

/** Path of a running container's namespace. Throws Conflict, in Docker's words, where it does not run. */
export function namespaceOf(other: Container, kind: 'net' | 'pid' | 'ipc'): string {
  const state = other.record.state;
  if (!isLive(state)) {
    throw new ConflictError(
      kind === 'net'
        ? `cannot join network of a non running container: ${other.id}`
        : `cannot join ${kind.toUpperCase()} namespace of a non running container: ${other.id}`,
    );
  }
  return `/proc/${state.pid}/ns/${kind}`;
}
