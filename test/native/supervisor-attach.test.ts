/** Attachments to a supervised process: stdin, detach keys, terminals, slow and vanished clients. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { afterEach, test } from 'node:test';
import { Container, type ContainerOptions, processSpec, unframe } from './supervisor-harness.ts';

const open: Container[] = [];

function container(options: ContainerOptions): Container {
  const made = new Container(options);
  open.push(made);
  return made;
}

function shell(script: string): string[] {
  return ['/bin/busybox', 'sh', '-c', script];
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

afterEach(async () => {
  for (const made of open.splice(0)) await made.stop();
});

test('cat echoes stdin, and ends with the client’s half-close', async () => {
  const made = container({ args: ['/bin/busybox', 'cat'], stdin: true, stdinOnce: true, log: {} });
  await made.control.next('status');
  const head = Buffer.from('head ').toString('base64');
  const client = made.attach({ stdin: true, framed: true, head });
  made.control.send('start', {});
  const big = Buffer.alloc(3_000_000, 'abcdefghij\n');
  client.socket.write(big);
  client.socket.end('tail');
  assert.equal((await made.control.next('exited')).exitCode, 0);
  await client.ended;
  const { stdout } = unframe(Buffer.concat(client.chunks));
  assert.equal(stdout, `head ${big.toString('latin1')}tail`);
});

test('without StdinOnce stdin stays open for the next client', async () => {
  const made = container({ args: shell('read a; read b; echo "$a $b"'), stdin: true, log: {} });
  await made.start();
  const first = made.attach({ stdin: true });
  first.socket.end('one\n');
  await sleep(50);
  first.socket.destroy();
  assert.equal((await made.control.next('detached')).reason, 'closed');
  const second = made.attach({ stdin: true });
  second.socket.write('two\n');
  await second.until('one two\n');
  assert.equal((await made.control.next('exited')).exitCode, 0);
});

test('a client that leaves ends stdin with StdinOnce', async () => {
  const made = container({ args: shell('cat; echo done'), stdin: true, stdinOnce: true, log: {} });
  await made.start();
  const client = made.attach({ stdin: true });
  client.socket.write('some');
  await client.until('some');
  client.socket.destroy();
  assert.equal((await made.control.next('exited')).exitCode, 0);
  assert.deepEqual(
    made.log().map((line) => line.log),
    ['somedone\n'],
  );
});

test('an exec gets stdin and its end', async () => {
  const made = container({ args: shell('sleep 100'), log: null });
  await made.start();
  made.control.send('exec', { process: 'e', spec: processSpec(shell('busybox wc -c')), stdin: true });
  const client = made.attach({ process: 'e', stdin: true, head: Buffer.alloc(100_000).toString('base64') });
  client.socket.end(Buffer.alloc(900_000));
  await sleep(20);
  made.control.send('startExec', { process: 'e' });
  assert.equal((await made.control.next('exited', 'e')).exitCode, 0);
  await client.ended;
  assert.equal(client.text.trim(), '1000000');
});

test('a process that does not read stdin stops the client, not the container', async () => {
  const made = container({ args: shell('sleep 0.5; exit 9'), stdin: true, stdinOnce: true, log: null });
  await made.control.next('status');
  const client = made.attach({ stdin: true });
  made.control.send('start', {});
  client.socket.write(Buffer.alloc(4_000_000));
  assert.equal((await made.control.next('exited')).exitCode, 9);
  await client.ended;
});

test('detach keys are found in one read and split over several, and only they', async () => {
  const made = container({
    args: shell('stty raw -echo; echo ready; cat'),
    terminal: true,
    stdin: true,
    log: {},
  });
  await made.control.next('status');
  const watcher = made.attach();
  made.control.send('start', {});
  await watcher.until('ready');
  const keys = { stdin: true, detachKeys: [16, 17] };

  const split = made.attach(keys);
  split.socket.write('a\x10');
  await watcher.until('a');
  await sleep(50);
  assert.ok(!watcher.text.includes('\x10'), 'the first key is held back');
  split.socket.write('b\x10\x10');
  await watcher.until('a\x10b\x10');
  split.socket.write('\x11dropped');
  await split.ended;
  assert.deepEqual(await made.control.next('detached'), { process: '', attachment: 2, reason: 'detached' });

  const whole = made.attach(keys);
  whole.socket.write('c\x10\x11dropped');
  await whole.ended;
  assert.equal((await made.control.next('detached')).reason, 'detached');
  await watcher.until('a\x10b\x10c');

  const plain = made.attach({ stdin: true });
  plain.socket.write('\x10\x11!');
  await watcher.until('a\x10b\x10c\x10\x11!');
  assert.ok(!watcher.text.includes('dropped'));
});

test('a terminal: output as stdout, resize, and its end', async () => {
  const made = container({
    args: shell(
      'test -t 0 && test -t 1 && test -t 2 || exit 8; stty size; while :; do read line || exit 9; stty size; [ "$line" = end ] && exit 0; done',
    ),
    terminal: true,
    stdin: true,
    stdinOnce: true,
    log: {},
  });
  await made.control.next('status');
  made.control.send('resize', { process: '', rows: 33, cols: 77 });
  const client = made.attach({ stdin: true, framed: true });
  made.control.send('start', {});
  await client.until('33 77');
  for (let rows = 1; rows <= 1000; rows++) made.control.send('resize', { process: '', rows, cols: 55 });
  await sleep(50);
  client.socket.write('go\n');
  await client.until('1000 55');
  client.socket.end('end\n');
  assert.equal((await made.control.next('exited')).exitCode, 0);
  await client.ended;
  const { stdout, stderr } = unframe(Buffer.concat(client.chunks));
  assert.match(stdout, /^33 77\r\ngo\r\n1000 55\r\nend\r\n1000 55\r\n$/);
  assert.equal(stderr, '');
  assert.ok(made.log().every((line) => line.stream === 'stdout'));
});

test('an exec with a terminal', async () => {
  const made = container({ args: shell('sleep 100'), log: null });
  await made.start();
  made.control.send('exec', {
    process: 't',
    spec: processSpec(shell('read x; stty size; exit 6'), true),
    stdin: true,
  });
  const client = made.attach({ process: 't', stdin: true });
  made.control.send('startExec', { process: 't' });
  await made.control.next('started', 't');
  made.control.send('resize', { process: 't', rows: 12, cols: 34 });
  await sleep(50);
  client.socket.write('\n');
  assert.equal((await made.control.next('exited', 't')).exitCode, 6);
  await client.ended;
  assert.match(client.text, /12 34/);
});

test('the output of a terminal that nobody has open for a while is not lost', async () => {
  const made = container({
    args: shell(
      'tty=$(tty); exec </dev/null >/dev/null 2>&1; sleep 0.2; echo again >$tty; sleep 0.1; echo more >$tty',
    ),
    terminal: true,
    log: {},
  });
  await made.start();
  await made.control.next('exited');
  assert.deepEqual(
    made.log().map((line) => line.log),
    ['again\r\n', 'more\r\n'],
  );
});

test('streams that were not asked for are not sent; several clients each get all', async () => {
  const made = container({ args: shell('echo out; echo err >&2'), log: null });
  await made.control.next('status');
  const out = made.attach({ stderr: false });
  const err = made.attach({ stdout: false, framed: true });
  const both = made.attach({ framed: true });
  made.control.send('start', {});
  await made.control.next('exited');
  for (const client of [out, err, both]) await client.ended;
  assert.equal(out.text, 'out\n');
  assert.deepEqual(unframe(Buffer.concat(err.chunks)), { stdout: '', stderr: 'err\n' });
  assert.deepEqual(unframe(Buffer.concat(both.chunks)), { stdout: 'out\n', stderr: 'err\n' });
});

test('a client that is merely slow gets everything, also after the process has ended', async () => {
  const made = container({ args: shell('busybox seq 1 1000000'), log: null });
  await made.control.next('status');
  const client = made.attach();
  client.socket.pause();
  made.control.send('start', {});
  await made.control.next('started');
  for (let round = 0; round < 40; round++) {
    await sleep(5);
    client.socket.resume();
    await sleep(1);
    client.socket.pause();
  }
  client.socket.resume();
  await made.control.next('exited');
  await client.ended;
  const lines = client.text.split('\n');
  assert.equal(lines.length, 1_000_001);
  assert.equal(lines[999_999], '1000000');
});

test('a client that stops reading stops the process; when it leaves, the process goes on', async () => {
  const made = container({ args: shell('busybox seq 1 600000; exit 2'), log: {} });
  await made.control.next('status');
  const stuck = made.attach();
  stuck.socket.pause();
  made.control.send('start', {});
  await made.control.next('started');
  // On a busy machine it may pause before it is stopped, but then it does not get on by itself to its end.
  const logged = (): string => readFileSync(made.config.log?.path ?? '', 'utf8');
  for (let before = -1; logged().length !== before; ) {
    before = logged().length;
    await sleep(600);
  }
  assert.ok(!logged().includes('"600000\\n"'), 'output went on without the client');
  assert.equal(made.control.events.length, 0);
  stuck.socket.destroy();
  assert.equal((await made.control.next('exited')).exitCode, 2);
  assert.equal(made.log().at(-1)?.log, '600000\n');
});

test('detach by command, half-closed clients, and attaching when all is over', async () => {
  const made = container({ args: shell('read x; echo $x; sleep 0.2'), stdin: true, log: null });
  await made.start();
  const first = made.attach();
  made.control.send('detach', { process: '', attachment: 1 });
  await first.ended;
  assert.equal((await made.control.next('detached')).reason, 'detached');

  const listener = made.attach({ stdin: false });
  listener.socket.end();
  const writer = made.attach({ stdin: true, stdout: false, stderr: false });
  writer.socket.write('word\n');
  await listener.until('word\n');
  writer.socket.destroy();
  assert.deepEqual(await made.control.next('detached'), { process: '', attachment: 3, reason: 'closed' });

  const gone = made.attach({ process: 'unknown' });
  await gone.ended;
  assert.deepEqual(await made.control.next('detached', 'unknown'), {
    process: 'unknown',
    attachment: 4,
    reason: 'ended',
  });
  await made.control.next('exited');
});

test('what the process leaves behind does not hold up its end for more than two seconds', async () => {
  const made = container({ args: shell('sleep 100'), log: null });
  await made.start();
  made.control.send('exec', {
    process: 'e',
    spec: processSpec(shell('sleep 50 & echo left; exit 3')),
    stdin: false,
  });
  const client = made.attach({ process: 'e' });
  const before = Date.now();
  made.control.send('startExec', { process: 'e' });
  assert.equal((await made.control.next('exited', 'e')).exitCode, 3);
  assert.ok(Date.now() - before < 30_000);
  await client.ended;
  assert.equal(client.text, 'left\n');
});

test('a client without stdin that leaves a silent process is noticed', async () => {
  const made = container({ args: shell('sleep 100'), log: null });
  await made.start();
  const client = made.attach();
  await sleep(20);
  client.socket.destroy();
  assert.deepEqual(await made.control.next('detached'), { process: '', attachment: 1, reason: 'closed' });
});

test('a client that pauses for long neither holds up the exit event for ever nor loses output', async () => {
  const made = container({ args: shell('busybox seq 1 300000; exit 5'), log: {} });
  await made.control.next('status');
  const client = made.attach();
  client.socket.pause();
  made.control.send('start', {});
  const before = Date.now();
  assert.equal((await made.control.next('exited')).exitCode, 5);
  const waitedMs = Date.now() - before;
  assert.ok(waitedMs > 9000, `exited after ${waitedMs} ms`);
  assert.equal(made.record().exitCode, 5);
  await made.control.untilClosed();
  client.socket.resume();
  await client.ended;
  assert.equal(client.text.split('\n').length, 300_001);
  assert.equal(await made.gone(), 0);
});
