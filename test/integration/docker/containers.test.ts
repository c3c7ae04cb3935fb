/** The `docker` program's verbs for files, figures and states of containers, in each version that is installed. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { run } from '../command.ts';
import { dockerPrograms } from '../engine.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

const programs = dockerPrograms();
let daemon: Daemon;
let close: () => Promise<void>;

if (programs.length === 0) {
  test('the docker program against mydockd', { skip: 'no docker program is installed' }, () => {});
} else {
  before(async () => {
    ({ daemon, close } = await daemonWithBusybox());
  });
  after(async () => await close());
}

for (const program of programs) {
  describe(program, () => {
    afterEach(async () => await daemon.removeContainers());
    const docker = async (...args: string[]): Promise<string> => {
      const result = await daemon.docker(program, args);
      assert.equal(result.code, 0, `docker ${args.join(' ')}: ${result.stderr}${result.stdout}`);
      return result.stdout.trimEnd();
    };
    const fails = async (message: RegExp, ...args: string[]): Promise<void> => {
      const result = await daemon.docker(program, args);
      assert.notEqual(result.code, 0, args.join(' '));
      assert.match(result.stderr, message);
    };
    const sleeper = async (name: string, ...flags: string[]): Promise<string> =>
      await docker(
        'run',
        '-d',
        '--name',
        name,
        '--stop-signal',
        'KILL',
        ...flags,
        'busybox',
        'sleep',
        '100000',
      );

    test('cp into a container and out of it', async () => {
      await sleeper('files');
      const folder = mkdtempSync(join(tmpdir(), 'cp-'));
      writeFileSync(join(folder, 'in'), 'content\n', { mode: 0o640 });
      symlinkSync('in', join(folder, 'link'));
      await docker('cp', join(folder, 'in'), 'files:/tmp/renamed');
      assert.equal(await docker('exec', 'files', 'cat', '/tmp/renamed'), 'content');
      await docker('cp', join(folder, 'in'), 'files:/tmp');
      assert.equal(await docker('exec', 'files', 'stat', '-c', '%a', '/tmp/in'), '640');
      await docker('cp', '-L', join(folder, 'link'), 'files:/tmp/followed');
      assert.equal(await docker('exec', 'files', 'stat', '-c', '%F', '/tmp/followed'), 'regular file');
      await docker('cp', `${folder}/.`, 'files:/home');
      assert.equal(await docker('exec', 'files', 'readlink', '/home/link'), 'in');
      await docker('cp', 'files:/tmp/in', join(folder, 'out'));
      assert.equal(readFileSync(join(folder, 'out'), 'utf8'), 'content\n');
      assert.equal(statSync(join(folder, 'out')).mode & 0o777, 0o640);
      await docker('cp', 'files:/home', join(folder, 'tree'));
      assert.equal(readFileSync(join(folder, 'tree/in'), 'utf8'), 'content\n');
      const tar = await daemon.docker(program, ['cp', 'files:/tmp/in', '-']);
      assert.match(tar.stdout, /^in\0/);
      const through = await daemon.docker(program, ['cp', '-', 'files:/var'], { stdin: tar.stdout });
      assert.equal(through.code, 0, through.stderr);
      assert.equal(await docker('exec', 'files', 'cat', '/var/in'), 'content');
      await fails(/could not find the file|no such/i, 'cp', 'files:/nowhere', folder);
      await fails(/No such container/i, 'cp', 'nobody:/x', folder);
      await docker('exec', 'files', 'ln', '-s', '/etc/shadow', '/tmp/escape');
      await fails(/could not find the file|no such/i, 'cp', '-L', 'files:/tmp/escape', folder);
    });

    test('cp of a container that does not run', async () => {
      await docker('create', '--name', 'still', '-v', '/kept', 'busybox', 'cat', '/kept/in', '/root/in');
      const folder = mkdtempSync(join(tmpdir(), 'cp-'));
      writeFileSync(join(folder, 'in'), 'early\n');
      await docker('cp', join(folder, 'in'), 'still:/kept/in');
      await docker('cp', join(folder, 'in'), 'still:/root/in');
      assert.equal(await docker('start', '-a', 'still'), 'early\nearly');
      await docker('cp', 'still:/kept/in', join(folder, 'back'));
      assert.equal(readFileSync(join(folder, 'back'), 'utf8'), 'early\n');
    });

    test('diff, export, commit', async () => {
      await docker(
        'run',
        '--name',
        'changed',
        'busybox',
        'sh',
        '-c',
        'echo x > /new; rm /etc/profile; chmod 700 /root',
      );
      const changes = (await docker('diff', 'changed')).split('\n');
      assert.deepEqual(changes.toSorted(), ['A /new', 'C /etc', 'C /root', 'D /etc/profile']);
      const file = join(mkdtempSync(join(tmpdir(), 'export-')), 'root.tar');
      await docker('export', '-o', file, 'changed');
      const { stdout } = await run(['tar', 'tf', file]);
      const names = stdout.split('\n');
      assert.ok(
        names.includes('new') && names.includes('bin/busybox') && !names.includes('etc/profile'),
        stdout,
      );
      const id = await docker(
        'commit',
        '-m',
        'words',
        '-c',
        'CMD ["cat", "/new"]',
        '-c',
        'ENV A=b',
        'changed',
        'committed:v1',
      );
      assert.match(id, /^sha256:[0-9a-f]{64}$/);
      assert.equal(await docker('run', '--rm', 'committed:v1'), 'x');
      assert.match(await docker('inspect', '--format', '{{.Config.Env}} {{.Comment}}', id), /A=b.* words/);
      assert.equal(
        (await daemon.docker(program, ['run', '--rm', 'committed:v1', 'ls', '/etc/profile'])).code,
        1,
      );
      await docker('rmi', 'committed:v1');
    });

    test('pause, unpause, rename, update', async () => {
      await sleeper('state');
      await docker('pause', 'state');
      assert.match(await docker('ps', '--format', '{{.Status}}'), /\(Paused\)/);
      await fails(/is paused/, 'exec', 'state', 'true');
      await docker('unpause', 'state');
      assert.equal(await docker('exec', 'state', 'echo', 'awake'), 'awake');
      await docker('rename', 'state', 'other');
      assert.equal(await docker('ps', '--format', '{{.Names}}'), 'other');
      await docker('update', '-m', '64m', '--memory-swap', '64m', '--restart', 'on-failure:3', 'other');
      const format = '{{.HostConfig.Memory}} {{.HostConfig.RestartPolicy.Name}}';
      assert.equal(await docker('inspect', '--format', format, 'other'), '67108864 on-failure');
    });

    test('top, stats, port', async () => {
      await sleeper('figures', '-m', '64m', '-p', '127.0.0.1:18071:80', '-p', '127.0.0.1:18072:53/udp');
      assert.match(await docker('top', 'figures'), /PID[\s\S]*sleep 100000/);
      assert.match(await docker('top', 'figures', '-o', 'pid,comm'), /PID +COMMAND\n\s*\d+ +sleep/);
      const stats = await docker('stats', '--no-stream', '--format', '{{.Name}} {{.MemUsage}} {{.PIDs}}');
      assert.match(stats, /^figures [\d.]+\w+ \/ 64MiB 1$/);
      assert.deepEqual((await docker('port', 'figures')).split('\n').toSorted(), [
        '53/udp -> 127.0.0.1:18072',
        '80/tcp -> 127.0.0.1:18071',
      ]);
      assert.equal(await docker('port', 'figures', '80/tcp'), '127.0.0.1:18071');
    });

    test('wait, restart, attach, events', async () => {
      const since = String(Math.floor(Date.now() / 1000));
      await docker('run', '-d', '-i', '--name', 'talk', 'busybox', 'sh', '-c', 'read x; echo got $x; exit 8');
      await docker('restart', '-t', '0', 'talk');
      const waiting = docker('wait', 'talk');
      const attached = await daemon.docker(program, ['attach', 'talk'], { stdin: 'this\n' });
      assert.deepEqual([attached.code, attached.stdout], [8, 'got this\n']);
      assert.equal(await waiting, '8');
      const until = String(Math.floor(Date.now() / 1000) + 1);
      const lines = await docker(
        ...['events', '--since', since, '--until', until, '--filter', 'container=talk'],
        ...['--filter', 'type=container', '--format', '{{.Action}}'],
      );
      const seen = lines.split('\n');
      for (const action of ['create', 'start', 'die', 'restart', 'attach'])
        assert.ok(seen.includes(action), lines);
    });

    test('container prune, system df', async () => {
      await sleeper('kept');
      const gone = await docker('create', '--label', 'old=1', 'busybox');
      assert.match(await docker('system', 'df'), /Images +\d+ +1 [\s\S]*Containers +2 +1 /);
      assert.match(await docker('system', 'df', '-v'), /kept/);
      assert.match(await docker('container', 'prune', '-f', '--filter', 'label=new'), /reclaimed space: 0B/i);
      assert.match(await docker('container', 'prune', '-f', '--filter', 'label=old'), new RegExp(gone));
      assert.equal(await docker('ps', '-a', '--format', '{{.Names}}'), 'kept');
    });
  });
}
