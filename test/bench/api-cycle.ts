/** The life of a container through the API alone, over one kept connection and one that waits: no client's start in it. */
import { Agent, request } from 'node:http';
import type { Engine } from './engines.ts';

const LIMIT_MS = 60_000;

/** Milliseconds from the first byte of the creation to the last of the removal; undefined for an engine without a socket. */
export async function apiCycleMs(engine: Engine, image: string): Promise<number | undefined> {
  const { socket } = engine;
  if (socket === undefined) return undefined;
  const agent = agents.get(engine) ?? new Agent({ keepAlive: true });
  agents.set(engine, agent);
  const call = (method: string, path: string, body?: object): Promise<string> =>
    answer(agent, socket, method, path, body);
  const startedAt = performance.now();
  const created = await call('POST', '/containers/create', { Image: image, Cmd: ['true'] });
  const { Id: id } = JSON.parse(created) as { Id: string };
  const ended = call('POST', `/containers/${id}/wait?condition=next-exit`);
  await call('POST', `/containers/${id}/start`);
  await ended;
  await call('DELETE', `/containers/${id}`);
  return performance.now() - startedAt;
}

const agents = new Map<Engine, Agent>();

export function closeAgents(): void {
  for (const agent of agents.values()) agent.destroy();
}

function answer(
  agent: Agent,
  socketPath: string,
  method: string,
  path: string,
  body: object | undefined,
): Promise<string> {
  const text = body === undefined ? '' : JSON.stringify(body);
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
  return new Promise((resolve, reject) => {
    const outgoing = request({ agent, socketPath, method, path, headers, timeout: LIMIT_MS }, (response) => {
      let answered = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        answered += part;
      });
      response.once('error', reject);
      response.once('end', () => {
        const { statusCode = 0 } = response;
        if (statusCode < 400) resolve(answered);
        else reject(new Error(`${method} ${path}: ${statusCode} ${answered}`));
      });
    });
    outgoing.once('error', reject);
    outgoing.once('timeout', () => outgoing.destroy(new Error(`${method} ${path}: no answer`)));
    outgoing.end(text);
  });
}
