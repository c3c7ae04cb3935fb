/** `mydock diff`: what a container has changed in its file system. */
import type { FilesystemChange } from '../../api/containers.ts';
import type { Client } from '../../client/client.ts';
import { printableLine } from '../format/text.ts';
import { type Io, printLine } from '../io.ts';
import { defineVerb } from '../verb.ts';
import { containerPath } from './lookup.ts';

export const diff = defineVerb<Record<string, never>>({
  usage: 'CONTAINER',
  summary: "Show what a container has changed (C), added (A) and deleted (D) in its image's files",
  args: { min: 1, max: 1 },
  flags() {},
  run: ({ client, io }, [name = '']) => runDiff(client, io, name),
});

/** By the kind's number. */
const LETTERS = ['C', 'A', 'D'];

export async function runDiff(client: Client, io: Io, name: string): Promise<number> {
  const changes = await client.json<FilesystemChange[] | null>('GET', containerPath(name, '/changes'));
  for (const { Kind, Path } of changes ?? []) printLine(io, `${LETTERS[Kind]} ${printableLine(Path)}`);
  return 0;
}
