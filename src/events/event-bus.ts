/**
 * What happens to containers, images, networks and volumes, told to whoever listens, and kept for a while for those
 * who ask later (Engine API, "Monitor events"). Names of types, actions and attributes are those of Docker's events.
 * Nothing of this outlives the daemon.
 */
import type { EventActor, EventType } from '../api/system.ts';

export interface EngineEvent {
  Type: EventType;
  Action: string;
  Actor: EventActor;
  /** Nanoseconds since the epoch; later events have later times, whatever the clock does. */
  timeNs: bigint;
}

/** What the bus needs to know of a container. */
export interface EventSubject {
  readonly record: {
    readonly id: string;
    readonly name: string;
    readonly image: string;
    readonly config: { readonly Labels?: Record<string, string> | null };
  };
}

/** Events that are kept for `since`. Docker keeps 256. */
const KEPT_EVENTS = 1024;

export class EventBus {
  readonly #listeners = new Set<(event: EngineEvent) => void>();
  /** A ring: once full, the oldest stands at `#oldest`. */
  readonly #kept: EngineEvent[] = [];
  #oldest = 0;
  #lastNs = 0n;

  /** Number of those who listen now. */
  get listeners(): number {
    return this.#listeners.size;
  }

  publish(type: EventType, action: string, id: string, attributes: Record<string, string>): void {
    const event = {
      Type: type,
      Action: action,
      Actor: { ID: id, Attributes: attributes },
      timeNs: this.#nextTime(),
    };
    if (this.#kept.length < KEPT_EVENTS) this.#kept.push(event);
    else {
      this.#kept[this.#oldest] = event;
      this.#oldest = (this.#oldest + 1) % KEPT_EVENTS;
    }
    for (const listener of [...this.#listeners]) listener(event);
  }

  /** A container's event, with the attributes that all of them bear: labels, image and name. */
  container(subject: EventSubject, action: string, attributes: Record<string, string> = {}): void {
    const { id, name, image, config } = subject.record;
    this.publish('container', action, id, { ...(config.Labels ?? {}), image, name, ...attributes });
  }

  /** Calls `listener` for every event from now on; the returned function ends that. */
  subscribe(listener: (event: EngineEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** What is kept of the events in a span of time, both ends included, oldest first. */
  kept(sinceNs: bigint, untilNs: bigint | undefined): EngineEvent[] {
    return [...this.#kept.slice(this.#oldest), ...this.#kept.slice(0, this.#oldest)].filter(
      ({ timeNs }) => timeNs >= sinceNs && (untilNs === undefined || timeNs <= untilNs),
    );
  }

  #nextTime(): bigint {
    const now = BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)) * 1000n;
    const clock = BigInt(Date.now()) * 1_000_000n;
    // The fraction comes from the monotonic clock; where the wall clock was set meanwhile, that one counts.
    const drift = now > clock ? now - clock : clock - now;
    const wanted = drift < 2_000_000n ? now : clock;
    this.#lastNs = wanted > this.#lastNs ? wanted : this.#lastNs + 1n;
    return this.#lastNs;
  }
}
