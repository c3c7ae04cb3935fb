/** Test fixture: an HTTP server on a temporary Unix socket that plays the daemon and remembers what it was asked. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { Client } from './client.ts';
import { dialer } from './dial.ts';
import { parseHost } from './host.ts';

export interface SeenRequest {
  readonly method: string;
  /** With the version and the query. */
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

export type Respond = (request: SeenRequest, response: ServerResponse) => void | Promise<void>;

export interface FakeDaemon extends AsyncDisposable {
  readonly socket: string;
  readonly requests: SeenRequest[];
  client(): Promise<Client>;
}

/** `onUpgrade` gets the connection of a request with `Upgrade: tcp`, after its head was read and nothing answered. */
export async function fakeDaemon(
  respond: Respond,
  onUpgrade?: (request: IncomingMessage, socket: Duplex, head: Buffer) => void,
): Promise<FakeDaemon> {
  const folder = mkdtempSync(join(tmpdir(), 'mydock-client-'));
  const socket = join(folder, 'd.sock');
  const requests: SeenRequest[] = [];
  const server = createServer(async (message, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of message) chunks.push(chunk as Buffer);
    const { method = '', url = '', headers } = message;
    const seen = { method, url, headers, body: Buffer.concat(chunks).toString() };
    requests.push(seen);
    await respond(seen, response);
  });
  if (onUpgrade !== undefined) {
    server.on('upgrade', (message, stream, head) => {
      requests.push({
        method: message.method ?? '',
        url: message.url ?? '',
        headers: message.headers,
        body: '',
      });
      onUpgrade(message, stream, head);
    });
  }
  const sockets = new Set<Duplex>();
  server.on('connection', (stream) => {
    sockets.add(stream);
    stream.once('close', () => sockets.delete(stream));
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  const clients: Client[] = [];
  return {
    socket,
    requests,
    async client() {
      const host = parseHost(`unix://${socket}`);
      const client = new Client(host, await dialer(host, undefined));
      clients.push(client);
      return client;
    },
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.close();
      for (const stream of sockets) stream.destroy();
      await new Promise((resolve) => server.close(resolve));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Answers with JSON. */
export function sendJson(response: ServerResponse, value: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(value));
}
