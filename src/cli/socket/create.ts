/** `mydock socket create`: prints the path of a socket that can do a part of the API (docs/security.md). */
import { resolve } from 'node:path';
import type { SocketCreateRequest, SocketCreateResponse } from '../../api/sockets.ts';
import type { Client } from '../../client/client.ts';
import { boolFlag, listFlag, parsedFlag, stringFlag } from '../flags/declare.ts';
import { type Io, printError, printLine } from '../io.ts';
import { defineVerb } from '../verb.ts';

export interface SocketCreateOptions {
  allow: string[];
  group?: string;
  image: string[];
  label: string[];
  mode?: string;
  mountRoot: string[];
  name?: string;
  network: string[];
  readOnly: boolean;
  uid?: number;
}

export const create = defineVerb<SocketCreateOptions>({
  usage: '[OPTIONS] PATH',
  summary: 'Serve a second socket that can do a part of the API, on a part of its objects',
  args: { min: 1, max: 1 },
  flags(command) {
    listFlag(command, '--allow <list>', 'Allow operations: GROUP.OPERATION or GROUP.*, separated by commas');
    stringFlag(command, '--group <string>', "Name or ID of the socket's group (default root's)");
    listFlag(command, '--image <pattern>', 'Only images that match may be named');
    listFlag(command, '--label <list>', 'Only objects with this label exist: KEY or KEY=VALUE');
    stringFlag(command, '--mode <mode>', "The socket's permission bits (default 0660)");
    listFlag(command, '--mount-root <dir>', 'Parts of this folder of the host may be mounted');
    stringFlag(command, '--name <string>', "The socket's name (default PATH's last part without .sock)");
    listFlag(command, '--network <network>', 'Containers may join this network');
    boolFlag(command, '--read-only', 'Allow all operations that tell about objects');
    parsedFlag(command, '--uid <uid>', "ID of the socket's owner (default 0)", readUid);
  },
  run: ({ client, io }, [path = ''], options) => runSocketCreate(client, io, path, options),
});

export async function runSocketCreate(
  client: Client,
  io: Io,
  path: string,
  options: SocketCreateOptions,
): Promise<number> {
  const request: SocketCreateRequest = {
    // A remote daemon has folders of its own.
    Path: client.host.kind === 'unix' ? resolve(io.cwd, path) : path,
    ...(options.name === undefined ? {} : { Name: options.name }),
    ReadOnly: options.readOnly,
    Allow: options.allow.flatMap((list) => list.split(',')).filter((word) => word !== ''),
    Labels: options.label,
    MountRoots: options.mountRoot.map((root) => (client.host.kind === 'unix' ? resolve(io.cwd, root) : root)),
    Images: options.image,
    Networks: options.network,
    ...(options.mode === undefined ? {} : { Mode: options.mode }),
    ...(options.uid === undefined ? {} : { Uid: options.uid }),
    ...(options.group === undefined ? {} : { Group: options.group }),
  };
  const { Path, Warnings } = await client.json<SocketCreateResponse>('POST', '/sockets/create', {
    json: request,
  });
  for (const warning of Warnings) printError(io, `WARNING: ${warning}`);
  printLine(io, Path);
  return 0;
}

function readUid(text: string): number {
  if (!/^\d{1,10}$/.test(text)) throw new Error('expected a user ID');
  return Number(text);
}
