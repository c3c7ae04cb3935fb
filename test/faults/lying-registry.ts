/**
 * Stands between the daemon and an honest registry, at the address that images are named by, and passes everything on
 * until it is told to lie: from one request of an operation on, until it is honest again.
 */
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from '../fixtures/registry.ts';
import type { Point } from './order.ts';

/** What the honest registry has answered. */
export interface Answer {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: Buffer;
}

export interface Lie {
  readonly name: string;
  /** Whether it can be told in answer to this request. */
  applies(request: IncomingMessage): boolean;
  /** Of the one that the honest registry gives; without, it is never asked. */
  readonly hears?: true;
  tell(response: ServerResponse, request: IncomingMessage, answer: Answer): void;
}

const NO_ANSWER: Answer = { status: 500, headers: {}, body: Buffer.alloc(0) };
/** Belongs to a connection, not to what is passed on. */
const CONNECTION_HEADERS = new Set(['connection', 'keep-alive', 'transfer-encoding']);

function pointOf({ method = '', url = '' }: IncomingMessage): string {
  const part = /\/(manifests|blobs\/uploads|blobs|tags)\//.exec(url)?.[1] ?? 'others';
  return `${method} ${part}`;
}

export class LyingRegistry implements Registry {
  readonly #honest: Registry;
  readonly #server = createServer((request, response) => void this.#serve(request, response));
  readonly #passed = new Map<string, number>();
  #points: Point[] | undefined;
  #lie: (Point & { lie: Lie; begun: boolean }) | undefined;
  #told = 0;

  private constructor(honest: Registry) {
    this.#honest = honest;
  }

  static async before(honest: Registry): Promise<LyingRegistry> {
    const registry = new LyingRegistry(honest);
    await new Promise<void>((resolve) => registry.#server.listen(0, '127.0.0.1', resolve));
    return registry;
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** How many lies were told since the last order to do so. */
  get told(): number {
    return this.#told;
  }

  async push(...image: Parameters<Registry['push']>): Promise<string> {
    return (await this.#honest.push(...image)).replace(this.#honest.host, this.host);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    await this.#honest.stop();
  }

  /** The requests that come during an operation, in their order. */
  async record(operation: () => Promise<unknown>): Promise<Point[]> {
    const points: Point[] = [];
    this.#passed.clear();
    this.#points = points;
    try {
      await operation();
    } finally {
      this.#points = undefined;
    }
    return points;
  }

  /** Lies in answer to the request that the point names, and to all after it to which the lie applies. */
  lie(lie: Lie, point: Point): void {
    this.#passed.clear();
    this.#told = 0;
    this.#lie = { ...point, lie, begun: false };
  }

  /** What it has left unanswered until now ends. */
  beHonest(): void {
    this.#lie = undefined;
    this.#server.closeAllConnections();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => undefined);
    const lie = this.#lieAbout(request);
    if (lie !== undefined) this.#told += 1;
    if (lie !== undefined && lie.hears !== true) {
      request.resume();
      lie.tell(response, request, NO_ANSWER);
      return;
    }
    const answer = await this.#ask(request).catch(() => undefined);
    if (answer === undefined) response.destroy();
    else if (lie === undefined) response.writeHead(answer.status, answer.headers).end(answer.body);
    else lie.tell(response, request, answer);
  }

  #lieAbout(request: IncomingMessage): Lie | undefined {
    const point = pointOf(request);
    const occurrence = (this.#passed.get(point) ?? 0) + 1;
    this.#passed.set(point, occurrence);
    this.#points?.push({ point, occurrence });
    const current = this.#lie;
    if (current === undefined) return undefined;
    current.begun ||= current.point === point && current.occurrence === occurrence;
    return current.begun && current.lie.applies(request) ? current.lie : undefined;
  }

  async #ask(request: IncomingMessage): Promise<Answer> {
    const { method, url, headers } = request;
    return await new Promise((resolve, reject) => {
      const [host, port] = this.#honest.host.split(':');
      // The name that the client uses goes on: addresses of uploads are made of it.
      const asked = httpRequest({ host, port, method, path: url, headers, agent: false }, (answer) => {
        const parts: Buffer[] = [];
        answer.on('data', (part: Buffer) => parts.push(part));
        answer.once('error', reject);
        answer.once('end', () => {
          const kept = Object.entries(answer.headers).filter(([name]) => !CONNECTION_HEADERS.has(name));
          const { statusCode: status = 500 } = answer;
          resolve({ status, headers: Object.fromEntries(kept), body: Buffer.concat(parts) });
        });
      });
      asked.once('error', reject);
      request.once('error', reject);
      request.pipe(asked);
    });
  }
}
