/**
 * The machine goes down and comes back: no process, mount, interface, rule or cgroup of before is there, the exec root
 * is empty, and the data root is what had reached the disk.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { eventually, run } from '../command.ts';
import { TESTING_DOCKER } from '../engine.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

const skip = TESTING_DOCKER && 'about mydockd';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => await close());

function lines(file: string, args: string[]): string[] {
  return execFileSync(file, args, { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line !== '');
}

/** Processes whose working files are below the exec root, or that run in namespaces of containers: all but ours. */
function killAll(pids: readonly string[]): void {
  for (const pid of pids) {
    try {
      process.kill(Number(pid), 'SIGKILL');
    } catch {
      // Ended with the one before it.
    }
  }
}

function mountsBelow(folder: string): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((point) => point.startsWith(`${folder}/`))
    .toReversed();
}

/** Folders that the engine has made in the hierarchies, innermost first. */
function engineCgroups(folder = '/sys/fs/cgroup', inside = false): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap(({ name }) => {
      const ours = inside || name.startsWith('mydock');
      const path = join(folder, name);
      return [...engineCgroups(path, ours), ...(ours ? [path] : [])];
    });
}

/** Everything that does not outlive a reboot. */
async function powerOff(): Promise<void> {
  const supervisors = readdirSync('/proc').filter((pid) => {
    try {
      return /mydock/.test(readFileSync(`/proc/${pid}/comm`, 'utf8')) && /^\d+$/.test(pid);
    } catch {
      return false;
    }
  });
  await daemon.stop('SIGKILL');
  killAll(supervisors);
  const cgroups = engineCgroups();
  killAll(
    cgroups.flatMap((path) => readFileSync(join(path, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean)),
  );
  await eventually('the cgroups are empty', () =>
    engineCgroups().every((path) => readFileSync(join(path, 'cgroup.procs'), 'utf8') === ''),
  );
  for (const path of cgroups) rmdirSync(path);
  for (const folder of [daemon.execRoot, daemon.dataRoot])
    await run(['umount', '-l', ...mountsBelow(folder)]);
  await run(['nft', 'flush', 'ruleset']);
  const links = lines('ip', ['-o', 'link']).map((link) => /^\d+: ([^:@]+)/.exec(link)?.[1] ?? 'lo');
  const deletions = links.filter((name) => name !== 'lo').map((name) => `link delete ${name}\n`);
  // One end of a pair takes the other with it.
  await run(['ip', '-force', '-batch', '-'], { stdin: deletions.join('') });
  rmSync(daemon.execRoot, { recursive: true, force: true });
  rmSync(daemon.socket, { force: true });
}

async function states(): Promise<Record<string, string>> {
  const text = await daemon.ok('ps', '-a', '--format', '{{.Names}} {{.State}}');
  return Object.fromEntries(text.split('\n').map((line) => line.split(' ') as [string, string]));
}

test('restart policies bring back what they say, with addresses, ports, volumes and links', {
  skip,
}, async () => {
  await daemon.ok('network', 'create', '--subnet', '10.66.0.0/24', 'back');
  await daemon.ok('volume', 'create', 'store');
  const start = async (name: string, ...flags: string[]): Promise<string> =>
    await daemon.ok(
      'run',
      '-d',
      '--name',
      name,
      ...flags,
      'busybox',
      'sh',
      '-c',
      'trap "exit 0" TERM; cd /var/www; httpd -p 80; while :; do sleep 1000 & wait; done',
    );
  await Promise.all([
    start('always', '--restart', 'always', '-p', '18091:80', '-v', 'store:/data'),
    start('static', '--restart', 'unless-stopped', '--network', 'back', '--ip', '10.66.0.66'),
    start('failing', '--restart', 'on-failure'),
    start('plain'),
    start('leaving', '--rm'),
    start('halted', '--restart', 'unless-stopped').then(() => daemon.ok('stop', 'halted')),
  ]);
  await Promise.all([
    // Made first in the order of names, it needs the others to run before it.
    start('a-sharer', '--restart', 'always', '--network', 'container:always'),
    start('a-linked', '--restart', 'always', '--link', 'always:web'),
  ]);
  await daemon.ok('exec', 'always', 'sh', '-c', 'echo kept > /data/file; echo upper > /upper');
  await powerOff();
  await daemon.launch();
  await eventually('they are up again', async () => {
    const now = await states();
    return ['always', 'static', 'failing', 'a-sharer', 'a-linked'].every((name) => now[name] === 'running');
  });
  const now = await states();
  assert.deepEqual([now['plain'], now['halted'], now['leaving']], ['exited', 'exited', undefined]);
  assert.equal(await daemon.inspect('plain', '{{.State.ExitCode}} {{.State.OOMKilled}}'), '255 false');
  assert.equal(await daemon.inspect('halted', '{{.State.ExitCode}}'), '0');
  assert.equal(
    await daemon.inspect('static', '{{(index .NetworkSettings.Networks "back").IPAddress}}'),
    '10.66.0.66',
  );
  await eventually('the port answers', async () => {
    const page = await fetch('http://127.0.0.1:18091/').then(
      (answer) => answer.text(),
      () => '',
    );
    return page === 'served by mydock\n';
  });
  assert.equal(await daemon.ok('exec', 'always', 'cat', '/data/file', '/upper'), 'kept\nupper');
  assert.match(await daemon.ok('exec', 'a-linked', 'cat', '/etc/hosts'), /web/);
  assert.equal(await daemon.inspect('a-sharer', '{{.State.Running}}'), 'true');
  assert.match(await daemon.ok('system', 'check'), /no problems/);
  await daemon.removeContainers();
  await daemon.ok('network', 'rm', 'back');
  await daemon.ok('volume', 'rm', 'store');
});

test('what a build has kept is used by the next boot', { skip }, async () => {
  const folder = join(daemon.folder, 'context');
  mkdirSync(folder);
  writeFileSync(join(folder, 'Dockerfile'), 'FROM busybox\nRUN echo built > /file\n');
  const build = async (): Promise<string> =>
    (await daemon.ends(0, ['build', '--progress', 'plain', '-t', 'kept', folder])).stderr;
  await build();
  await powerOff();
  await daemon.launch();
  assert.match(await build(), /CACHED/);
  assert.equal(await daemon.ok('run', '--rm', 'kept', 'cat', '/file'), 'built');
});

test('a clock that is earlier than at the last boot, and files that had not reached the disk', {
  skip,
}, async () => {
  await daemon.ok(
    'run',
    '-d',
    '--name',
    'early',
    '--restart',
    'always',
    'busybox',
    'sh',
    '-c',
    'trap "exit 0" TERM; echo line; while :; do sleep 1000 & wait; done',
  );
  await daemon.ok('run', '-d', '--name', 'torn', '--restart', 'always', 'busybox', 'sleep', '1000');
  const id = await daemon.inspect('torn', '{{.Id}}');
  await powerOff();
  // Of a container's home, nothing is synced: a cut boot may have left the row alone, or files without content.
  const home = join(daemon.dataRoot, 'containers', id);
  for (const name of readdirSync(home)) {
    if (['hostname', 'hosts', 'resolv.conf'].includes(name)) writeFileSync(join(home, name), '');
    else rmSync(join(home, name), { recursive: true, force: true });
  }
  writeFileSync(join(daemon.dataRoot, '.tmp-left-over'), '');
  // As if the last boot's clock had been two days ahead.
  const ahead = new Date(Date.now() + 2 * 86_400_000).toISOString();
  const { DatabaseSync } = await import('node:sqlite');
  {
    using db = new DatabaseSync(join(daemon.dataRoot, 'mydock.db'));
    db.prepare(
      "UPDATE containers SET record = json_set(record, '$.state.startedAt', ?, '$.createdAt', ?) WHERE name = 'early'",
    ).run(ahead, ahead);
  }
  await daemon.launch();
  await eventually('both are up again', async () => {
    const now = await states();
    return now['early'] === 'running' && now['torn'] === 'running';
  });
  const started = Date.parse(await daemon.inspect('early', '{{.State.StartedAt}}'));
  assert.ok(started < Date.parse(ahead));
  assert.match(await daemon.ok('ps', '--filter', 'name=early'), /early/);
  assert.match(await daemon.ok('logs', 'early'), /^line/);
  await daemon.ok('logs', 'torn');
  assert.equal(existsSync(join(home, 'hosts')), true);
  assert.equal(await daemon.ok('exec', 'torn', 'cat', '/etc/hostname'), id.slice(0, 12));
});
