/** The six hooks: order, namespaces, the state they are given, timeouts, and what their failures do. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readlinkSync, realpathSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { eventually } from '../command.ts';
import { Bundle, type Config, type Hook, runs, type State } from './bundle.ts';

const KINDS = [
  'prestart',
  'createRuntime',
  'createContainer',
  'startContainer',
  'poststart',
  'poststop',
] as const;

let bundle: Bundle;
let log: string;
before(async () => {
  bundle = await Bundle.make();
  log = join(bundle.folder, 'hooks');
});
after(() => bundle.close());

interface Told {
  readonly name: string;
  readonly mount: string;
  readonly state: State;
  readonly directory: string;
  readonly environment: string;
}

/** A hook that writes a line of JSON into the file of its environment. */
function telling(name: string, file = log): Hook {
  const script =
    'state=$(cat); printf \'{"name":"%s","mount":"%s","directory":"%s","environment":"%s","state":%s}\\n\' ' +
    '"$1" "$(readlink /proc/self/ns/mnt)" "$PWD" "$(env | grep -c ^SECRET=)" "$state" >> "$FILE"';
  return {
    path: '/bin/sh',
    args: ['sh', '-c', script, 'sh', name],
    env: [`FILE=${file}`, 'PATH=/bin:/usr/bin'],
  };
}

function told(file = log): Told[] {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Told);
}

const names = (): string[] => told().map(({ name }) => name);

/** One telling hook a kind; that of startContainer writes inside the container. */
function allTelling(config: Config): void {
  const hooks = KINDS.map((kind): [string, Hook[]] => [
    kind,
    [telling(kind, kind === 'startContainer' ? '/told' : log)],
  ]);
  config.hooks = Object.fromEntries(hooks);
  config.annotations = { 'com.example.key': 'value' };
}

test('each is run at its point of the life, in its namespaces, with the state', async () => {
  bundle.configure('echo program >> /order; exec sleep 100', allTelling);
  const inside = join(bundle.rootfs, 'told');
  process.env['SECRET'] = 'not theirs';
  await bundle.create('hooked');
  delete process.env['SECRET'];
  assert.deepEqual(names(), ['prestart', 'createRuntime', 'createContainer']);
  const { pid } = await bundle.state('hooked');
  const [own, theirs] = [readlinkSync('/proc/self/ns/mnt'), readlinkSync(`/proc/${pid}/ns/mnt`)];
  assert.notEqual(own, theirs);
  assert.equal(existsSync(inside), false, 'startContainer hooks wait for start');

  await bundle.succeeds(['start', 'hooked']);
  assert.deepEqual(names(), ['prestart', 'createRuntime', 'createContainer', 'poststart']);
  assert.deepEqual(
    told(inside).map(({ name }) => name),
    ['startContainer'],
  );
  await bundle.succeeds(['kill', 'hooked', 'KILL']);
  await bundle.becomes('hooked', 'stopped');
  await bundle.succeeds(['delete', 'hooked']);
  assert.deepEqual(names(), ['prestart', 'createRuntime', 'createContainer', 'poststart', 'poststop']);

  const statuses = ['creating', 'creating', 'creating', 'created', 'running', 'stopped'];
  const all = [...told(inside), ...told()];
  for (const [index, kind] of KINDS.entries()) {
    const one = all.find(({ name }) => name === kind);
    assert.ok(one !== undefined);
    assert.equal(one.state.ociVersion, '1.2.0');
    assert.equal(one.state.id, 'hooked');
    assert.equal(one.state.status, statuses[index], kind);
    assert.equal(one.state.bundle, realpathSync(bundle.folder));
    assert.deepEqual(one.state.annotations, { 'com.example.key': 'value' });
    assert.equal(one.state.pid, kind === 'poststop' ? undefined : pid, kind);
    const container = kind === 'createContainer' || kind === 'startContainer';
    assert.equal(one.mount, container ? theirs : own, kind);
    assert.equal(one.directory, kind === 'startContainer' ? '/' : realpathSync(bundle.folder), kind);
    assert.equal(one.environment, '0', 'env replaces the environment');
  }
  rmSync(log);
  rmSync(inside);
});

test('createContainer hooks find the root file system mounted, and the host around it', async () => {
  const seen = join(bundle.folder, 'seen');
  const script = `cat /proc/self/mountinfo > ${seen}; echo from the hook > ${bundle.rootfs}/proc-free; test -e ${bundle.rootfs}/proc/self`;
  bundle.configure('cat /proc-free', (config) => {
    config.root.readonly = true;
    config.hooks = { createContainer: [{ path: '/bin/sh', args: ['sh', '-c', script] }] };
  });
  assert.equal(await bundle.succeeds(['run', '--bundle', bundle.folder, 'mounted']), 'from the hook\n');
  assert.match(readFileSync(seen, 'utf8'), new RegExp(` ${realpathSync(bundle.rootfs)}/dev/shm `));
  rmSync(join(bundle.rootfs, 'proc-free'));
});

test('startContainer hooks have the power of the program, not more', async () => {
  bundle.configure('cat /caps', (config) => {
    config.process.user = { uid: 5, gid: 6 };
    config.process.noNewPrivileges = true;
    const script =
      'cat /proc/self/status | while read l; do case $l in Uid*|CapBnd*|NoNew*) echo $l;; esac; done';
    config.hooks = { startContainer: [{ path: '/bin/sh', args: ['sh', '-c', `${script} > /tmp/caps`] }] };
    config.process.args = ['cat', '/tmp/caps'];
    config.mounts.push({ destination: '/tmp', type: 'tmpfs', source: 'tmp', options: ['mode=1777'] });
  });
  const output = await bundle.succeeds(['run', '--bundle', bundle.folder, 'confined']);
  assert.match(output, /Uid: 5 5 5 5/);
  assert.match(output, /CapBnd: 0000000020000420/);
  assert.match(output, /NoNewPrivs: 1/);
});

for (const kind of ['prestart', 'createRuntime', 'createContainer', 'startContainer'] as const) {
  test(`a ${kind} hook that fails ends the container`, async () => {
    const hook = { path: '/bin/sh', args: ['sh', '-c', 'echo what went wrong >&2; exit 3'] };
    bundle.configure('echo ran > /ran', (config) => {
      config.hooks = { [kind]: [hook, telling('after')], poststop: [telling('poststop')] };
    });
    const message = new RegExp(`${kind} hook /bin/sh failed with exit status 3: what went wrong`);
    await bundle.fails(['run', '--bundle', bundle.folder, 'failing'], message);
    await bundle.fails(['state', 'failing'], /does not exist/);
    assert.equal(existsSync(join(bundle.rootfs, 'ran')), false, 'the program never ran');
    assert.deepEqual(names(), ['poststop']);
    rmSync(log);
  });
}

test('failures of poststart and poststop hooks are only told of', async () => {
  const logFile = join(bundle.folder, 'log');
  bundle.configure('echo fine', (config) => {
    const failing = { path: '/bin/false' };
    config.hooks = { poststart: [failing, telling('poststart')], poststop: [failing, telling('poststop')] };
  });
  const global = ['--log', logFile, '--log-format', 'json'];
  const output = await bundle.succeeds([...global, 'run', '--bundle', bundle.folder, 'warned']);
  assert.equal(output, 'fine\n');
  assert.deepEqual(names(), ['poststart', 'poststop']);
  const lines = readFileSync(logFile, 'utf8').trim().split('\n');
  const logged = lines.map((line) => JSON.parse(line) as { level: string; msg: string });
  assert.deepEqual(
    logged.map(({ level, msg }) => `${level}: ${msg}`),
    ['poststart', 'poststop'].map((kind) => `warning: ${kind} hook /bin/false failed with exit status 1`),
  );
  rmSync(log);
});

test('a hook that takes longer than its timeout is killed with its children', async () => {
  const child = join(bundle.folder, 'child');
  bundle.configure('true', (config) => {
    const script = `sleep 1000 & echo $! > ${child}; wait`;
    config.hooks = { createRuntime: [{ path: '/bin/sh', args: ['sh', '-c', script], timeout: 1 }] };
  });
  await bundle.fails(
    ['run', '--bundle', bundle.folder, 'slow'],
    /createRuntime hook \/bin\/sh was killed: it took longer than its timeout of 1 s \(ETIMEDOUT\)/,
  );
  await eventually('its child is gone', () => !runs(Number(readFileSync(child, 'utf8'))));
});

test('hooks that cannot be executed or are written wrongly are named', async () => {
  const cases: [Record<string, unknown>[], RegExp][] = [
    [[{ path: '/nosuch' }], /createRuntime hook \/nosuch failed with exit status 127: execve: No such file/],
    [[{ path: 'relative' }], /hooks\.createRuntime\[0\]\.path must be absolute/],
    [[{ path: '/bin/true', timeout: 0 }], /hooks\.createRuntime\[0\]\.timeout must be a whole number from 1/],
    [[{ path: '/bin/true', args: [1] }], /hooks\.createRuntime\[0\]\.args\[0\] must be a string/],
    [[{ path: '/bin/sh', args: ['sh', '-c', 'kill -9 $$'] }], /was killed by signal 9/],
  ];
  for (const [hooks, message] of cases) {
    bundle.configure('true', (config) => {
      config.hooks = { createRuntime: hooks as unknown as Hook[] };
    });
    await bundle.fails(['run', '--bundle', bundle.folder, 'wrong'], message);
  }
});

test('a hook need not read its state, however large it is', async () => {
  bundle.configure('echo fine', (config) => {
    config.annotations = { large: 'x'.repeat(300_000) };
    config.hooks = { createRuntime: [{ path: '/bin/true' }], createContainer: [telling('large')] };
  });
  assert.equal(await bundle.succeeds(['run', '--bundle', bundle.folder, 'large']), 'fine\n');
  assert.equal(told()[0]?.state.annotations?.['large']?.length, 300_000);
  rmSync(log);
});

test('a startContainer hook without an environment has that of the program, not that of the runtime', async () => {
  const script = 'echo "$SECRET $OWN" > /environment';
  bundle.configure('true', (config) => {
    config.process.env.push('OWN=theirs');
    config.hooks = { startContainer: [{ path: '/bin/sh', args: ['sh', '-c', script] }] };
  });
  process.env['SECRET'] = 'not theirs';
  await bundle.succeeds(['run', '--bundle', bundle.folder, 'environment']);
  delete process.env['SECRET'];
  assert.equal(readFileSync(join(bundle.rootfs, 'environment'), 'utf8'), ' theirs\n');
});
