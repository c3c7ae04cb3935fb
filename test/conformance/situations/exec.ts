/** Exec operations. */
import assert from 'node:assert/strict';
import { frames } from '../exchange.ts';
import { created, NOBODY, removed, running, type Stage } from './stage.ts';

const UPGRADE = { connection: 'Upgrade', upgrade: 'tcp' };

export async function driveExec(stage: Stage): Promise<void> {
  const { recorder } = stage;
  const id = await running(stage, 'executing');
  const stopped = await created(stage, 'idle');
  const create = async (what: string, expect: number, body: unknown, container = id): Promise<string> => {
    const operation = 'POST /containers/{id}/exec';
    const answer = await recorder.drive({ operation, what, expect, path: { id: container }, body });
    return answer.status === 201 ? answer.json<{ Id: string }>().Id : '';
  };
  const output = { AttachStdout: true, AttachStderr: true };
  const plain = await create('a command', 201, { ...output, Cmd: ['sh', '-c', 'echo out; exit 5'] });
  const terminal = await create('a terminal', 201, { ...output, Tty: true, Cmd: ['sh', '-c', 'echo out'] });
  const rich = await create('user, folder, environment, privileges', 201, {
    Cmd: ['sleep', '100000'],
    User: 'alice',
    WorkingDir: '/tmp',
    Env: ['A=1'],
    Privileged: true,
  });
  await create('a stopped container', 409, { Cmd: ['true'] }, stopped);
  await create('a missing container', 404, { Cmd: ['true'] }, NOBODY);
  await create('no command', 400, {});
  await create('a wrong type', 400, { Cmd: 'true' });
  await driveStart(stage, { plain, terminal, rich });
  await driveRest(stage, { plain, rich });
  await removed(stage, id, stopped);
}

interface Execs {
  readonly plain: string;
  readonly terminal: string;
  readonly rich: string;
}

async function driveStart({ recorder }: Stage, execs: Execs): Promise<void> {
  const operation = 'POST /exec/{id}/start';
  const start = { operation, expect: 200, body: {} };
  await recorder.drive({
    ...start,
    what: 'attached, without an upgrade',
    path: { id: execs.plain },
    verify: ({ body }) => assert.deepEqual(frames(body), [{ stream: 1, text: 'out\n' }]),
  });
  const upgraded = await recorder.drive({
    ...start,
    what: 'a terminal, with an upgrade',
    expect: 101,
    headers: { ...UPGRADE, 'content-length': '12' },
    body: { Tty: true },
    path: { id: execs.terminal },
  });
  assert.equal(upgraded.text, 'out\r\n');
  await recorder.drive({ ...start, what: 'detached', body: { Detach: true }, path: { id: execs.rich } });
  await recorder.drive({ ...start, what: 'one that has ended', expect: 409, path: { id: execs.plain } });
  await recorder.drive({ ...start, what: 'a missing one', expect: 404, path: { id: NOBODY } });
  await recorder.drive({
    ...start,
    what: 'a wrong type',
    expect: 400,
    body: { Detach: 'x' },
    path: { id: execs.rich },
  });
}

async function driveRest({ recorder }: Stage, { plain, rich }: Pick<Execs, 'plain' | 'rich'>): Promise<void> {
  const inspect = 'GET /exec/{id}/json';
  await recorder.drive({
    operation: inspect,
    what: 'one that has ended',
    expect: 200,
    path: { id: plain },
    verify: (answer) => {
      const { Running, ExitCode } = answer.json<{ Running: boolean; ExitCode: number }>();
      assert.deepEqual({ Running, ExitCode }, { Running: false, ExitCode: 5 });
    },
  });
  await recorder.drive({ operation: inspect, what: 'a running one', expect: 200, path: { id: rich } });
  await recorder.drive({ operation: inspect, what: 'a missing one', expect: 404, path: { id: NOBODY } });
  const operation = 'POST /exec/{id}/resize';
  const query = { h: '24', w: '80' };
  await recorder.drive({ operation, what: 'a running one', expect: 200, path: { id: rich }, query });
  await recorder.drive({ operation, what: 'a missing one', expect: 404, path: { id: NOBODY }, query });
  await recorder.drive({
    operation,
    what: 'a size that is no number',
    expect: 400,
    path: { id: rich },
    query: { h: 'x', w: '1' },
  });
}
