/** Container operations that stream: logs, attach, stats; and wait. */
import assert from 'node:assert/strict';
import { frames } from '../exchange.ts';
import { created, exited, NOBODY, removed, running, type Stage } from './stage.ts';

const UPGRADE = { connection: 'Upgrade', upgrade: 'tcp' };
const firstLine = (body: Buffer): boolean => body.includes('\n');

export async function driveLogs(stage: Stage): Promise<void> {
  const { recorder } = stage;
  const operation = 'GET /containers/{id}/logs';
  const line = 'echo one; echo two >&2; echo three';
  const id = await exited(stage, 'logging', ['sh', '-c', line]);
  const tty = await exited(stage, 'logging-tty', ['sh', '-c', line], { Tty: true });
  const lines = await exited(stage, 'logging-lines', ['sh', '-c', 'echo a; echo b']);
  const none = await exited(stage, 'logging-none', ['sh', '-c', line], {
    HostConfig: { LogConfig: { Type: 'none' } },
  });
  const both = { stdout: '1', stderr: '1' };
  const logs = async (
    what: string,
    query: Record<string, string>,
    expected: string[],
    container = id,
  ): Promise<void> => {
    await recorder.drive({
      operation,
      what,
      expect: 200,
      path: { id: container },
      query,
      verify: (answer) => {
        const raw = answer.headers['content-type'] === 'application/vnd.docker.raw-stream';
        const found = raw ? [answer.text] : frames(answer.body).map(({ text }) => text);
        assert.deepEqual(found.toSorted(), expected.toSorted());
      },
    });
  };
  await logs('both streams', both, ['one\n', 'three\n', 'two\n']);
  await logs('stdout', { stdout: '1' }, ['one\n', 'three\n']);
  await logs('stderr', { stderr: '1' }, ['two\n']);
  await logs('tail', { stdout: '1', tail: '1' }, ['b\n'], lines);
  await logs('more than there is', { stdout: '1', tail: '9' }, ['a\n', 'b\n'], lines);
  await logs('follow, ended', { ...both, follow: '1' }, ['one\n', 'three\n', 'two\n']);
  await logs('since the future', { ...both, since: '99999999999' }, []);
  await logs('until the past', { ...both, until: '1' }, []);
  await logs('a terminal', both, ['one\r\ntwo\r\nthree\r\n'], tty);
  const fails = async (
    what: string,
    expect: number,
    query: Record<string, string>,
    container = id,
  ): Promise<void> => {
    await recorder.drive({ operation, what, expect, path: { id: container }, query });
  };
  await fails('no stream', 400, {});
  await fails('a time that is none', 400, { ...both, since: 'noon' });
  await fails('a missing container', 404, both, NOBODY);
  await recorder.drive({
    operation,
    what: 'timestamps',
    expect: 200,
    path: { id },
    query: { stdout: '1', timestamps: '1' },
    verify: ({ body }) => assert.match(frames(body)[0]?.text ?? '', /^\d{4}-\d\d-\d\dT[\d:.]{18}Z one\n$/),
  });
  await fails('the log driver none', 501, both, none);
  await removed(stage, id, tty, lines, none);
}

export async function driveAttach(stage: Stage): Promise<void> {
  const { recorder } = stage;
  const operation = 'POST /containers/{id}/attach';
  const query = { stream: '1', stdout: '1', stderr: '1', stdin: '1' };
  const id = await running(stage, 'attached', {
    Cmd: ['sh', '-c', 'while sleep 0.1; do echo tick; done'],
  });
  const tty = await running(stage, 'attached-tty', {
    Tty: true,
    OpenStdin: true,
    Cmd: ['sh', '-c', 'while sleep 0.1; do echo tick; done'],
  });
  const idle = await created(stage, 'idle');
  for (const [what, headers, expect] of [
    ['with an upgrade', UPGRADE, 101],
    ['without an upgrade', undefined, 200],
  ] as const) {
    const common = { operation, expect, query, until: firstLine, ...(headers ? { headers } : {}) };
    await recorder.drive({
      ...common,
      what,
      path: { id },
      verify: ({ body }) => assert.deepEqual(frames(body)[0], { stream: 1, text: 'tick\n' }),
    });
    await recorder.drive({
      ...common,
      what: `a terminal, ${what}`,
      path: { id: tty },
      verify: ({ text }) => assert.match(text, /^(tick\r\n)+/),
    });
  }
  await recorder.drive({
    operation,
    what: 'logs first',
    expect: 200,
    path: { id },
    query: { logs: '1', stdout: '1' },
    verify: ({ body }) => assert.equal(frames(body)[0]?.text, 'tick\n'),
  });
  await recorder.drive({ operation, what: 'a missing container', expect: 404, path: { id: NOBODY }, query });
  await recorder.drive({
    operation,
    what: 'a wrong detach key',
    expect: 400,
    path: { id: tty },
    query: { ...query, detachKeys: 'ctrl-' },
  });
  await driveWebsocket(stage, id);
  await removed(stage, id, tty, idle);
}

async function driveWebsocket({ recorder }: Stage, id: string): Promise<void> {
  await recorder.drive({
    operation: 'GET /containers/{id}/attach/ws',
    what: 'output',
    expect: 101,
    path: { id },
    query: { stream: '1', stdout: '1' },
    headers: {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'dGVzdCBvZiBteWRvY2sxMg==',
    },
    until: firstLine,
    // Text or binary, one frame, not masked (RFC 6455, 5.2).
    verify: ({ body }) => assert.equal(body.subarray(2).toString('utf8').slice(0, 5), 'tick\n'),
  });
}

export async function driveWait(stage: Stage): Promise<void> {
  const { recorder } = stage;
  const operation = 'POST /containers/{id}/wait';
  const next = await running(stage, 'next', { Cmd: ['sh', '-c', 'sleep 0.5; exit 4'] });
  const wait = async (what: string, id: string, condition: string, code: number): Promise<void> => {
    await recorder.drive({
      operation,
      what,
      expect: 200,
      path: { id },
      query: { condition },
      verify: (answer) => assert.equal(answer.json<{ StatusCode: number }>().StatusCode, code),
    });
  };
  await wait('next-exit', next, 'next-exit', 4);
  await wait('not-running', next, 'not-running', 4);
  const automatic = await running(stage, 'automatic', {
    Cmd: ['sh', '-c', 'sleep 0.5; exit 6'],
    HostConfig: { AutoRemove: true },
  });
  await wait('removed', automatic, 'removed', 6);
  await removed(stage, next);
}

export async function driveStats(stage: Stage): Promise<void> {
  const { recorder } = stage;
  const operation = 'GET /containers/{id}/stats';
  const id = await running(stage, 'measured', { HostConfig: { Memory: 67_108_864 } });
  const stopped = await created(stage, 'unmeasured');
  const once = { stream: '0' };
  await recorder.drive({ operation, what: 'once', expect: 200, path: { id }, query: once });
  await recorder.drive({
    operation,
    what: 'one shot',
    expect: 200,
    path: { id },
    query: { ...once, 'one-shot': '1' },
  });
  const until = (body: Buffer): boolean =>
    body.toString().trim().split('\n').length >= 2 && body.at(-1) === 10;
  await recorder.drive({ operation, what: 'a stream', expect: 200, path: { id }, until, lines: true });
  await recorder.drive({
    operation,
    what: 'a stopped container',
    expect: 200,
    path: { id: stopped },
    query: once,
  });
  await recorder.drive({
    operation,
    what: 'a missing container',
    expect: 404,
    path: { id: NOBODY },
    query: once,
  });
  await removed(stage, id, stopped);
}
