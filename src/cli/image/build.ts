/** `mydock build`: packs the context, sends it to the daemon's builder and shows its output. */
import { readFile, stat, writeFile } from 'node:fs/promises';
import { isAbsolute, join, relative, resolve } from 'node:path';
import type { BuildMessage, BuildResult } from '../../api/build.ts';
import { type Client, readText } from '../../client/client.ts';
import { jsonLines } from '../../client/json-lines.ts';
import { packBytes } from '../archive/file-entry.ts';
import { CliError } from '../cli-error.ts';
import { packContext } from '../context/pack.ts';
import {
  boolFlag,
  listFlag,
  parsedFlag,
  parsedListFlag,
  parseInteger,
  stringFlag,
} from '../flags/declare.ts';
import { type Io, printLine } from '../io.ts';
import { keyValueMap, splitPair } from '../options/environment.ts';
import { parseExtraHost } from '../options/host-names.ts';
import { parseBytes, parseSwapBytes } from '../options/quantity.ts';
import { parseReference } from '../options/reference.ts';
import { allRegistryHeaders } from '../registry/registry-auth.ts';
import { showProgress } from '../terminal/progress.ts';
import { defineVerb } from '../verb.ts';

export interface BuildOptions {
  addHost: string[];
  buildArg: string[];
  /** False with `--no-cache`. */
  cache: boolean;
  cacheFrom: string[];
  cpuPeriod?: number;
  cpuQuota?: number;
  cpuShares?: number;
  cpusetCpus?: string;
  file?: string;
  forceRm: boolean;
  iidfile?: string;
  label: string[];
  memory?: number;
  memorySwap?: number;
  network?: string;
  platform?: string;
  pull: boolean;
  quiet: boolean;
  rm: boolean;
  shmSize?: number;
  tag: string[];
  target?: string;
}

export const build = defineVerb<BuildOptions>({
  usage: '[OPTIONS] PATH | URL | -',
  summary: 'Build an image from a Dockerfile',
  args: { min: 1, max: 1 },
  flags(command) {
    parsedListFlag(command, '--add-host <list>', 'Add a line to /etc/hosts (host:ip)', parseExtraHost);
    listFlag(command, '--build-arg <list>', 'Set a build-time variable');
    listFlag(command, '--cache-from <list>', 'Image to take cached steps from');
    parsedFlag(command, '--cpu-period <int>', 'CFS period in microseconds', parseInteger);
    parsedFlag(command, '--cpu-quota <int>', 'CFS quota in microseconds', parseInteger);
    parsedFlag(command, '-c, --cpu-shares <int>', 'Relative weight of CPU time', parseInteger);
    stringFlag(command, '--cpuset-cpus <string>', 'CPUs to run on (0-3, 0,1)');
    stringFlag(command, '-f, --file <string>', 'The Dockerfile (default PATH/Dockerfile; - for stdin)');
    boolFlag(command, '--force-rm', 'Remove intermediate containers also after a failure');
    stringFlag(command, '--iidfile <string>', 'Write the image ID to this file');
    listFlag(command, '--label <list>', 'Set a label on the image');
    parsedFlag(command, '-m, --memory <bytes>', 'Memory limit', parseBytes);
    parsedFlag(
      command,
      '--memory-swap <bytes>',
      'Limit of memory and swap together, -1 for none',
      parseSwapBytes,
    );
    stringFlag(command, '--network <string>', 'Network of the RUN instructions', 'default');
    boolFlag(command, '--no-cache', 'Do not use cached steps');
    stringFlag(command, '--platform <string>', 'Platform of the image (os[/arch[/variant]])');
    boolFlag(command, '--pull', 'Look for newer base images');
    boolFlag(command, '-q, --quiet', 'Print only the image ID');
    boolFlag(command, '--rm', 'Remove intermediate containers after success', true);
    parsedFlag(command, '--shm-size <bytes>', 'Size of /dev/shm', parseBytes);
    parsedListFlag(command, '-t, --tag <list>', 'Name of the image (name[:tag])', checkTag);
    stringFlag(command, '--target <string>', 'Stop at this stage');
  },
  run: ({ client, io }, [context = ''], options) => runBuild(client, io, context, options),
});

/** Prints the builder's output, or with `--quiet` the image's ID. */
export async function runBuild(
  client: Client,
  io: Io,
  context: string,
  options: BuildOptions,
): Promise<number> {
  const source = await openContext(io, context, options.file);
  const response = await client.stream('POST', '/build', {
    query: { ...buildQuery(options, io), dockerfile: source.dockerfile, remote: source.remote },
    headers: { 'content-type': 'application/x-tar', ...(await allRegistryHeaders(io)) },
    ...(source.body === undefined ? {} : { body: source.body }),
  });
  let imageId = '';
  // With q=1 the builder's output is the image's ID alone.
  const text: string[] = [];
  const messages = jsonLines<BuildMessage>(response);
  const shown = options.quiet ? collectText(messages, text) : messages;
  await showProgress(shown, options.quiet ? undefined : io.stdout, (aux) => {
    imageId = (aux as BuildResult).ID || imageId;
  });
  if (options.quiet) {
    imageId = text.join('').trim() || imageId;
    printLine(io, imageId);
  }
  if (options.iidfile !== undefined) await writeImageId(options.iidfile, imageId);
  return 0;
}

function checkTag(tag: string): string {
  parseReference(tag);
  return tag;
}

async function writeImageId(path: string, imageId: string): Promise<void> {
  if (imageId === '') throw new CliError(`server did not provide an image ID. Cannot write ${path}`);
  await writeFile(path, imageId);
}

async function* collectText(
  messages: AsyncIterable<BuildMessage>,
  text: string[],
): AsyncGenerator<BuildMessage> {
  for await (const message of messages) {
    if (message.stream !== undefined) text.push(message.stream);
    yield message;
  }
}

function buildQuery(options: BuildOptions, io: Io) {
  const flag = (on: boolean): true | undefined => (on ? true : undefined);
  return {
    t: options.tag,
    q: flag(options.quiet),
    nocache: flag(!options.cache),
    pull: flag(options.pull),
    rm: options.rm,
    forcerm: flag(options.forceRm),
    buildargs:
      options.buildArg.length === 0 ? undefined : JSON.stringify(buildArguments(options.buildArg, io)),
    labels: options.label.length === 0 ? undefined : JSON.stringify(keyValueMap(options.label)),
    cachefrom: options.cacheFrom.length === 0 ? undefined : JSON.stringify(options.cacheFrom),
    extrahosts: options.addHost,
    networkmode: options.network,
    platform: options.platform,
    target: options.target,
    memory: options.memory,
    memswap: options.memorySwap,
    shmsize: options.shmSize,
    cpushares: options.cpuShares,
    cpuperiod: options.cpuPeriod,
    cpuquota: options.cpuQuota,
    cpusetcpus: options.cpusetCpus,
    version: '1',
  };
}

/** A bare name takes its value from the environment; unset there, the Dockerfile's default stays (null). */
function buildArguments(flags: readonly string[], io: Io): Record<string, string | null> {
  return Object.fromEntries(
    flags.map((flag) => (flag.includes('=') ? splitPair(flag) : [flag, io.env[flag] ?? null])),
  );
}

interface ContextSource {
  /** Undefined for an address that the daemon fetches. */
  readonly body?: AsyncIterable<Uint8Array>;
  readonly dockerfile?: string;
  readonly remote?: string;
}

/** A folder, `-` (a Dockerfile or a tar on stdin), or an address. */
async function openContext(io: Io, context: string, file: string | undefined): Promise<ContextSource> {
  if (context === '-') {
    if (file === '-')
      throw new CliError("invalid argument: can't use stdin for both build context and dockerfile");
    return await contextFromStdin(io, file);
  }
  if (/^(https?|git):\/\/|^git@|^github\.com\//.test(context)) {
    return { remote: context, ...(file === undefined ? {} : { dockerfile: file }) };
  }
  const root = resolve(io.cwd, context);
  const found = await stat(root).catch(() => undefined);
  if (found === undefined) throw new CliError(`unable to prepare context: path "${context}" not found`);
  if (!found.isDirectory())
    throw new CliError(`unable to prepare context: context must be a directory: ${root}`);
  if (file === '-') return await outsideDockerfile(root, Buffer.from(await readText(io.stdin)));
  const path = file === undefined ? join(root, 'Dockerfile') : resolve(io.cwd, file);
  const inside = relative(root, path);
  const outside = inside.startsWith('..') || isAbsolute(inside);
  if (outside) return await outsideDockerfile(root, await readDockerfile(path));
  if ((await stat(path).catch(() => undefined)) === undefined) throw missingDockerfile(path);
  return { dockerfile: inside, body: await packContext(root, { dockerfile: inside }) };
}

/** It travels inside the context under a name that no file there has. */
async function outsideDockerfile(root: string, content: Buffer): Promise<ContextSource> {
  const dockerfile = `.dockerfile.${process.hrtime.bigint().toString(16)}`;
  return { dockerfile, body: await packContext(root, { dockerfile, dockerfileContent: content }) };
}

async function readDockerfile(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch {
    throw missingDockerfile(path);
  }
}

function missingDockerfile(path: string): CliError {
  return new CliError(
    `unable to prepare context: unable to evaluate symlinks in Dockerfile path: lstat ${path}: no such file or directory`,
  );
}

const TAR_MAGIC_OFFSET = 257;

/** A stream that begins like an archive (plain or compressed) is the context; anything else is a Dockerfile. */
async function contextFromStdin(io: Io, file: string | undefined): Promise<ContextSource> {
  const head: Buffer[] = [];
  let length = 0;
  const iterator = io.stdin[Symbol.asyncIterator]();
  while (length < 512) {
    const { value, done } = await iterator.next();
    if (done) break;
    head.push(value as Buffer);
    length += (value as Buffer).length;
  }
  const start = Buffer.concat(head);
  const rest = (async function* () {
    yield start;
    for (let next = await iterator.next(); !next.done; next = await iterator.next())
      yield next.value as Buffer;
  })();
  if (isArchive(start)) return { body: rest, ...(file === undefined ? {} : { dockerfile: file }) };
  const chunks: Buffer[] = [];
  for await (const chunk of rest) chunks.push(chunk);
  const { pack } = await import('tar-stream');
  const archive = pack();
  archive.entry({ name: 'Dockerfile', mode: 0o600, mtime: new Date(0) }, Buffer.concat(chunks));
  archive.finalize();
  return { body: packBytes(archive), dockerfile: 'Dockerfile' };
}

function isArchive(start: Buffer): boolean {
  if (start.subarray(TAR_MAGIC_OFFSET, TAR_MAGIC_OFFSET + 5).toString('latin1') === 'ustar') return true;
  const magics = [
    [0x1f, 0x8b],
    [0x42, 0x5a, 0x68],
    [0xfd, 0x37, 0x7a, 0x58, 0x5a],
    [0x28, 0xb5, 0x2f, 0xfd],
  ];
  return magics.some((magic) => magic.every((byte, index) => start[index] === byte));
}
