/**
 * What happens to containers, images, networks and volumes, told to whoever listens at that moment. Names of types,
 * actions and attributes are those of Docker's events.
 */
import type { EventMessage, EventType } from '../api/system.ts';
import type { Container } from './container.ts';

export type EngineEvent = Pick<EventMessage, 'Type' | 'Action' | 'Actor'> & { timeMs: number };

export class EventBus {
  readonly #listeners = new Set<(event: EngineEvent) => void>();

  publish(type: EventType, action: string, id: string, attributes: Record<string, string>): void {
    const event = {
      Type: type,
      Action: action,
      Actor: { ID: id, Attributes: attributes },
      timeMs: Date.now(),
    };
    for (const listener of this.#listeners) listener(event);
  }

  /** Calls `listener` for every event from now on; the returned function ends that. */
  subscribe(listener: (event: EngineEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** A container's event, with the attributes that all of them bear: labels, image and name. */
  container(container: Container, action: string, attributes: Record<string, string> = {}): void {
    const { id, name, image, config } = container.record;
    this.publish('container', action, id, { ...(config.Labels ?? {}), image, name, ...attributes });
  }
}
