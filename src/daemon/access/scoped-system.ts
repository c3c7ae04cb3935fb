/** What the daemon says of itself on a scoped socket: figures and events of the objects that the socket sees. */
import type { SystemInfo } from '../../api/system.ts';
import type { EngineEvent } from '../../events/event-bus.ts';
import type { EventsBackend } from '../routes/system/events.ts';
import type { SystemBackend } from '../routes/system/routes.ts';
import type { VisibleObjects } from './visible.ts';

export interface ScopedSystemSources {
  system: SystemBackend;
  /** States of the containers that the socket sees. */
  containerStates(): string[];
  network(id: string): { Labels: Record<string, string>; Name: string } | undefined;
}

export function scopedSystem(sources: ScopedSystemSources, visible: VisibleObjects): SystemBackend {
  const { system } = sources;
  if (!visible.scope.limitsObjects) return system;
  return {
    ...system,
    info: async () => ({ ...(await system.info()), ...containerCounts(sources.containerStates()) }),
    diskUsage: async (wanted) => {
      const usage = await system.diskUsage(wanted);
      const own = visible.containerIds();
      return {
        ...usage,
        Containers: usage.Containers.filter(({ Id }) => own.has(Id)),
        Volumes: usage.Volumes.filter((volume) => visible.hasVolume(volume)),
        // Its entries tell what others have built.
        BuildCache: [],
      };
    },
    events: scopedEvents(system.events, sources, visible),
  };
}

function containerCounts(states: readonly string[]): Partial<SystemInfo> {
  const count = (state: string): number => states.filter((one) => one === state).length;
  const running = count('running');
  const paused = count('paused');
  return {
    Containers: states.length,
    ContainersRunning: running,
    ContainersPaused: paused,
    ContainersStopped: states.length - running - paused,
  };
}

/**
 * Containers' events bear their labels. Of networks and volumes the events do not, so that what a listener has seen
 * of them before they went is remembered for as long as it listens; of those that are gone before, nothing is told.
 */
function scopedEvents(
  events: EventsBackend,
  sources: ScopedSystemSources,
  visible: VisibleObjects,
): EventsBackend {
  const isOwn = (event: EngineEvent, seen: Set<string>): boolean => {
    const { Type, Actor } = event;
    switch (Type) {
      case 'container':
        return Actor.ID !== '' && visible.scope.includes(Actor.Attributes);
      case 'network':
      case 'volume':
        return remembered(`${Type} ${Actor.ID}`, seen, isOwnNow(event)) && ownContainer(event);
      case 'image':
        return true;
      default:
        return false;
    }
  };
  const isOwnNow = ({ Type, Actor }: EngineEvent): boolean => {
    if (Type === 'volume') return visible.volumeExists(Actor.ID) && !visible.volumeIsForeign(Actor.ID);
    return visible.scope.includes(sources.network(Actor.ID)?.Labels);
  };
  /** Networks and volumes tell which container came to them. */
  const ownContainer = ({ Actor }: EngineEvent): boolean => {
    const { container } = Actor.Attributes;
    return container === undefined || visible.containerIds().has(container);
  };
  return {
    subscribe: (listener) => {
      const seen = new Set<string>();
      return events.subscribe((event) => {
        if (isOwn(event, seen)) listener(event);
      });
    },
    kept: (sinceNs, untilNs) => {
      const seen = new Set<string>();
      return events.kept(sinceNs, untilNs).filter((event) => isOwn(event, seen));
    },
  };
}

/** Bounded by the objects of one project; a listener that lives for years forgets all at once. */
const REMEMBERED_MAX = 10_000;

function remembered(object: string, seen: Set<string>, isOwn: boolean): boolean {
  if (!isOwn) return seen.has(object);
  if (seen.size >= REMEMBERED_MAX) seen.clear();
  seen.add(object);
  return true;
}
