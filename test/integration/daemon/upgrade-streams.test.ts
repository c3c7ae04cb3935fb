/** What a client listens to goes on under the next daemon: no word of it is lost, and none comes twice. */
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { frames } from '../../conformance/exchange.ts';
import { eventually } from '../command.ts';
import { TESTING_DOCKER } from '../engine.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';
import { TestSocket } from '../scoped-socket.ts';

const skip = TESTING_DOCKER && 'about mydockd';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => await close());

/** One request on a connection that is read from now on. */
class Listener {
  readonly socket: Socket;
  bytes = Buffer.alloc(0);

  constructor(path: string, head: string, version = 'HTTP/1.1') {
    this.socket = connect(path);
    this.socket.on('error', () => undefined);
    this.socket.on('data', (piece: Buffer) => {
      this.bytes = Buffer.concat([this.bytes, piece]);
    });
    this.socket.write(`${head} ${version}\r\nHost: x\r\n\r\n`);
  }

  async begins(): Promise<this> {
    await eventually('an answer begins', () => this.bytes.includes('\r\n\r\n'));
    assert.match(this.bytes.toString('latin1'), /^HTTP\/1\.1 200 /);
    return this;
  }

  get body(): Buffer {
    return this.bytes.subarray(this.bytes.indexOf('\r\n\r\n') + 4);
  }

  /** What the chunks hold, and whether the last one has come. */
  chunks(): { text: string; ended: boolean } {
    let text = '';
    for (let rest = this.body; ; ) {
      const end = rest.indexOf('\r\n');
      const length = Number.parseInt(rest.toString('latin1', 0, Math.max(0, end)), 16);
      if (end < 0 || rest.length < end + 4 + length) return { text, ended: false };
      if (length === 0) return { text, ended: true };
      assert.ok(length > 0, `a chunk of ${length} bytes`);
      assert.equal(rest.toString('latin1', end + 2 + length, end + 4 + length), '\r\n');
      text += rest.toString('utf8', end + 2, end + 2 + length);
      rest = rest.subarray(end + 4 + length);
    }
  }
}

test('who is attached before the start gets all of the output, and is heard', { skip }, async () => {
  const id = await daemon.ok(
    'create',
    '-i',
    'busybox',
    'sh',
    '-c',
    'head -n 3; echo said; echo wrong >&2; exit 3',
  );
  const target = `POST /containers/${id}/attach?stream=1&stdin=1&stdout=1&stderr=1`;
  const plain = await new Listener(daemon.socket, target).begins();
  const other = await new Listener(daemon.socket, target.replace('stdin=1&', '')).begins();
  plain.socket.write('typed before\n');
  // The daemon has read it from the connection.
  await daemon.ok('ps');
  await daemon.takeOver();
  plain.socket.write('between\n');
  await daemon.takeOver();
  await daemon.ok('start', id);
  plain.socket.end('after\n');
  await eventually('both end', () => plain.socket.closed && other.socket.closed);
  for (const { body } of [plain, other]) {
    const said = frames(body);
    const out = said.filter(({ stream }) => stream === 1).map(({ text }) => text);
    assert.equal(out.join(''), 'typed before\nbetween\nafter\nsaid\n');
    assert.equal(said.find(({ stream }) => stream === 2)?.text, 'wrong\n');
  }
  await daemon.ok('rm', id);
});

test('an attached client whose container is removed under the next daemon meets the end', {
  skip,
}, async () => {
  const id = await daemon.ok('create', 'busybox', 'true');
  const listener = await new Listener(
    daemon.socket,
    `POST /containers/${id}/attach?stream=1&stdout=1`,
  ).begins();
  await daemon.takeOver();
  assert.ok(!listener.socket.closed);
  await daemon.ok('rm', id);
  await eventually('it ends', () => listener.socket.closed);
  assert.equal(listener.body.length, 0);
});

test('events: each is told once, in order, also what was before', { skip }, async () => {
  await daemon.ok('volume', 'create', 'earlier');
  const filters = encodeURIComponent(JSON.stringify({ type: ['volume'], event: ['create'] }));
  const listener = await new Listener(daemon.socket, `GET /events?since=1&filters=${filters}`).begins();
  const live = daemon.live(['events', '--filter', 'type=volume', '--format', '{{.Action}} {{.Actor.ID}}']);
  const names = ['earlier'];
  let done = false;
  const work = (async (): Promise<void> => {
    while (!done) {
      const name = `v${names.length}`;
      if ((await daemon.api('POST', '/volumes/create', { Name: name })).status === 201) names.push(name);
    }
  })();
  await live.sees(/create v/);
  for (let count = 0; count < 3; count++) await daemon.takeOver();
  done = true;
  await work;
  const last = names.at(-1) ?? '';
  await live.sees(new RegExp(`create ${last}\n`));
  live.child.kill();
  const heard = (): string[] =>
    [...listener.chunks().text.matchAll(/"ID":"([^"]+)"/g)].map(([, name = '']) => name);
  await eventually('the last one is told', () => heard().at(-1) === last);
  assert.deepEqual(heard(), names);
  const seen = live.stdout
    .trim()
    .split('\n')
    .map((line) => line.replace('create ', ''));
  assert.deepEqual(seen, names.slice(names.indexOf(seen[0] ?? '')));
  // Of what was before, the next daemon knows as well.
  const before = await daemon.ok(
    'events',
    '--since',
    '1',
    '--until',
    '0s',
    '--filter',
    'event=create',
    '--format',
    '{{.Actor.ID}}',
  );
  assert.deepEqual(
    before.split('\n').filter((name) => names.includes(name)),
    names,
  );
  listener.socket.destroy();
  await daemon.ok('volume', 'rm', ...names);
});

test('an event stream with an end comes to it, and times go on rising', { skip }, async () => {
  const until = Math.ceil(Date.now() / 1000) + 4;
  const listener = await new Listener(daemon.socket, `GET /events?until=${until}`).begins();
  await daemon.ok('volume', 'create', 'first');
  await daemon.takeOver();
  await daemon.ok('volume', 'rm', 'first');
  await eventually('the stream ends', () => listener.chunks().ended);
  const times = [...listener.chunks().text.matchAll(/"timeNano":(\d+)/g)].map(([, time = '0']) =>
    BigInt(time),
  );
  assert.equal(times.length, new Set(times).size);
  assert.ok(times.every((time, index) => index === 0 || time > (times[index - 1] ?? 0n)));
});

test('events on a scoped socket stay those of its objects', { skip }, async () => {
  const scoped = await TestSocket.create(daemon, '--name', 'own', '--read-only', '--label', 'owner=me');
  const listener = await new Listener(scoped.path, 'GET /events').begins();
  await daemon.takeOver();
  await daemon.ok('create', '--name', 'foreign', 'busybox');
  await daemon.ok('create', '--name', 'mine', '--label', 'owner=me', 'busybox');
  await eventually('its own is told', () => listener.chunks().text.includes('"name":"mine"'));
  assert.ok(!listener.chunks().text.includes('foreign'));
  listener.socket.destroy();
  await scoped.remove();
  await daemon.ok('rm', 'mine', 'foreign');
});

test('logs that are followed go on at their byte, also over a rotation', { skip }, async () => {
  const program =
    'i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo $i; usleep 1000; done; until test -e /go; do usleep 20000; done; echo end';
  await daemon.ok(
    'run',
    '-d',
    '--name',
    'counter',
    '--log-opt',
    'max-size=20k',
    '--log-opt',
    'max-file=50',
    '--log-opt',
    'compress=true',
    'busybox',
    'sh',
    '-c',
    program,
  );
  const all = daemon.live(['logs', '-f', 'counter']);
  const none = await new Listener(
    daemon.socket,
    'GET /containers/counter/logs?follow=1&stdout=1&tail=0',
  ).begins();
  await all.sees(/\n100\n/);
  for (let count = 0; count < 3; count++) await daemon.takeOver();
  // Under another name, it is the same container still.
  await daemon.ok('rename', 'counter', 'renamed');
  await daemon.takeOver();
  await daemon.ok('exec', 'renamed', 'touch', '/go');
  const expected = [...Array.from({ length: 3000 }, (_, index) => String(index + 1)), 'end'];
  assert.deepEqual((await all.ended).stdout.trim().split('\n'), expected);
  await eventually('the raw one ends', () => none.chunks().ended);
  const told = frames(Buffer.from(none.chunks().text)).map(({ text }) => text.trim());
  assert.deepEqual(told, expected.slice(expected.indexOf(told[0] ?? '')));
  await daemon.ok('rm', 'renamed');
});

test('samples go on, and have those before them', { skip }, async () => {
  await daemon.ok('run', '-d', '--name', 'busy', 'busybox', 'sleep', '1000');
  const listener = await new Listener(daemon.socket, 'GET /containers/busy/stats').begins();
  const samples = (): { read: string; preread: string }[] =>
    listener
      .chunks()
      .text.split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as { read: string; preread: string });
  await eventually('two samples', () => samples().length >= 2);
  await daemon.takeOver();
  const count = samples().length;
  await eventually('more', () => samples().length >= count + 2);
  const all = samples();
  for (const [index, { preread }] of all.entries())
    if (index > 0) assert.equal(preread, all[index - 1]?.read);
  await daemon.ok('rm', '-f', 'busy');
  await eventually('it ends with its container', () => listener.chunks().ended);
});

test('a client that does not read is let go, and keeps nobody from a takeover', { skip }, async () => {
  await daemon.ok('run', '-d', '--name', 'flood', 'busybox', 'sh', '-c', 'yes | head -c 4000000; sleep 1000');
  await eventually('it is logged', async () => (await daemon.ok('logs', '--tail', '1', 'flood')) === 'y');
  const listener = await new Listener(daemon.socket, 'GET /containers/flood/logs?follow=1&stdout=1').begins();
  listener.socket.pause();
  const reader = daemon.live(['logs', '-f', '--tail', '1', 'flood']);
  await reader.sees(/y/);
  await daemon.takeOver();
  await daemon.takeOver();
  listener.socket.resume();
  await eventually('it ends', () => listener.socket.closed);
  assert.equal(reader.child.exitCode, null);
  reader.child.kill();
  await daemon.ok('rm', '-f', 'flood');
});

test('a stream without chunks is handed over, and its end here is no fault', { skip }, async () => {
  const from = daemon.log.length;
  const listener = new Listener(daemon.socket, 'GET /events', 'HTTP/1.0');
  await eventually('an answer begins', () => listener.bytes.includes('\r\n\r\n'));
  await daemon.takeOver();
  await daemon.ok('volume', 'create', 'told');
  await eventually('its event comes', () => listener.body.toString().includes('"told"'));
  listener.socket.destroy();
  await daemon.ok('volume', 'rm', 'told');
  assert.doesNotMatch(daemon.log.slice(from), /uncaught/);
});
