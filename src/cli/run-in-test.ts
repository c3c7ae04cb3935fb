/** Test fixture: one run of the program against a played daemon. */
import type { Duplex } from 'node:stream';
import { type FakeDaemon, fakeDaemon, type Respond, sendJson } from '../client/fake-daemon.ts';
import { runProgram } from './program.ts';
import { type TestIo, type TestSurroundings, testIo } from './test-io.ts';

export interface Outcome {
  readonly exitCode: number;
  readonly io: TestIo;
  /** `POST /containers/create?…` of every request, without the version. */
  readonly calls: string[];
  readonly daemon: FakeDaemon;
}

/** Runs `mydock WORDS…` at 2024-01-02T00:00:00Z. Without `respond` every request fails with 500. */
export async function mydock(
  words: string[],
  respond: Respond = (_, response) => sendJson(response, { message: 'unexpected' }, 500),
  options: TestSurroundings & { onUpgrade?: (socket: Duplex) => void } = {},
): Promise<Outcome> {
  await using daemon = await fakeDaemon(respond, (_, socket) => options.onUpgrade?.(socket));
  const io = testIo({ nowMs: Date.parse('2024-01-02T00:00:00Z'), ...options });
  const exitCode = await runProgram(['-H', `unix://${daemon.socket}`, ...words], io);
  const calls = daemon.requests.map(({ method, url }) => `${method} ${url.replace(/^\/v[\d.]+/, '')}`);
  return { exitCode, io, calls, daemon };
}
