/** `POST /containers/{id}/wait` misses no exit, however soon it comes, and knows the code after the removal. */
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;

before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => await close());
afterEach(async () => await daemon.removeContainers());

async function create(command: string, hostConfig: object = {}): Promise<string> {
  const body = { Image: 'busybox', Cmd: ['sh', '-c', command], HostConfig: hostConfig };
  return (await daemon.api('POST', '/containers/create', body)).json<{ Id: string }>().Id;
}

const waitFor = async (id: string, condition: string): Promise<number> => {
  const answer = await daemon.api('POST', `/containers/${id}/wait?condition=${condition}`);
  assert.equal(answer.status, 200, answer.text);
  return answer.json<{ StatusCode: number }>().StatusCode;
};

for (const [condition, hostConfig] of [
  ['next-exit', {}],
  ['removed', { AutoRemove: true }],
] as const) {
  test(`${condition}: forty containers that end at once`, async () => {
    for (let round = 0; round < 5; round++) {
      const codes = Array.from({ length: 8 }, (_, i) => round * 8 + i + 1);
      const found = await Promise.all(
        codes.map(async (code) => {
          const id = await create(`exit ${code}`, { ...hostConfig, NetworkMode: 'none' });
          const waiting = waitFor(id, condition);
          // The subscription stands when the headers are there; the daemon reads requests in their order.
          await sleep(20);
          assert.equal((await daemon.api('POST', `/containers/${id}/start`)).status, 204);
          return await waiting;
        }),
      );
      assert.deepEqual(found, codes);
    }
  });
}

test('not-running answers at once where nothing runs, and several clients get the same code', async () => {
  const id = await create('sleep 0.5; exit 6');
  assert.equal(await waitFor(id, 'not-running'), 0);
  await daemon.api('POST', `/containers/${id}/start`);
  const codes = await Promise.all(Array.from({ length: 20 }, () => waitFor(id, 'not-running')));
  assert.deepEqual(new Set(codes), new Set([6]));
});

test('a container that is removed by force wakes those who wait', async () => {
  const id = await create('sleep 1000');
  await daemon.api('POST', `/containers/${id}/start`);
  const waiting = [waitFor(id, 'next-exit'), waitFor(id, 'removed')];
  await sleep(100);
  await daemon.api('DELETE', `/containers/${id}?force=1`);
  assert.deepEqual(await Promise.all(waiting), [137, 137]);
});
