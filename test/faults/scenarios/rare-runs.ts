/** Containers at rarer points of their lives: between two runs, without a supervisor, with users of their own. */
import { readdirSync, readFileSync } from 'node:fs';
import { eventually } from '../../integration/command.ts';
import type { FaultedDaemon } from '../faulted-daemon.ts';
import { require, type Scenario } from '../scenario.ts';
import { create, exists, type Inspected, inspect, output, removeAll, run } from './objects.ts';

/** The wait for another run is twice as long each time, from 100 ms on. */
const RUNS_BEFORE = 4;

async function untilItWaits(daemon: FaultedDaemon): Promise<void> {
  await eventually('it waits for its next run', async () => {
    const { RestartCount, State } = await inspect(daemon, 'xo');
    return RestartCount >= RUNS_BEFORE && State.Status === 'restarting';
  });
}

/** Of the one container of which a supervisor's command line has the ID. */
function supervisorOf(id: string): number | undefined {
  for (const name of readdirSync('/proc').filter((one) => /^\d+$/.test(one))) {
    try {
      const words = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0');
      if (words[1] === 'supervise' && words.some((word) => word.includes(id))) return Number(name);
    } catch {
      // It has gone meanwhile.
    }
  }
  return undefined;
}

async function isRemoved(daemon: FaultedDaemon): Promise<void> {
  await eventually('it is removed', async () => !(await exists(daemon, '/containers/xo/json')));
}

const hasEnded: Required<Pick<Scenario, 'holds'>> = {
  async holds(daemon) {
    const { State } = await inspect(daemon, 'xo');
    require(State.Status === 'exited', `it is ${State.Status}`);
  },
};

export const rareRunScenarios: readonly Scenario[] = [
  {
    name: 'stop of one that waits for its next run',
    async prepare(daemon) {
      await run(daemon, 'xo', {
        Cmd: ['sh', '-c', 'exit 3'],
        HostConfig: { RestartPolicy: { Name: 'always' }, NetworkMode: 'none' },
      });
      await untilItWaits(daemon);
    },
    operate: (daemon) => daemon.ask('POST', '/containers/xo/stop?t=20', { allowed: [304] }),
    ...hasEnded,
    cleanUp: removeAll,
  },
  {
    name: 'end of a supervisor',
    prepare: (daemon) => run(daemon, 'xo', { Volumes: { '/data': {} } }),
    async operate(daemon) {
      const { Id } = await inspect(daemon, 'xo');
      const pid = supervisorOf(Id);
      if (pid !== undefined) process.kill(pid, 'SIGKILL');
      await daemon.ask('POST', '/containers/xo/wait');
    },
    ...hasEnded,
    cleanUp: removeAll,
  },
  {
    name: 'run --rm of what cannot start',
    async operate(daemon, again) {
      const body = { Cmd: ['/none'], Volumes: { '/var/www': {} }, HostConfig: { AutoRemove: true } };
      await create(daemon, 'xo', body, again ? [409] : []);
      await daemon.ask('POST', '/containers/xo/start', { allowed: again ? [400, 404, 409] : [400] });
      await isRemoved(daemon);
    },
    // Its start has failed, and nobody else removes it.
    async keeps(daemon) {
      const { status, text } = await daemon.ask('GET', '/containers/xo/json', { allowed: [404] });
      if (status === 404 || (JSON.parse(text) as Inspected).State.Error === '') return;
      await isRemoved(daemon);
    },
    holds: isRemoved,
    cleanUp: removeAll,
  },
  {
    name: 'run with users of its own',
    operate: async (daemon, again) => {
      const body = { Volumes: { '/var/www': {} }, HostConfig: { UsernsMode: 'auto' } };
      await create(daemon, 'xo', body, again ? [409] : []);
      await daemon.ask('POST', '/containers/xo/start', { allowed: [304] });
    },
    async holds(daemon) {
      const owners = await output(daemon, 'xo', [
        'stat',
        '-c',
        '%u',
        '/proc/1',
        '/etc',
        '/var/www/index.html',
      ]);
      require(owners.split('\n').join() === '0,0,0', `owners inside are ${owners}`);
      const [line = ''] = (await output(daemon, 'xo', ['cat', '/proc/self/uid_map'])).split('\n');
      require(/^\s*0\s+[1-9]/.test(line), `its users are ${line}`);
    },
    cleanUp: removeAll,
  },
];
