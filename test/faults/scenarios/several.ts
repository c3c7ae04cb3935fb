/**
 * Several containers as one application, all at the same time: a network and a volume of their own, a port, names by
 * which they find each other. Brought up, and taken down.
 */
import { eventually } from '../../integration/command.ts';
import { timeLimitMs } from '../../run/time-limit.ts';
import { answers } from '../bystander.ts';
import type { FaultedDaemon } from '../faulted-daemon.ts';
import { require, type Scenario } from '../scenario.ts';
import { create, exists, inspect, makeNetwork, makeVolume, output, removeAll, SLEEP } from './objects.ts';

const PORT = 18_081;
const NAMES = ['xfront', 'xmiddle', 'xback'];

const ON_NETWORK = { NetworkMode: 'xnet', Binds: ['xdata:/data'] };

const BODIES: Readonly<Record<string, Record<string, unknown>>> = {
  xfront: {
    Cmd: ['sh', '-c', `httpd -p 80 -h /var/www; ${SLEEP.at(-1)}`],
    ExposedPorts: { '80/tcp': {} },
    HostConfig: {
      ...ON_NETWORK,
      PortBindings: { '80/tcp': [{ HostIp: '127.0.0.1', HostPort: String(PORT) }] },
    },
  },
};

/** Steps that were done are done again without harm; what is under way comes to its end before this one has failed. */
async function bringUp(daemon: FaultedDaemon): Promise<void> {
  await atOnce([() => makeNetwork(daemon, 'xnet', {}, [409]), () => makeVolume(daemon, 'xdata')]);
  const up = async (name: string): Promise<void> => {
    await create(daemon, name, { HostConfig: ON_NETWORK, ...BODIES[name] }, [409]);
    await daemon.ask('POST', `/containers/${name}/start`, { allowed: [304] });
  };
  await atOnce(NAMES.map((name) => () => up(name)));
}

async function takeDown(daemon: FaultedDaemon): Promise<void> {
  const down = async (name: string): Promise<void> => {
    await daemon.ask('POST', `/containers/${name}/stop?t=20`, { allowed: [304, 404] });
    await daemon.ask('DELETE', `/containers/${name}?v=1`, { allowed: [404] });
  };
  await atOnce(NAMES.map((name) => () => down(name)));
  const gone = ['/networks/xnet', '/volumes/xdata'];
  await atOnce(gone.map((path) => () => daemon.ask('DELETE', path, { allowed: [404] })));
}

async function atOnce(works: readonly (() => Promise<unknown>)[]): Promise<void> {
  for (const one of await Promise.allSettled(works.map((work) => work())))
    if (one.status === 'rejected') throw one.reason;
}

async function isUp(daemon: FaultedDaemon): Promise<void> {
  const addresses = new Set<string>();
  for (const name of NAMES) {
    const { NetworkSettings, State } = await inspect(daemon, name);
    require(State.Running, `${name} is ${State.Status}: ${State.Error}`);
    addresses.add(NetworkSettings.Networks['xnet']?.IPAddress ?? '');
  }
  require(addresses.size === NAMES.length && !addresses.has(''), `addresses: ${[...addresses].join(', ')}`);
  const page = await output(daemon, 'xback', ['wget', '-q', '-O', '-', 'http://xfront/']);
  require(page.includes('served by mydock'), `xback hears from xfront: ${page}`);
  await eventually('the port answers', () => answers(PORT), timeLimitMs(5000));
}

export const severalScenarios: readonly Scenario[] = [
  {
    name: 'several up',
    operate: bringUp,
    holds: isUp,
    cleanUp: removeAll,
  },
  {
    name: 'several down',
    prepare: bringUp,
    operate: takeDown,
    async holds(daemon) {
      const paths = [...NAMES.map((name) => `/containers/${name}/json`), '/networks/xnet', '/volumes/xdata'];
      for (const path of paths) require(!(await exists(daemon, path)), `${path} is there`);
    },
    cleanUp: removeAll,
  },
];
