/**
 * `POST /containers/{id}/wait` from one daemon to the next: the head of the answer has gone out, and the rest is the
 * exit code that the next daemon finds out. So a client that runs a container in its foreground gets its exit code
 * although the daemon is another one by then.
 */
import { Socket } from 'node:net';
import { errorMessage } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import type { EventBus } from '../../events/event-bus.ts';

export interface PendingWait {
  /** The container's full ID. */
  readonly id: string;
  /** As the request had it; empty for the default. */
  readonly condition: string;
}

export interface WaitParts {
  events: EventBus;
  wait(id: string, condition: string, signal: AbortSignal): Promise<{ exitCode: number }>;
}

/** Unique among the waits of one takeover by `serial`. */
export function waitKey(pending: PendingWait, chunked: boolean, serial: number): string {
  return JSON.stringify({ id: pending.id, condition: pending.condition, chunked, serial });
}

/** Goes on with the waits of another daemon, descriptors by `waitKey`. To be called once, after the containers of that are known. */
export function continueWaits(parts: WaitParts, waits: ReadonlyMap<string, number>): void {
  const ends = exitCodes(parts.events);
  for (const [key, fd] of waits) {
    const { id, condition, chunked } = JSON.parse(key) as PendingWait & { chunked: boolean };
    void answer(parts, { id, condition }, new Connection(fd, chunked), ends.get(id));
  }
}

/** Of containers that have ended since this daemon began, before anybody could wait for them. */
function exitCodes(events: EventBus): Map<string, number> {
  const died = events
    .kept(0n, undefined)
    .filter(({ Type, Action }) => Type === 'container' && Action === 'die')
    .map(({ Actor }) => [Actor.ID, Number(Actor.Attributes['exitCode'])] as const);
  return new Map(died);
}

async function answer(
  { wait }: WaitParts,
  { id, condition }: PendingWait,
  connection: Connection,
  ended: number | undefined,
): Promise<void> {
  try {
    const exitCode = await exitCodeOf(wait, { id, condition }, connection.gone, ended);
    connection.end({ StatusCode: exitCode });
  } catch (error) {
    if (connection.gone.aborted) return;
    log.error({ container: id, error: errorMessage(error) }, 'a wait that was handed over failed');
    connection.end({ StatusCode: -1, Error: { Message: errorMessage(error) } });
  }
}

async function exitCodeOf(
  wait: WaitParts['wait'],
  { id, condition }: PendingWait,
  signal: AbortSignal,
  ended: number | undefined,
): Promise<number> {
  // A wait for removal goes on where the container is still there.
  if (ended !== undefined && condition !== 'removed') return ended;
  try {
    return (await wait(id, condition, signal)).exitCode;
  } catch (error) {
    if (ended !== undefined && !signal.aborted) return ended;
    throw error;
  }
}

/** A client's connection behind the head of an answer. */
class Connection {
  readonly #socket: Socket;
  readonly #chunked: boolean;
  readonly #gone = new AbortController();

  constructor(fd: number, chunked: boolean) {
    this.#chunked = chunked;
    this.#socket = new Socket({ fd, readable: true, writable: true });
    this.#socket.on('error', () => this.#socket.destroy());
    this.#socket.on('close', () => this.#gone.abort());
    this.#socket.resume();
  }

  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  end(message: object): void {
    const body = `${JSON.stringify(message)}\r\n`;
    const length = Buffer.byteLength(body).toString(16);
    this.#socket.end(this.#chunked ? `${length}\r\n${body}\r\n0\r\n\r\n` : body);
  }
}
