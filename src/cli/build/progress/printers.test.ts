import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { describe, test } from 'node:test';
import type { BuildStatus, BuildVertex } from '../../../api/build-status.ts';
import type { Output } from '../../io.ts';
import { BuildRecord } from './build-record.ts';
import { LogLines, quietLine } from './log-lines.ts';
import { PlainPrinter } from './plain-printer.ts';
import { TerminalPrinter } from './terminal-printer.ts';

const START_MS = Date.parse('2024-01-02T00:00:00Z');

function at(seconds: number): string {
  return new Date(START_MS + seconds * 1000).toISOString();
}

function vertex(digest: string, name: string, change: Partial<BuildVertex> = {}): BuildStatus {
  return { vertexes: [{ digest, name, ...change }] };
}

function log(digest: string, text: string, seconds: number): BuildStatus {
  const data = Buffer.from(text).toString('base64');
  return { logs: [{ vertex: digest, stream: 1, data, timestamp: at(seconds) }] };
}

function screen(size?: { rows: number; columns: number }): { output: Output; text: () => string } {
  const stream = new PassThrough();
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  if (size !== undefined) Object.assign(stream, { isTTY: true, ...size });
  return { output: stream, text: () => Buffer.concat(chunks).toString() };
}

function plain(): { printer: PlainPrinter; text: () => string; clock: { ms: number } } {
  const { output, text } = screen();
  const clock = { ms: START_MS };
  const printer = new PlainPrinter({
    output,
    record: new BuildRecord(),
    color: false,
    now: () => clock.ms,
  });
  return { printer, text, clock };
}

describe('plain progress', () => {
  test('a step has its name, its lines and its end; others wait until it is over', () => {
    const { printer, text } = plain();
    const statuses: BuildStatus[] = [
      vertex('a', '[1/2] RUN make', { started: at(0) }),
      vertex('b', '[2/2] COPY . .', { started: at(0) }),
      vertex('c', 'never begun'),
      log('a', 'one\ntw', 0.1234),
      vertex('b', '[2/2] COPY . .', { started: at(0), completed: at(0.2), cached: true }),
      log('a', 'o\nrest', 12.5),
      vertex('a', '[1/2] RUN make', { started: at(0), completed: at(12.55) }),
      vertex('d', 'exporting', { started: at(13) }),
      vertex('d', 'exporting', { started: at(13), completed: at(13.1), error: 'no room\tleft' }),
    ];
    for (const status of statuses) printer.status(status);
    printer.end();
    assert.equal(
      text(),
      [
        '#1 [1/2] RUN make',
        '#1 0.123 one',
        '#1 12.50 two',
        '#1 12.55 rest',
        '#1 DONE 12.6s',
        '',
        '#2 [2/2] COPY . .',
        '#2 CACHED',
        '',
        '#3 exporting',
        '#3 ERROR: no room\tleft',
        '',
      ].join('\n'),
    );
  });

  test('a silent step gives way to one that prints, and comes back', () => {
    const { printer, text, clock } = plain();
    printer.status(vertex('a', 'A', { started: at(0) }));
    printer.status(vertex('b', 'B', { started: at(0) }));
    printer.status(log('b', 'early\n', 1));
    assert.equal(text(), '#1 A\n');
    clock.ms += 4000;
    printer.status(log('b', 'later\n', 4));
    printer.status(vertex('a', 'A', { started: at(0), completed: at(5) }));
    printer.status(vertex('b', 'B', { started: at(0), completed: at(6) }));
    printer.end();
    assert.equal(
      text(),
      '#1 A\n#1 ...\n\n#2 B\n#2 1.000 early\n#2 4.000 later\n#2 DONE 6.0s\n\n#1 A\n#1 DONE 5.0s\n',
    );
  });

  test('amounts: once at the end where they are quick, now and then where not', () => {
    const { printer, text } = plain();
    const amount = (id: string, current: number, seconds: number, done = false): BuildStatus => ({
      statuses: [
        {
          id,
          vertex: 'a',
          current,
          total: id === 'sha256:1' ? 2_500_000 : 0,
          started: at(0),
          timestamp: at(seconds),
          ...(done ? { completed: at(seconds) } : {}),
        },
      ],
    });
    printer.status(vertex('a', 'A', { started: at(0) }));
    printer.status(amount('sending', 0, 0));
    printer.status(amount('sending', 74, 0, true));
    for (const [bytes, seconds] of [
      [10_000, 1],
      [20_000, 2],
      [1_250_000, 7],
    ] as const) {
      printer.status(amount('sha256:1', bytes, seconds));
    }
    printer.status(amount('sha256:1', 2_500_000, 8, true));
    printer.end();
    assert.equal(
      text(),
      [
        '#1 A',
        '#1 sending 74B done',
        '#1 sha256:1 10.00kB / 2.50MB 1.0s',
        '#1 sha256:1 1.25MB / 2.50MB 7.0s',
        '#1 sha256:1 2.50MB / 2.50MB 8.0s done',
        '',
      ].join('\n'),
    );
  });

  test('what is held and kept is bounded', () => {
    const record = new BuildRecord();
    const { output, text } = screen();
    const printer = new PlainPrinter({ output, record, color: false, now: () => START_MS });
    printer.status(vertex('a', 'A', { started: at(0) }));
    printer.status(vertex('b', 'B', { started: at(0) }));
    const line = `${'x'.repeat(1000)}\n`;
    for (let count = 0; count < 600; count++) printer.status(log('b', line, 1));
    printer.end();
    assert.equal(text().split('xxxxx').length > 600, true, 'nothing is lost');
    assert.ok((record.steps.get('b')?.tail.length ?? 0) <= 400);
  });
});

describe('progress on a terminal', () => {
  test('all steps stay at the end; lines fit, and nothing that steps print is obeyed', (context) => {
    context.mock.timers.enable({ apis: ['setInterval'] });
    const { output, text } = screen({ rows: 10, columns: 40 });
    const clock = { ms: START_MS };
    const printer = new TerminalPrinter({
      output,
      record: new BuildRecord(),
      color: true,
      now: () => clock.ms,
    });
    printer.status(vertex('a', `RUN ${'very '.repeat(20)}long`, { started: at(0) }));
    printer.status(log('a', 'one\r\u001b[31mtwo\u001b[0m\u0007\n', 0.1));
    clock.ms += 1500;
    context.mock.timers.tick(100);
    assert.ok(text().includes('[+] Building 1.5s (0/1)\x1b[K\n'), text());
    assert.ok(text().includes(' => => # two\x1b[0m\x1b[K\n'), text());
    assert.ok(!text().includes('\u001b[31m') && !text().includes('\u0007'));
    printer.status(vertex('a', 'RUN short', { started: at(0), completed: at(1.4) }));
    const before = text().length;
    printer.end();
    const last = text().slice(before);
    assert.equal(
      last,
      '\r\x1b[3A' +
        '\x1b[34m[+] Building 1.5s (1/1) FINISHED\x1b[0m\x1b[K\n' +
        '\x1b[34m => RUN short                      1.4s\x1b[0m\x1b[K\n' +
        '\x1b[J\x1b[?25h',
    );
    for (const line of text().split('\n')) {
      assert.ok(line.replace(/\x1b\[[\d?]*[A-Za-z]|\r/g, '').length < 40, line);
    }
  });

  test('steps that are over make room for those that run', (context) => {
    context.mock.timers.enable({ apis: ['setInterval'] });
    const { output, text } = screen({ rows: 8, columns: 60 });
    const printer = new TerminalPrinter({
      output,
      record: new BuildRecord(),
      color: false,
      now: () => START_MS,
    });
    for (let count = 0; count < 20; count++) {
      printer.status(vertex(`s${count}`, `step ${count}`, { started: at(0), completed: at(1) }));
    }
    printer.status(vertex('run', 'RUN it', { started: at(1) }));
    context.mock.timers.tick(100);
    const frame = text().split('\x1b[?25l').at(-1) ?? '';
    assert.ok(frame.split('\n').length <= 8, frame);
    assert.match(frame, /=> RUN it/);
    printer.end();
    assert.match(text().split('\x1b[J').at(-2) ?? '', /step 0 [\s\S]*step 19 /);
  });

  test('sequences of terminals and directions of writing are taken out', () => {
    assert.equal(quietLine('10%\r20%\r100%\r'), '100%');
    assert.equal(
      quietLine('\u001b]0;title\u0007a\u001b]8;;x\u001b\\b\u009b2Jc\u202ed\tE\u001b(B'),
      'abcd    E',
    );
    assert.equal(quietLine('\u001b[38;5;1mx\u001b[K'), 'x');
  });

  test('a line without end is cut, and characters are not', () => {
    const lines: string[] = [];
    const log = new LogLines();
    const bytes = Buffer.from('ä');
    log.push(1, bytes.subarray(0, 1), (line) => lines.push(line));
    log.push(2, Buffer.from('other\n'), (line) => lines.push(line));
    log.push(1, bytes.subarray(1), (line) => lines.push(line));
    log.push(1, Buffer.alloc(40_000, 'x'), (line) => lines.push(line));
    log.end((line) => lines.push(line));
    assert.equal(lines[0], 'other');
    assert.ok(lines.every((line) => line.length <= 16 * 1024));
    assert.equal(lines.slice(1).join('').length, 40_001);
    assert.ok(lines[1]?.startsWith('äx'));
  });
});
