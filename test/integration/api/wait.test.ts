/** `POST /containers/{id}/wait` misses no exit, however soon it comes, and knows the code after the removal. */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { after, afterEach, before, test } from 'node:test';
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

/** Resolves when the head of the answer is there: from then on the daemon misses no exit. */
async function beginWait(id: string, condition: string): Promise<{ code: Promise<number> }> {
  const path = `/containers/${id}/wait?condition=${condition}`;
  return await new Promise((resolve, reject) => {
    const outgoing = request({ socketPath: daemon.socket, method: 'POST', path }, (response) => {
      const code = response.toArray().then((parts) => {
        const text = Buffer.concat(parts as Buffer[]).toString();
        assert.equal(response.statusCode, 200, text);
        return (JSON.parse(text) as { StatusCode: number }).StatusCode;
      });
      code.catch(() => {});
      resolve({ code });
    });
    outgoing.once('error', reject);
    outgoing.end();
  });
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
          const waiting = await beginWait(id, condition);
          assert.equal((await daemon.api('POST', `/containers/${id}/start`)).status, 204);
          return await waiting.code;
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
  const waiting = [await beginWait(id, 'next-exit'), await beginWait(id, 'removed')];
  await daemon.api('DELETE', `/containers/${id}?force=1`);
  assert.deepEqual(await Promise.all(waiting.map(({ code }) => code)), [137, 137]);
});
