/** What nothing needs, removed at once: containers, networks, volumes. What is needed stays, whenever it is struck. */
import { eventually } from '../../integration/command.ts';
import type { FaultedDaemon } from '../faulted-daemon.ts';
import { require, type Scenario } from '../scenario.ts';
import { create, exists, inspect, makeNetwork, makeVolume, output, removeAll, run } from './objects.ts';

const CONTAINERS = ['/containers/xone/json', '/containers/xtwo/json'];
const NETWORKS = ['/networks/xone', '/networks/xtwo'];
const VOLUMES = ['/volumes/xone', '/volumes/xtwo'];
const ALL = `filters=${encodeURIComponent(JSON.stringify({ all: ['true'] }))}`;

async function areGone(daemon: FaultedDaemon, paths: readonly string[]): Promise<void> {
  for (const path of paths) require(!(await exists(daemon, path)), `${path} is there`);
}

/**
 * What could not be removed for want of something is told in the log, where other things could; then another prune that
 * wants nothing removes it.
 */
async function prune(daemon: FaultedDaemon, path: string, gone: readonly string[]): Promise<void> {
  const before = daemon.log.length;
  await daemon.ask('POST', path);
  if (!daemon.log.slice(before).includes('cannot prune a')) return;
  await eventually('another prune removes the rest', async () => {
    await daemon.ask('POST', path, { allowed: [500] });
    return await areGone(daemon, gone).then(
      () => true,
      () => false,
    );
  });
}

export const pruneScenarios: readonly Scenario[] = [
  {
    name: 'container prune',
    async prepare(daemon) {
      await makeVolume(daemon, 'xkept');
      await run(daemon, 'xruns', { HostConfig: { Binds: ['xkept:/kept'] } });
      await create(daemon, 'xone', { HostConfig: { Binds: ['xkept:/kept'] } });
      await create(daemon, 'xtwo', { HostConfig: { NetworkMode: 'none' } });
    },
    operate: (daemon) => prune(daemon, '/containers/prune', CONTAINERS),
    async keeps(daemon) {
      require((await inspect(daemon, 'xruns')).State.Running, 'the running one was disturbed');
      require(await exists(daemon, '/volumes/xkept'), 'a volume went with a container');
    },
    holds: (daemon) => areGone(daemon, CONTAINERS),
    cleanUp: removeAll,
  },
  {
    name: 'network prune',
    async prepare(daemon) {
      await makeNetwork(daemon, 'xused');
      await run(daemon, 'xo', { HostConfig: { NetworkMode: 'xused' } });
      await makeNetwork(daemon, 'xone');
      await makeNetwork(daemon, 'xtwo', { EnableIPv6: true });
    },
    operate: (daemon) => prune(daemon, '/networks/prune', NETWORKS),
    async keeps(daemon) {
      const { NetworkSettings, State } = await inspect(daemon, 'xo');
      const address = NetworkSettings.Networks['xused']?.IPAddress ?? '';
      require(State.Running && address !== '', 'the container on the network that stays was disturbed');
      const inside = await output(daemon, 'xo', ['ip', '-4', '-o', 'addr']);
      require(inside.includes(`inet ${address}/`), `its address ${address} is not among ${inside}`);
    },
    holds: (daemon) => areGone(daemon, NETWORKS),
    cleanUp: removeAll,
  },
  {
    name: 'volume prune',
    async prepare(daemon) {
      await makeVolume(daemon, 'xused');
      await create(daemon, 'xo', { HostConfig: { Binds: ['xused:/data'] } });
      await makeVolume(daemon, 'xone');
      await makeVolume(daemon, 'xtwo');
    },
    operate: (daemon) => prune(daemon, `/volumes/prune?${ALL}`, VOLUMES),
    async keeps(daemon) {
      require(await exists(daemon, '/volumes/xused'), 'the volume of a container is gone');
    },
    holds: (daemon) => areGone(daemon, VOLUMES),
    cleanUp: removeAll,
  },
];
