/** `mydock tag`. */
import { type Client, pathSegment } from '../../client/client.ts';
import { CliError } from '../cli-error.ts';
import { parseReference } from '../options/reference.ts';
import { defineVerb } from '../verb.ts';

export const tag = defineVerb<Record<string, never>>({
  usage: 'SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]',
  summary: 'Give an image another name',
  args: { min: 2, max: 2 },
  flags() {},
  run: ({ client }, [source = '', target = '']) => runTag(client, source, target),
});

export async function runTag(client: Client, source: string, target: string): Promise<number> {
  const reference = parseTarget(target);
  await client.json('POST', `/images/${pathSegment(source)}/tag`, {
    query: { repo: reference.repository, tag: reference.tag },
  });
  return 0;
}

function parseTarget(target: string): ReturnType<typeof parseReference> {
  try {
    const reference = parseReference(target);
    if (reference.digest === undefined) return reference;
  } catch (error) {
    throw new CliError(
      `Error parsing reference: "${target}" is not a valid repository/tag: ${(error as Error).message}`,
    );
  }
  throw new CliError('refusing to create a tag with a digest reference');
}
