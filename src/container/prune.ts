/** Removing all containers that do not run (Engine API, "Delete stopped containers"). */
import type { ContainerPruneResponse } from '../api/containers.ts';
import { type Filters, InvalidFilterError, requireKnownFilters } from '../api/filters.ts';
import { ConflictError, errorMessage, InvalidParameterError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { parsePointInTime } from '../base/point-in-time.ts';
import { removeLater } from './after-run.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './engine-context.ts';
import { matchesLabel } from './list.ts';
import { containerPaths } from './paths.ts';
import { onlyRemoval, removeContainer } from './remove.ts';
import { writtenBytes } from './size.ts';
import { isRunning } from './state.ts';

/**
 * Throws InvalidParameter for a filter that is none. A container that cannot be removed is logged and stays, or goes later
 * where its removal has begun; where nothing could be removed, the first reason is thrown.
 */
export async function pruneContainers(
  engine: EngineContext,
  filters: Filters,
  signal: AbortSignal,
): Promise<ContainerPruneResponse> {
  const matches = buildFilter(filters);
  const deleted: string[] = [];
  let reclaimed = 0;
  let failure: unknown;
  for (const container of engine.containers.all().filter((one) => matches(one))) {
    if (signal.aborted) break;
    const { upper } = containerPaths(engine.settings.dataRoot, engine.settings.execRoot, container.id);
    try {
      const bytes = await writtenBytes(upper);
      const removed = await container.mutex.run(async () => {
        // It may have been started since, or somebody else removes it.
        if (isRunning(container.record.state) || container.removing) return false;
        await onlyRemoval(container, container.id, () =>
          removeContainer(engine, container, { force: false, volumes: false }),
        );
        return true;
      });
      if (!removed) continue;
      deleted.push(container.id);
      reclaimed += bytes;
    } catch (error) {
      log.warn({ container: container.id, error: errorMessage(error) }, 'cannot prune a container');
      if (container.record.state.status === 'removing' && !container.removing)
        removeLater(engine, container, { volumes: false, error });
      if (!(error instanceof ConflictError)) failure ??= error;
    }
  }
  if (deleted.length === 0 && failure !== undefined) throw failure;
  engine.events.publish('container', 'prune', '', { reclaimed: String(reclaimed) });
  return { ContainersDeleted: deleted.length === 0 ? null : deleted, SpaceReclaimed: reclaimed };
}

function buildFilter(filters: Filters): (container: Container) => boolean {
  try {
    requireKnownFilters(filters, ['until', 'label', 'label!']);
  } catch (error) {
    throw error instanceof InvalidFilterError ? new InvalidParameterError(error.message) : error;
  }
  const until = untilMs(filters['until'] ?? []);
  const wanted = filters['label'] ?? [];
  const unwanted = filters['label!'] ?? [];
  return ({ record }) => {
    const labels = record.config.Labels ?? {};
    return (
      !isRunning(record.state) &&
      (until === undefined || Date.parse(record.createdAt) <= until) &&
      wanted.every((label) => matchesLabel(labels, label)) &&
      !unwanted.some((label) => matchesLabel(labels, label))
    );
  };
}

function untilMs(values: readonly string[]): number | undefined {
  const [value] = values;
  if (value === undefined) return undefined;
  if (values.length > 1) throw new InvalidParameterError('more than one until filter specified');
  const time = parsePointInTime(value, Date.now());
  if (time === undefined) {
    throw new InvalidParameterError(`failed to parse value as time or duration: "${value}"`);
  }
  return time;
}
