/**
 * Strikes of registries that lie, at each request of an operation: what it asks is refused, cut short, of another length
 * or other bytes, leads in circles, or is never answered. The operation may fail, and must then say which registry and
 * what of it.
 */
import type { IncomingMessage } from 'node:http';
import { errorMessage } from '../../src/base/errors.ts';
import type { FaultedDaemon } from './faulted-daemon.ts';
import type { Answer, Lie } from './lying-registry.ts';
import { type Point, pointName } from './order.ts';
import type { Strike } from './strikes.ts';

const isRead = ({ method, url = '' }: IncomingMessage): boolean =>
  method === 'GET' && /\/(manifests|blobs)\//.test(url);
const isAny = (): boolean => true;

function refuses(status: number, name: string, headers: Record<string, string> = {}): Lie {
  return {
    name,
    applies: isAny,
    tell: (response) => response.writeHead(status, { 'content-length': '0', ...headers }).end(),
  };
}

/** An answer to a request that reads, changed; its length is that of the changed body where it says no other. */
function changes(name: string, change: (answer: Answer) => Answer): Lie {
  return {
    name,
    applies: isRead,
    hears: true,
    tell(response, _request, answer) {
      const { status, headers, body } = change(answer);
      response.writeHead(status, { ...headers, 'content-length': String(body.length) }).end(body);
    },
  };
}

const half = (body: Buffer): Buffer => body.subarray(0, Math.floor(body.length / 2));

const TRUNCATES: Lie = {
  name: 'registry that breaks off',
  applies: isRead,
  hears: true,
  tell(response, _request, { status, headers, body }) {
    response.writeHead(status, { ...headers, 'content-length': String(body.length) });
    response.write(half(body), () => response.destroy());
  },
};

const STALLS: Lie = {
  name: 'registry that falls silent',
  applies: isAny,
  hears: true,
  tell(response, { method }, { status, headers, body }) {
    if (method !== 'GET' || body.length < 2) return;
    response.writeHead(status, { ...headers, 'content-length': String(body.length) });
    response.write(half(body));
  },
};

const CIRCLES: Lie = {
  name: 'registry that leads in circles',
  applies: isAny,
  tell: (response, { url = '' }) => response.writeHead(307, { location: url, 'content-length': '0' }).end(),
};

const NO_HTTP: Lie = {
  name: 'registry that speaks no HTTP',
  applies: isAny,
  tell: (_response, { socket }) => socket.end('220 mail.example.com ESMTP\r\n'),
};

export const LIES: readonly Lie[] = [
  refuses(401, 'registry that knows nobody', { 'www-authenticate': 'Basic realm="test"' }),
  refuses(429, 'registry that has enough'),
  refuses(500, 'registry that fails'),
  CIRCLES,
  NO_HTTP,
  TRUNCATES,
  STALLS,
  changes('registry that says too little', (answer) => ({ ...answer, body: half(answer.body) })),
  changes('registry that says too much', (answer) => ({
    ...answer,
    body: Buffer.concat([answer.body, Buffer.alloc(1000, ' ')]),
  })),
  changes('registry with other bytes', (answer) => ({
    ...answer,
    body: Buffer.from(answer.body).fill('x', answer.body.length >> 1, (answer.body.length >> 1) + 8),
  })),
  changes('registry with another digest', (answer) => ({
    ...answer,
    headers: { ...answer.headers, 'docker-content-digest': `sha256:${'1'.repeat(64)}` },
  })),
];

/** Without the progress before it, which has names as well. */
function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? '';
}

/** Which registry, or which of its objects by its digest. */
function isTold(failure: string, { registry }: FaultedDaemon): boolean {
  const text = lastLine(failure);
  return text.includes(registry.host) || /sha256:[0-9a-f]{64}/.test(text);
}

/** From the request on, to the operation's end. */
export function lying(lie: Lie): Strike<Point> {
  return {
    name: `${lie.name} from`,
    async targets(daemon, scenario) {
      return await daemon.registry.record(() => scenario.operate(daemon, false));
    },
    title: pointName,
    async strike(daemon, scenario, point) {
      let failure: string | undefined;
      daemon.registry.lie(lie, point);
      try {
        await scenario.operate(daemon, false);
      } catch (error) {
        failure = errorMessage(error);
      } finally {
        daemon.registry.beHonest();
      }
      return {
        // Nothing may come any more to which it applies; what was asked was answered then.
        struck: true,
        acknowledged: failure === undefined,
        wrong:
          failure === undefined || isTold(failure, daemon)
            ? []
            : [`it does not say which registry, and what of it: ${lastLine(failure)}`],
      };
    },
  };
}
