/** podman with mydock-runtime in place of its own: what it asks of a runtime, end to end. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { eventually, type Result, run } from '../command.ts';
import { Bundle, RUNTIME } from './bundle.ts';

const found = (await run(['sh', '-c', 'command -v podman'])).code === 0;
const options = found ? {} : { skip: 'podman is not installed' };

let folder: string;
const command: string[] = [];
const podman = (...args: string[]): Promise<Result> => run([...command, ...args]);

async function succeeds(...args: string[]): Promise<string> {
  const result = await podman(...args);
  assert.equal(result.code, 0, `${args.join(' ')}: ${result.stderr}`);
  return result.stdout.trim();
}

before(async () => {
  if (!found) return;
  folder = mkdtempSync(join(tmpdir(), 'podman-'));
  const configuration = join(folder, 'containers.conf');
  writeFileSync(configuration, '[engine]\ncgroup_manager="cgroupfs"\nevents_logger="file"\n');
  process.env['CONTAINERS_CONF'] = configuration;
  mkdirSync(join(folder, 'root'));
  const places = ['--root', join(folder, 'root'), '--runroot', '/run/podman-test', '--storage-driver', 'vfs'];
  command.push('podman', ...places, '--cgroup-manager', 'cgroupfs', '--runtime', RUNTIME);
  const bundle = await Bundle.make();
  const tar = join(folder, 'image.tar');
  await run(['tar', '-C', bundle.rootfs, '-cf', tar, '.']);
  bundle.close();
  await succeeds('import', tar, 'box:1');
});

after(async () => {
  if (!found) return;
  await podman('rm', '--all', '--force', '--time', '0');
  rmSync(folder, { recursive: true, force: true });
});

const RUN = ['run', '--network', 'none'];

test('run: output, exit codes, programs that are not there', options, async () => {
  assert.equal(await succeeds(...RUN, '--rm', 'box:1', 'echo', 'hello'), 'hello');
  assert.equal((await podman(...RUN, '--rm', 'box:1', 'sh', '-c', 'exit 9')).code, 9);
  assert.equal((await podman(...RUN, '--rm', 'box:1', 'nosuch')).code, 127);
  assert.equal((await podman(...RUN, '--rm', 'box:1', '/etc')).code, 126);
});

test('a container from create to rm', options, async () => {
  await succeeds(
    'create',
    '--name',
    'life',
    '--network',
    'none',
    'box:1',
    'sh',
    '-c',
    'echo one; exec sleep 100',
  );
  await succeeds('init', 'life');
  const status = (): Promise<string> => succeeds('inspect', '--format', '{{.State.Status}}', 'life');
  assert.equal(await status(), 'initialized');
  await succeeds('start', 'life');
  await eventually('the log has its output', async () => (await succeeds('logs', 'life')) === 'one');
  assert.equal(await succeeds('exec', 'life', 'echo', 'inside'), 'inside');
  assert.equal((await podman('exec', 'life', 'sh', '-c', 'exit 5')).code, 5);
  assert.equal((await podman('exec', 'life', 'nosuch')).code, 127);
  await succeeds('exec', '--detach', 'life', 'sleep', '50');
  assert.match(await succeeds('top', 'life'), /sleep 100[\s\S]*sleep 50/);
  await succeeds('pause', 'life');
  assert.equal(await status(), 'paused');
  await succeeds('unpause', 'life');
  await succeeds('update', '--memory', '64m', 'life');
  await succeeds('stop', '--time', '0', 'life');
  assert.equal(await status(), 'exited');
  await succeeds('start', 'life');
  await succeeds('kill', 'life');
  await succeeds('rm', '--force', '--time', '0', 'life');
  assert.equal(await succeeds('ps', '--all', '--quiet'), '');
});

test('terminals, users, limits, volumes, namespaces of the host', options, async () => {
  // The pause is podman's: of a container that ends at once it loses the terminal's output, with runc as well.
  const script = ['sh', '-c', 'tty; sleep 1'];
  const terminal = await run([...command, ...RUN, '--rm', '-it', 'box:1', ...script], { tty: true });
  assert.match(terminal.stdout, /\/dev\/pts\/0/);
  assert.equal(await succeeds(...RUN, '--rm', '--user', '5:6', 'box:1', 'id', '-u'), '5');
  const limited = ['--memory', '32m', '--pids-limit', '20', '--read-only', '--cap-add', 'SYS_PTRACE'];
  assert.equal(await succeeds(...RUN, '--rm', ...limited, 'box:1', 'echo', 'limited'), 'limited');
  assert.equal(
    await succeeds(...RUN, '--rm', '-v', `${folder}:/mnt:ro`, 'box:1', 'ls', '/mnt/image.tar'),
    '/mnt/image.tar',
  );
  const host = ['--pid', 'host', '--ipc', 'host', '--uts', 'host', '--privileged'];
  assert.equal(await succeeds(...RUN, '--rm', ...host, 'box:1', 'echo', 'host'), 'host');
});
