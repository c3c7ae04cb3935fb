/**
 * The connection between a daemon and the one that takes over from it: lines of JSON on a Unix socket that only root
 * can reach. A message `{"fds": n}` comes with n descriptors (SCM_RIGHTS) on its first byte; whoever reads keeps them
 * in order and gives each message its own.
 */
import { closeSync } from 'node:fs';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { InternalError, UnavailableError } from '../../base/errors.ts';
import { addon } from '../../native/addon.ts';
import { descriptorOf } from '../../native/descriptor.ts';

/** Below the exec root; mode 0600. */
export const TAKEOVER_SOCKET = 'takeover.sock';

/** Raised where a daemon could not understand the other one any more. */
export const TAKEOVER_PROTOCOL = 1;

/** Successor to predecessor. */
export type Request =
  | {
      ask: 'takeover';
      protocol: number;
      pid: number;
      version: string;
      dataRoot: string;
      /** What it can go on with; absent in builds that know the first five alone. */
      kinds?: string[];
    }
  /** Nothing has stopped before this. */
  | { ask: 'go' }
  | { ask: 'serving' };

/** What is handed over, in this order. Who gets a kind that it does not know closes what came with it. */
export const HANDED_KINDS = [
  'listen',
  'port',
  'idle',
  'wait',
  'supervisor',
  'attach',
  'stream',
  'begun',
] as const;
export type HandedKind = (typeof HANDED_KINDS)[number];
/** Of a successor that does not say what it knows. */
export const FIRST_KINDS: readonly HandedKind[] = ['listen', 'port', 'idle', 'wait', 'supervisor'];

/** Predecessor to successor. */
export type Answer =
  | { answer: 'refused'; reason: string }
  | {
      answer: 'agreed';
      pid: number;
      version: string;
      listeners: string[];
      /** It keeps connections that come meanwhile, and gives them to a successor that takes them once that serves. */
      keeps?: boolean;
    }
  /**
   * Listening sockets, bound ports, idle clients, clients that wait for an exit code, connections to supervisors whose
   * next events nobody has read, clients that are attached to what is not started yet, those of streams without an
   * end, or connections that came when nobody served: as many as `keys`.
   */
  | { answer: 'sockets'; kind: HandedKind; keys: string[]; fds: number }
  /** All is given, and the data root is free, or is about to be. Once more behind the connections that were kept. */
  | { answer: 'given' };

const LINE_MAX_BYTES = 1024 * 1024;
const READ_BYTES = 64 * 1024;
const POLL_MS = 2;
const SEND_TIMEOUT_MS = 5000;
/** SCM_MAX_FD is 253. */
export const FDS_AT_ONCE = 200;
/** Keys say what clients have asked for: together and each. One that is longer is not handed over. */
export const KEYS_AT_ONCE_BYTES = 256 * 1024;
export const KEY_MAX_BYTES = 128 * 1024;

/** Sends one line. Throws the system error where the other side does not read. */
export function sendLine(socket: Socket, message: Request | Answer, fds: number[] = []): void {
  const line = Buffer.from(`${JSON.stringify(message)}\n`);
  addon().sendWithFds(descriptorOf(socket), line, fds, SEND_TIMEOUT_MS);
}

/** Cuts what was received into lines. */
export class LineReader {
  #pending: Buffer = Buffer.alloc(0);

  /** The lines that are complete now. Throws Internal on one that is too long or no JSON object. */
  push(chunk: Buffer): Record<string, unknown>[] {
    this.#pending = Buffer.concat([this.#pending, chunk]);
    const lines: Record<string, unknown>[] = [];
    for (let end = this.#pending.indexOf(10); end >= 0; end = this.#pending.indexOf(10)) {
      lines.push(parseLine(this.#pending.toString('utf8', 0, end)));
      this.#pending = this.#pending.subarray(end + 1);
    }
    if (this.#pending.length > LINE_MAX_BYTES) throw new InternalError('takeover: a message is too long');
    return lines;
  }
}

function parseLine(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new InternalError('takeover: a message is no JSON', error);
  }
  if (typeof value !== 'object' || value === null)
    throw new InternalError('takeover: a message is no object');
  return value as Record<string, unknown>;
}

/** The connection has ended. */
export class PredecessorGone extends UnavailableError {
  constructor() {
    super('the running mydockd ended the takeover');
  }
}

/** The successor's end, read without libuv, which would drop the descriptors. `socket` must not be read otherwise. */
export class DescriptorReader {
  readonly #fd: number;
  readonly #lines = new LineReader();
  readonly #messages: Answer[] = [];
  readonly #fds: number[] = [];

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** The next message with its descriptors. Throws Unavailable at the end of the connection and after `timeoutMs`. */
  async next(timeoutMs: number): Promise<{ message: Answer; fds: number[] }> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const message = this.#messages.shift();
      if (message !== undefined) {
        const count = message.answer === 'sockets' ? message.fds : 0;
        return { message, fds: this.#fds.splice(0, count) };
      }
      const received = addon().receiveWithFds(this.#fd, READ_BYTES);
      if (received === null) {
        if (performance.now() > deadline) throw new UnavailableError('the running mydockd does not answer');
        await sleep(POLL_MS);
        continue;
      }
      this.#fds.push(...received.fds);
      if (received.data.length === 0) throw new PredecessorGone();
      this.#messages.push(...(this.#lines.push(received.data) as unknown as Answer[]));
    }
  }

  /** Closes descriptors that belong to no message. */
  drop(): void {
    for (const fd of this.#fds.splice(0)) closeSync(fd);
  }
}
