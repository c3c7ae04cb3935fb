/**
 * `GET /events`: what is kept from `since` on, then what happens, until `until` or the client's end. A client that
 * does not read is cut off once too much waits for it, so that it costs a bounded amount of memory.
 */
import { InvalidParameterError, UnavailableError } from '../../../base/errors.ts';
import { rfc3339Ns, unixSecondsNs } from '../../../base/time.ts';
import type { EngineEvent } from '../../../events/event-bus.ts';
import { eventFilter } from '../../../events/event-filter.ts';
import type { ApiRequest } from '../../request.ts';
import type { ResponseStream } from '../../response.ts';
import type { Handler } from '../../router.ts';

export interface EventsBackend {
  subscribe(listener: (event: EngineEvent) => void): () => void;
  kept(sinceNs: bigint, untilNs: bigint | undefined): EngineEvent[];
}

/** Characters that may wait for a client. */
const BACKLOG_MAX = 4 * 1024 * 1024;
const GATHER_MS = 5;
const LONGEST_TIMER_MS = 2 ** 31 - 1;
const RECORD_SEPARATOR = '\x1e';

/** What the next daemon goes on behind, where the stream is handed over. */
interface StreamState {
  /** Later events were not told, in nanoseconds of Unix time. */
  toldNs: string;
}

export function eventsHandler(backend: EventsBackend): Handler {
  return async (request, response) => {
    const resumed = response.resumed as StreamState | undefined;
    const sinceNs = resumed === undefined ? eventTime(request, 'since') : BigInt(resumed.toldNs) + 1n;
    const untilNs = eventTime(request, 'until');
    if (resumed === undefined && untilNs !== undefined && untilNs < (sinceNs ?? 0n)) {
      throw new InvalidParameterError(
        `\`since\` time (${request.text('since')}) cannot be after \`until\` time (${request.text('until')})`,
      );
    }
    const wanted = eventFilter(request.filters());
    const type = contentType(request.header('accept') ?? '');
    const start = type === 'application/json-seq' ? RECORD_SEPARATOR : '';
    const queue = new EventQueue();
    let seenNs = sinceNs === undefined ? (backend.kept(0n, undefined).at(-1)?.timeNs ?? 0n) : sinceNs - 1n;
    const add = (event: EngineEvent): void => {
      if (event.timeNs > seenNs) seenNs = event.timeNs;
      if (wanted(event)) queue.push(`${start}${encodedOnce(event)}\n`, event.timeNs);
    };
    const leave = backend.subscribe(add);
    const end = (): void => queue.end();
    let stopTimer = (): void => undefined;
    request.signal.addEventListener('abort', end, { once: true });
    try {
      if (sinceNs !== undefined || untilNs !== undefined) backend.kept(sinceNs ?? 0n, untilNs).forEach(add);
      // Last: where that time has passed, the end is at once.
      stopTimer = at(untilNs, end);
      const stream = response.stream(200, type);
      // Of what waits here, the next daemon is told by what it keeps.
      response.canContinue((): StreamState => ({ toldNs: String(queue.toldNs ?? seenNs) }));
      await queue.sendTo(stream);
    } finally {
      leave();
      stopTimer();
      request.signal.removeEventListener('abort', end);
    }
  };
}

/** Encoded events on their way to one client. */
class EventQueue {
  #waiting: string[] = [];
  /** When the first of those happened. */
  #waitingNs: bigint | undefined;
  #length = 0;
  #ended = false;
  #overrun = false;
  #wake: () => void = () => undefined;

  /** Later events than of then wait; undefined where none does. */
  get toldNs(): bigint | undefined {
    return this.#waitingNs === undefined ? undefined : this.#waitingNs - 1n;
  }

  push(text: string, timeNs: bigint): void {
    if (this.#ended) return;
    this.#length += text.length;
    if (this.#length > BACKLOG_MAX) this.#overrun = true;
    else {
      this.#waitingNs ??= timeNs;
      this.#waiting.push(text);
    }
    this.#wake();
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  /** Resolves when `end` was called and all is sent; throws Unavailable where the client lags too far behind. */
  async sendTo(stream: ResponseStream): Promise<void> {
    for (;;) {
      const text = this.#waiting.join('');
      this.#waiting = [];
      this.#waitingNs = undefined;
      if (text !== '') await Promise.race([stream.write(text), this.#overrunning()]);
      this.#length -= text.length;
      if (text !== '' && !this.#overrun) await this.#gathering();
      if (this.#overrun) throw new UnavailableError('events: the client does not read');
      if (this.#waiting.length > 0) continue;
      if (this.#ended) break;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    stream.end();
  }

  /** What follows closely goes out in one piece: with many events and many clients, pieces are what costs. */
  #gathering(): Promise<void> {
    if (this.#ended) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, GATHER_MS);
      this.#wake = () => {
        if (!this.#overrun && !this.#ended) return;
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #overrunning(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        if (this.#overrun || this.#ended) resolve();
      };
    });
  }
}

/** Runs `callback` at a time, at once for one that has passed; the result stops that. */
function at(timeNs: bigint | undefined, callback: () => void): () => void {
  if (timeNs === undefined) return () => undefined;
  let timer: NodeJS.Timeout | undefined;
  const arm = (): void => {
    const restMs = Number(timeNs / 1_000_000n) - Date.now();
    if (restMs <= 0) callback();
    else timer = setTimeout(arm, Math.min(restMs, LONGEST_TIMER_MS));
  };
  arm();
  return () => clearTimeout(timer);
}

/** Unix seconds with a fraction, or RFC 3339. */
function eventTime(request: ApiRequest, name: 'since' | 'until'): bigint | undefined {
  const text = request.text(name);
  if (text === '') return undefined;
  const ns = unixSecondsNs(text) ?? rfc3339Ns(text);
  if (ns === undefined) {
    throw new InvalidParameterError(
      `invalid value for "${name}": strconv.ParseInt: parsing "${text}": invalid syntax`,
    );
  }
  return ns;
}

const CONTENT_TYPES = [
  'application/json',
  'application/jsonl',
  'application/x-ndjson',
  'application/json-seq',
];

/** The first of the forms that the client accepts; all of them are one JSON object a line. */
function contentType(accept: string): string {
  const asked = accept.split(',').map((part) => part.split(';', 1)[0]?.trim().toLowerCase() ?? '');
  return asked.find((type) => CONTENT_TYPES.includes(type)) ?? 'application/json';
}

/** The one that was told last: all that listen are told one after the other. */
let told: { event: EngineEvent; text: string } | undefined;

/** However many listen. */
function encodedOnce(event: EngineEvent): string {
  if (told?.event !== event) told = { event, text: encodeEvent(event) };
  return told.text;
}

/**
 * One event as Docker writes it: the fields of clients older than API 1.22 in front, attributes in order, and
 * `timeNano` with all its digits, which a JSON number of JavaScript does not have.
 */
export function encodeEvent({ Type, Action, Actor, timeNs }: EngineEvent): string {
  const sorted = Object.fromEntries(
    Object.entries(Actor.Attributes).sort(([left], [right]) => (left < right ? -1 : 1)),
  );
  const legacy = {
    ...(Type === 'container' || Type === 'image' ? { status: Action, id: Actor.ID } : {}),
    ...(Type === 'container' && sorted['image'] ? { from: sorted['image'] } : {}),
  };
  const text = JSON.stringify({
    ...legacy,
    Type,
    Action,
    Actor: { ID: Actor.ID, Attributes: sorted },
    scope: 'local',
    time: Number(timeNs / 1_000_000_000n),
  });
  return `${text.slice(0, -1)},"timeNano":${timeNs}}`;
}
