/** Builds that read from a registry, and write to one: what they start from, the cache that they use, the image. */
import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeTar } from '../../fixtures/tar.ts';
import type { FaultedDaemon } from '../faulted-daemon.ts';
import { require, type Scenario } from '../scenario.ts';
import { clean as cleanBuilds } from './builds.ts';
import { imageOfNoise } from './images.ts';
import { output, run as runContainer } from './objects.ts';

let run = 0;
/** What the registry has: what is built on, and what is built. */
let base = '';
let pushed = '';
let cache = '';
/** Size of a file that is downloaded. */
let farBytes = 0;

const dockerfile = (): string => `FROM ${base} AS far
FROM busybox
COPY --from=far /first-* /result
RUN echo run ${run} > /result/ran
`;

const contextFolder = (daemon: FaultedDaemon): string => join(daemon.folder, 'far-context');

async function prepare(daemon: FaultedDaemon): Promise<void> {
  run += 1;
  base = await daemon.registry.push(`xbase${run}`, 'latest', imageOfNoise());
  pushed = `${daemon.registry.host}/xpushed${run}:latest`;
  cache = `${daemon.registry.host}/xcache${run}:latest`;
  mkdirSync(contextFolder(daemon), { recursive: true });
  writeFileSync(join(contextFolder(daemon), 'Dockerfile'), dockerfile());
}

async function build(daemon: FaultedDaemon, ...flags: readonly string[]): Promise<void> {
  await daemon.mydock('build', '--network', 'none', '--progress', 'plain', ...flags, contextFolder(daemon));
}

/** The image runs, and has what it was built of. */
async function isBuilt(daemon: FaultedDaemon, image: string): Promise<void> {
  await runContainer(daemon, 'xrun', { Image: image, HostConfig: { NetworkMode: 'none' } });
  const found = await output(daemon, 'xrun', ['sh', '-c', 'wc -c < /result/file; cat /result/ran']);
  await daemon.ask('DELETE', '/containers/xrun?force=1');
  require(/^150000\s+run \d+$/.test(found), `the image has "${found}"`);
}

async function clean(daemon: FaultedDaemon): Promise<void> {
  rmSync(contextFolder(daemon), { recursive: true, force: true });
  await cleanBuilds(daemon);
  // Half a download is kept for a day; a build that has done without the cache does not ask for it again.
  const folder = join(daemon.dataRoot, 'content/ingest');
  for (const name of readdirSync(folder)) {
    if (statSync(join(folder, name)).size > 0) rmSync(join(folder, name));
  }
}

async function prepareDownload(daemon: FaultedDaemon): Promise<void> {
  run += 1;
  const pushed = imageOfNoise();
  await daemon.registry.push(`xbase${run}`, 'latest', pushed);
  const [, far] = pushed.blobs;
  if (far === undefined) throw new Error('the image has blobs');
  farBytes = far.data.length;
  const url = `http://${daemon.registry.host}/v2/xbase${run}/blobs/${far.digest}`;
  mkdirSync(contextFolder(daemon), { recursive: true });
  writeFileSync(
    join(contextFolder(daemon), 'Dockerfile'),
    `FROM busybox\nADD --checksum=${far.digest} ${url} /far\n`,
  );
}

async function isDownloaded(daemon: FaultedDaemon): Promise<void> {
  await runContainer(daemon, 'xrun', { Image: 'xbuilt', HostConfig: { NetworkMode: 'none' } });
  const found = await output(daemon, 'xrun', ['sh', '-c', 'wc -c < /far']);
  await daemon.ask('DELETE', '/containers/xrun?force=1');
  require(found === String(farBytes), `the file has ${found} bytes and not ${farBytes}`);
}

export const registryBuildScenarios: readonly Scenario[] = [
  {
    name: 'build with a download',
    registry: true,
    prepare: prepareDownload,
    operate: (daemon) => build(daemon, '-t', 'xbuilt'),
    holds: isDownloaded,
    cleanUp: clean,
  },
  {
    name: 'builder prune of a download',
    async prepare(daemon) {
      await prepareDownload(daemon);
      await build(daemon, '-t', 'xbuilt');
    },
    operate: (daemon) => daemon.ask('POST', '/build/prune?all=1'),
    keeps: isDownloaded,
    holds: isDownloaded,
    cleanUp: clean,
  },
  {
    name: 'build of the classic builder on what a registry has',
    registry: true,
    prepare,
    operate: (daemon) =>
      daemon.ask('POST', '/build?t=xbuilt&networkmode=none&rm=1', {
        body: makeTar([{ path: 'Dockerfile', data: dockerfile() }]),
        headers: { 'content-type': 'application/x-tar' },
      }),
    holds: (daemon) => isBuilt(daemon, 'xbuilt'),
    cleanUp: clean,
  },
  {
    name: 'build by BuildKit on what a registry has',
    registry: true,
    prepare,
    operate: (daemon) => build(daemon, '-t', 'xbuilt'),
    holds: (daemon) => isBuilt(daemon, 'xbuilt'),
    cleanUp: clean,
  },
  {
    name: "build with a registry's cache",
    registry: true,
    async prepare(daemon) {
      await prepare(daemon);
      await build(daemon, '-t', 'xbuilt', '--cache-to', `type=registry,ref=${cache},mode=max`);
      await cleanBuilds(daemon);
    },
    operate: (daemon) => build(daemon, '-t', 'xbuilt', '--cache-from', `type=registry,ref=${cache}`),
    holds: (daemon) => isBuilt(daemon, 'xbuilt'),
    cleanUp: clean,
  },
  {
    name: 'build that keeps its cache in a registry',
    registry: true,
    prepare,
    operate: (daemon) => build(daemon, '-t', 'xbuilt', '--cache-to', `type=registry,ref=${cache},mode=max`),
    holds: (daemon) => isBuilt(daemon, 'xbuilt'),
    cleanUp: clean,
  },
  {
    name: 'build that is pushed',
    registry: true,
    prepare,
    operate: (daemon) => build(daemon, '-t', pushed, '--push'),
    async holds(daemon) {
      await cleanBuilds(daemon);
      await daemon.ask('POST', `/images/create?fromImage=${encodeURIComponent(pushed)}`);
      await isBuilt(daemon, pushed);
    },
    cleanUp: clean,
  },
];
