/**
 * `POST /containers/{id}/wait` from one daemon to the next: the head of the answer has gone out, and the rest is the
 * exit code that the next daemon finds out. So a client that runs a container in its foreground gets its exit code
 * although the daemon is another one by then.
 */
import { Socket } from 'node:net';
import { errorMessage } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import type { EventBus } from '../../events/event-bus.ts';
import { addon } from '../../native/addon.ts';
import { descriptorOf } from '../../native/descriptor.ts';

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

/** What the next daemon knows a wait by. */
interface HandedWait extends PendingWait {
  /** The answer's body is sent in chunks. */
  chunked: boolean;
  /** Tells waits of one takeover apart. */
  serial: string;
  /** The container has ended while the wait was handed over. */
  exitCode?: number;
}

export function waitKey({ id, condition }: PendingWait, chunked: boolean, serial: string): string {
  return JSON.stringify({ id, condition, chunked, serial } satisfies HandedWait);
}

/** The same waits, with the exit codes of containers that have ended since `sinceNs`, when the waits were taken. */
export function withExitCodes(
  waits: ReadonlyMap<string, number>,
  codes: (sinceNs: bigint) => ReadonlyMap<string, number>,
  sinceNs: bigint,
): Map<string, number> {
  // One that ended before that may have been removed since then.
  const [ended, everEnded] = [codes(sinceNs), codes(0n)];
  const complete = (key: string): string => {
    const wait = JSON.parse(key) as HandedWait;
    const exitCode = (wait.condition === 'removed' ? everEnded : ended).get(wait.id);
    return exitCode === undefined ? key : JSON.stringify({ ...wait, exitCode } satisfies HandedWait);
  };
  return new Map([...waits].map(([key, fd]) => [complete(key), fd]));
}

/** Waits of another daemon that this one goes on with. */
export class ContinuedWaits {
  readonly #parts: WaitParts;
  readonly #connections = new Map<Connection, HandedWait>();

  constructor(parts: WaitParts) {
    this.#parts = parts;
  }

  /** Descriptors by `waitKey`. To be called once, after the containers of that daemon are known. */
  take(waits: ReadonlyMap<string, number>): void {
    const ends = exitCodes(this.#parts.events, this.#parts.events.beginNs);
    for (const [key, fd] of waits) {
      const wait = JSON.parse(key) as HandedWait;
      const connection = new Connection(fd, wait.chunked);
      this.#connections.set(connection, wait);
      const done = answer(this.#parts, wait, connection, ends.get(wait.id) ?? wait.exitCode);
      void done.then(() => this.#connections.delete(connection));
    }
  }

  /** Those that wait still, for one more daemon: descriptors by `waitKey`. This process is done with them. */
  pass(): Map<string, number> {
    const passed = new Map<string, number>();
    for (const [connection, wait] of this.#connections) {
      const fd = connection.pass();
      if (fd !== undefined) passed.set(waitKey(wait, wait.chunked, `again ${passed.size}`), fd);
    }
    this.#connections.clear();
    return passed;
  }
}

/** Of containers that have ended since then (nanoseconds of Unix time), by ID. */
export function exitCodes(events: EventBus, sinceNs: bigint): Map<string, number> {
  const died = events
    .kept(sinceNs, undefined)
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

  /** A second descriptor; this process is done with it. Undefined where the client is gone. */
  pass(): number | undefined {
    const own = this.#socket.destroyed ? -1 : descriptorOf(this.#socket);
    if (own < 0) return undefined;
    try {
      return addon().duplicate(own);
    } catch (error) {
      log.warn({ error: errorMessage(error) }, 'a wait cannot be handed over');
      return undefined;
    } finally {
      this.#socket.destroy();
    }
  }

  end(message: object): void {
    const body = `${JSON.stringify(message)}\r\n`;
    const length = Buffer.byteLength(body).toString(16);
    this.#socket.end(this.#chunked ? `${length}\r\n${body}\r\n0\r\n\r\n` : body);
  }
}
