/**
 * Builds: COPY, RUN, several stages and cache mounts, as the classic builder's clients ask for them and by BuildKit's
 * protocol; and what they keep, pruned. Every run has content of its own: nothing of it is cached.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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

const FILES = `FROM busybox AS first
COPY folder /copied
FROM scratch
COPY --from=first /copied /result
`;
/** Nothing is known of any of its layers. */
const NOTHING_SHARED = `FROM busybox AS first
COPY folder /copied
RUN mkdir /result && cat /copied/file > /result/ran && echo last >> /result/ran
FROM scratch
COPY --from=first /bin /bin
COPY --from=first /result /result
CMD ["/bin/sleep", "1000"]
`;

const text = (): string => `run ${run}`;

const contextFolder = (daemon: FaultedDaemon): string => join(daemon.folder, 'context');
/** Where a client writes what a build results in. */
const filesFolder = (daemon: FaultedDaemon): string => join(daemon.folder, 'built');

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

async function buildWithSession(
  daemon: FaultedDaemon,
  output: readonly string[] = ['-t', 'xbuilt'],
): Promise<void> {
  await daemon.mydock('build', '--network', 'none', '-q', ...output, contextFolder(daemon));
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
  for (const folder of [contextFolder(daemon), filesFolder(daemon)])
    rmSync(folder, { recursive: true, force: true });
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
    operate: (daemon) => buildWithSession(daemon),
    ...built,
    cleanUp: clean,
  },
  {
    name: 'build with a cache mount',
    prepare: async (daemon) => writeContext(daemon, CACHE_MOUNT),
    operate: (daemon) => buildWithSession(daemon),
    ...built,
    cleanUp: clean,
  },
  {
    name: 'build of files',
    prepare: async (daemon) => writeContext(daemon, FILES),
    operate: (daemon) => buildWithSession(daemon, ['-o', `type=local,dest=${filesFolder(daemon)}`]),
    async holds(daemon) {
      const path = join(filesFolder(daemon), 'result/file');
      const found = existsSync(path) ? readFileSync(path, 'utf8') : undefined;
      require(found === `${text()}\n`, `the client has "${found}"`);
    },
    cleanUp: clean,
  },
  {
    name: 'build of an image compressed by zstd',
    prepare: async (daemon) => writeContext(daemon, NOTHING_SHARED),
    operate: (daemon) =>
      buildWithSession(daemon, ['-o', 'type=image,name=xbuilt,compression=zstd,force-compression=true']),
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
