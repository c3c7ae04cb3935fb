/** Networks: made, removed, and containers that get on and off them. */

import { eventually } from '../../integration/command.ts';
import { timeLimitMs } from '../../run/time-limit.ts';
import { answers } from '../bystander.ts';
import type { FaultedDaemon } from '../faulted-daemon.ts';
import { require, type Scenario } from '../scenario.ts';
import { exists, inspect, makeNetwork, output, removeAll, run, SLEEP } from './objects.ts';

/** What `inspect` says, what the container has inside, and what the host has published are one. */
async function isWhole(daemon: FaultedDaemon, leading: string): Promise<string[]> {
  const { NetworkSettings, State } = await inspect(daemon, 'xo');
  require(State.Running, `xo is ${State.Status}`);
  const said = Object.values(NetworkSettings.Networks).map(({ IPAddress }) => IPAddress);
  const listed = (await output(daemon, 'xo', ['ip', '-4', '-o', 'addr'])).split('\n');
  const inside = listed
    .filter((line) => !line.includes(' lo '))
    .map((line) => /inet ([^/]+)/.exec(line)?.[1]);
  require(said.toSorted().join() ===
    inside.toSorted().join(), `inspect says ${said.join(', ')}, inside are ${inside.join(', ')}`);
  const routes = (await output(daemon, 'xo', ['ip', 'route'])).split('\n');
  const { Networks } = NetworkSettings;
  const gateway = (Networks[leading] ?? Networks['bridge'])?.Gateway ?? '';
  require(routes.filter((line) => line.startsWith('default')).join() ===
    routes.find((line) =>
      line.startsWith(`default via ${gateway} `),
    ), `its gateway is ${gateway}, its routes: ${routes.join('; ')}`);
  const answered = eventually('the port answers', () => answers(PORT), timeLimitMs(5000));
  await answered.catch(() => require(false, `port ${PORT} does not answer; routes: ${routes.join('; ')}`));
  return Object.keys(NetworkSettings.Networks);
}

/** `leading`: the network that has the default route of a container that is on it. */
function connected(leading: string, wanted: boolean): Required<Pick<Scenario, 'keeps' | 'holds'>> {
  return {
    async keeps(daemon) {
      await isWhole(daemon, leading);
    },
    async holds(daemon) {
      const networks = await isWhole(daemon, leading);
      require(networks.includes('xnet') === wanted, `its networks are ${networks.join(', ')}`);
    },
  };
}

const PORT = 18_081;
const PORTS = {
  Cmd: ['sh', '-c', `httpd -p 80 -h /var/www; ${SLEEP.at(-1)}`],
  ExposedPorts: { '80/tcp': {} },
  HostConfig: { PortBindings: { '80/tcp': [{ HostIp: '127.0.0.1', HostPort: String(PORT) }] } },
};

export const networkScenarios: readonly Scenario[] = [
  {
    name: 'network create',
    operate: (daemon, again) => makeNetwork(daemon, 'xnet', {}, again ? [409] : []),
    async holds(daemon) {
      await run(daemon, 'xo', { HostConfig: { NetworkMode: 'xnet' } });
      await daemon.ask('DELETE', '/containers/xo?force=1');
    },
    cleanUp: removeAll,
  },
  {
    name: 'network create with IPv6',
    operate: (daemon, again) => makeNetwork(daemon, 'xnet', { EnableIPv6: true }, again ? [409] : []),
    async holds(daemon) {
      require(await exists(daemon, '/networks/xnet'), 'it is not there');
    },
    cleanUp: removeAll,
  },
  {
    name: 'network remove',
    prepare: (daemon) => makeNetwork(daemon, 'xnet'),
    operate: (daemon) => daemon.ask('DELETE', '/networks/xnet', { allowed: [404] }),
    async holds(daemon) {
      require(!(await exists(daemon, '/networks/xnet')), 'it is there');
    },
    cleanUp: removeAll,
  },
  {
    name: 'network connect',
    async prepare(daemon) {
      await makeNetwork(daemon, 'xnet');
      await run(daemon, 'xo', PORTS);
    },
    operate: (daemon, again) =>
      daemon.ask('POST', '/networks/xnet/connect', {
        body: { Container: 'xo' },
        allowed: again ? [403] : [],
      }),
    ...connected('bridge', true),
    cleanUp: removeAll,
  },
  {
    name: 'network connect that moves ports',
    async prepare(daemon) {
      await makeNetwork(daemon, 'xnet');
      await run(daemon, 'xo', PORTS);
    },
    operate: (daemon, again) =>
      daemon.ask('POST', '/networks/xnet/connect', {
        body: { Container: 'xo', EndpointConfig: { GwPriority: 10 } },
        allowed: again ? [403] : [],
      }),
    ...connected('xnet', true),
    cleanUp: removeAll,
  },
  {
    name: 'network disconnect',
    async prepare(daemon) {
      await makeNetwork(daemon, 'xnet');
      await run(daemon, 'xo', PORTS);
      await daemon.ask('POST', '/networks/xnet/connect', {
        body: { Container: 'xo', EndpointConfig: { GwPriority: 10 } },
      });
    },
    operate: (daemon, again) =>
      daemon.ask('POST', '/networks/xnet/disconnect', {
        body: { Container: 'xo' },
        allowed: again ? [403] : [],
      }),
    ...connected('xnet', false),
    cleanUp: removeAll,
  },
];
