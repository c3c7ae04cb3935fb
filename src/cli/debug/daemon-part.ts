/** What a debug bundle has from the daemon: answers of its API, each with a time limit; a daemon that hangs costs one. */

import { errorMessage } from '../../base/errors.ts';
import type { Client } from '../../client/client.ts';

const ANSWER_MAX_MS = 10_000;
/** Containers that are described one by one. */
const INSPECTED_MAX = 200;

const ANSWERS: Record<string, string> = {
  'version.json': '/version',
  'info.json': '/info',
  'diagnostics.json': '/system/diagnostics',
  'containers.json': '/containers/json?all=1',
  'images.json': '/images/json?all=1',
  'networks.json': '/networks',
  'volumes.json': '/volumes',
  'disk-usage.json': '/system/df',
};

export interface DaemonPart {
  /** By the name of the file. */
  answers: Map<string, unknown>;
  /** What could not be had. */
  errors: string[];
}

export async function daemonPart(client: Client): Promise<DaemonPart> {
  const part: DaemonPart = { answers: new Map(), errors: [] };
  const ask = async (name: string, path: string): Promise<unknown> => {
    try {
      const answer = await withLimit(get(client, path));
      part.answers.set(name, answer);
      return answer;
    } catch (error) {
      part.errors.push(`${path}: ${errorMessage(error)}`);
      if (error instanceof NoAnswer) throw error;
      return undefined;
    }
  };
  try {
    for (const [name, path] of Object.entries(ANSWERS)) await ask(name, path);
    for (const id of containerIds(part.answers.get('containers.json')))
      await ask(`inspect/${id.slice(0, 12)}.json`, `/containers/${id}/json`);
    const check = await withLimit(lines(client, '/system/check?quick=1'));
    part.answers.set('check.json', check);
  } catch (error) {
    // Who does not answer one request would let all others wait as long.
    if (!(error instanceof NoAnswer)) part.errors.push(`check: ${errorMessage(error)}`);
  }
  return part;
}

class NoAnswer extends Error {}

async function withLimit<T>(answer: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new NoAnswer(`no answer within ${ANSWER_MAX_MS / 1000} s`)),
    ANSWER_MAX_MS,
  );
  try {
    return await Promise.race([answer, promise]);
  } finally {
    clearTimeout(timer);
  }
}

async function get(client: Client, target: string): Promise<unknown> {
  const [path = '', query] = target.split('?');
  return await client.json('GET', path, { query: Object.fromEntries(new URLSearchParams(query)) });
}

async function lines(client: Client, target: string): Promise<unknown[]> {
  const [path = '', query] = target.split('?');
  const body = await client.stream('POST', path, { query: Object.fromEntries(new URLSearchParams(query)) });
  let text = '';
  for await (const chunk of body) text += String(chunk);
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => JSON.parse(line) as unknown);
}

function containerIds(list: unknown): string[] {
  if (!Array.isArray(list)) return [];
  return list.slice(0, INSPECTED_MAX).map((one: { Id?: unknown }) => String(one.Id));
}
