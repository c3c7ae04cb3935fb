/**
 * Builds: COPY, RUN, several stages and cache mounts, as the classic builder's clients ask for them and by BuildKit's
 * protocol; and what they keep, pruned. Every run has content of its own: nothing of it is cached.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeTar } from '../../fixtures/tar.ts';
import type { FaultedDaemon } from '../faulted-daemon.ts';
import { require, type Scenario } from '../scenario.ts';
import { output, removeAll, run as runContainer } from './objects.ts';

let run = 0;

const STAGES = `FROM busybox AS first
COPY folder /copied
RUN cat /copied/file > /ran
FROM busybox
COPY --from=first /ran /result/ran
WORKDIR /result
RUN echo last >> ran
`;
const CACHE_MOUNT = `FROM busybox
COPY folder /copied
RUN --mount=type=cache,target=/kept cat /copied/file >> /kept/file && cp /kept/file /ran
RUN mkdir /result && tail -n 1 /ran > /result/ran && echo last >> /result/ran
`;

const text = (): string => `run ${run}`;

const contextFolder = (daemon: FaultedDaemon): string => join(daemon.folder, 'context');

function writeContext(daemon: FaultedDaemon, dockerfile: string): void {
  run += 1;
  const folder = contextFolder(daemon);
  mkdirSync(join(folder, 'folder'), { recursive: true });
  writeFileSync(join(folder, 'Dockerfile'), dockerfile);
  writeFileSync(join(folder, 'folder/file'), `${text()}\n`);
}

async function buildClassic(daemon: FaultedDaemon): Promise<void> {
  const body = makeTar([
    { path: 'Dockerfile', data: STAGES },
    { path: 'folder/', type: 'directory' },
    { path: 'folder/file', data: `${text()}\n` },
  ]);
  await daemon.ask('POST', '/build?t=xbuilt&networkmode=none&rm=1', {
    body,
    headers: { 'content-type': 'application/x-tar' },
  });
}

async function buildWithSession(daemon: FaultedDaemon): Promise<void> {
  const flags = ['--network', 'none', '-q', '-t', 'xbuilt'];
  await daemon.mydock('build', ...flags, contextFolder(daemon));
}

/** The image runs, and has what the Dockerfile says. */
const built: Required<Pick<Scenario, 'holds'>> = {
  async holds(daemon) {
    await runContainer(daemon, 'xrun', { Image: 'xbuilt', HostConfig: { NetworkMode: 'none' } });
    const found = await output(daemon, 'xrun', ['cat', '/result/ran']);
    await daemon.ask('DELETE', '/containers/xrun?force=1');
    require(found === `${text()}\nlast`, `the image has "${found}"`);
  },
};

export async function clean(daemon: FaultedDaemon): Promise<void> {
  rmSync(contextFolder(daemon), { recursive: true, force: true });
  await removeAll(daemon);
  // Of two images that were built under one name, the first has none now.
  await daemon.ask('POST', '/images/prune');
  await daemon.ask('POST', '/build/prune?all=1');
}

export const buildScenarios: readonly Scenario[] = [
  {
    name: 'build of the classic builder',
    layers: true,
    async prepare() {
      run += 1;
    },
    operate: (daemon) => buildClassic(daemon),
    ...built,
    cleanUp: clean,
  },
  {
    name: 'build by BuildKit',
    layers: true,
    prepare: async (daemon) => writeContext(daemon, STAGES),
    operate: buildWithSession,
    ...built,
    cleanUp: clean,
  },
  {
    name: 'build with a cache mount',
    prepare: async (daemon) => writeContext(daemon, CACHE_MOUNT),
    operate: buildWithSession,
    ...built,
    cleanUp: clean,
  },
  {
    name: 'builder prune',
    layers: true,
    async prepare(daemon) {
      writeContext(daemon, CACHE_MOUNT);
      await buildWithSession(daemon);
      await buildClassic(daemon);
    },
    operate: (daemon) => daemon.ask('POST', '/build/prune?all=1'),
    keeps: built.holds,
    ...built,
    cleanUp: clean,
  },
];
