/**
 * Builds of `mydock build` are for mydockd: other engines would overlook half of the order (folders by name, `--check`,
 * named contexts) and build something else. Dockerd refuses a version of the builder that it does not know before it
 * reads anything, so that a build needs no request ahead.
 */
import type { Client } from '../../client/client.ts';
import { ApiError } from '../../client/client-error.ts';
import { CliError } from '../cli-error.ts';

/** The parameter `version` of `POST /build`, which has `1` and `2` at Docker's. */
export const BUILDER_VERSION = 'mydock';

export const OTHER_ENGINE =
  'the daemon is not mydockd, and cannot do what mydock build orders: use the client of that engine (docker build)';

/** Whether this is dockerd's answer to a builder that it does not have; 20.10 says it with 500. */
export function askedOfOtherEngine(error: unknown): boolean {
  return error instanceof ApiError && /^invalid version "?mydock/.test(error.message);
}

/**
 * Ahead of a request with a body, in front of which the daemon is asked for its version anyhow: an answer that comes
 * while a body is being sent can get lost. Who does not say what he is passes.
 */
export async function refuseOtherEngine(client: Client): Promise<void> {
  await client.negotiate();
  if (/^(?:Docker|Libpod)\//.test(client.server ?? '')) throw new CliError(OTHER_ENGINE);
}
