/** Another OCI runtime (Debian's runc) under the supervisor: what is not the same as with our own. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, test } from 'node:test';
import { Container, type ContainerOptions, processSpec, unframe } from './supervisor-harness.ts';

const RUNC = '/usr/sbin/runc';
const skip = existsSync(RUNC) ? false : 'runc is not installed';

const open: Container[] = [];
const folder = mkdtempSync(join(tmpdir(), 'mydock-runtimes-'));

afterEach(async () => {
  for (const made of open.splice(0)) await made.stop();
});
after(() => rmSync(folder, { recursive: true }));

function container(options: ContainerOptions): Container {
  const made = new Container({ runtime: RUNC, ...options });
  open.push(made);
  return made;
}

/** A program in front of runc. `$verb` is what it is to do. */
function wrapper(name: string, script: string): string {
  const path = join(folder, name);
  const verb = 'for word; do case $word in create|start|exec|kill|delete) verb=$word; break;; esac; done';
  writeFileSync(path, `#!/bin/sh\n${verb}\n${script}\nexec ${RUNC} "$@"\n`);
  chmodSync(path, 0o755);
  return path;
}

const busybox = (...args: string[]): string[] => ['/bin/busybox', ...args];
const forever = busybox('sleep', '1000');

async function ended(pid: number): Promise<void> {
  const deadline = Date.now() + 20_000;
  const alive = (): boolean => {
    try {
      return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
    } catch {
      return false;
    }
  };
  while (alive()) {
    if (Date.now() > deadline) throw new Error(`process ${pid} lives on`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** What calls of the runtime leave in the bundle. */
function leftovers(made: Container): string[] {
  return readdirSync(join(made.folder, 'bundle')).filter((name) => name.startsWith('call-'));
}

test('short execs, many at a time, each with its own output and exit code', { skip }, async () => {
  const made = container({ args: forever });
  await made.start();
  const runs = Array.from({ length: 12 }, (_, index) => {
    const name = `exec-${index}`;
    const spec = processSpec(busybox('sh', '-c', `echo ${name}; exit ${index}`));
    made.control.send('exec', { process: name, spec, stdin: false });
    const client = made.attach({ process: name, framed: true });
    made.control.send('startExec', { process: name });
    return { name, client };
  });
  for (const [index, { name, client }] of runs.entries()) {
    await made.control.next('started', name);
    assert.equal((await made.control.next('exited', name)).exitCode, index);
    await client.ended;
    assert.equal(unframe(Buffer.concat(client.chunks)).stdout, `${name}\n`);
  }
  assert.deepEqual(leftovers(made), []);
});

test('output goes on while an exec takes its time, and its size, signal and stdin wait for it', {
  skip,
}, async () => {
  const gate = join(folder, 'gate');
  const slow = `[ "$verb" != exec ] || while [ ! -e ${gate} ]; do sleep 0.02; done`;
  const made = container({ runtime: wrapper('slow', slow), args: busybox('cat'), stdin: true });
  await made.start();
  const main = made.attach({ stdin: true });
  const script =
    'trap "stty size; cat /proc/uptime > /dev/null; exit 7" USR1; read word; echo "got $word"; while :; do usleep 10000; done';
  const spec = { ...processSpec(busybox('sh', '-c', script), true) };
  made.control.send('exec', { process: 'slow', spec, stdin: true });
  const client = made.attach({ process: 'slow', stdin: true });
  made.control.send('startExec', { process: 'slow' });
  made.control.send('resize', { process: 'slow', rows: 21, cols: 43 });
  client.socket.write('early\n');
  main.socket.write('meanwhile\n');
  await main.until('meanwhile');
  writeFileSync(gate, '');
  await made.control.next('started', 'slow');
  await client.until('got early');
  made.control.send('kill', { process: 'slow', signal: 10, all: false });
  assert.equal((await made.control.next('exited', 'slow')).exitCode, 7);
  assert.match(client.text, /21 43/);
});

test('an exec that cannot be started fails with the runtime’s words; the container goes on', {
  skip,
}, async () => {
  const made = container({ args: forever });
  await made.start();
  made.control.send('exec', { process: 'none', spec: processSpec(['/bin/none']), stdin: false });
  made.control.send('startExec', { process: 'none' });
  const failed = await made.control.next('failed', 'none');
  assert.equal(failed.exitCode, 127);
  assert.equal(failed.step, 'runtime exec');
  assert.match(failed.message, /\/bin\/none.*no such file/);
  made.control.send('kill', { process: '', signal: 9, all: false });
  assert.equal((await made.control.next('exited', '')).exitCode, 137);
});

test('rlimits without an end reach the runtime as such', { skip }, async () => {
  const made = container({ args: forever });
  await made.start();
  const spec = {
    ...processSpec(busybox('sh', '-c', 'ulimit -Hc; ulimit -Sc')),
    rlimits: [{ type: 'RLIMIT_CORE', soft: 0, hard: -1 }],
  };
  made.control.send('exec', { process: 'limits', spec, stdin: false });
  const client = made.attach({ process: 'limits' });
  made.control.send('startExec', { process: 'limits' });
  await made.control.next('exited', 'limits');
  await client.ended;
  assert.equal(client.text, 'unlimited\n0\n');
});

test('a kill that the runtime does not do is done without it', { skip }, async () => {
  const made = container({
    runtime: wrapper('refuses', '[ "$verb" != kill ] || exit 1'),
    args: busybox('sh', '-c', 'trap "exit 3" TERM; echo on; while :; do usleep 10000; done'),
  });
  const client = made.attach();
  await made.start();
  await client.until('on');
  made.control.send('kill', { process: '', signal: 15, all: false });
  assert.equal((await made.control.next('exited', '')).exitCode, 3);
});

test('without its supervisor the container ends', { skip }, async () => {
  const made = container({ args: busybox('sh', '-c', '/bin/busybox sleep 1000 & wait') });
  const { pid } = await made.start();
  process.kill(made.pid, 'SIGKILL');
  await ended(pid);
});

test('a runtime that makes no container, or whose program is missing, fails the create by name', {
  skip,
}, async () => {
  const missing = container({ runtime: '/nowhere/runtime', args: forever });
  assert.match(
    (await missing.control.next('failed', '')).message,
    /fork\/exec \/nowhere\/runtime: No such file/,
  );
  const nothing = container({ runtime: wrapper('nothing', 'exit 0'), args: forever });
  assert.match((await nothing.control.next('failed', '')).message, /nothing names no process in /);
  const stranger = wrapper('stranger', 'while [ "$1" != --pid-file ]; do shift; done; echo 1 > "$2"; exit 0');
  const foreign = container({ runtime: stranger, args: forever });
  assert.match((await foreign.control.next('failed', '')).message, /stranger names no process in /);
  for (const made of [missing, nothing, foreign]) assert.deepEqual(leftovers(made), []);
});
