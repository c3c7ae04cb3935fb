/** Volumes and containers whose size is limited: the limits belong to a file system with project quotas (sized-root.ts). */
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { addon } from '../../../src/native/addon.ts';
import type { FaultedDaemon } from '../faulted-daemon.ts';
import { require, type Scenario } from '../scenario.ts';
import { create, exists, inspect, output, removeAll, run } from './objects.ts';

const LIMIT = '5M';
const LIMIT_BYTES = 5 << 20;

/** The project whose limit the operation is about. */
let project = 0;

function withRoot<T>(path: string, use: (fd: number) => T): T {
  const fd = openSync(path, 'r');
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

const projectOf = (path: string): number => withRoot(path, (fd) => addon().projectOf(fd));

const limitOf = ({ dataRoot }: FaultedDaemon, of: number): number =>
  withRoot(dataRoot, (fd) => addon().projectUsage(fd, of).limitBytes);

const makeSized = (daemon: FaultedDaemon): Promise<unknown> =>
  daemon.ask('POST', '/volumes/create', { body: { Name: 'xo', DriverOpts: { size: LIMIT } } });

const volumePath = ({ dataRoot }: FaultedDaemon): string => join(dataRoot, 'volumes/xo/_data');

async function upperPath(daemon: FaultedDaemon): Promise<string> {
  return join(daemon.dataRoot, 'containers', (await inspect(daemon, 'xo')).Id, 'upper');
}

/** More than the limit does not go in. */
async function isLimited(daemon: FaultedDaemon, container: string, folder: string): Promise<void> {
  const said = await output(daemon, container, [
    'sh',
    '-c',
    `dd if=/dev/zero of=${folder}/x bs=1M count=8; rm ${folder}/x`,
  ]);
  require(/No space left on device|Disk quota exceeded/.test(said), `8 MiB go in: ${said}`);
}

/** Where it is there, it has its limit. */
async function keepsLimit(daemon: FaultedDaemon): Promise<void> {
  if (!(await exists(daemon, '/volumes/xo'))) return;
  const limitBytes = limitOf(daemon, projectOf(volumePath(daemon)));
  require(limitBytes === LIMIT_BYTES, `the volume is there, and its limit is ${limitBytes}`);
}

function isFree(daemon: FaultedDaemon): void {
  require(limitOf(daemon, project) === 0, `project ${project} is limited still`);
}

export const sizeScenarios: readonly Scenario[] = [
  {
    name: 'volume create with a size',
    sized: true,
    operate: makeSized,
    keeps: keepsLimit,
    async holds(daemon) {
      await run(daemon, 'xuser', { HostConfig: { Binds: ['xo:/data'], NetworkMode: 'none' } });
      await isLimited(daemon, 'xuser', '/data');
      await daemon.ask('DELETE', '/containers/xuser?force=1');
    },
    cleanUp: removeAll,
  },
  {
    name: 'volume remove with a size',
    sized: true,
    async prepare(daemon) {
      await makeSized(daemon);
      project = projectOf(volumePath(daemon));
    },
    operate: (daemon) => daemon.ask('DELETE', '/volumes/xo', { allowed: [404] }),
    keeps: keepsLimit,
    async holds(daemon) {
      require(!(await exists(daemon, '/volumes/xo')), 'it is there');
      isFree(daemon);
    },
    cleanUp: removeAll,
  },
  {
    name: 'start with a size',
    sized: true,
    async prepare(daemon) {
      await create(daemon, 'xo', { HostConfig: { StorageOpt: { size: LIMIT }, NetworkMode: 'none' } });
    },
    operate: (daemon) => daemon.ask('POST', '/containers/xo/start', { allowed: [304] }),
    holds: (daemon) => isLimited(daemon, 'xo', '/tmp'),
    cleanUp: removeAll,
  },
  {
    name: 'remove with a size',
    sized: true,
    async prepare(daemon) {
      await run(daemon, 'xo', { HostConfig: { StorageOpt: { size: LIMIT }, NetworkMode: 'none' } });
      await daemon.ask('POST', '/containers/xo/stop?t=20');
      project = projectOf(await upperPath(daemon));
    },
    operate: (daemon) => daemon.ask('DELETE', '/containers/xo', { allowed: [404] }),
    async holds(daemon) {
      require(!(await exists(daemon, '/containers/xo/json')), 'it is there');
      isFree(daemon);
    },
    cleanUp: removeAll,
  },
];
