/** volume snapshot create, ls, restore and rm, with containers that use the volume and that do not. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => await close());

async function shell(line: string): Promise<string> {
  return await daemon.ok('run', '--rm', '-v', 'data:/d', 'busybox', 'sh', '-c', line);
}

async function snapshot(...args: string[]): Promise<string> {
  return await daemon.ok('volume', 'snapshot', ...args);
}

test('what was kept comes back', async () => {
  await shell('echo one > /d/x; mkdir /d/folder; touch /d/folder/y; chown 3:4 /d');
  assert.equal(await snapshot('create', 'data', 'first'), 'first');
  await shell('echo two > /d/x; rm -r /d/folder; touch /d/z');
  const random = await snapshot('create', 'data');
  assert.match(random, /^[0-9a-f]{12}$/);
  assert.equal(await snapshot('ls', '-q', 'data'), `first\n${random}`);
  assert.match(await snapshot('ls', 'data'), /^SNAPSHOT +CREATED\nfirst +\d{4}-\d\d-\d\dT.*Z\n/);
  await daemon.ok('create', '--name', 'stopped', '-v', 'data:/d', 'busybox', 'cat', '/d/x');
  assert.equal(await snapshot('restore', 'data', 'first'), 'first');
  assert.equal(await shell('cat /d/x; ls /d; stat -c %u:%g /d'), 'one\nfolder\nx\n3:4');
  assert.equal(await daemon.ok('start', '-a', 'stopped'), 'one');
  await snapshot('restore', 'data', random);
  assert.equal(await shell('cat /d/x; ls /d'), 'two\nx\nz');
  await daemon.ok('rm', 'stopped');
});

test('running containers keep their volume, unless that is forced', async () => {
  await daemon.ok('run', '-d', '--name', 'user', '-v', 'data:/d', 'busybox', 'sleep', '100');
  const id = (await daemon.inspect('user', '{{.Id}}')).slice(0, 12);
  await daemon.fails(
    1,
    new RegExp(`restore data: volume is in use by running containers \\[${id}\\]: stop them, or force it`),
    ...['volume', 'snapshot', 'restore', 'data', 'first'],
  );
  await daemon.ok('exec', 'user', 'sh', '-c', 'echo three > /d/x');
  await snapshot('create', 'data', 'live');
  await snapshot('restore', '-f', 'data', 'first');
  assert.equal(
    await daemon.ok('exec', 'user', 'sh', '-c', 'cat /d/x; ls /d; stat -c %u /d'),
    'one\nfolder\nx\n3',
  );
  await daemon.ok('exec', 'user', 'sh', '-c', 'echo four > /d/x');
  await daemon.ok('rm', '-f', 'user');
  assert.equal(await shell('cat /d/x'), 'four');
  await snapshot('restore', 'data', 'live');
  assert.equal(await shell('cat /d/x'), 'three');
});

/** Stops the runtime of a container that is about to start; undefined where it was too quick for us. */
async function stopRuntime(id: string, started: Promise<unknown>): Promise<number | undefined> {
  let over = false;
  started.finally(() => {
    over = true;
  });
  while (!over) {
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      if (!command.includes('mydock-runtime') || !command.includes(id)) continue;
      process.kill(Number(pid), 'SIGSTOP');
      return Number(pid);
    }
    await setImmediate();
  }
  return undefined;
}

/** False where the process had come to its end before it was stopped. */
function goesOn(pid: number): boolean {
  try {
    return process.kill(pid, 'SIGCONT');
  } catch {
    return false;
  }
}

test('a container that is about to start keeps its volume as a running one does', async () => {
  const id = await daemon.ok(
    'create',
    '--network',
    'none',
    '-v',
    'data:/d',
    'busybox',
    'touch',
    '/d/written',
  );
  const started = daemon.api('POST', `/containers/${id}/start`);
  const pid = await stopRuntime(id, started);
  const restored = await daemon.api('POST', '/volumes/data/snapshots/first/restore');
  const held = pid !== undefined && goesOn(pid);
  assert.equal((await started).status, 204);
  await daemon.ok('wait', id);
  if (held) assert.equal(restored.status, 409, restored.text);
  if (restored.status === 409) assert.match(await shell('ls /d'), /written/);
  await daemon.ok('rm', id);
});

test('snapshots outlive the daemon, and go with their volume where that is said', async () => {
  await daemon.stop('SIGKILL');
  await daemon.launch();
  assert.match(await snapshot('ls', '-q', 'data'), /^first\n[0-9a-f]{12}\nlive$/);
  assert.equal(await snapshot('rm', 'data', 'live'), 'live');
  await daemon.fails(1, /get data: no such snapshot: live/, 'volume', 'snapshot', 'rm', 'data', 'live');
  await daemon.fails(
    1,
    /remove data: volume has snapshots \(.*first.*\): remove them first/,
    'volume',
    'rm',
    'data',
  );
  const unnamed = await daemon.api('POST', '/volumes/data/snapshots', { Name: null });
  assert.equal(unnamed.status, 201, unnamed.text);
  await daemon.fails(1, /"mydock volume snapshot" needs one of/, 'volume', 'snapshot', 'destroy', 'data');
  await daemon.ok('volume', 'rm', '-f', 'data');
  assert.deepEqual(readdirSync(join(daemon.dataRoot, 'volumes')), []);
});
