import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Container } from './container.ts';
import type { EngineContext } from './engine-context.ts';
import { ExecSessions } from './exec.ts';

const folder = mkdtempSync(join(tmpdir(), 'exec-'));
after(() => rmSync(folder, { recursive: true }));

const engine = { events: { container: () => undefined }, apparmor: {} } as unknown as EngineContext;

function runningContainer(): Container {
  return {
    id: 'c',
    running: true,
    record: { id: 'c', state: { status: 'running', pid: 1 } },
    execs: new Map(),
    freezeGate: { start: (work: () => Promise<void>) => work() },
    // Whatever is asked of it fails: no command can be started.
    supervisor: {},
  } as unknown as Container;
}

const MANY = 5000;

test('of commands that have ended the last thousands are remembered', () => {
  const sessions = new ExecSessions(folder);
  const container = runningContainer();
  const ids = Array.from({ length: MANY + 2 }, () => {
    const session = sessions.create(engine, container, { Cmd: ['true'] });
    session.started(7);
    session.exited(3);
    return session.id;
  });
  assert.throws(() => sessions.get(ids[0] ?? ''), { kind: 'NotFound' });
  assert.throws(() => sessions.get(ids[1] ?? ''), { kind: 'NotFound' });
  assert.deepEqual(sessions.get(ids[2] ?? '').state, { status: 'ended', pid: 7, exitCode: 3 });
  assert.equal(container.execs.size, 0);
});

test('so are those that could not be started', async () => {
  const sessions = new ExecSessions(folder);
  const container = runningContainer();
  const ids: string[] = [];
  for (let i = 0; i <= MANY; i++) {
    const { id } = sessions.create(engine, container, { Cmd: ['true'] });
    ids.push(id);
    await assert.rejects(sessions.start(engine, id, {}, null));
  }
  assert.throws(() => sessions.get(ids[0] ?? ''), { kind: 'NotFound' });
  assert.equal(sessions.get(ids[1] ?? '').state.status, 'ended');
  assert.equal(container.execs.size, 0);
});

test('those that were never started go with their container', () => {
  const sessions = new ExecSessions(folder);
  const [kept, removed] = [runningContainer(), runningContainer()];
  const declare = (container: Container): string => sessions.create(engine, container, { Cmd: ['true'] }).id;
  const ofKept = declare(kept);
  const ofRemoved = Array.from({ length: MANY - 1 }, () => declare(removed));
  removed.record.state = { status: 'removing' } as unknown as Container['record']['state'];
  declare(kept);
  assert.throws(() => sessions.get(ofRemoved[0] ?? ''), { kind: 'NotFound' });
  assert.equal(sessions.get(ofKept).state.status, 'created');
});
