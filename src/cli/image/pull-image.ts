/** Pulls an image through the daemon with progress; shared by `pull` and by the verbs that pull what is missing. */
import type { JSONMessage } from '../../api/images.ts';
import type { Client } from '../../client/client.ts';
import { jsonLines } from '../../client/json-lines.ts';
import { type Io, type Output, printError } from '../io.ts';
import { parseReference } from '../options/reference.ts';
import { registryHeaders } from '../registry/registry-auth.ts';
import { showProgress } from '../terminal/progress.ts';

export interface PullChoices {
  readonly platform?: string;
  /** Show nothing; errors are still thrown. */
  readonly quiet: boolean;
  readonly allTags?: boolean;
  /** Whether a local copy will do while the registry is out of order; undefined: as the daemon is configured. */
  readonly stale?: boolean;
}

/** Progress goes to `output`. Throws `CliError` with the daemon's message where the pull fails. */
export async function pullImage(
  client: Client,
  io: Io,
  output: Output,
  image: string,
  choices: PullChoices,
): Promise<void> {
  const reference = parseReference(image);
  const headers = await registryHeaders(client, reference.repository, io);
  const response = await client.stream('POST', '/images/create', {
    query: {
      fromImage: reference.repository,
      tag: choices.allTags ? undefined : (reference.digest ?? reference.tag),
      platform: choices.platform,
      stale: choices.stale,
    },
    headers,
  });
  const messages = jsonLines<JSONMessage>(response);
  if (choices.quiet) await showProgress(tellStale(messages, io), undefined);
  else await showProgress(messages, output);
}

/** That an image may be old is told also where nothing else is. */
async function* tellStale(messages: AsyncIterable<JSONMessage>, io: Io): AsyncGenerator<JSONMessage> {
  for await (const message of messages) {
    if (/^Registry .*; using the local copy /.test(message.status ?? ''))
      printError(io, message.status ?? '');
    yield message;
  }
}
