/** The supervisor as mydockd sees it: life, output and logs, control connections. Attachments: supervisor-attach.test.ts. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterEach, test } from 'node:test';
import { addon } from '../../src/native/addon.ts';
import { COMMAND_TYPES, encodeMessage } from '../../src/native/supervisor-protocol.ts';
import { Container, type ContainerOptions, processSpec, RUNTIME, unframe } from './supervisor-harness.ts';

const open: Container[] = [];

function container(options: ContainerOptions): Container {
  const made = new Container(options);
  open.push(made);
  return made;
}

function shell(script: string): string[] {
  return ['/bin/busybox', 'sh', '-c', script];
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`not within a minute: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

afterEach(async () => {
  for (const made of open.splice(0)) await made.stop();
});

test('the command line names its version, and what it does not do', () => {
  const version: unknown = JSON.parse(
    readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8'),
  ).version;
  const output = execFileSync(RUNTIME, ['--version'], { encoding: 'utf8' });
  assert.match(output, new RegExp(`^mydock-runtime version ${version}\n`));
  assert.throws(
    () => execFileSync(RUNTIME, ['checkpoint'], { stdio: 'pipe', encoding: 'utf8' }),
    (error: { status: number; stderr: string }) =>
      error.status === 1 && /^mydock-runtime: unknown verb "checkpoint"[^\n]*\n$/.test(error.stderr),
  );
});

test('output, log, exit record and events of one run', async () => {
  const made = container({ args: shell('echo out; echo err >&2; printf tail; exit 3'), log: {} });
  const status = await made.control.next('status');
  assert.equal(status.state, 'created');
  assert.equal(status.id, made.config.id);
  assert.deepEqual(status.processes, []);
  assert.equal(status.startedAt, '');
  const client = made.attach({ framed: true });
  made.control.send('start', {});
  const started = await made.control.next('started', '');
  assert.equal(started.pid, status.pid);
  const exited = await made.control.next('exited', '');
  const record = made.record();
  assert.ok(!existsSync(made.config.socket), 'the socket outlives the exited event');
  assert.deepEqual(
    { ...exited, exitedAt: '' },
    { process: '', exitCode: 3, signal: 0, oomKilled: false, exitedAt: '' },
  );
  assert.deepEqual(record, {
    exitCode: 3,
    signal: 0,
    oomKilled: false,
    startedAt: started.startedAt,
    exitedAt: exited.exitedAt,
    error: '',
  });
  assert.match(started.startedAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
  assert.ok(Math.abs(Date.parse(exited.exitedAt) - Date.now()) < 10_000);
  await client.ended;
  assert.deepEqual(unframe(Buffer.concat(client.chunks)), { stdout: 'out\ntail', stderr: 'err\n' });
  assert.deepEqual((await made.control.next('detached')).reason, 'ended');
  const lines = made.log();
  const of = (stream: string): string[] =>
    lines.filter((line) => line.stream === stream).map((line) => line.log);
  assert.deepEqual(of('stdout'), ['out\n', 'tail']);
  assert.deepEqual(of('stderr'), ['err\n']);
  assert.equal(await made.gone(), 0);
  assert.equal(made.messages(), '');
});

test('log lines have the attributes, and the keys in the order in which Docker writes them', async () => {
  const made = container({ args: shell('echo x'), log: { attributes: { tag: 'a "b" <c>', label: 'ä' } } });
  await made.start();
  await made.control.next('exited');
  const [line] = readFileSync(made.config.log?.path ?? '', 'utf8').split('\n');
  assert.match(line ?? '', /^\{"log":"x\\n","stream":"stdout","attrs":\{[^}]*\},"time":"[^"]*"\}$/);
  assert.deepEqual(made.log()[0]?.attrs, { tag: 'a "b" <c>', label: 'ä' });
});

test('bytes that are not UTF-8 become U+FFFD each; everything else is exact', async () => {
  const made = container({
    args: shell(
      `printf 'a\\377\\376b\\n"\\\\\\t\\r\\001<>&\\n\\303\\244\\342\\202\\254\\360\\237\\230\\200\\n\\303\\n\\355\\240\\200\\n\\000x\\n'`,
    ),
    log: {},
  });
  const client = made.attach();
  await made.start();
  await made.control.next('exited');
  await client.ended;
  assert.equal(client.text.length, 33);
  const text = made.log().map((line) => line.log);
  assert.deepEqual(text, [
    'a\ufffd\ufffdb\n',
    '"\\\t\r\u0001<>&\n',
    'ä€😀\n',
    '\ufffd\n',
    '\ufffd\ufffd\ufffd\n',
    '\0x\n',
  ]);
});

test('lines beyond 16 KiB are split, and no character is torn', async () => {
  const made = container({ args: ['/bin/busybox', 'cat', '/tmp/input'], log: {} });
  const plain = 'x'.repeat(40_000);
  const exact = 'y'.repeat(16_384);
  const wide = `z${'€'.repeat(6000)}`;
  writeFileSync(join(made.folder, 'bundle/rootfs/tmp/input'), `${plain}\n${exact}\n${wide}\nend\n`);
  await made.start();
  assert.equal((await made.control.next('exited')).exitCode, 0);
  const lines = made.log();
  const text = lines.map((line) => line.log);
  assert.deepEqual(
    text.map((part) => Buffer.byteLength(part)),
    [16384, 16384, 7233, 16384, 1, 16384, 1618, 4],
  );
  assert.equal(text.join(''), `${plain}\n${exact}\n${wide}\nend\n`);
  assert.equal(
    new Set(lines.slice(0, 3).map((line) => line.time)).size,
    1,
    'the parts of a line have one time',
  );
});

test('rotation keeps maxFiles files of at most maxBytes, whole lines, newest first', async () => {
  const made = container({ args: shell('busybox seq 1 5000'), log: { maxBytes: 20_000, maxFiles: 3 } });
  await made.start();
  await made.control.next('exited');
  const path = made.config.log?.path ?? '';
  assert.ok(!existsSync(`${path}.3`));
  for (const suffix of ['', '.1', '.2']) assert.ok(statSync(path + suffix).size <= 20_000);
  assert.ok(statSync(`${path}.1`).size > 19_800);
  const numbers = ['.2', '.1', ''].flatMap((suffix) => made.log(suffix).map((line) => Number(line.log)));
  assert.equal(numbers.at(-1), 5000);
  const first = numbers[0] ?? 0;
  assert.deepEqual(
    numbers,
    numbers.map((_, index) => first + index),
  );
});

test('rotation with one file truncates it', async () => {
  const made = container({ args: shell('busybox seq 1 2000'), log: { maxBytes: 10_000, maxFiles: 1 } });
  await made.start();
  await made.control.next('exited');
  assert.ok(statSync(made.config.log?.path ?? '').size <= 10_000);
  assert.ok(!existsSync(`${made.config.log?.path}.1`));
  assert.equal(made.log().at(-1)?.log, '2000\n');
});

test('a full disk drops log lines, says so, and never stops the container', async () => {
  const disk = join(container({ args: shell('true'), log: null }).folder, 'disk');
  execFileSync('mkdir', [disk]);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', disk]);
  try {
    const made = container({
      args: shell('busybox seq 1 5000; read go; echo after'),
      stdin: true,
      log: { path: join(disk, 'log.json') },
    });
    await made.control.next('status');
    const client = made.attach({ stdin: true });
    made.control.send('start', {});
    await client.until('5000\n');
    const kept = made.log();
    assert.ok(kept.length > 100 && kept.length < 4000, `${kept.length} lines were kept`);
    execFileSync('mount', ['-o', 'remount,size=1m', disk]);
    client.socket.write('go\n');
    assert.equal((await made.control.next('exited')).exitCode, 0);
    const lines = made.log();
    const dropped = 5000 - kept.length;
    assert.deepEqual(
      lines.slice(kept.length).map((line) => [line.stream, line.log]),
      [
        ['stderr', `mydock: ${dropped} log lines are missing here: No space left on device\n`],
        ['stdout', 'after\n'],
      ],
    );
    await made.gone();
    assert.match(made.messages(), new RegExp(`${dropped} lines were dropped`));
  } finally {
    execFileSync('umount', [disk]);
  }
});

test('200 MB pass through log and attachment without a byte lost', async () => {
  const made = container({ args: shell('for i in $(busybox seq 50); do cat /tmp/block; done'), log: {} });
  const line = (number: number): string =>
    `line ${String(number).padStart(7, '0')} of a long output, so to say`;
  const numbers = Array.from({ length: 100_000 }, (_, number) => number);
  const block = `${numbers.map(line).join('\n')}\n`;
  writeFileSync(join(made.folder, 'bundle/rootfs/tmp/block'), block);
  await made.control.next('status');
  const client = made.attach({ framed: true });
  made.control.send('start', {});
  assert.equal((await made.control.next('exited')).exitCode, 0);
  await client.ended;
  const { stdout } = unframe(Buffer.concat(client.chunks));
  assert.ok(stdout.length > 200_000_000);
  assert.ok(stdout === block.repeat(50), 'the client has every byte in order');
  const logged = readFileSync(made.config.log?.path ?? '');
  let at = 0;
  for (let round = 0; round < 50; round++) {
    for (const number of numbers) {
      const start = `{"log":"${line(number)}\\n","stream":"stdout","time":"`;
      if (logged.toString('latin1', at, at + start.length) !== start)
        assert.fail(`line ${number} of round ${round} is not in its place`);
      at = logged.indexOf(10, at) + 1;
    }
  }
  assert.equal(at, logged.length);
});

test('kill of the init, by the daemon and from outside', async () => {
  for (const way of ['command', 'all', 'outside']) {
    const made = container({ args: shell('while :; do sleep 100; done'), log: null });
    const { pid } = await made.start();
    if (way === 'outside') process.kill(pid, 'SIGKILL');
    else made.control.send('kill', { process: '', signal: 9, all: way === 'all' });
    const exited = await made.control.next('exited');
    assert.equal(exited.exitCode, 137);
    assert.equal(exited.signal, 9);
    assert.equal(made.record().signal, 9);
    await made.gone();
  }
});

test('SIGTERM to the supervisor goes to the init', async () => {
  const made = container({
    args: shell('trap "exit 7" TERM; echo ready; while :; do sleep 0.05; done'),
    log: null,
  });
  await made.control.next('status');
  const client = made.attach();
  made.control.send('start', {});
  await client.until('ready');
  process.kill(made.pid, 'SIGTERM');
  assert.equal((await made.control.next('exited')).exitCode, 7);
});

test('the init dies with its supervisor', async () => {
  const made = container({ args: shell('while :; do sleep 100; done'), log: null });
  const { pid } = await made.start();
  process.kill(made.pid, 'SIGKILL');
  assert.equal(await made.gone(), 137);
  await until('the init is gone', () => !isAlive(pid));
});

test('the supervisor survives its daemon, signals of its terminal, and serves the next one', async () => {
  const made = container({ args: shell('read line; exit 5'), stdin: true, log: {} });
  const { pid } = await made.start();
  made.control.socket.destroy();
  process.kill(made.pid, 'SIGHUP');
  process.kill(made.pid, 'SIGINT');
  const socket = connect(made.config.socket);
  const next = await made.reconnect();
  const another = await made.reconnect();
  socket.destroy();
  assert.equal(statSync(made.config.socket).mode & 0o777, 0o600);
  assert.ok(isAlive(pid));
  next.send('kill', { process: '', signal: 9, all: false });
  for (const control of [next, another]) assert.equal((await control.next('exited')).signal, 9);
  await made.gone();
});

test('a later connection gets the state as it is', async () => {
  const made = container({ args: shell('sleep 100'), log: null });
  const started = await made.start();
  made.control.send('exec', { process: 'e', spec: processSpec(shell('sleep 100')), stdin: false });
  made.control.send('startExec', { process: 'e' });
  const exec = await made.control.next('started', 'e');
  const socket = connect(made.config.socket);
  const { Control } = await import('./supervisor-harness.ts');
  const control = new Control(socket);
  const status = await control.next('status');
  assert.deepEqual(
    { ...status },
    {
      version: 1,
      id: made.config.id,
      pid: started.pid,
      state: 'running',
      startedAt: started.startedAt,
      processes: [{ process: 'e', pid: exec.pid }],
    },
  );
  control.send('kill', { process: 'e', signal: 9, all: false });
  for (const at of [control, made.control]) assert.equal((await at.next('exited', 'e')).exitCode, 137);
  socket.destroy();
});

test('a socket path longer than sun_path works', async () => {
  const made = container({ args: shell('sleep 100'), log: null, folder: 'long'.repeat(40) });
  assert.ok(made.config.socket.length > 108);
  await made.start();
  assert.ok(statSync(made.config.socket).isSocket());
});

test('the container ends with a daemon that leaves before the start', async () => {
  const made = container({ args: shell('echo never'), log: {} });
  const { pid } = await made.control.next('status');
  made.control.socket.destroy();
  assert.equal(await made.gone(), 0);
  assert.ok(!isAlive(pid));
  assert.ok(!existsSync(made.config.socket));
  const record = made.record();
  assert.equal(record.exitCode, 125);
  assert.equal(record.startedAt, '');
  assert.match(record.error, /daemon left/);
  assert.deepEqual(made.log(), []);
});

test('a program that is missing or cannot be executed', async () => {
  for (const [args, code] of [
    [['/bin/none'], 127],
    [['/etc'], 126],
  ] as const) {
    const made = container({ args: [...args], log: null });
    await made.control.next('status');
    const client = made.attach();
    made.control.send('start', {});
    const failed = await made.control.next('failed', '');
    assert.equal(failed.exitCode, code);
    assert.ok(failed.message.includes(args[0]), failed.message);
    await client.ended;
    assert.equal(await made.gone(), 0);
    const record = made.record();
    assert.equal(record.exitCode, code);
    assert.equal(record.error, failed.message);
    assert.equal(record.startedAt, '');
  }
});

test('a bundle that cannot be created fails by name', async () => {
  const made = container({ args: shell('true'), log: { path: '/proc/none/log.json' } });
  const failed = await made.control.next('failed', '');
  assert.equal(failed.exitCode, 125);
  assert.equal(failed.errno, 'ENOENT');
  assert.match(failed.message, /\/proc\/none\/log\.json/);
  await made.gone();
  assert.equal(made.record().error, failed.message);
});

test('execs: output, exit code, and two at a time', async () => {
  const made = container({ args: shell('sleep 100'), log: {} });
  await made.start();
  const clients = ['a', 'b'].map((name) => {
    made.control.send('exec', {
      process: name,
      spec: processSpec(shell(`echo out-${name}; echo err-${name} >&2; exit 4`)),
      stdin: false,
    });
    return made.attach({ process: name, framed: true });
  });
  for (const name of ['a', 'b']) made.control.send('startExec', { process: name });
  for (const [index, name] of ['a', 'b'].entries()) {
    const started = await made.control.next('started', name);
    assert.ok(started.pid > 0);
    const exited = await made.control.next('exited', name);
    assert.equal(exited.exitCode, 4);
    const client = clients[index];
    assert.ok(client !== undefined);
    await client.ended;
    assert.deepEqual(unframe(Buffer.concat(client.chunks)), {
      stdout: `out-${name}\n`,
      stderr: `err-${name}\n`,
    });
  }
  assert.deepEqual(made.log(), [], "an exec's output is not logged");
});

test('an exec that cannot be executed leaves the container and the client’s socket alone', async () => {
  const made = container({ args: shell('sleep 100'), log: null });
  const { pid } = await made.start();
  for (const [file, code] of [
    ['/bin/none', 127],
    ['/etc', 126],
  ] as const) {
    made.control.send('exec', { process: file, spec: processSpec([file]), stdin: false });
    made.control.send('startExec', { process: file });
    const failed = await made.control.next('failed', file);
    assert.equal(failed.exitCode, code);
    assert.ok(failed.message.includes(file), failed.message);
  }
  made.control.send('startExec', { process: 'unknown' });
  assert.equal((await made.control.next('failed', 'unknown')).exitCode, 125);
  assert.ok(isAlive(pid));
});

test('a process that is stopped on its way into the container does not keep the supervisor', async () => {
  const made = container({ args: shell('echo on; while :; do kill -STOP -1; done'), log: null });
  const client = made.attach();
  await made.start();
  await client.until('on');
  const names = ['a', 'b', 'c', 'd'];
  for (const name of names) {
    made.control.send('exec', { process: name, spec: processSpec(['/bin/busybox', 'true']), stdin: false });
    made.control.send('startExec', { process: name });
  }
  const later = await made.reconnect();
  made.control.send('kill', { process: '', signal: 9, all: false });
  assert.equal((await made.control.next('exited', '')).exitCode, 137);
  for (const name of names) {
    const failed = made.control.events.find(
      ({ event, payload }) => event === 'failed' && Reflect.get(payload, 'process') === name,
    );
    if (failed !== undefined)
      assert.match(String(Reflect.get(failed.payload, 'message')), /another process stops the process/);
  }
  later.socket.destroy();
  assert.equal(await made.gone(), 0);
});

test('the end of the init ends its execs, and is reported last', async () => {
  const made = container({ args: shell('sleep 100'), log: null });
  await made.start();
  made.control.send('exec', { process: 'e', spec: processSpec(shell('echo on; sleep 100')), stdin: false });
  const client = made.attach({ process: 'e' });
  made.control.send('startExec', { process: 'e' });
  await client.until('on\n');
  made.control.send('kill', { process: '', signal: 9, all: false });
  await made.control.next('exited', '');
  assert.equal((await made.control.next('exited', 'e')).exitCode, 137);
  await client.ended;
  await made.gone();
});

test('garbage on one control connection closes that one only', async () => {
  const made = container({ args: shell('sleep 100'), log: null });
  const { pid } = await made.start();
  const huge = Buffer.from([1, 0, 0, 0, 255, 255, 255, 127]);
  const bad: Buffer[] = [
    huge,
    encodeMessage(99, {}),
    encodeMessage(COMMAND_TYPES.kill, { process: '' }),
    encodeMessage(COMMAND_TYPES.attach, { process: '' }),
    Buffer.concat([Buffer.from([1, 0, 0, 0, 2, 0, 0, 0]), Buffer.from('{x')]),
    Buffer.concat([Buffer.from([1, 0, 0, 0, 2, 0, 0, 0]), Buffer.from('[]')]),
  ];
  for (const bytes of bad) {
    const control = await made.reconnect();
    control.socket.write(bytes);
    await control.untilClosed();
  }
  assert.ok(isAlive(pid));
  made.control.send('kill', { process: '', signal: 9, all: false });
  assert.equal((await made.control.next('exited')).signal, 9);
});

test('a control connection that does not read is dropped; a thousand commands in pieces are fine', async () => {
  const made = container({ args: shell('sleep 100'), log: null });
  await made.start();
  const deaf = await made.reconnect();
  deaf.socket.pause();
  const many = Buffer.concat(
    Array.from({ length: 1000 }, (_, index) =>
      encodeMessage(COMMAND_TYPES.resize, { process: '', rows: index, cols: 80 }),
    ),
  );
  for (let at = 0; at < many.length; at += 777) made.control.socket.write(many.subarray(at, at + 777));
  const name = 'n'.repeat(60_000);
  for (let round = 0; round < 40; round++) {
    made.control.send('startExec', { process: name });
    await made.control.next('failed', name);
  }
  await until('the warning', () => made.messages().includes('does not read its events'));
  made.control.send('kill', { process: '', signal: 9, all: false });
  assert.equal((await made.control.next('exited')).signal, 9);
});

test('descriptors do not leak', async () => {
  const made = container({ args: shell('sleep 100'), log: {} });
  await made.start();
  const count = (): number =>
    execFileSync('ls', [`/proc/${made.pid}/fd`], { encoding: 'utf8' })
      .trim()
      .split('\n').length;
  const before = count();
  for (let round = 0; round < 50; round++) {
    const name = `e${round}`;
    made.control.send('exec', { process: name, spec: processSpec(shell('cat')), stdin: true });
    const client = made.attach({ process: name, stdin: true });
    made.control.send('startExec', { process: name });
    client.socket.end('x');
    await made.control.next('exited', name);
    await client.ended;
    client.socket.destroy();
    const control = await made.reconnect();
    const [ours, theirs] = addon().socketPair();
    /* Descriptors that no message claims. */
    const detach = encodeMessage(COMMAND_TYPES.detach, { process: '', attachment: 1 });
    const fd: unknown = Reflect.get(Reflect.get(control.socket, '_handle') as object, 'fd');
    addon().sendWithFds(Number(fd), detach, [ours, theirs]);
    const { closeSync } = await import('node:fs');
    closeSync(ours);
    closeSync(theirs);
    control.socket.destroy();
  }
  await until('all are closed', () => count() <= before);
});

test('soon after its start the supervisor has left the cgroups of the daemon', async () => {
  const made = container({ args: shell('sleep 100'), log: null });
  await made.start();
  const paths = (): string[] =>
    readFileSync(`/proc/${made.pid}/cgroup`, 'utf8')
      .trim()
      .split('\n')
      .map((line) => line.split(':').slice(2).join(':'));
  await until('it is at the root or among its kind', () =>
    paths().every((path) => path === '/' || path === '/mydock-supervisors'),
  );
});

test('without a pid namespace the end of the init ends what it started', async () => {
  const made = container({ args: shell('sleep 100 & echo $!'), log: {}, hostPids: true });
  await made.start();
  assert.equal((await made.control.next('exited')).exitCode, 0);
  const left = Number(made.log()[0]?.log);
  assert.ok(left > 0 && !isAlive(left), `process ${left} lives on`);
});
