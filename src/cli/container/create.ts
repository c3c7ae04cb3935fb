/** `mydock create`, and the creation that `run` begins with: pull where needed, create, write the ID file. */
import { rmSync, writeFileSync } from 'node:fs';
import type { ContainerCreateRequest, ContainerCreateResponse } from '../../api/containers.ts';
import type { Client } from '../../client/client.ts';
import { isNotFound } from '../../client/client-error.ts';
import { CliError } from '../cli-error.ts';
import { pullImage } from '../image/pull-image.ts';
import { type Io, printError, printLine } from '../io.ts';
import { isImageId, parseReference } from '../options/reference.ts';
import { defineVerb } from '../verb.ts';
import { type ContainerOptions, containerFlags } from './container-flags.ts';
import { createRequest } from './create-request.ts';

/** What of the options concerns the creation itself. */
export type CreateChoices = Pick<ContainerOptions, 'name' | 'platform' | 'pull' | 'quiet' | 'cidfile'>;

export const create = defineVerb<ContainerOptions>({
  usage: '[OPTIONS] IMAGE [COMMAND] [ARG...]',
  summary: 'Create a container and leave it stopped',
  args: { min: 1 },
  stopAtFirstArgument: true,
  flags: containerFlags,
  run: ({ client, io }, [image = '', ...words], options) => runCreate(client, io, image, words, options),
});

/** Prints the new container's ID. */
export async function runCreate(
  client: Client,
  io: Io,
  image: string,
  words: readonly string[],
  options: ContainerOptions,
): Promise<number> {
  const request = createRequest(image, words, options, io, client.host.url);
  printLine(io, await createContainer(client, io, request, options));
  return 0;
}

/** The ID of the new container. Warnings and the progress of a pull go to stderr. */
export async function createContainer(
  client: Client,
  io: Io,
  request: ContainerCreateRequest,
  choices: CreateChoices,
): Promise<string> {
  if (!['always', 'missing', 'never', ''].includes(choices.pull)) {
    throw new CliError(
      `invalid pull option: '${choices.pull}': must be one of "always", "missing" or "never"`,
      125,
    );
  }
  const idFile = choices.cidfile === undefined ? undefined : reserveIdFile(choices.cidfile);
  try {
    const { Id, Warnings } = await createOrPull(client, io, request, choices);
    for (const warning of Warnings ?? []) printError(io, `WARNING: ${warning}`);
    idFile?.write(Id);
    return Id;
  } catch (error) {
    idFile?.remove();
    throw error;
  }
}

/** There is none of the name, or none for the platform. */
const NOT_HERE = /no such image|does not match the specified platform/i;

async function createOrPull(
  client: Client,
  io: Io,
  request: ContainerCreateRequest,
  choices: CreateChoices,
): Promise<ContainerCreateResponse> {
  const image = request.Image ?? '';
  const pull = () => pullImage(client, io, io.stderr, image, choices);
  const create = () =>
    client.json<ContainerCreateResponse>('POST', '/containers/create', {
      query: { name: choices.name, platform: choices.platform },
      json: request,
    });
  if (isImageId(image)) return await create();
  if (choices.pull === 'always') await pull();
  try {
    return await create();
  } catch (error) {
    const missing = isNotFound(error) && NOT_HERE.test(error.message);
    if (!missing || choices.pull !== 'missing') throw error;
    if (!choices.quiet) {
      printError(io, `Unable to find image '${parseReference(image).familiar}' locally`);
    }
    await pull();
    return await create();
  }
}

interface IdFile {
  write(id: string): void;
  remove(): void;
}

/** The file is made at once, so that two runs cannot share it. */
function reserveIdFile(path: string): IdFile {
  try {
    writeFileSync(path, '', { flag: 'wx', mode: 0o644 });
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'EEXIST') {
      throw new CliError(
        `container ID file found, make sure the other container isn't running or delete ${path}`,
        125,
      );
    }
    throw new CliError(`failed to create the container ID file: ${(cause as Error).message}`, 125);
  }
  return {
    write: (id) => writeFileSync(path, id),
    remove: () => rmSync(path, { force: true }),
  };
}
