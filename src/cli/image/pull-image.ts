/** Pulls an image through the daemon with progress; shared by `pull` and by the verbs that pull what is missing. */
import type { JSONMessage } from '../../api/images.ts';
import type { Client } from '../../client/client.ts';
import { jsonLines } from '../../client/json-lines.ts';
import type { Io, Output } from '../io.ts';
import { parseReference } from '../options/reference.ts';
import { showProgress } from '../terminal/progress.ts';
import { registryAuth } from './registry-auth.ts';

export interface PullChoices {
  readonly platform?: string;
  /** Show nothing; errors are still thrown. */
  readonly quiet: boolean;
  readonly allTags?: boolean;
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
  const auth = await registryAuth(reference.repository, io.env);
  const response = await client.stream('POST', '/images/create', {
    query: {
      fromImage: reference.repository,
      tag: choices.allTags ? undefined : (reference.digest ?? reference.tag),
      platform: choices.platform,
    },
    headers: auth === undefined ? {} : { 'x-registry-auth': auth },
  });
  await showProgress(jsonLines<JSONMessage>(response), choices.quiet ? undefined : output);
}
