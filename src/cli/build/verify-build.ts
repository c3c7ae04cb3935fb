/** `--verify`: a second build without the cache, which has to give the same image. */
import type { Client } from '../../client/client.ts';
import { pathSegment } from '../../client/client.ts';
import { CliError } from '../cli-error.ts';
import { runImageDiff } from '../image/diff.ts';
import { type Io, printError } from '../io.ts';
import type { BuildOutcome } from './order-build.ts';

/** 0 where both images are the same; else shows the difference, and returns 1. */
export async function verifyBuild(
  client: Client,
  io: Io,
  first: BuildOutcome,
  buildAgain: () => Promise<BuildOutcome>,
): Promise<number> {
  if (first.imageId === '') throw new CliError('cannot verify the build: it stored no image here');
  printError(io, 'verifying: building again, without the cache');
  const second = await buildAgain();
  if (second.imageId === first.imageId) {
    printError(io, `verified: both builds gave ${first.imageId}`);
    return 0;
  }
  printError(io, `not reproducible: ${first.imageId} and then ${second.imageId}`);
  try {
    const options = { format: 'text', limit: 50, content: true, times: true };
    await runImageDiff(client, io, first.imageId, second.imageId, options);
  } finally {
    await client.json('DELETE', `/images/${pathSegment(second.imageId)}`);
  }
  return 1;
}
