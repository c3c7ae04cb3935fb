/**
 * Reading a request's body into memory: bounded in size, and in time, so that a client that sends a byte now and then does
 * not count as busy for ever. What is not read of a refused body is read and dropped: unread, it would stand before the
 * next request and the connection's end.
 */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { InvalidParameterError } from '../base/errors.ts';
import { BodyBuffer } from './body-buffer.ts';

/** Bodies of JSON requests; contexts and archives are streams and not counted here. */
const JSON_BODY_MAX_BYTES = 8 * 1024 * 1024;
/** From the head to the body's last byte, as node:http gives it for the head. */
const BODY_MAX_MS = 60_000;

/** The body of a request that the HTTP parser reads. Throws InvalidParameter, Unavailable. */
export async function readBody(message: IncomingMessage): Promise<Buffer> {
  const body = new BodyBuffer();
  try {
    await eachPiece(message, (piece) => {
      if (body.length + piece.length > JSON_BODY_MAX_BYTES) throw tooLarge();
      body.add(piece);
    });
    return body.bytes();
  } catch (error) {
    message.resume();
    throw error;
  } finally {
    body.release();
  }
}

/** Resolves when `take` was given all of it; rejects with what it throws, with the message then paused. */
function eachPiece(message: IncomingMessage, take: (piece: Buffer) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (error?: unknown): void => {
      clearTimeout(timer);
      for (const [event, listener] of listeners) message.off(event, listener);
      message.pause();
      if (error === undefined) resolve();
      else reject(error);
    };
    const onData = (piece: Buffer): void => {
      try {
        take(piece);
      } catch (error) {
        end(error);
      }
    };
    const listeners = [
      ['data', onData],
      ['end', () => end()],
      ['error', () => end(endedEarly())],
      ['close', () => end(endedEarly())],
    ] as const;
    const timer = setTimeout(() => end(tooSlow()), BODY_MAX_MS);
    if (message.readableEnded) end();
    else if (message.destroyed) end(endedEarly());
    else for (const [event, listener] of listeners) message.on(event, listener);
  });
}

/**
 * `length` bytes from a connection that the HTTP parser has let go of, `head` before them; what has come behind them is
 * the `rest`. Throws as `readBody`.
 */
export async function readUpgradeBody(
  socket: Socket,
  head: Buffer,
  length: number,
): Promise<{ body: Buffer; rest: Buffer }> {
  if (length > JSON_BODY_MAX_BYTES) throw tooLarge();
  const deadline = performance.now() + BODY_MAX_MS;
  const body = new BodyBuffer();
  try {
    body.add(head);
    while (body.length < length) {
      const piece = await nextPiece(socket, deadline - performance.now());
      if (piece === null) throw endedEarly();
      body.add(piece);
    }
    return { body: body.bytes().subarray(0, length), rest: body.bytes().subarray(length) };
  } finally {
    body.release();
  }
}

/** Null where the connection has ended. Throws InvalidParameter after `timeoutMs`. */
function nextPiece(socket: Socket, timeoutMs: number): Promise<Buffer | null> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      socket.pause();
      socket.off('data', onData);
      socket.off('end', onEnd);
      socket.off('close', onEnd);
    };
    const onData = (piece: Buffer): void => {
      stop();
      resolve(piece);
    };
    const onEnd = (): void => {
      stop();
      resolve(null);
    };
    const timer = setTimeout(() => {
      stop();
      reject(tooSlow());
    }, timeoutMs);
    socket.on('data', onData);
    socket.once('end', onEnd);
    socket.once('close', onEnd);
    socket.resume();
  });
}

function tooLarge(): InvalidParameterError {
  return new InvalidParameterError(`request body is larger than ${JSON_BODY_MAX_BYTES} bytes`);
}

function tooSlow(): InvalidParameterError {
  return new InvalidParameterError(`request body did not come within ${BODY_MAX_MS / 1000} seconds`);
}

function endedEarly(): InvalidParameterError {
  return new InvalidParameterError('request body ended early: unexpected EOF');
}
