/** create, start, state, kill, delete, run and list, by runtime.md's rules and as runc and crun answer. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { eventually, run } from '../command.ts';
import { Bundle, type Config, RUNTIME, runs } from './bundle.ts';

let bundle: Bundle;
before(async () => {
  bundle = await Bundle.make();
});
after(() => bundle.close());

const path = (name: string): string => join(bundle.rootfs, name);

test('a container is created, started by another process, ends, and is deleted', async () => {
  const pidFile = join(bundle.folder, 'pid');
  bundle.configure('echo ran > /ran; exec sleep 100', (config) => {
    config.annotations = { 'com.example.key': 'value' };
  });
  await bundle.create('life', ['--pid-file', pidFile]);
  const created = await bundle.state('life');
  assert.equal(created.status, 'created');
  assert.equal(created.ociVersion, '1.2.0');
  assert.equal(created.id, 'life');
  assert.equal(created.bundle, realpathSync(bundle.folder));
  assert.equal(created.rootfs, realpathSync(bundle.rootfs));
  assert.deepEqual(created.annotations, { 'com.example.key': 'value' });
  assert.ok(Math.abs(Date.parse(created.created) - Date.now()) < 600_000, created.created);
  assert.equal(readFileSync(pidFile, 'utf8'), String(created.pid));
  assert.ok(runs(created.pid), 'its init waits after its creator has left');
  assert.equal(existsSync(path('ran')), false, 'nothing of the image runs before start');

  await bundle.succeeds(['start', 'life']);
  assert.equal((await bundle.state('life')).status, 'running');
  assert.equal((await bundle.state('life')).pid, created.pid);
  await eventually('the program runs', () => existsSync(path('ran')));
  await bundle.fails(['start', 'life'], /cannot start a container that is not created: it is running/);
  await bundle.fails(['delete', 'life'], /cannot delete container life that is not stopped: running/);
  assert.ok(runs(created.pid), 'a refused deletion changes nothing');

  await bundle.succeeds(['kill', 'life', 'SIGKILL']);
  await bundle.becomes('life', 'stopped');
  assert.equal((await bundle.state('life')).pid, 0);
  await bundle.fails(['kill', 'life', 'KILL'], /container not running/);
  await bundle.succeeds(['kill', '--all', 'life', 'KILL']);
  await bundle.fails(['start', 'life'], /it is stopped/);
  await bundle.fails(['exec', 'life', 'true'], /cannot exec in a stopped container/);
  await bundle.succeeds(['delete', 'life']);
  for (const verb of ['state', 'start', 'kill', 'delete', 'pause', 'resume', 'ps', 'events', 'update'])
    await bundle.fails([verb, 'life'], /container does not exist \(ENOENT\)/);
  await bundle.succeeds(['delete', '--force', 'life']);
});

test('an ID is taken once, and the second creation leaves the first alone', async () => {
  bundle.configure('exec sleep 100');
  await bundle.create('twice');
  const { pid } = await bundle.state('twice');
  await bundle.fails(
    ['create', '--bundle', bundle.folder, 'twice'],
    /container with given ID already exists \(EEXIST\)/,
  );
  assert.equal((await bundle.state('twice')).status, 'created');
  assert.ok(runs(pid));
  await bundle.succeeds(['delete', 'twice']);
  assert.equal(runs(pid), false);
});

test('two creations of one ID at the same time: one wins', async () => {
  bundle.configure('exec sleep 100');
  const line = bundle.command(['create', '--bundle', bundle.folder, 'race']);
  const script = 'exec "$@" < /dev/null > /dev/null 2>&1';
  const results = await Promise.all([1, 2, 3, 4].map(() => run(['sh', '-c', script, 'sh', ...line])));
  assert.deepEqual(results.map((result) => result.code).sort(), [0, 1, 1, 1]);
  const starts = await Promise.all([1, 2, 3].map(() => bundle.call(['start', 'race'])));
  assert.deepEqual(starts.map((result) => result.code).sort(), [0, 1, 1]);
  await bundle.succeeds(['delete', '--force', 'race']);
});

test('IDs that lead elsewhere are refused', async () => {
  for (const id of ['..', '.', '', '../x', 'a/b', 'a b', 'ä', ':seccomp', 'x'.repeat(256)]) {
    await bundle.fails(['create', '--bundle', bundle.folder, id], /invalid container ID/);
    await bundle.fails(['delete', '--force', id], /invalid container ID/);
  }
});

test('what changes in the bundle after the creation does not matter', async () => {
  bundle.configure('echo first >> /which; exec sleep 100');
  await bundle.create('kept');
  bundle.configure('echo second >> /which');
  await bundle.succeeds(['start', 'kept']);
  // The shell makes the file before it writes.
  const written = (): string => (existsSync(path('which')) ? readFileSync(path('which'), 'utf8') : '');
  await eventually('the program runs', () => written() !== '');
  assert.equal(written(), 'first\n');
  rmSync(join(bundle.folder, 'config.json'));
  assert.equal(await bundle.succeeds(['exec', 'kept', 'echo', 'still']), 'still\n');
  await bundle.succeeds(['delete', '--force', 'kept']);
});

test('a creation that fails leaves nothing', async () => {
  const groups = (): Promise<string> =>
    run(['sh', '-c', 'find /sys/fs/cgroup -name broken -type d | wc -l']).then((result) =>
      result.stdout.trim(),
    );
  const cases: [
    (config: Parameters<Parameters<Bundle['configure']>[1] & object>[0]) => void,
    RegExp,
    number?,
  ][] = [
    [(config) => (config.process.args = ['nosuch']), /executable file not found in \$PATH \(ENOENT\)/, 127],
    [(config) => (config.process.args = ['/etc']), /exec: "\/etc": is a directory \(EISDIR\)/, 126],
    [(config) => (config.process.cwd = '/bin/sh'), /\/bin\/sh.*\(ENOTDIR\)/, 126],
    [
      (config) => (config.root.path = 'nosuch'),
      /open the root .*nosuch: No such file or directory \(ENOENT\)/,
    ],
    [
      (config) => config.mounts.push({ destination: '/x', type: 'nosuchfs', source: 'none' }),
      /nosuchfs.*\(ENODEV\)/,
    ],
    [(config) => (config['ociVersion'] = '2.0.0'), /config\.json: ociVersion must be a version 1 \(EINVAL\)/],
    [(config) => (config.process.terminal = true), /process\.terminal needs --console-socket/],
  ];
  for (const [change, message, code] of cases) {
    bundle.configure('true', (config) => void change(config));
    await bundle.fails(['create', '--bundle', bundle.folder, 'broken'], message, code ?? 1);
    await bundle.fails(['state', 'broken'], /does not exist/);
    assert.equal(await groups(), '0');
  }
  writeFileSync(join(bundle.folder, 'config.json'), '{');
  await bundle.fails(['create', '--bundle', bundle.folder, 'broken'], /config\.json: line 1/);
  await bundle.fails(['create', '--bundle', join(bundle.folder, 'none'), 'broken'], /\(ENOENT\)/);
  await bundle.fails(['state', 'broken'], /does not exist/);
});

test('start tells what keeps the program from executing, and the container is stopped then', async () => {
  writeFileSync(path('bin/garbage'), 'no program\n', { mode: 0o755 });
  bundle.configure('', (config) => (config.process.args = ['/bin/garbage']));
  await bundle.create('garbage');
  await bundle.fails(['start', 'garbage'], /exec: "\/bin\/garbage": exec format error \(ENOEXEC\)/, 126);
  assert.equal((await bundle.state('garbage')).status, 'stopped');
  await bundle.succeeds(['delete', 'garbage']);
});

test('a created container heeds signals, and can be deleted', async () => {
  bundle.configure('exec sleep 100');
  await bundle.create('waiting');
  await bundle.succeeds(['kill', 'waiting']);
  await bundle.becomes('waiting', 'stopped');
  await bundle.succeeds(['delete', 'waiting']);
});

test('signals by name and number reach the init; unknown ones are refused', async () => {
  bundle.configure(
    'trap "echo got usr1" USR1; trap "echo got 12" 12; echo ready; while :; do sleep 0.05; done',
  );
  await bundle.runDetached('signals');
  await eventually('traps are set', () => bundle.output.includes('ready'));
  await bundle.succeeds(['kill', 'signals', 'usr1']);
  await bundle.succeeds(['kill', 'signals', '12']);
  await eventually('both arrived', () => /got usr1/.test(bundle.output) && /got 12/.test(bundle.output));
  for (const signal of ['NOSUCH', '65', '-1x', 'RTMIN+99'])
    await bundle.fails(['kill', 'signals', '--', signal], /unknown signal/);
  await bundle.succeeds(['kill', '--all', 'signals', '9']);
  await bundle.becomes('signals', 'stopped');
  await bundle.succeeds(['delete', 'signals']);
});

test('without a pid namespace SIGKILL and delete reach all processes', async () => {
  bundle.configure('sleep 1000 & echo $! > /child; exec sleep 100', (config) => {
    config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'pid');
  });
  await bundle.runDetached('shared');
  await eventually(
    'the child runs',
    () => existsSync(path('child')) && readFileSync(path('child'), 'utf8') !== '',
  );
  const child = Number(readFileSync(path('child'), 'utf8'));
  assert.ok(runs(child));
  await bundle.succeeds(['kill', 'shared', 'KILL']);
  await eventually('the child is gone', () => !runs(child));
  await bundle.becomes('shared', 'stopped');
  await bundle.succeeds(['delete', 'shared']);
});

test('a number that another process has by now is not taken for the container', async () => {
  bundle.configure('exec sleep 100');
  await bundle.runDetached('reused');
  const { pid } = await bundle.state('reused');
  const file = join(bundle.root, 'reused/state.json');
  const state = JSON.parse(readFileSync(file, 'utf8')) as { pidStart: number; boot: string };
  writeFileSync(file, JSON.stringify({ ...state, pidStart: state.pidStart + 1 }));
  assert.equal((await bundle.state('reused')).status, 'stopped');
  await bundle.fails(['kill', 'reused', 'KILL'], /container not running/);
  writeFileSync(file, JSON.stringify({ ...state, boot: '00000000-0000-0000-0000-000000000000' }));
  assert.equal((await bundle.state('reused')).status, 'stopped', 'of an earlier boot');
  assert.ok(runs(pid));
  writeFileSync(file, JSON.stringify(state));
  assert.equal((await bundle.state('reused')).status, 'running');
  await bundle.succeeds(['delete', '--force', 'reused']);
});

test('a creator that is killed leaves what can be deleted', async () => {
  bundle.configure('true', (config) => {
    config.hooks = { createRuntime: [{ path: '/bin/sleep', args: ['sleep', '1000'] }] };
  });
  const creator = bundle.live(['create', '--bundle', bundle.folder, 'orphan']);
  await eventually('it is being created', async () => {
    const result = await bundle.call(['state', 'orphan']);
    return result.code === 0 && (JSON.parse(result.stdout) as { status: string }).status === 'creating';
  });
  creator.child.kill('SIGKILL');
  await creator.ended;
  await bundle.becomes('orphan', 'stopped');
  await bundle.succeeds(['delete', 'orphan']);
});

test('run gives the output, the exit code, and forgets the container', async () => {
  bundle.configure('cat; echo error >&2; exit 7');
  const result = await bundle.call(['run', '--bundle', bundle.folder, 'fore'], { stdin: 'through stdin\n' });
  assert.deepEqual([result.code, result.stdout, result.stderr], [7, 'through stdin\n', 'error\n']);
  await bundle.fails(['state', 'fore'], /does not exist/);
  bundle.configure('kill -9 $$; exec sleep 100', (config) => {
    config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'pid');
  });
  assert.equal((await bundle.call(['run', '--bundle', bundle.folder, 'fore'])).code, 137);
  bundle.configure('exit 3');
  assert.equal((await bundle.call(['run', '--keep', '--bundle', bundle.folder, 'fore'])).code, 3);
  assert.equal((await bundle.state('fore')).status, 'stopped');
  await bundle.succeeds(['delete', 'fore']);
  bundle.configure('', (config) => (config.process.args = ['nosuch']));
  await bundle.fails(
    ['run', '--bundle', bundle.folder, 'fore'],
    /run: exec: "nosuch": executable file not found/,
    127,
  );
});

test('run passes signals on', async () => {
  bundle.configure('trap "echo asked to end; exit 5" TERM; echo ready; while :; do sleep 0.05; done');
  const live = bundle.live(['run', '--bundle', bundle.folder, 'asked']);
  await live.sees(/ready/);
  live.child.kill('SIGTERM');
  const result = await live.ended;
  assert.equal(result.code, 5);
  assert.match(result.stdout, /asked to end/);
});

test('list shows what there is, as a table, as IDs and as JSON', async () => {
  bundle.configure('exec sleep 100');
  await bundle.create('one');
  await bundle.runDetached('two');
  assert.equal(await bundle.succeeds(['list', '-q']), 'one\ntwo\n');
  const table = await bundle.succeeds(['list']);
  assert.match(
    table,
    /^ID +PID +STATUS +BUNDLE +CREATED +OWNER\none +\d+ +created .*\ntwo +\d+ +running .*\n$/,
  );
  const list = JSON.parse(await bundle.succeeds(['list', '--format', 'json'])) as {
    id: string;
    status: string;
  }[];
  assert.deepEqual(
    list.map(({ id, status }) => [id, status]),
    [
      ['one', 'created'],
      ['two', 'running'],
    ],
  );
  for (const id of ['one', 'two']) await bundle.succeeds(['delete', '--force', id]);
  assert.equal(await bundle.succeeds(['list', '-q']), '');
});

test('errors go to the log as the lines that callers read', async () => {
  const log = join(bundle.folder, 'log');
  await bundle.fails(
    ['--log', log, '--log-format', 'json', 'start', 'nobody'],
    /start: container does not exist/,
  );
  const line = JSON.parse(readFileSync(log, 'utf8')) as { level: string; msg: string; time: string };
  assert.equal(line.level, 'error');
  assert.equal(line.msg, 'start: container does not exist (ENOENT)');
  assert.ok(Number.isFinite(Date.parse(line.time)), line.time);
  for (const args of [
    ['--log-format', 'xml', 'list'],
    ['--rootless', 'true', 'list'],
    ['nosuchverb'],
    ['create', '--nosuchoption', 'x'],
    ['create', '--no-pivot', 'x'],
    ['start'],
    ['checkpoint', 'x'],
  ])
    await bundle.fails(args, /must be|not supported|unknown|usage/);
});

test('version, help and features', async () => {
  const { version } = JSON.parse(
    readFileSync(join(import.meta.dirname, '../../../package.json'), 'utf8'),
  ) as { version: string };
  assert.equal(await bundle.succeeds(['--version']), `mydock-runtime version ${version}\nspec: 1.2.0\n`);
  assert.match(await bundle.succeeds(['create', '--help']), /--console-socket PATH/);
  const features = JSON.parse(await bundle.succeeds(['features'])) as {
    ociVersionMin: string;
    ociVersionMax: string;
    hooks: string[];
    mountOptions: string[];
    linux: { namespaces: string[]; capabilities: string[]; seccomp: { actions: string[] } };
  };
  assert.deepEqual([features.ociVersionMin, features.ociVersionMax], ['1.0.0', '1.2.0']);
  assert.equal(features.hooks.length, 6);
  assert.ok(features.mountOptions.includes('rro') && !features.mountOptions.includes('nosuchoption'));
  assert.ok(features.linux.namespaces.includes('time') && features.linux.capabilities.includes('CAP_BPF'));
});

test('a program of a container cannot write the runtime that executes it', async () => {
  bundle.configure('true', (config) => {
    config.process.args = ['/bin/sh', '-c', 'cat /proc/1/exe > /dev/null; echo x >> /proc/1/exe'];
  });
  const before = readFileSync(RUNTIME).length;
  await bundle.create('own');
  const result = await bundle.call(['exec', 'own', 'sh', '-c', 'echo x >> /proc/1/exe']);
  assert.notEqual(result.code, 0);
  assert.equal(readFileSync(RUNTIME).length, before);
  await bundle.succeeds(['delete', '--force', 'own']);
});

test('a descriptor of the runtime itself is never preserved', async () => {
  bundle.configure('ls -l /proc/self/fd');
  const log = join(bundle.folder, 'own.log');
  const call = ['--log', log, 'run', '--bundle', bundle.folder, '--preserve-fds', '1', 'preserving'];
  const result = await run(['sh', '-c', 'exec "$@" 3>&-', 'sh', ...bundle.command(call)]);
  assert.equal(result.code, 1, result.stdout);
  assert.match(result.stderr, /descriptor 3 of the 1 to be preserved is not open \(EBADF\)/);
});

test('a group is not taken where another container lies below it', async () => {
  const sharing = (cgroupsPath: string) => (config: Config) => {
    config.linux.cgroupsPath = cgroupsPath;
  };
  bundle.configure('exec sleep 100', sharing('/shared/inner'));
  await bundle.runDetached('inner');
  bundle.configure('true', sharing('/shared'));
  await bundle.fails(
    ['create', '--bundle', bundle.folder, 'outer'],
    /cgroup \S*\/shared is in use by other processes/,
  );
  assert.equal((await bundle.state('inner')).status, 'running');
  await bundle.succeeds(['delete', '--force', 'inner']);
});
