/** Every verb with the `docker` program, in each version that is installed, against mydockd. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { busyboxImage } from '../../fixtures/catalog.ts';
import type { Registry } from '../../fixtures/registry.ts';
import type { CommandOptions } from '../command.ts';
import { dockerPrograms } from '../engine.ts';
import { type Daemon, daemonWithRegistry } from '../harness.ts';

const programs = dockerPrograms();
let daemon: Daemon;
let registry: Registry;
let close: () => Promise<void>;

if (programs.length === 0) {
  test('the docker program against mydockd', { skip: 'no docker program is installed' }, () => {});
} else {
  before(async () => {
    ({ daemon, registry, close } = await daemonWithRegistry());
  });
  after(async () => await close());
}

for (const program of programs) {
  describe(program, () => {
    afterEach(async () => await daemon.removeContainers());
    const docker = async (...args: string[]): Promise<string> => await dockerWith({}, ...args);
    const dockerWith = async (options: CommandOptions, ...args: string[]): Promise<string> => {
      const result = await daemon.docker(program, args, options);
      assert.equal(result.code, 0, `docker ${args.join(' ')}: ${result.stderr}${result.stdout}`);
      return result.stdout.trimEnd();
    };

    test('version, info', async () => {
      assert.match(await docker('version'), /Server:[\s\S]*API version/);
      assert.match(await docker('info'), /Server Version: /);
    });

    test('pull, images, tag, inspect, rmi', async () => {
      const image = await busyboxImage({ config: { Labels: { program } } });
      const reference = await registry.push('by-docker', 'v1', image);
      assert.match(await docker('pull', reference), /Status: Downloaded newer image/);
      assert.match(await docker('images', '--no-trunc', '-q', reference), new RegExp(`^${image.id}$`));
      await docker('tag', reference, 'renamed');
      assert.equal(await docker('inspect', '--format', '{{.Id}}', 'renamed'), image.id);
      assert.match(await docker('rmi', 'renamed'), /Untagged: renamed:latest/);
      assert.match(await docker('rmi', reference), /Deleted: /);
    });

    test('run: streams, stdin, exit codes', async () => {
      const result = await daemon.docker(program, [
        'run',
        '--rm',
        'busybox',
        'sh',
        '-c',
        'echo out; echo err >&2; exit 42',
      ]);
      assert.deepEqual(result, { code: 42, stdout: 'out\n', stderr: 'err\n' });
      assert.equal(
        await dockerWith({ stdin: 'through\n' }, 'run', '--rm', '-i', 'busybox', 'cat'),
        'through',
      );
      assert.equal((await daemon.docker(program, ['run', '--rm', 'busybox', 'nowhere'])).code, 127);
      assert.equal((await daemon.docker(program, ['run', '--rm', 'busybox', '/etc/passwd'])).code, 126);
    });

    test('run -it on a terminal', async () => {
      const output = await dockerWith(
        { tty: true, size: [30, 90], stdin: '' },
        'run',
        '--rm',
        '-t',
        'busybox',
        'sh',
        '-c',
        'sleep 0.3; stty size; test -t 1 && echo tty',
      );
      assert.match(output, /30 90\s+tty/);
    });

    test('create, start, ps, exec, attach, logs, wait, stop, restart, kill, rm', async () => {
      const id = await docker(
        'create',
        '-i',
        '--name',
        'one',
        'busybox',
        'sh',
        '-c',
        'echo begin; read x; echo got $x; exit 5',
      );
      assert.equal(await docker('start', 'one'), 'one');
      assert.equal(await docker('ps', '-q', '--no-trunc'), id);
      assert.match(await docker('ps'), /Up .*one$/m);
      assert.equal(await docker('exec', 'one', 'echo', 'hello'), 'hello');
      assert.equal((await daemon.docker(program, ['exec', 'one', 'sh', '-c', 'exit 9'])).code, 9);
      const attached = await daemon.docker(program, ['attach', 'one'], { stdin: 'input\n' });
      assert.deepEqual([attached.code, attached.stdout], [5, 'got input\n']);
      assert.equal(await docker('wait', 'one'), '5');
      assert.equal(await docker('logs', 'one'), 'begin\ngot input');
      await docker('rm', 'one');
      await docker('run', '-d', '--name', 'two', 'busybox', 'sleep', '1000');
      await docker('restart', '-t', '0', 'two');
      await docker('stop', '-t', '0', 'two');
      await docker('start', 'two');
      await docker('kill', 'two');
      assert.equal(await docker('wait', 'two'), '137');
      assert.equal(await docker('ps', '-a', '--filter', 'status=exited', '--format', '{{.Names}}'), 'two');
      await docker('rm', '-f', 'two');
    });

    test('the exit code of exec is never lost', async () => {
      await docker('run', '-d', '--name', 'many', 'busybox', 'sleep', '1000');
      for (let round = 0; round < 4; round++) {
        const codes = Array.from({ length: 8 }, (_, i) => i + 1);
        const exits = codes.map((code) =>
          daemon.docker(program, ['exec', 'many', 'sh', '-c', `exit ${code}`]),
        );
        assert.deepEqual(
          (await Promise.all(exits)).map(({ code }) => code),
          codes,
        );
      }
      await docker('rm', '-f', 'many');
    });

    test('logs -f ends with the container', async () => {
      await docker(
        'run',
        '-d',
        '--name',
        'follow',
        'busybox',
        'sh',
        '-c',
        'for i in 1 2 3; do echo $i; sleep 0.2; done',
      );
      assert.equal(await docker('logs', '-f', '--tail', 'all', 'follow'), '1\n2\n3');
      assert.match(await docker('logs', '-t', '--tail', '1', 'follow'), /^\d{4}-\d\d-\d\dT.* 3$/);
      await docker('rm', 'follow');
    });

    test('flags: environment, mounts, limits, ports, labels', async () => {
      const line =
        'echo $A; pwd; id -u; cat /mnt/hostname > /dev/null && echo bound; grep -c " /t tmpfs" /proc/mounts';
      const flags = [
        '-e',
        'A=1',
        '-w',
        '/tmp',
        '-u',
        'alice',
        '-v',
        '/etc:/mnt:ro',
        '--tmpfs',
        '/t',
        '-m',
        '64m',
        '--cpus',
        '0.5',
        '--pids-limit',
        '50',
        '--read-only',
        '--cap-drop',
        'ALL',
        '--security-opt',
        'no-new-privileges',
        '--ulimit',
        'nofile=100',
        '--init',
      ];
      assert.equal(
        await docker('run', '--rm', ...flags, 'busybox', 'sh', '-c', line),
        '1\n/tmp\n1000\nbound\n1',
      );
      await docker(
        'run',
        '-d',
        '--name',
        'web',
        '-p',
        '127.0.0.1:18070:80',
        '--label',
        'a=b',
        'busybox',
        'httpd',
        '-f',
        '-h',
        '/var/www',
      );
      assert.equal(await (await fetch('http://127.0.0.1:18070/')).text(), 'served by mydock\n');
      assert.match(await docker('ps', '--filter', 'label=a=b'), /127\.0\.0\.1:18070->80\/tcp/);
      await docker('rm', '-f', 'web');
    });

    test('errors are the ones that scripts look for', async () => {
      const fails = async (message: RegExp, ...args: string[]): Promise<void> => {
        const result = await daemon.docker(program, args);
        assert.notEqual(result.code, 0);
        assert.match(result.stderr, message);
      };
      await fails(/No such container: nobody/, 'start', 'nobody');
      await fails(/No such container: nobody/, 'rm', 'nobody');
      await fails(/No such image: nothing/, 'rmi', 'nothing');
      await fails(/No such object: nobody/i, 'inspect', 'nobody');
    });
  });
}
