/**
 * Gives clients' connections to supervisors. A connection that arrives before its container starts waits here and is
 * handed over ahead of the start, so that it gets every byte of output; after the hand-over nothing of it passes
 * through this process.
 */

import { errorMessage, InvalidParameterError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { addon } from '../native/addon.ts';
import type { Container, PendingAttachment } from './container.ts';
import type { Supervisor } from './supervisor.ts';

/** A client's connection as the engine needs it (daemon/hijack.ts implements it). */
export interface ClientConnection {
  write(chunk: Uint8Array): Promise<void>;
  lend(use: (fd: number, head: Buffer) => void): void;
  release(): void;
  close(): void;
  onClose(callback: () => void): void;
}

export interface AttachRequest {
  stdin: boolean;
  stdout: boolean;
  stderr: boolean;
  /** Byte values; empty for none. */
  detachKeys: number[];
  /** Docker's 8-byte stream framing; not for terminals. */
  framed: boolean;
}

/** Of an attachment that waits for a start, what another daemon must know to go on with it. */
export interface PassedAttachment extends AttachRequest {
  /** Base64 of what was read from the client. */
  head: string;
}

let lastAttachment = 0;

/** Passes a connection on to the supervisor as an attachment of `process` ("" is the init). Returns its number. */
export function lendTo(
  supervisor: Supervisor,
  process: string,
  connection: ClientConnection,
  request: AttachRequest,
): number {
  const attachment = ++lastAttachment;
  connection.lend((fd, head) => {
    const { stdin, stdout, stderr, framed, detachKeys } = request;
    supervisor.send(
      'attach',
      { process, attachment, stdin, stdout, stderr, framed, detachKeys, head: head.toString('base64') },
      [fd],
    );
  });
  return attachment;
}

/** Attaches a connection to a container's init, now or when it starts. */
export function attachConnection(
  container: Container,
  connection: ClientConnection,
  request: AttachRequest,
): void {
  const { supervisor } = container;
  // It keeps this one for the program's first byte, as those that have waited for it: no other start comes to fetch it.
  if (supervisor !== undefined && (container.running || supervisor.open)) {
    lendTo(supervisor, '', connection, request);
    connection.release();
    return;
  }
  const pending: PendingAttachment = {
    handTo: (supervisor) => {
      lendTo(supervisor, '', connection, request);
      connection.release();
    },
    pass: (use) => {
      connection.lend((fd, head) => use(fd, { ...request, head: head.toString('base64') }));
      connection.release();
    },
    close: () => connection.close(),
  };
  container.pendingAttachments.add(pending);
  connection.onClose(() => container.pendingAttachments.delete(pending));
}

/** Gives every waiting connection to the supervisor of a container that is about to start. */
export function handOverPending(container: Container, supervisor: Supervisor): void {
  for (const pending of container.pendingAttachments) pending.handTo(supervisor);
  container.pendingAttachments.clear();
}

/** A client that waits for a start, on its way from one daemon to the next. */
interface HandedAttachment {
  /** The container's. */
  id: string;
  attachment: PassedAttachment;
  /** Tells attachments of one takeover apart. */
  serial: number;
}

/** Takes waiting connections away from this process: second descriptors by keys that `continueAttachment` knows. */
export function passAttachments(containers: readonly Container[]): Map<string, number> {
  const passed = new Map<string, number>();
  for (const { id, pendingAttachments } of containers) {
    for (const pending of pendingAttachments) {
      try {
        pending.pass((fd, attachment) => {
          const key = JSON.stringify({ id, attachment, serial: passed.size } satisfies HandedAttachment);
          passed.set(key, addon().duplicate(fd));
        });
      } catch (error) {
        // The client meets the end of its connection.
        log.warn({ container: id, error: errorMessage(error) }, 'an attached client cannot be handed over');
      }
    }
    pendingAttachments.clear();
  }
  return passed;
}

/** Goes on with a client of another daemon; `adopt` makes its connection, with what was read from it. */
export function continueAttachment(
  find: (id: string) => Container | undefined,
  key: string,
  adopt: (head: Buffer) => ClientConnection,
): void {
  const { id, attachment } = JSON.parse(key) as HandedAttachment;
  const { head, ...request } = attachment;
  const connection = adopt(Buffer.from(head, 'base64'));
  const container = find(id);
  if (container?.id === id) attachConnection(container, connection, request);
  else connection.close();
}

/**
 * `ctrl-p,ctrl-q` as byte values: single characters, and `ctrl-` with a letter or one of `@ [ \ ] ^ _`. Empty text
 * gives the default. Throws InvalidParameter naming the key.
 */
export function parseDetachKeys(text: string): number[] {
  if (text === '') return [0x10, 0x11];
  return text.split(',').map((key) => {
    if (key.length === 1) return key.charCodeAt(0);
    const control = /^ctrl-([a-z@[\\\]^_])$/.exec(key)?.[1];
    if (control === undefined) throw new InvalidParameterError(`Unknown character: '${key}'`);
    return control.toUpperCase().charCodeAt(0) & 0x1f;
  });
}
