/**
 * What happens to containers, images, networks and volumes, told to whoever listens, and kept for a while for those
 * who ask later (Engine API, "Monitor events"). Names of types, actions and attributes are those of Docker's events.
 * What is kept goes to the next daemon where this one ends in order.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import type { EventActor, EventType } from '../api/system.ts';
import { writeFileAtomic } from '../base/atomic-file.ts';
import { errorMessage } from '../base/errors.ts';
import { log } from '../base/log.ts';

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
  /** Of the last event of the daemon before this one. */
  #earlierNs = 0n;

  /** Number of those who listen now. */
  get listeners(): number {
    return this.#listeners.size;
  }

  /** Since when (nanoseconds of Unix time) events are this daemon's own. */
  get beginNs(): bigint {
    return this.#earlierNs + 1n;
  }

  publish(type: EventType, action: string, id: string, attributes: Record<string, string>): void {
    const event = {
      Type: type,
      Action: action,
      Actor: { ID: id, Attributes: attributes },
      timeNs: this.#nextTime(),
    };
    this.#keep(event);
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

  /** Leaves what is kept in a file, for `recall` of the next daemon. */
  store(path: string): void {
    const events = this.kept(0n, undefined).map((event) => ({ ...event, timeNs: String(event.timeNs) }));
    try {
      writeFileAtomic(path, JSON.stringify(events), { sync: false });
    } catch (error) {
      log.warn({ path, error: errorMessage(error) }, 'the next mydockd will not know of earlier events');
    }
  }

  /** Takes what the last daemon has stored. To be called before anything is published. */
  recall(path: string): void {
    if (!existsSync(path)) return;
    try {
      const events = JSON.parse(readFileSync(path, 'utf8')) as (Omit<EngineEvent, 'timeNs'> & {
        timeNs: string;
      })[];
      for (const event of events.slice(-KEPT_EVENTS)) {
        this.#lastNs = BigInt(event.timeNs);
        this.#keep({ ...event, timeNs: this.#lastNs });
      }
      this.#earlierNs = this.#lastNs;
    } catch (error) {
      log.warn({ path, error: errorMessage(error) }, 'events of the last mydockd are not known');
    }
    rmSync(path, { force: true });
  }

  #keep(event: EngineEvent): void {
    if (this.#kept.length < KEPT_EVENTS) this.#kept.push(event);
    else {
      this.#kept[this.#oldest] = event;
      this.#oldest = (this.#oldest + 1) % KEPT_EVENTS;
    }
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
