import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { clearLogFiles } from './log-files.ts';
import { LogCursor, type LogRange, readLog } from './log-reader.ts';

let directory = '';
let path = '';

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'mydock-log-'));
  path = join(directory, 'x-json.log');
});
afterEach(() => rmSync(directory, { recursive: true }));

function line(text: string, second = 0, stream = 'stdout'): string {
  const time = `2026-01-01T00:00:${String(second).padStart(2, '0')}.000000000Z`;
  return `${JSON.stringify({ log: `${text}\n`, stream, time })}\n`;
}

async function read(range: Partial<LogRange>): Promise<string[]> {
  const texts: string[] = [];
  const lines = readLog(path, { follow: false, ...range }, () => true, new AbortController().signal);
  for await (const batch of lines) texts.push(...batch.map(({ text }) => text.trimEnd()));
  return texts;
}

test('a log that was never written is empty', async () => {
  assert.deepEqual(await read({}), []);
});

test('rotated files are read first, oldest first', async () => {
  writeFileSync(`${path}.2`, line('a'));
  writeFileSync(`${path}.1`, line('b'));
  writeFileSync(path, line('c'));
  assert.deepEqual(await read({}), ['a', 'b', 'c']);
});

test('tail counts over rotated files; more than there are gives all', async () => {
  writeFileSync(`${path}.1`, line('a') + line('b'));
  writeFileSync(path, line('c'));
  assert.deepEqual(await read({ tail: 2 }), ['b', 'c']);
  assert.deepEqual(await read({ tail: 0 }), []);
  assert.deepEqual(await read({ tail: 99 }), ['a', 'b', 'c']);
});

test('tail reads back over many read blocks', async () => {
  const lines = Array.from({ length: 20_000 }, (_, index) => line(`line ${index}`));
  writeFileSync(path, lines.join(''));
  const tail = await read({ tail: 5_000 });
  assert.equal(tail.length, 5_000);
  assert.equal(tail[0], 'line 15000');
});

test('since and until are inclusive bounds', async () => {
  writeFileSync(path, line('a', 1) + line('b', 2) + line('c', 3));
  const second = BigInt(Date.parse('2026-01-01T00:00:02Z')) * 1_000_000n;
  assert.deepEqual(await read({ sinceNs: second }), ['b', 'c']);
  assert.deepEqual(await read({ untilNs: second }), ['a', 'b']);
});

test('a broken line is left out, its neighbours are not', async () => {
  writeFileSync(path, `${line('a')}{"log":"cut\n${line('b')}`);
  assert.deepEqual(await read({}), ['a', 'b']);
});

test('following goes on over a rotation until the container has ended', { timeout: 60_000 }, async () => {
  writeFileSync(path, line('a'));
  let ended = false;
  const texts: string[] = [];
  const lines = readLog(path, { follow: true }, () => ended, new AbortController().signal);
  const done = (async () => {
    for await (const batch of lines) texts.push(...batch.map(({ text }) => text.trimEnd()));
  })();
  const hasRead = async (text: string): Promise<void> => {
    while (!texts.includes(text)) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  await hasRead('a');
  appendFileSync(path, line('b'));
  renameSync(path, `${path}.1`);
  writeFileSync(path, line('c'));
  await hasRead('c');
  appendFileSync(path, line('d'));
  ended = true;
  await done;
  assert.deepEqual(texts, ['a', 'b', 'c', 'd']);
});

test('following stops when the reader goes away', async () => {
  writeFileSync(path, line('a'));
  const controller = new AbortController();
  const lines = readLog(path, { follow: true }, () => false, controller.signal);
  assert.equal((await lines.next()).value?.length, 1);
  const waiting = lines.next();
  controller.abort();
  assert.equal((await waiting).done, true);
});

test('compressed files are read among plain ones, and counted for tail', async () => {
  const numbers = (from: number, to: number): string =>
    Array.from({ length: to - from }, (_, index) => line(String(from + index))).join('');
  writeFileSync(`${path}.3.gz`, gzipSync(numbers(0, 5000)));
  writeFileSync(`${path}.2`, numbers(5000, 5010));
  writeFileSync(`${path}.1.gz`, gzipSync(numbers(5010, 9000)));
  // Left by a compression whose end came between its last two steps.
  writeFileSync(`${path}.1`, numbers(5010, 9000));
  writeFileSync(path, numbers(9000, 9005));
  const all = Array.from({ length: 9005 }, (_, index) => String(index));
  assert.deepEqual(await read({}), all);
  for (const tail of [1, 5, 6, 4000, 4006, 9004, 20_000])
    assert.deepEqual(await read({ tail }), all.slice(-tail), `tail ${tail}`);
});

test('a broken compressed file costs its own rest only', async () => {
  const packed = gzipSync(Array.from({ length: 20_000 }, (_, index) => line(`old ${index}`)).join(''));
  writeFileSync(`${path}.1.gz`, packed.subarray(0, packed.length >> 1));
  writeFileSync(path, line('new'));
  const texts = await read({});
  assert.equal(texts.at(-1), 'new');
  assert.ok(texts.length > 1000 && texts.length < 20_000);
});

test('a follower keeps its place when its file is compressed, and starts anew when the log is emptied', async () => {
  writeFileSync(`${path}.1`, line('one'));
  writeFileSync(path, line('two'));
  const stop = new AbortController();
  const seen: string[] = [];
  let step = 0;
  for await (const batch of readLog(path, { follow: true }, () => false, stop.signal)) {
    seen.push(...batch.map(({ text }) => text.trimEnd()));
    if (seen.at(-1) === 'two' && step === 0) {
      step = 1;
      // What the supervisor does: rotate, then compress with the old inode as the name.
      const { ino } = statSync(path);
      rmSync(`${path}.1`);
      renameSync(path, `${path}.1`);
      writeFileSync(path, line('three'));
      const plain = readFileSync(`${path}.1`);
      writeFileSync(`${path}.1.gz`, named(gzipSync(plain), String(ino)));
      rmSync(`${path}.1`);
    } else if (seen.at(-1) === 'three') {
      clearLogFiles(path);
      assert.ok(!existsSync(`${path}.1.gz`));
      appendFileSync(path, line('4'));
    } else if (seen.at(-1) === '4') stop.abort();
  }
  assert.deepEqual(seen, ['one', 'two', 'three', '4']);
});

/** Writes, rotates and compresses as a supervisor does, as fast as it can: 2,000 lines in files of 5. */
const ROTATOR = `
const { appendFileSync, existsSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } = require('node:fs');
const { gzipSync } = require('node:zlib');
const path = process.argv[1];
for (let number = 0; number < 2000; number++) {
  if (number % 5 === 0 && number > 0) {
    for (let from = 500; from > 0; from--)
      if (existsSync(path + '.' + from + '.gz')) renameSync(path + '.' + from + '.gz', path + '.' + (from + 1) + '.gz');
    const { ino } = statSync(path);
    renameSync(path, path + '.1');
    const packed = gzipSync(readFileSync(path + '.1'));
    packed[3] = 8;
    const name = Buffer.from(ino + '\\0');
    writeFileSync(path + '.tmp', Buffer.concat([packed.subarray(0, 10), name, packed.subarray(10)]));
    renameSync(path + '.tmp', path + '.1.gz');
    rmSync(path + '.1');
  }
  appendFileSync(path, JSON.stringify({ log: number + '\\n', stream: 'stdout', time: '' }) + '\\n');
}
`;

test('nothing is repeated or left out while another process rotates and compresses', async () => {
  const rotator = spawn(process.execPath, ['-e', ROTATOR, path], { stdio: 'inherit' });
  const exit = once(rotator, 'exit');
  const seen: string[] = [];
  const ended = (): boolean => rotator.exitCode !== null;
  const { signal } = new AbortController();
  for await (const batch of readLog(path, { follow: true }, ended, signal))
    seen.push(...batch.map(({ text }) => text.trimEnd()));
  assert.deepEqual(await exit, [0, null]);
  assert.deepEqual(
    seen,
    Array.from({ length: 2000 }, (_, number) => String(number)),
  );
});

/** Puts a name into the header of a gzip file that has none. */
function named(packed: Buffer, name: string): Buffer {
  const header = Buffer.from(packed.subarray(0, 10));
  header[3] = 8;
  return Buffer.concat([header, Buffer.from(`${name}\0`), packed.subarray(10)]);
}

test('another reader goes on where one was, at any line, plain, rotated, compressed and gone', async () => {
  const numbers = Array.from({ length: 40 }, (_, index) => String(index));
  const rotations: ((ino: number) => void)[] = [
    () => undefined,
    () => {
      renameSync(path, `${path}.1`);
      writeFileSync(path, line('next'));
    },
    (ino) => {
      renameSync(path, `${path}.1`);
      writeFileSync(path, line('next'));
      writeFileSync(`${path}.1.gz`, named(gzipSync(readFileSync(`${path}.1`)), String(ino)));
      rmSync(`${path}.1`);
    },
    () => {
      writeFileSync(`${path}.new`, line('next'));
      renameSync(`${path}.new`, path);
    },
  ];
  for (const [kind, rotate] of rotations.entries()) {
    for (const file of [`${path}.1`, `${path}.1.gz`]) rmSync(file, { force: true });
    const text = numbers.map((number) => line(number)).join('');
    const half = text.slice(0, 20 * line('10').length);
    writeFileSync(path, half);
    const { ino } = statSync(path);
    const cursor = new LogCursor();
    const stop = new AbortController();
    const first: string[] = [];
    for await (const batch of readLog(path, { follow: true, tail: 3, cursor }, () => false, stop.signal)) {
      first.push(...batch.map((one) => one.text.trimEnd()));
      cursor.told();
      stop.abort();
    }
    appendFileSync(path, text.slice(half.length));
    rotate(ino);
    const from = { begun: cursor.begun, place: cursor.place };
    const rest = await read({ tail: 3, cursor: new LogCursor(JSON.parse(JSON.stringify(from))) });
    const expected = numbers.slice(numbers.indexOf(first[0] ?? ''));
    if (kind === 3) assert.deepEqual([...first, ...rest], [...first, 'next']);
    else assert.deepEqual([...first, ...rest], kind === 0 ? expected : [...expected, 'next'], `kind ${kind}`);
  }
});

test('a reader that was told nothing yet begins at the same place', async () => {
  writeFileSync(path, line('old'));
  const cursor = new LogCursor();
  const stop = new AbortController();
  const reader = readLog(path, { follow: true, tail: 0, cursor }, () => false, stop.signal);
  const waiting = reader.next();
  while (!cursor.begun) await new Promise((resolve) => setImmediate(resolve));
  stop.abort();
  await waiting;
  appendFileSync(path, line('new'));
  const { begun, place } = cursor;
  assert.deepEqual(await read({ tail: 0, cursor: new LogCursor({ begun, place }) }), ['new']);
  // Where there was no file, all of it is new; a reader that has not looked yet counts its lines itself.
  assert.deepEqual(await read({ tail: 0, cursor: new LogCursor({ begun: true }) }), ['old', 'new']);
  assert.deepEqual(await read({ tail: 0, cursor: new LogCursor({ begun: false }) }), []);
});
