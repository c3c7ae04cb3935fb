/** `mydock debug bundle`: one archive to go with a report, from the daemon and this machine, with secrets left out. */
import { createWriteStream, existsSync, rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip, createZstdCompress } from 'node:zlib';
import { pack } from 'tar-stream';
import { errorMessage } from '../../base/errors.ts';
import { MYDOCK_VERSION } from '../../base/version.ts';
import type { Client } from '../../client/client.ts';
import { answers } from '../../client/daemon-process.ts';
import { CliError } from '../cli-error.ts';
import { stringFlag } from '../flags/declare.ts';
import { type Io, printLine } from '../io.ts';
import { defineVerb } from '../verb.ts';
import { daemonPart } from './daemon-part.ts';
import { type HostPlaces, hostParts, limited, storedRecords } from './host-part.ts';
import { Redaction } from './redaction.ts';

export interface BundleOptions {
  output?: string;
}

export const bundle = defineVerb<BundleOptions>({
  usage: '[OPTIONS]',
  summary: 'Write an archive for a report: states, logs and settings, without secrets',
  args: { min: 0, max: 0 },
  flags(command) {
    stringFlag(
      command,
      '-o, --output <string>',
      'File to write (default mydock-debug-TIME.tar.gz); .zst for zstd',
    );
  },
  run: ({ client, io }, _, options) => runBundle(client, io, options),
});

const LEFT_OUT = `Left out, each replaced by ***:
  values of environment variables (names stay; PATH, HOME, LANG, TERM, HOSTNAME, TZ and PWD are kept)
  values of labels, annotations, options of drivers, volumes, networks and logs, sysctls
  command lines after their first word, those of builds' steps too, outputs of health checks
  folders of the host that are mounted, after their first part, and addresses of mounted shares
  proxies, mirrors and labels of the daemon's configuration
  users and passwords in addresses, words behind password=, token= and the like, keys
  and all of these values wherever they stand in another file of this archive
Never read: registry credentials (config.json of clients), files and logs of containers, images, volumes,
secrets of builds, TLS keys, command lines and environments of processes, nftables of others.
`;

/** 0 also where the daemon does not answer: then the archive has what the machine shows. */
export async function runBundle(client: Client, io: Io, options: BundleOptions): Promise<number> {
  const time = new Date(io.now()).toISOString().replace(/[:.]/g, '-');
  const path = resolve(io.cwd, options.output ?? `mydock-debug-${time}.tar.gz`);
  if (existsSync(path)) throw new CliError(`${path} exists already`);
  const files = await collect(client);
  try {
    await write(path, files);
  } catch (error) {
    rmSync(path, { force: true });
    throw new CliError(`cannot write ${path}: ${errorMessage(error)}`);
  }
  printLine(io, path);
  for (const [name, text] of files) printLine(io, `  ${name} (${Buffer.byteLength(text)} bytes)`);
  printLine(
    io,
    'Environment values, labels, options, command lines and credentials are left out (README.txt).',
  );
  return 0;
}

async function collect(client: Client): Promise<Map<string, string>> {
  const redaction = new Redaction();
  const errors: string[] = [];
  const files = new Map<string, string>();
  const { host } = client;
  // A daemon that does not run is not started for this.
  const reachable = host.kind !== 'unix' || (await answers({ path: host.path }));
  const part = reachable
    ? await daemonPart(client)
    : { answers: new Map<string, unknown>(), errors: [`nobody listens on ${host.url}`] };
  errors.push(...part.errors);
  for (const [name, answer] of part.answers)
    files.set(name, `${JSON.stringify(redaction.object(answer), null, 2)}\n`);
  if (host.kind === 'unix') {
    // A daemon that does not answer still has a log that repeats what it was given.
    if (part.errors.length > 0) {
      try {
        for (const record of storedRecords(placesOf(part.answers).dataRoot)) redaction.object(record);
      } catch (error) {
        errors.push(`values of containers, to leave them out of the log: ${errorMessage(error)}`);
      }
    }
    for (const [name, look] of Object.entries(hostParts(placesOf(part.answers)))) {
      try {
        files.set(name, await look());
      } catch (error) {
        errors.push(`${name}: ${errorMessage(error)}`);
      }
    }
  }
  // Only now is everything known that must not stand in any of them.
  const clean = [...files].map(([name, text]) => [name, redaction.text(limited(text))] as const);
  return new Map([
    [
      'README.txt',
      readme(
        client,
        [...files.keys()],
        errors.map((one) => redaction.text(one)),
      ),
    ],
    ...clean,
  ]);
}

function readme(client: Client, names: readonly string[], errors: readonly string[]): string {
  return [
    `mydock ${MYDOCK_VERSION}, ${redactHost(client.host.url)}`,
    '',
    `Files:\n${names.map((name) => `  ${name}`).join('\n')}`,
    '',
    LEFT_OUT,
    errors.length === 0
      ? 'Everything was answered.'
      : `Not here:\n${errors.map((one) => `  ${one}`).join('\n')}`,
    '',
  ].join('\n');
}

function redactHost(url: string): string {
  return url.replace(/\/\/[^/@]*@/, '//***@');
}

/** As the daemon says; the defaults where it does not. */
function placesOf(found: ReadonlyMap<string, unknown>): HostPlaces {
  const diagnostics = found.get('diagnostics.json') as { Configuration?: Partial<HostPlaces> } | undefined;
  return {
    dataRoot: diagnostics?.Configuration?.dataRoot ?? '/var/lib/mydock',
    execRoot: diagnostics?.Configuration?.execRoot ?? '/run/mydock',
  };
}

async function write(path: string, files: ReadonlyMap<string, string>): Promise<void> {
  const archive = pack();
  for (const [name, text] of files) archive.entry({ name: `mydock-debug/${name}`, mode: 0o600 }, text);
  archive.finalize();
  const packed = path.endsWith('.zst') ? createZstdCompress() : createGzip();
  await pipeline(archive, packed, createWriteStream(path, { mode: 0o600, flags: 'wx' }));
}
