/**
 * The daemon dies in the middle of a pull, push, save or load, at moments spread over the operation's time: after every
 * death the store is consistent, and at the end each operation succeeds. MYDOCK_INTERRUPTIONS gives the number of
 * deaths for each operation.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { busyboxLayer } from '../../fixtures/catalog.ts';
import { makeImage, makeLayer } from '../../fixtures/image.ts';
import { type Registry, startRegistry } from '../../fixtures/registry.ts';
import { makeTar } from '../../fixtures/tar.ts';
import { Daemon } from '../harness.ts';

const DEATHS = Number(process.env['MYDOCK_INTERRUPTIONS'] ?? 3);
const LAYERS = 3;
const LAYER_BYTES = 6_000_000;

let daemon: Daemon;
let registry: Registry;
let reference: string;
before(async () => {
  registry = await startRegistry();
  const layers = Array.from({ length: LAYERS }, (_, i) =>
    makeLayer(makeTar([{ path: `file-${i}`, data: randomBytes(LAYER_BYTES) }]), 'gzip'),
  );
  reference = await registry.push(
    'interrupted',
    'latest',
    makeImage({ layers: [await busyboxLayer(), ...layers] }),
  );
  daemon = await Daemon.start();
});
after(async () => {
  try {
    await daemon.close();
  } finally {
    await registry.stop();
  }
});

interface Operation {
  args: readonly string[];
  /** Brings things to where the operation has all of its work before it. */
  reset: () => Promise<void>;
}

/** Runs the operation once whole, for its time, and then again and again with a death at another moment. */
async function withDeaths({ args, reset }: Operation): Promise<void> {
  await reset();
  const startedAt = performance.now();
  await daemon.ok(...args);
  const wholeMs = performance.now() - startedAt;
  for (let death = 0; death < DEATHS; death++) {
    await reset();
    const live = daemon.live(args);
    const moment = (death + Math.random()) / DEATHS;
    await sleep(moment * wholeMs);
    await daemon.stop('SIGKILL');
    await live.ended;
    await daemon.launch();
    const checked = await daemon.mydock(['system', 'check']);
    assert.equal(
      checked.code,
      0,
      `killed after ${moment.toFixed(3)} of ${args[0]}:\n${checked.stdout}${checked.stderr}`,
    );
  }
  await reset();
  await daemon.ok(...args);
}

const sizes = async (): Promise<void> => {
  const files = Array.from({ length: LAYERS }, (_, i) => `/file-${i}`);
  const output = await daemon.ok('run', '--rm', '--network', 'none', reference, 'wc', '-c', ...files);
  assert.match(output, new RegExp(`${LAYERS * LAYER_BYTES} total`));
};

test('pull', async () => {
  await withDeaths({
    args: ['pull', '-q', reference],
    reset: async () => {
      await daemon.mydock(['rmi', '-f', reference]);
    },
  });
  await sizes();
});

test('push', async () => {
  let count = 0;
  let target = '';
  // A repository of its own each time; the registry must not offer the blobs of another one for mounting either.
  const other = await startRegistry();
  try {
    const pushed: string[] = [];
    const args = ['push', '-q', ''];
    await withDeaths({
      args,
      reset: async () => {
        target = `${other.host}/pushed-${count++}:latest`;
        args[2] = target;
        pushed.push(target);
        await daemon.ok('tag', reference, target);
      },
    });
    for (const name of pushed) await daemon.ok('rmi', name);
    await daemon.ok('pull', '-q', target);
    await daemon.ok('rmi', target);
  } finally {
    await other.stop();
  }
});

test('save', async () => {
  const archive = join(daemon.folder, 'saved.tar');
  await withDeaths({
    args: ['save', '-o', archive, reference],
    reset: async () => rmSync(archive, { force: true }),
  });
  await sizes();
});

test('load', async () => {
  const archive = join(daemon.folder, 'saved.tar');
  const id = await daemon.inspect(reference, '{{.Id}}');
  await withDeaths({
    args: ['load', '-q', '-i', archive],
    reset: async () => {
      await daemon.mydock(['rmi', '-f', reference]);
    },
  });
  assert.equal(await daemon.inspect(reference, '{{.Id}}'), id);
  await sizes();
});
