/**
 * Gives clients' connections to supervisors. A connection that arrives before its container starts waits here and is
 * handed over ahead of the start, so that it gets every byte of output; after the hand-over nothing of it passes
 * through this process.
 */

import { InvalidParameterError } from '../base/errors.ts';
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
  if (container.supervisor !== undefined && container.running) {
    lendTo(container.supervisor, '', connection, request);
    connection.release();
    return;
  }
  const pending: PendingAttachment = {
    handTo: (supervisor) => {
      lendTo(supervisor, '', connection, request);
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
