/** exec, terminals, inherited descriptors: what callers hand to processes and get from them. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { eventually, run } from '../command.ts';
import { Bundle, type Process, runs } from './bundle.ts';

let bundle: Bundle;
before(async () => {
  bundle = await Bundle.make();
  bundle.configure('exec sleep 1000');
  await bundle.runDetached('box');
});
after(async () => {
  await bundle.succeeds(['delete', '--force', 'box']);
  bundle.close();
});

const exec = (...args: string[]): Promise<string> => bundle.succeeds(['exec', ...args]);

test('a process gets the container and its standard descriptors, and gives its exit code', async () => {
  const result = await bundle.call(['exec', 'box', 'sh', '-c', 'cat; echo $$ >&2; exit 5'], {
    stdin: 'typed',
  });
  assert.equal(result.code, 5);
  assert.equal(result.stdout, 'typed');
  assert.match(result.stderr, /^\d+\n$/);
  assert.equal((await bundle.call(['exec', 'box', 'sh', '-c', 'kill -15 $$'])).code, 143);
  assert.match(await exec('box', 'ps'), /1 0 +sleep 1000/);
  await bundle.fails(
    ['exec', 'box', 'nosuch'],
    /exec: "nosuch": executable file not found in \$PATH \(ENOENT\)/,
    127,
  );
  await bundle.fails(['exec', 'box', '/etc'], /is a directory \(EISDIR\)/, 126);
  await bundle.fails(['exec', 'box'], /usage/);
});

test('options change what the container says', async () => {
  const script = 'echo "$A|$PATH"; pwd; id -u; id -g; id -G; grep -E "CapEff|NoNew" /proc/self/status';
  const options = ['--env', 'A=b', '-e', 'PATH=/bin', '--cwd', '/etc', '--user', '5:6', '-g', '7', '-g', '8'];
  const output = await exec(...options, '--cap', 'CAP_SYS_TIME', '--no-new-privs', 'box', 'sh', '-c', script);
  assert.match(output, /^b\|\/bin\n\/etc\n5\n6\n6 7 8\n/);
  assert.match(output, /NoNewPrivs:\t1/);
  assert.equal(await exec('box', 'sh', '-c', 'echo "$A"; id -u'), '\n0\n');
  const bounding = await exec('--cap', 'CAP_SYS_TIME', 'box', 'grep', 'CapBnd', '/proc/self/status');
  assert.match(bounding, /CapBnd:\t0000000022000420/);
  await bundle.fails(['exec', '--cap', 'CAP_NOSUCH', 'box', 'true'], /unknown capability/);
  await bundle.fails(['exec', '--user', 'alice', 'box', 'true'], /--user alice: must be a whole number/);
});

test('a process file is taken as it is', async () => {
  const file = join(bundle.folder, 'process.json');
  const process: Process = {
    user: { uid: 9, gid: 10 },
    args: ['sh', '-c', 'id -u; pwd; echo $X; exit 4'],
    env: ['PATH=/bin', 'X=y'],
    cwd: '/tmp',
    rlimits: [{ type: 'RLIMIT_CORE', soft: 0, hard: 0 }],
  };
  writeFileSync(file, JSON.stringify(process));
  const result = await bundle.call(['exec', '--process', file, 'box']);
  assert.deepEqual([result.code, result.stdout], [4, '9\n/tmp\ny\n']);
  await bundle.fails(['exec', '--process', file, 'box', 'true'], /usage/);
  writeFileSync(file, '{"args":["true"]}');
  await bundle.fails(['exec', '--process', file, 'box'], /process\.cwd must be an absolute path/);
});

test('a detached process goes on, and its pid is in the file', async () => {
  const pidFile = join(bundle.folder, 'exec-pid');
  await exec('--detach', '--pid-file', pidFile, 'box', 'sh', '-c', 'exec sleep 500 > /dev/null 2>&1');
  const pid = Number(readFileSync(pidFile, 'utf8'));
  assert.ok(runs(pid));
  const pids = JSON.parse(await bundle.succeeds(['ps', '--format', 'json', 'box'])) as number[];
  assert.deepEqual(
    pids,
    [(await bundle.state('box')).pid, pid].sort((a, b) => a - b),
  );
  const table = await bundle.succeeds(['ps', 'box']);
  assert.match(table, /^UID +PID .*\n(.*sleep 1000\n.*sleep 500|.*sleep 500\n.*sleep 1000)\n$/);
  assert.match(
    await bundle.succeeds(['ps', 'box', '-o', 'pid,comm']),
    /^ +PID COMMAND\n +\d+ \w+\n +\d+ \w+\n$/,
  );
  process.kill(pid, 'SIGKILL');
  await eventually('it is gone', () => !runs(pid));
});

test('descriptors are inherited as far as asked for', async () => {
  const file = join(bundle.folder, 'inherited');
  writeFileSync(file, 'read through 4\n');
  const line = bundle.command([
    'exec',
    '--preserve-fds',
    '2',
    'box',
    'sh',
    '-c',
    'cat <&4; ls /proc/self/fd',
  ]);
  const result = await run([
    'sh',
    '-c',
    'f=$1; shift; exec "$@" 3< "$f" 4< "$f" 5< "$f"',
    'sh',
    file,
    ...line,
  ]);
  assert.equal(result.code, 0, result.stderr);
  assert.equal(result.stdout, 'read through 4\n0\n1\n2\n3\n4\n5\n', 'the last one is of ls itself');
  const plain = await exec('box', 'ls', '/proc/self/fd');
  assert.equal(plain, '0\n1\n2\n3\n');
  await bundle.fails(
    ['exec', '--preserve-fds', '90', 'box', 'true'],
    /descriptor \d+ of the 90 to be preserved is not open \(EBADF\)/,
  );
});

test('LISTEN_FDS goes to the program', async () => {
  const other = await Bundle.make();
  other.configure('echo $LISTEN_FDS $LISTEN_PID; cat <&3');
  writeFileSync(join(other.folder, 'socket'), 'activated\n');
  const line = other.command(['run', '--bundle', other.folder, 'activated']);
  const result = await run([
    'sh',
    '-c',
    'f=$1; shift; LISTEN_FDS=1 exec "$@" 3< "$f"',
    'sh',
    join(other.folder, 'socket'),
    ...line,
  ]);
  assert.equal(result.stdout, '1 1\nactivated\n', result.stderr);
  other.close();
});

test('a process in a group below the container’s', async () => {
  const hierarchies = (await exec('box', 'cat', '/proc/self/cgroup')).trim().split('\n');
  const line = hierarchies.find((entry) => /:(|[^:]*,)pids(,[^:]*|):/.test(entry));
  const { pid } = await bundle.state('box');
  const own = readFileSync(`/proc/${pid}/cgroup`, 'utf8');
  if (line === undefined) return; // One v2 hierarchy: without a controller's name, below.
  const path = /^\d+:[^:]*\bpids\b[^:]*:(.*)$/m.exec(own)?.[1] ?? '';
  const mount = existsSync('/sys/fs/cgroup/pids') ? '/sys/fs/cgroup/pids' : '/sys/fs/cgroup';
  await run(['mkdir', `${mount}${path}/below`]);
  assert.match(await exec('--cgroup', 'pids:below', 'box', 'cat', '/proc/self/cgroup'), /pids.*\/below$/m);
  await bundle.fails(['exec', '--cgroup', 'pids:nosuch', 'box', 'true'], /cgroup .*nosuch: No such file/);
  await bundle.fails(['exec', '--cgroup', '../..', 'box', 'true'], /must lie below/);
  await run(['rmdir', `${mount}${path}/below`]);
});

test('a terminal of ours becomes one of the process', async () => {
  const script = 'tty; stty size; read line; echo "[$line]"; exit 6';
  const live = bundle.live(['exec', '--tty', 'box', 'sh', '-c', script], { tty: true, size: [33, 101] });
  await live.sees(/\/dev\/pts\/\d+\s+33 101/);
  live.type('typed\r');
  const result = await live.ended;
  assert.equal(result.code, 6);
  assert.match(result.stdout, /\[typed\]/);
});

/** Waits on a console socket for a terminal, and prints what comes out of it until it is closed. */
const RECEIVER = `
import os, socket, sys
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(1); print("listening", flush=True)
c = s.accept()[0]
name, fds, _, _ = socket.recv_fds(c, 4096, 1)
print("terminal", len(fds), os.isatty(fds[0]), len(name) > 0, flush=True)
os.write(fds[0], b"hello\\n")
try:
    while True:
        data = os.read(fds[0], 4096)
        if not data: break
        os.write(1, data)
except OSError: pass
`;

for (const verb of ['create', 'exec'] as const) {
  test(`${verb} hands the terminal over a console socket, with a path of any length`, async () => {
    const folder = join(bundle.folder, `${verb}-${'long'.repeat(30)}`);
    await run(['mkdir', '-p', folder]);
    // The receiver binds a short name; the runtime gets the long one.
    const socket = join(folder, 'console.sock');
    const live = new (await import('../command.ts')).LiveCommand([
      'sh',
      '-c',
      'cd "$1" && exec python3 -c "$2" console.sock',
      'sh',
      folder,
      RECEIVER,
    ]);
    await live.sees(/listening/);
    const script = 'tty; read line; echo "[$line]"';
    if (verb === 'create') {
      const other = await Bundle.make();
      other.configure(script, (config) => {
        config.process.terminal = true;
      });
      await other.create('console', ['--console-socket', socket]);
      await other.succeeds(['start', 'console']);
      await other.becomes('console', 'stopped');
      await other.succeeds(['delete', 'console']);
      other.close();
    } else {
      await exec('--tty', '--detach', '--console-socket', socket, 'box', 'sh', '-c', script);
    }
    const result = await live.ended;
    assert.match(result.stdout, /terminal 1 True True/);
    assert.match(result.stdout, /\/dev\/(pts\/\d+|console)[\s\S]*\[hello\]/);
  });
}

test('a console socket that is not there, or not needed, is an error', async () => {
  const missing = join(bundle.folder, 'nosuch.sock');
  await bundle.fails(
    ['exec', '-t', '-d', '--console-socket', missing, 'box', 'sh'],
    /console socket .*\(ENOENT\)/,
  );
  await bundle.fails(['exec', '--tty', '--detach', 'box', 'sh'], /process\.terminal needs --console-socket/);
});
