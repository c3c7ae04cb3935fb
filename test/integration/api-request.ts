/** Plain Engine API requests on a Unix socket, as no client library makes them: any path, any body. */
import { request } from 'node:http';
import { timeLimitMs } from '../run/time-limit.ts';

const LIMIT_MS = timeLimitMs(120_000);

export interface ApiAnswer {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly text: string;
  /** The body as JSON; fails where it is none. */
  json<T>(): T;
}

/** One request. A string or bytes as body are sent as they are, all else as JSON; `headers` come on top of the type of that. */
export async function apiRequest(
  socketPath: string,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<ApiAnswer> {
  return await new Promise((resolve, reject) => {
    const type: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' };
    const outgoing = request(
      { socketPath, method, path, headers: { ...type, ...headers }, timeout: LIMIT_MS },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        response.once('error', reject);
        response.once('end', () => {
          const { statusCode = 0, headers: answered } = response;
          resolve({ status: statusCode, headers: answered, text, json: <T>() => JSON.parse(text) as T });
        });
      },
    );
    outgoing.once('error', reject);
    outgoing.once('timeout', () =>
      outgoing.destroy(new Error(`${method} ${path}: no answer within ${LIMIT_MS} ms`)),
    );
    const isPlain = typeof body === 'string' || Buffer.isBuffer(body) || body === undefined;
    outgoing.end(isPlain ? body : JSON.stringify(body));
  });
}
