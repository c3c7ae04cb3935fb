/**
 * Typical commands, run against a daemon that is not there: what V8 has compiled by their end is what dist/mydock.pack
 * keeps. The stand-in answers as the daemon does, with no more than the commands look at.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';

/** The client's `runProgram` with its own streams: resolves with the exit code. */
export type RunLine = (words: readonly string[]) => Promise<number>;

const ID = 'c'.repeat(64);

/** Those that are called often, from scripts, and where their start is most of what they take. */
const LINES: readonly string[] = [
  'run --rm rehearsal true',
  'run --rm -i --network none -e A=b -v /tmp:/data:ro -w / -u 0:0 --name one rehearsal true',
  'run -d -p 8080:80 --label a=b --memory 64m --restart always rehearsal',
  'create --name two rehearsal true',
  'start two',
  'exec one true',
  'exec -u 0 -e A=b -w / one true',
  'stop -t 1 one',
  'kill -s TERM one',
  'restart one',
  'wait one',
  'rm -f one two',
  'ps',
  'ps -a -q --filter name=one',
  'images',
  'logs one',
  'inspect one',
  'version',
  '--version',
];

const SUMMARY = {
  Id: ID,
  Names: ['/one'],
  Image: 'rehearsal',
  ImageID: `sha256:${ID}`,
  Command: 'true',
  Created: 1,
  Ports: [{ IP: '0.0.0.0', PrivatePort: 80, PublicPort: 8080, Type: 'tcp' }],
  Labels: {},
  State: 'running',
  Status: 'Up 1 second',
  HostConfig: { NetworkMode: 'bridge' },
  NetworkSettings: { Networks: {} },
  Mounts: [],
};
const IMAGE = {
  Id: `sha256:${ID}`,
  ParentId: '',
  RepoTags: ['rehearsal:latest'],
  RepoDigests: [],
  Created: 1,
  Size: 1000,
  SharedSize: -1,
  Containers: -1,
  Labels: {},
};
const CONTAINER = { Id: ID, Name: '/one', Config: { Tty: false }, State: { Running: true } };
const VERSION = { Version: '0', ApiVersion: '1.51', MinAPIVersion: '1.24', Os: '', Arch: '', Components: [] };

const FRAME = Buffer.from([1, 0, 0, 0, 0, 0, 0, 1, 0x0a]);

/** By method and the path behind the version; undefined: 204. */
function answerTo(route: string): unknown {
  if (/^POST \/containers\/create$/.test(route)) return { Id: ID, Warnings: [] };
  if (/^POST \/containers\/\w+\/wait$/.test(route)) return { StatusCode: 0 };
  if (/^POST \/containers\/\w+\/exec$/.test(route)) return { Id: ID };
  if (/^GET \/exec\/\w+\/json$/.test(route)) return { Running: false, ExitCode: 0 };
  if (/^GET \/containers\/json$/.test(route)) return [SUMMARY];
  if (/^GET \/images\/json$/.test(route)) return [IMAGE];
  if (/^GET \/containers\/\w+\/json$/.test(route)) return CONTAINER;
  if (/^GET \/version$/.test(route)) return VERSION;
  return undefined;
}

function standIn(): Server {
  const server = createServer((request, response) => {
    request.resume();
    const route = `${request.method} ${(request.url ?? '').replace(/^\/v[\d.]+/, '').replace(/\?.*/, '')}`;
    response.setHeader('Server', 'mydock (linux)');
    if (/^GET \/containers\/\w+\/logs$/.test(route)) {
      response.writeHead(200, { 'content-type': 'application/vnd.docker.multiplexed-stream' }).end(FRAME);
      return;
    }
    const answer = answerTo(route);
    if (answer === undefined) {
      response.writeHead(204).end();
      return;
    }
    response.writeHead(200, { 'content-type': 'application/json' });
    // In chunks, as what is waited for comes.
    response.write(JSON.stringify(answer));
    response.end();
  });
  server.on('upgrade', (_request, stream: Duplex) => {
    stream.on('error', () => {});
    stream.write(
      'HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n' +
        'Content-Type: application/vnd.docker.multiplexed-stream\r\n\r\n',
    );
    stream.end(FRAME);
  });
  return server;
}

/** Runs them one after the other. Throws where one of them fails. */
export async function rehearse(run: RunLine): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'mydock-rehearsal-'));
  const socket = join(folder, 'd.sock');
  const server = standIn();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen(socket, resolve);
    });
    for (const line of LINES) {
      const code = await run(['-H', `unix://${socket}`, ...line.split(' ')]);
      if (code !== 0) throw new Error(`rehearsal of mydock ${line}: exit code ${code}`);
    }
  } finally {
    server.closeAllConnections();
    server.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
