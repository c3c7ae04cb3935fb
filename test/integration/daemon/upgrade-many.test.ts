/**
 * A daemon that takes over from one with many containers: what it does before the other one hands over and after, and
 * that none of it grows with the containers that are in order. What it did is read from its trace.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { timeLimitMs } from '../../run/time-limit.ts';
import { eventually, run } from '../command.ts';
import { TESTING_DOCKER } from '../engine.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

const skip = TESTING_DOCKER && 'about mydockd';
const FEW = 4;
const MANY = 40;
/** Of them, on the default bridge; the others have no network. */
const BRIDGED_OF = 4;
const FIRST_PORT = 18_200;

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => await close());

interface TraceEvent {
  cat?: string;
  name: string;
  ph: string;
  args?: Record<string, unknown>;
}

/** Takes over, and gives the trace of the new daemon up to the moment at which it serves. */
async function tracedTakeover(name: string, use: () => Promise<void>): Promise<TraceEvent[]> {
  const path = join(daemon.folder, `${name}.json`);
  await daemon.takeOverWhile(use, ['--trace', path]);
  const written = (): TraceEvent[] => {
    const lines = readFileSync(path, 'utf8').split('\n').slice(1, -1);
    return lines.map((line) => JSON.parse(line.replace(/,$/, '')) as TraceEvent);
  };
  const serves = (events: TraceEvent[]): number =>
    events.findIndex(({ ph, name: title }) => ph === 'e' && title === 'data root');
  await eventually('the trace is written', () => serves(written()) >= 0, timeLimitMs(30_000));
  const events = written();
  return events.slice(0, serves(events) + 1);
}

const place = (events: TraceEvent[], ph: 'b' | 'e', name: string): number => {
  const at = events.findIndex((event) => event.ph === ph && event.name === name);
  assert.ok(at >= 0, `the trace has ${ph} ${name}`);
  return at;
};

const begun = (events: TraceEvent[], category: string): string[] =>
  events.filter(({ ph, cat }) => ph === 'b' && cat === category).map(({ name }) => name);

/** What the kernel was asked, without the firewall's watch over other programs' changes, which goes by the clock. */
function questions(events: TraceEvent[]): string[] {
  return begun(events, 'netlink').filter((title) => title !== 'nftables: read the generation');
}

/** Starts containers until there are `count` of them. */
async function keepRunning(count: number): Promise<void> {
  const create = async (index: number): Promise<void> => {
    const bridged = index % BRIDGED_OF === 0;
    const ports = bridged ? { '80/tcp': [{ HostPort: String(FIRST_PORT + index) }] } : {};
    const body = {
      Image: 'busybox',
      Cmd: bridged ? ['httpd', '-f', '-h', '/var/www'] : ['sleep', '100000'],
      ExposedPorts: bridged ? { '80/tcp': {} } : {},
      HostConfig: { NetworkMode: bridged ? 'bridge' : 'none', PortBindings: ports },
    };
    const name = `many-${index}`;
    assert.equal((await daemon.api('POST', `/containers/create?name=${name}`, body)).status, 201);
    assert.equal((await daemon.api('POST', `/containers/${name}/start`)).status, 204);
  };
  for (let index = await running(); index < count; index++) await create(index);
}

async function summaries(): Promise<{ Id: string; Names: string[]; State: string }[]> {
  return (await daemon.api('GET', '/containers/json')).json() as never;
}

async function running(): Promise<number> {
  return (await summaries()).length;
}

/** What must be the same under the next daemon. */
async function identities(): Promise<string[]> {
  const ids = (await summaries()).map(({ Id }) => Id).sort();
  return await Promise.all(
    ids.map(async (id) => {
      const { State, RestartCount } = (await daemon.api('GET', `/containers/${id}/json`)).json() as never as {
        State: { Pid: number; StartedAt: string; Status: string };
        RestartCount: number;
      };
      return [id, State.Status, State.Pid, State.StartedAt, RestartCount].join(' ');
    }),
  );
}

async function servedByAll(): Promise<void> {
  for (let index = 0; index < MANY; index += BRIDGED_OF) {
    assert.equal(await (await fetch(`http://127.0.0.1:${FIRST_PORT + index}/`)).text(), 'served by mydock\n');
  }
}

/** Requests of clients until `stop`: each on a connection of its own, and on one that is kept. */
function requests(): { stop(): Promise<{ answered: number; failed: string[] }> } {
  const kept = new Agent({ keepAlive: true, maxSockets: 2 });
  const failed: string[] = [];
  const under: Promise<void>[] = [];
  let answered = 0;
  const ask = (path: string, agent: Agent | false, wanted: number, method = 'GET'): Promise<void> =>
    new Promise((resolve) => {
      const call = request({ socketPath: daemon.socket, path, method, agent }, (answer) => {
        answered += 1;
        if (answer.statusCode !== wanted) failed.push(`${method} ${path}: ${answer.statusCode}`);
        answer.resume().on('end', resolve);
      });
      call.on('error', (error) => {
        failed.push(`${method} ${path}: ${error.message}`);
        resolve();
      });
      call.end();
    });
  const often = setInterval(() => {
    under.push(ask('/_ping', false, 200), ask('/containers/json', kept, 200));
  }, 10);
  let stopping = false;
  const changes = (async () => {
    while (!stopping) {
      await ask('/containers/changing/start', kept, 204, 'POST');
      await ask('/containers/changing/kill', false, 204, 'POST');
      await ask('/containers/changing/wait', false, 200, 'POST');
    }
  })();
  return {
    stop: async () => {
      stopping = true;
      clearInterval(often);
      await Promise.all([...under, changes]);
      kept.destroy();
      return { answered, failed };
    },
  };
}

test('all that needs no hand-over comes before it, and containers in order cost no question to the kernel', {
  skip,
}, async () => {
  await keepRunning(FEW);
  const few = await tracedTakeover('few', async () => undefined);
  await keepRunning(MANY);
  const before = await identities();
  assert.equal(before.length, MANY);
  const changing = await daemon.ok(
    'create',
    '--name',
    'changing',
    '--network',
    'none',
    'busybox',
    'sleep',
    '9999',
  );
  const asked = requests();
  const many = await tracedTakeover('many', async () => undefined);
  const { answered, failed } = await asked.stop();
  assert.deepEqual(failed, []);
  assert.ok(answered > 0);
  await daemon.ok('rm', '-f', 'changing');

  for (const trace of [few, many]) {
    const order = [
      place(trace, 'b', 'preparation'),
      place(trace, 'e', 'preparation'),
      place(trace, 'b', 'hand-over'),
      place(trace, 'e', 'hand-over'),
      place(trace, 'b', 'data root'),
      place(trace, 'b', 'database'),
      place(trace, 'b', 'supervisors'),
      place(trace, 'e', 'supervisors'),
      place(trace, 'b', 'sandboxes'),
      place(trace, 'e', 'sandboxes'),
      place(trace, 'e', 'data root'),
    ];
    assert.deepEqual(
      order,
      [...order].sort((a, b) => a - b),
    );
    // Nothing that lasts is made anew: no mount, interface, row or rule.
    const others = trace.filter(({ args }) => args?.['subject'] !== changing);
    assert.deepEqual(begun(others, 'step'), []);
    // The kernel is asked for nothing while the other daemon may still change things.
    const early = trace.slice(0, place(trace, 'e', 'hand-over'));
    assert.deepEqual(begun(early, 'netlink'), []);
  }
  assert.deepEqual(questions(many), questions(few));
  const lists = begun(many, 'netlink').filter((title) => title === 'list links');
  assert.ok(lists.length <= 2, `all links were listed ${lists.length} times`);

  assert.deepEqual(await identities(), before);
  await servedByAll();
});

test('a successor that fails after the hand-over leaves no request without its answer', {
  skip,
}, async () => {
  await keepRunning(FEW);
  const before = await identities();
  await daemon.ok('create', '--name', 'changing', '--network', 'none', 'busybox', 'sleep', '9999');
  const asked = requests();
  await assert.rejects(daemon.takeOver(['--storage-driver', 'nonsense']), /nonsense/);
  const { answered, failed } = await asked.stop();
  assert.deepEqual(failed, []);
  assert.ok(answered > 0);
  await daemon.ok('rm', '-f', 'changing');
  assert.deepEqual(await identities(), before);
});

test('what is not in order is mended, and nothing else is touched', { skip }, async () => {
  await keepRunning(MANY);
  const before = await identities();
  const { stdout } = await run(['ip', '-o', 'link', 'show', 'type', 'veth']);
  const [off = '', down = '', ...others] = [...stdout.matchAll(/^\d+: ([^@:]+)[@:]/gm)].map(
    ([, name]) => name,
  );
  assert.equal(others.length, MANY / BRIDGED_OF - 2);
  assert.equal((await run(['ip', 'link', 'set', off, 'nomaster'])).code, 0);
  assert.equal((await run(['ip', 'link', 'set', down, 'down'])).code, 0);
  const trace = await tracedTakeover('mended', async () => undefined);
  const asked = begun(trace, 'netlink');
  const about = (name: string): string[] => asked.filter((title) => title.includes(name));
  assert.deepEqual(about(off), [`make ${off} a bridge port`]);
  assert.deepEqual(about(down), [`bring ${down} up`]);
  assert.deepEqual(
    others.flatMap((name) => about(name ?? '')),
    [],
  );
  assert.deepEqual(await identities(), before);
  await servedByAll();
});

test('a run that ends in between is restarted once, whichever daemon hears of it', { skip }, async () => {
  const script =
    'n=$(cat /runs 2> /dev/null || echo 0); echo $((n + 1)) > /runs; ' +
    'if [ $n = 0 ]; then until test -e /go; do usleep 5000; done; exit 9; fi; exec sleep 100000';
  const names = Array.from({ length: 6 }, (_, index) => `ender-${index}`);
  for (const name of names) {
    await daemon.ok(
      'run',
      '-d',
      '--restart',
      'on-failure:5',
      '--network',
      'none',
      '--name',
      name,
      'busybox',
      'sh',
      '-c',
      script,
    );
  }
  const pids = await Promise.all(names.map((name) => daemon.inspect(name, '{{.State.Pid}}')));
  const takeovers = (): number => daemon.log.split('another mydockd takes over').length;
  const count = takeovers();
  const taken = daemon.takeOver();
  await eventually('it is taken over', () => takeovers() > count);
  // One after the other, so that some end before, some while and some after the data root changes hands.
  for (const pid of pids) {
    writeFileSync(`/proc/${pid}/root/go`, '');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await taken;
  for (const name of names) {
    await eventually(
      `${name} runs again`,
      async () => (await daemon.inspect(name, '{{.State.Status}} {{.RestartCount}}')) === 'running 1',
      timeLimitMs(30_000),
    );
    assert.equal(await daemon.ok('exec', name, 'cat', '/runs'), '2');
  }
});
