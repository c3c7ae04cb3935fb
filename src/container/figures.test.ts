import assert from 'node:assert/strict';
import { constants } from 'node:fs';
import { test } from 'node:test';
import { goFileMode, rfc3339 } from './archive/path-stat.ts';
import { describe, listProcesses, parseStat, terminalName } from './process-list.ts';
import { parseHostCpu, parseNetDev } from './stats.ts';
import { parsePsOutput } from './top.ts';

test('a process may be called anything', () => {
  const text = `42 (a) b (c) S 7 42 42 34817 0 0 0 0 0 0 150 50 0 0 20 0 1 0 ${100 * 60} 0 0`;
  const stat = parseStat(text);
  assert.deepEqual(stat, {
    name: 'a) b (c',
    state: 'S',
    parent: 7,
    terminal: 34817,
    cpuTicks: 200,
    startTicks: 6000,
  });
  const row = describe(stat, { bootMs: 0, nowMs: 70_000, command: '' });
  assert.deepEqual([row[0], row[1], row[3], row[4], row[5]], ['7', '20', 'pts/1', '00:00:02', '[a) b (c]']);
});

test('terminals', () => {
  assert.equal(terminalName(0), '?');
  assert.equal(terminalName((136 << 8) | 5), 'pts/5');
  assert.equal(terminalName((4 << 8) | 1), 'tty1');
  assert.equal(terminalName((4 << 8) | 64), 'ttyS0');
});

test('this very process is listed, one that is gone is not', () => {
  const rows = listProcesses([process.pid, 2 ** 22 + 1]);
  assert.equal(rows.length, 1);
  assert.equal(rows[0]?.[1], String(process.pid));
  assert.match(rows[0]?.at(-1) ?? '', /node/);
});

test("ps's table is cut down to the container's processes", () => {
  const output = '  PID USER  COMMAND\n    1 root  init\n   22 app   sleep 10  20\n  333 root  other\n';
  assert.deepEqual(parsePsOutput(output, new Set([22])), {
    Titles: ['PID', 'USER', 'COMMAND'],
    Processes: [['22', 'app', 'sleep 10 20']],
  });
  assert.throws(() => parsePsOutput('USER\nroot\n', new Set([1])), /Couldn't find PID field/);
});

test('host CPU time is that of user to softirq, in nanoseconds', () => {
  const text = 'cpu  1 2 3 4 5 6 7 800 900 0\ncpu0 1 2\ncpu1 1 2\nintr 5\n';
  assert.deepEqual(parseHostCpu(text), { system: 28 * 10_000_000, cpus: 2 });
});

test('interfaces, without the loopback', () => {
  const text = `Inter-|   Receive |  Transmit
 face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed
    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0
  eth0:1234 5 6 7 0 0 0 0 89 10 11 12 0 0 0 0
`;
  assert.deepEqual(parseNetDev(text), {
    eth0: {
      rx_bytes: 1234,
      rx_packets: 5,
      rx_errors: 6,
      rx_dropped: 7,
      tx_bytes: 89,
      tx_packets: 10,
      tx_errors: 11,
      tx_dropped: 12,
    },
  });
});

test("modes have the bits of Go's os.FileMode", () => {
  assert.equal(goFileMode(constants.S_IFREG | 0o644), 0o644);
  assert.equal(goFileMode(constants.S_IFDIR | 0o1777), 2 ** 31 + 2 ** 20 + 0o777);
  assert.equal(goFileMode(constants.S_IFLNK | 0o777), 134_218_239);
  assert.equal(goFileMode(constants.S_IFREG | 0o6755), 2 ** 23 + 2 ** 22 + 0o755);
  assert.equal(goFileMode(constants.S_IFCHR | 0o600), 2 ** 26 + 2 ** 21 + 0o600);
});

test('times to the nanosecond, without zeros at the end, also before 1970', () => {
  assert.equal(rfc3339(1_700_000_000_120_000_000n), '2023-11-14T22:13:20.12Z');
  assert.equal(rfc3339(0n), '1970-01-01T00:00:00Z');
  assert.equal(rfc3339(-1n), '1969-12-31T23:59:59.999999999Z');
});
