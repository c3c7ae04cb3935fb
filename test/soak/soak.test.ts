/**
 * Eight clients do at random whatever the API can, at the same time, and compare every answer with a model; now and then
 * the daemon is killed under them. In the end all is removed, and nothing may be left. MYDOCK_SOAK_MINUTES (default a
 * quarter) and MYDOCK_SOAK_SEED (default from the clock, printed) say how long, and which choices;
 * MYDOCK_SOAK_TAKEOVER_PERCENT how often it is a takeover and no kill.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../integration/command.ts';
import { type Daemon, daemonWithRegistry } from '../integration/harness.ts';
import { SoakClient } from './client.ts';
import { EventWatch } from './event-watch.ts';
import { Random } from './random.ts';
import { SharedNames } from './shared-name.ts';
import { UnsteadyDaemon } from './unsteady-daemon.ts';

const MINUTES = Number(process.env['MYDOCK_SOAK_MINUTES'] ?? 0.25);
const SEED = Number(process.env['MYDOCK_SOAK_SEED'] ?? Date.now() % 1_000_000);
const CLIENTS = 8;
const CHANGE_AFTER_MS = { least: 3000, most: 15_000 };
/** Of the times when the daemon does not go on: another takes over from it. Else it is killed. */
const TAKEOVER_PERCENT = Number(process.env['MYDOCK_SOAK_TAKEOVER_PERCENT'] ?? 40);
const TELL_EVERY_MS = 30_000;
/** What a daemon may have grown by when all is removed. */
const GROWTH_MAX = { mebibytes: 150, descriptors: 20 };

const descriptors = (daemon: Daemon): number => readdirSync(`/proc/${daemon.pid}/fd`).length;

function residentMiB(daemon: Daemon): number {
  const kib = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${daemon.pid}/status`, 'utf8'))?.[1];
  return Number(kib) / 1024;
}

/** Kills or replaces the daemon at random moments until `signal` fires. */
async function changeNowAndThen(
  unsteady: UnsteadyDaemon,
  random: Random,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const waitMs = CHANGE_AFTER_MS.least + random.below(CHANGE_AFTER_MS.most - CHANGE_AFTER_MS.least);
    await sleep(waitMs, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    if (random.chance(TAKEOVER_PERCENT)) await unsteady.takeOver();
    else await unsteady.kill();
  }
}

async function assertNothingLeft(daemon: Daemon, baseImages: number): Promise<void> {
  for (const [path, count] of [
    ['/containers/json?all=1', 0],
    ['/images/json', baseImages],
  ] as const) {
    const { length } = (await daemon.api('GET', path)).json<unknown[]>();
    assert.equal(length, count, path);
  }
  const networks = (await daemon.api('GET', '/networks')).json<{ Name: string }[]>();
  assert.deepEqual(networks.map(({ Name }) => Name).sort(), ['bridge', 'host', 'none']);
  const bridges = (): string[] => readdirSync('/sys/class/net').filter((name) => name.startsWith('br-'));
  assert.deepEqual(bridges(), [], 'bridges');
  const volumes = readdirSync(join(daemon.dataRoot, 'volumes'), { withFileTypes: true });
  assert.deepEqual(
    volumes.filter((entry) => entry.isDirectory()).map(({ name }) => name),
    [],
    'volumes',
  );
  await daemon.ok('system', 'check');
  assert.equal((await daemon.api('POST', '/build/prune?all=1')).status, 200);
  const check = await daemon.ok('system', 'check');
  assert.match(
    check,
    new RegExp(`Checked ${baseImages} images, 1 layers`),
    'layers are gone with their images',
  );
}

test(`eight clients for ${MINUTES} minutes, seed ${SEED}`, {
  timeout: MINUTES * 60_000 + 600_000,
}, async () => {
  const { daemon, registry, close } = await daemonWithRegistry();
  try {
    await soak(daemon);
  } catch (error) {
    // What it left is no news after a difference; the sandbox takes it away, but for what is frozen, which cannot be killed.
    await daemon.removeContainers().catch(() => undefined);
    await daemon.stop('SIGKILL');
    await registry.stop();
    throw error;
  }
  await close();
});

async function soak(daemon: Daemon): Promise<void> {
  const images = (await daemon.api('GET', '/images/json')).json<unknown[]>().length;
  const unsteady = new UnsteadyDaemon(daemon);
  const events = new EventWatch(unsteady);
  await events.start();
  const shared = new SharedNames(unsteady, 3);
  const clients = Array.from(
    { length: CLIENTS },
    (_, index) => new SoakClient(unsteady, events, shared, `c${index}`, SEED * 100 + index),
  );
  const end = new AbortController();
  const timer = setTimeout(() => end.abort(), MINUTES * 60_000);
  const operations = (): number => clients.reduce((sum, client) => sum + client.operations, 0);
  const telling = setInterval(() => {
    process.stderr.write(
      `${operations()} operations, ${unsteady.calls} calls, ${events.count} events, ${unsteady.kills} kills, ${unsteady.takeovers} takeovers\n`,
    );
  }, TELL_EVERY_MS);
  const differences: string[] = [];
  const note = (error: unknown): void => {
    differences.push(error instanceof Error ? error.message : String(error));
    process.stderr.write(`${differences.at(-1)}\n`);
    end.abort();
  };
  try {
    const changing = changeNowAndThen(unsteady, new Random(SEED), end.signal).catch(note);
    await Promise.all(clients.map((client) => client.work(end.signal).catch(note)));
    await changing;
    await unsteady.up();
    if (differences.length === 0) {
      for (const client of clients) await client.clear();
      await shared.settle();
      await events.stop();
      differences.push(...events.differences());
    }
  } finally {
    clearTimeout(timer);
    clearInterval(telling);
    await events.stop();
  }
  assert.deepEqual(
    differences,
    [],
    `seed ${SEED}, ${operations()} operations, ${unsteady.kills} kills\n${differences.join('\n\n')}\n${
      differences.length > 0
        ? daemon.log
            .split('\n')
            .filter((line) => !line.includes('"audit"'))
            .slice(-40)
            .join('\n')
        : ''
    }`,
  );
  process.stderr.write(
    `seed ${SEED}: ${operations()} operations, ${unsteady.kills} kills, ${unsteady.takeovers} takeovers, no difference\n`,
  );
  await assertNothingLeft(daemon, images);
  // The same work again, so that what is kept ready once is not taken for a leak.
  await daemon.stop();
  await daemon.launch();
  const before = { descriptors: descriptors(daemon), memory: residentMiB(daemon) };
  const again = new SoakClient(unsteady, events, shared, 'again', SEED);
  await again.work(AbortSignal.timeout(Math.min(10_000, MINUTES * 10_000)));
  await again.clear();
  await shared.settle();
  await eventually(
    'descriptors are given back',
    () => descriptors(daemon) <= before.descriptors + GROWTH_MAX.descriptors,
  );
  const growth = residentMiB(daemon) - before.memory;
  assert.ok(growth < GROWTH_MAX.mebibytes, `the daemon has grown by ${growth} MiB`);
}
