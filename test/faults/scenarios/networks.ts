/** Networks: made, removed, and containers that get on and off them. */

import type { FaultedDaemon } from '../faulted-daemon.ts';
import { require, type Scenario } from '../scenario.ts';
import { exists, inspect, makeNetwork, output, removeAll, run } from './objects.ts';

async function isOn(daemon: FaultedDaemon, wanted: boolean): Promise<void> {
  const { NetworkSettings, State } = await inspect(daemon, 'xo');
  require(State.Running, `xo is ${State.Status}`);
  const listed = NetworkSettings.Networks['xnet']?.IPAddress ?? '';
  require((listed !== '') === wanted, `inspect says of its address: "${listed}"`);
  const addresses = await output(daemon, 'xo', ['ip', '-4', '-o', 'addr']);
  const inside = addresses.split('\n').filter((line) => !line.includes(' lo ')).length;
  require(inside === (wanted ? 2 : 1), `it has inside: ${addresses}`);
  if (wanted) require(addresses.includes(`${listed}/`), `${listed} is not among: ${addresses}`);
}

const PORTS = {
  ExposedPorts: { '80/tcp': {} },
  HostConfig: { PortBindings: { '80/tcp': [{ HostIp: '127.0.0.1', HostPort: '18081' }] } },
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
    holds: (daemon) => isOn(daemon, true),
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
    holds: (daemon) => isOn(daemon, true),
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
    holds: (daemon) => isOn(daemon, false),
    cleanUp: removeAll,
  },
];
