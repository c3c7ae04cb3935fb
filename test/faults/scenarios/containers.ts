/** Every operation that changes a container. */
import { eventually } from '../../integration/command.ts';
import { require, type Scenario } from '../scenario.ts';
import {
  create,
  exists,
  inspect,
  makeNetwork,
  makeVolume,
  output,
  removeAll,
  run,
  start,
} from './objects.ts';

/** Two blocks of zeros. */
const EMPTY_TAR = '\0'.repeat(1024);

const published = (port: number): Record<string, unknown> => ({
  ExposedPorts: { '80/tcp': {} },
  HostConfig: { PortBindings: { '80/tcp': [{ HostIp: '127.0.0.1', HostPort: String(port) }] } },
});

const status = (name: string, wanted: string): Required<Pick<Scenario, 'holds'>> => ({
  async holds(daemon) {
    const { State } = await inspect(daemon, name);
    require(State.Status === wanted, `${name} is ${State.Status} and not ${wanted}: ${State.Error}`);
  },
});

const isThere = (name: string): Required<Pick<Scenario, 'keeps'>> => ({
  async keeps(daemon) {
    require(await exists(daemon, `/containers/${name}/json`), `container ${name} is gone`);
  },
});

const isGone = (name: string): Required<Pick<Scenario, 'holds'>> => ({
  async holds(daemon) {
    require(!(await exists(daemon, `/containers/${name}/json`)), `container ${name} is there`);
  },
});

export const containerScenarios: readonly Scenario[] = [
  {
    name: 'create',
    operate: (daemon, again) => create(daemon, 'xo', {}, again ? [409] : []),
    ...status('xo', 'created'),
    cleanUp: removeAll,
  },
  {
    name: 'create with volumes',
    // The image has files there, with which new volumes are filled.
    operate: (daemon, again) =>
      create(
        daemon,
        'xo',
        { Volumes: { '/var/www': {} }, HostConfig: { Binds: ['xnamed:/etc'] } },
        again ? [409] : [],
      ),
    async holds(daemon) {
      require((await inspect(daemon, 'xo')).Mounts.length === 2, 'a mount is missing');
      await start(daemon, 'xo');
      const page = await output(daemon, 'xo', ['cat', '/var/www/index.html', '/etc/profile']);
      require(page.includes('served by mydock') && page.includes('PS1'), `the volumes hold: ${page}`);
      await daemon.ask('POST', '/containers/xo/kill');
      await daemon.ask('POST', '/containers/xo/wait');
    },
    cleanUp: removeAll,
  },
  {
    name: 'start',
    runtime: true,
    runs: true,
    async prepare(daemon) {
      await makeNetwork(daemon, 'xnet');
      await create(daemon, 'xo', {
        ...published(18_081),
        WorkingDir: '/made/here',
        Volumes: { '/var/www': {} },
        HostConfig: {
          ...(published(18_081)['HostConfig'] as object),
          NetworkMode: 'xnet',
          IpcMode: 'shareable',
        },
      });
    },
    operate: (daemon) => daemon.ask('POST', '/containers/xo/start', { allowed: [304] }),
    ...isThere('xo'),
    ...status('xo', 'running'),
    cleanUp: removeAll,
  },
  {
    name: 'run --rm',
    runtime: true,
    async operate(daemon, again) {
      // What was struck may have come to its end, with nobody who would make it again but this.
      if (again) await daemon.ask('DELETE', '/containers/xo?force=1&v=1', { allowed: [404] });
      await create(daemon, 'xo', {
        Cmd: ['true'],
        Volumes: { '/var/www': {} },
        HostConfig: { AutoRemove: true },
      });
      const removed = daemon.ask('POST', '/containers/xo/wait?condition=removed', { allowed: [404] });
      removed.catch(() => undefined);
      await start(daemon, 'xo');
      await removed;
    },
    ...isGone('xo'),
    cleanUp: removeAll,
  },
  {
    name: 'stop',
    runtime: true,
    prepare: (daemon) => run(daemon, 'xo', { ...published(18_081), Volumes: { '/data': {} } }),
    operate: (daemon) => daemon.ask('POST', '/containers/xo/stop?t=20', { allowed: [304] }),
    ...isThere('xo'),
    ...status('xo', 'exited'),
    cleanUp: removeAll,
  },
  {
    name: 'kill',
    runtime: true,
    prepare: (daemon) => run(daemon, 'xo', published(18_081)),
    async operate(daemon, again) {
      await daemon.ask('POST', '/containers/xo/kill', { allowed: again ? [409] : [] });
      await daemon.ask('POST', '/containers/xo/wait');
    },
    ...isThere('xo'),
    ...status('xo', 'exited'),
    cleanUp: removeAll,
  },
  {
    name: 'kill of a paused one',
    runtime: true,
    async prepare(daemon) {
      await run(daemon, 'xo');
      await daemon.ask('POST', '/containers/xo/pause');
    },
    async operate(daemon, again) {
      await daemon.ask('POST', '/containers/xo/kill', { allowed: again ? [409] : [] });
      await daemon.ask('POST', '/containers/xo/wait');
    },
    ...isThere('xo'),
    ...status('xo', 'exited'),
    cleanUp: removeAll,
  },
  {
    name: 'restart',
    prepare: (daemon) => run(daemon, 'xo', published(18_081)),
    operate: (daemon) => daemon.ask('POST', '/containers/xo/restart?t=20'),
    ...isThere('xo'),
    ...status('xo', 'running'),
    cleanUp: removeAll,
  },
  {
    name: 'restart by policy',
    runtime: true,
    runs: true,
    async prepare(daemon) {
      await run(daemon, 'xo', { HostConfig: { RestartPolicy: { Name: 'always' } } });
    },
    async operate(daemon, again) {
      const { State } = await inspect(daemon, 'xo');
      // Nobody asks for it again: it has to come by itself.
      if (!again) process.kill(State.Pid, 'SIGKILL');
      await eventually('another run', async () => {
        const now = (await inspect(daemon, 'xo')).State;
        return now.Status === 'running' && (again || now.Pid !== State.Pid);
      });
    },
    ...isThere('xo'),
    ...status('xo', 'running'),
    cleanUp: removeAll,
  },
  {
    name: 'remove',
    async prepare(daemon) {
      await makeVolume(daemon, 'xkept');
      await create(daemon, 'xo', { HostConfig: { Binds: ['xkept:/kept'] } });
    },
    operate: (daemon) => daemon.ask('DELETE', '/containers/xo', { allowed: [404] }),
    async keeps(daemon) {
      require(await exists(daemon, '/volumes/xkept'), 'a named volume went with its container');
    },
    ...isGone('xo'),
    cleanUp: removeAll,
  },
  {
    name: 'remove with anonymous volumes',
    prepare: (daemon) => create(daemon, 'xo', { Volumes: { '/one': {}, '/two': {} } }).then(() => undefined),
    operate: (daemon) => daemon.ask('DELETE', '/containers/xo?v=1', { allowed: [404] }),
    ...isGone('xo'),
    cleanUp: removeAll,
  },
  {
    name: 'forced removal',
    runtime: true,
    prepare: (daemon) => run(daemon, 'xo', { ...published(18_081), Volumes: { '/one': {} } }),
    operate: (daemon) => daemon.ask('DELETE', '/containers/xo?v=1&force=1', { allowed: [404] }),
    ...isGone('xo'),
    cleanUp: removeAll,
  },
  {
    name: 'rename',
    prepare: (daemon) => run(daemon, 'xo'),
    async operate(daemon, again) {
      if (again && (await exists(daemon, '/containers/xnew/json'))) return;
      await daemon.ask('POST', '/containers/xo/rename?name=xnew');
    },
    async holds(daemon) {
      require(!(await exists(daemon, '/containers/xo/json')), 'it has its old name');
      require((await inspect(daemon, 'xnew')).State.Running, 'it does not run');
    },
    cleanUp: removeAll,
  },
  {
    name: 'update',
    prepare: (daemon) => run(daemon, 'xo', { HostConfig: { Memory: 64 << 20, MemorySwap: 128 << 20 } }),
    operate: (daemon) =>
      daemon.ask('POST', '/containers/xo/update', { body: { Memory: 32 << 20, MemorySwap: 64 << 20 } }),
    async holds(daemon) {
      const { HostConfig, State } = await inspect(daemon, 'xo');
      require(HostConfig.Memory === 32 << 20 && State.Running, `its memory is ${HostConfig.Memory}`);
    },
    cleanUp: removeAll,
  },
  {
    name: 'update of published ports',
    prepare: (daemon) => run(daemon, 'xo', published(18_081)),
    async operate(daemon, again) {
      const { NetworkSettings } = await inspect(daemon, 'xo');
      if (again && NetworkSettings.Ports['81/tcp'] !== undefined) return;
      await daemon.ask('POST', '/containers/xo/update', {
        body: { PublishAdd: ['127.0.0.1:18082:81'], PublishRemove: ['18081'] },
      });
    },
    async keeps(daemon) {
      const { HostConfig, NetworkSettings } = await inspect(daemon, 'xo');
      const now = Object.entries(NetworkSettings.Ports).flatMap(([port, bound]) =>
        bound?.length ? [port] : [],
      );
      const later = Object.keys(HostConfig.PortBindings ?? {});
      require(now.join() === later.join(), `it has ${now.join()}, and later runs have ${later.join()}`);
    },
    async holds(daemon) {
      const { HostConfig, NetworkSettings } = await inspect(daemon, 'xo');
      const { Ports } = NetworkSettings;
      const later = Object.keys(HostConfig.PortBindings ?? {}).join();
      require(later === '81/tcp', `ports of later runs are ${later}`);
      require(Ports['81/tcp']?.[0]?.HostPort === '18082', `its ports are ${JSON.stringify(Ports)}`);
      require((Ports['80/tcp'] ?? []).length === 0, 'the old port is published');
    },
    cleanUp: removeAll,
  },
  {
    name: 'exec',
    runtime: true,
    runs: true,
    prepare: (daemon) => run(daemon, 'xo'),
    async operate(daemon, again) {
      // It ends with its supervisor.
      if (again) await daemon.ask('POST', '/containers/xo/start', { allowed: [304] });
      require((await output(daemon, 'xo', ['echo', 'heard'])) === 'heard', 'another output');
    },
    ...status('xo', 'running'),
    cleanUp: removeAll,
  },
  {
    name: 'pause',
    prepare: (daemon) => run(daemon, 'xo'),
    operate: (daemon, again) => daemon.ask('POST', '/containers/xo/pause', { allowed: again ? [409] : [] }),
    ...status('xo', 'paused'),
    cleanUp: removeAll,
  },
  {
    name: 'unpause',
    async prepare(daemon) {
      await run(daemon, 'xo');
      await daemon.ask('POST', '/containers/xo/pause');
    },
    operate: (daemon, again) => daemon.ask('POST', '/containers/xo/unpause', { allowed: again ? [409] : [] }),
    ...status('xo', 'running'),
    cleanUp: removeAll,
  },
  {
    name: 'commit',
    layers: true,
    async prepare(daemon) {
      await run(daemon, 'xo');
      await output(daemon, 'xo', ['sh', '-c', 'echo written > /written']);
    },
    async operate(daemon, again) {
      if (again && (await exists(daemon, '/images/ximage/json'))) return;
      await daemon.ask('POST', '/commit?container=xo&repo=ximage&tag=latest&pause=1');
    },
    async keeps(daemon) {
      const { State } = await inspect(daemon, 'xo');
      require(State.Running && !State.Paused, `the container is ${State.Status}`);
    },
    async holds(daemon) {
      require(await exists(daemon, '/images/ximage/json'), 'the image is not there');
    },
    cleanUp: removeAll,
  },
  {
    name: 'cp',
    prepare: (daemon) => create(daemon, 'xo').then(() => undefined),
    operate: (daemon) =>
      daemon.ask('PUT', '/containers/xo/archive?path=/', {
        body: EMPTY_TAR,
        headers: { 'content-type': 'application/x-tar' },
      }),
    ...status('xo', 'created'),
    cleanUp: removeAll,
  },
];
