/**
 * Attach over a WebSocket (Engine API, "Attach to a container via a websocket"): messages of the client are stdin,
 * output comes as messages without framing, binary from API 1.28 on and text before. The supervisor gets one end of a
 * socket pair, as with every attachment; the other end is copied here.
 */
import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import { type RawData, WebSocket, WebSocketServer } from 'ws';
import { InvalidParameterError } from '../../../base/errors.ts';
import { keepReading } from '../../../base/keep-reading.ts';
import { parseDetachKeys } from '../../../container/attach.ts';
import { addon } from '../../../native/addon.ts';
import { countRelayed, type HijackedConnection } from '../../hijack.ts';
import type { ApiRequest } from '../../request.ts';
import type { Handler } from '../../router.ts';
import type { ContainersBackend } from './backend.ts';

/** Output that the client has not taken yet; beyond this the container's output waits. */
const BUFFERED_MAX_BYTES = 1024 * 1024;
/** Input from before the container runs: the head of an attachment, which fits into one message to the supervisor. */
const EARLY_MAX_BYTES = 64 * 1024;
const MESSAGE_MAX_BYTES = 32 * 1024 * 1024;

export function attachWebSocket(backend: ContainersBackend): Handler {
  const server = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: MESSAGE_MAX_BYTES,
  });
  return (request) => {
    const { upgrade } = request;
    if (upgrade === null || request.header('upgrade')?.toLowerCase() !== 'websocket') {
      throw new InvalidParameterError('this operation needs a websocket handshake');
    }
    const reference = request.param('id');
    const container = backend.inspect(reference);
    const tty = container.Config.Tty === true;
    const wanted = {
      stdin: request.flag('stdin') && container.Config.OpenStdin === true,
      stdout: request.flag('stdout'),
      stderr: request.flag('stderr'),
      detachKeys: tty ? parseDetachKeys(request.text('detachKeys')) : [],
      framed: false,
    };
    server.handleUpgrade(request.message, upgrade.socket, upgrade.head, (client) => {
      void serve(
        backend,
        reference,
        request,
        new WebSocketConnection(client, request.atLeast('1.28')),
        wanted,
      );
    });
  };
}

async function serve(
  backend: ContainersBackend,
  reference: string,
  request: ApiRequest,
  connection: WebSocketConnection,
  wanted: Parameters<ContainersBackend['attach']>[2],
): Promise<void> {
  try {
    if (request.flag('logs')) {
      for await (const batch of backend.logs(reference, { follow: false }, request.signal)) {
        for (const { stream, text } of batch) if (wanted[stream]) await connection.write(Buffer.from(text));
      }
    }
    if (request.flag('stream')) backend.attach(reference, connection, wanted);
    else connection.close();
  } catch {
    // The container is gone by now: for the client that is the end of the stream.
    connection.close();
  }
}

class WebSocketConnection implements HijackedConnection {
  readonly #client: WebSocket;
  readonly #binary: boolean;
  /** What the client sent before somebody wanted it. */
  #early: Buffer[] = [];
  #inside: Socket | undefined;
  #onClose: () => void = () => undefined;

  constructor(client: WebSocket, binary: boolean) {
    this.#client = client;
    this.#binary = binary;
    client.on('message', (data) => this.#input(data));
    client.on('error', () => client.terminate());
    client.on('close', () => {
      this.#inside?.destroy();
      this.#onClose();
    });
  }

  #input(data: RawData): void {
    const bytes = Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data as Buffer);
    if (this.#inside === undefined) {
      this.#early.push(bytes);
      if (this.#early.reduce((sum, one) => sum + one.length, 0) > EARLY_MAX_BYTES) this.#client.pause();
    } else if (!this.#inside.write(bytes)) {
      this.#client.pause();
      this.#inside.once('drain', () => this.#client.resume());
    }
  }

  write(chunk: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      if (this.#client.readyState !== WebSocket.OPEN) resolve();
      else this.#client.send(chunk, { binary: this.#binary }, () => resolve());
    });
  }

  onClose(callback: () => void): void {
    if (this.#client.readyState !== WebSocket.OPEN) callback();
    else this.#onClose = callback;
  }

  lend(use: (fd: number, head: Buffer) => void): void {
    if (this.#inside !== undefined || this.#client.readyState !== WebSocket.OPEN) return;
    const [near, far] = addon().socketPair();
    const inside = keepReading(new Socket({ fd: near, readable: true, writable: true, allowHalfOpen: true }));
    inside.on('error', () => this.#client.close());
    inside.on('end', () => this.#client.close(1000));
    inside.on('data', (chunk: Buffer) => {
      void this.write(chunk).then(() => inside.resume());
      if (this.#client.bufferedAmount > BUFFERED_MAX_BYTES) inside.pause();
    });
    this.#inside = inside;
    countRelayed(this.#client);
    try {
      use(far, Buffer.concat(this.#early));
    } finally {
      closeSync(far);
      this.#early = [];
      this.#client.resume();
    }
  }

  /** The pair is copied for as long as the client is there. */
  release(): void {}

  close(): void {
    this.#client.close(1000);
  }
}
