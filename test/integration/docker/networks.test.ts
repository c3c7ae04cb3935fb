/** The `docker` program's network verbs, and its network flags of `run`, in each version that is installed. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
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
    const sleeper = async (name: string, ...flags: string[]): Promise<string> => {
      const words = ['run', '-d', '--name', name, '--stop-signal', 'KILL', ...flags];
      return await docker(...words, 'busybox', 'sleep', '100000');
    };
    afterEach(async () => {
      await daemon.removeContainers();
      await docker('network', 'prune', '-f');
    });

    test('create, ls, inspect, rm, prune', async () => {
      const id = await docker('network', 'create', '--subnet', '10.161.0.0/24', '--label', 'a=b', 'one');
      assert.match(id, /^[0-9a-f]{64}$/);
      await docker('network', 'create', '--internal', '--ipv6', '--subnet', 'fd00:161::/64', 'two');
      const listed = await docker(
        'network',
        'ls',
        '--filter',
        'type=custom',
        '--format',
        '{{.Name}} {{.Driver}}',
      );
      assert.equal(listed, 'one bridge\ntwo bridge');
      const template = '{{.Id}} {{(index .IPAM.Config 0).Subnet}} {{.Labels.a}}';
      assert.equal(await docker('network', 'inspect', '-f', template, 'one'), `${id} 10.161.0.0/24 b`);
      await fails(/network with name one already exists/, 'network', 'create', 'one');
      await fails(/network nobody not found|No such network: nobody/, 'network', 'rm', 'nobody');
      assert.equal(await docker('network', 'rm', 'one'), 'one');
      assert.equal(await docker('network', 'prune', '-f'), 'Deleted Networks:\ntwo');
    });

    test('names, aliases and addresses between containers; connect and disconnect while they run', async () => {
      await docker('network', 'create', '--subnet', '10.162.0.0/24', 'first');
      await docker('network', 'create', 'second');
      await sleeper('server', '--network', 'first', '--ip', '10.162.0.33', '--network-alias', 'nick');
      await sleeper('client', '--network', 'first');
      const ping = (name: string): Promise<string> =>
        docker('exec', 'client', 'ping', '-c', '1', '-W', '2', name);
      assert.match(await ping('server'), /10\.162\.0\.33/);
      assert.match(await ping('nick'), /10\.162\.0\.33/);
      for (const name of ['server', 'client']) {
        await docker('network', 'connect', '--alias', `${name}-too`, 'second', name);
      }
      const { stdout } = await daemon.docker(program, ['inspect', 'server']);
      const [{ NetworkSettings }] = JSON.parse(stdout) as [
        { NetworkSettings: { Networks: Record<string, { IPAddress: string }> } },
      ];
      const address = NetworkSettings.Networks['second']?.IPAddress ?? '';
      assert.ok((await ping('server-too')).includes(`(${address})`));
      await fails(/has active endpoints/, 'network', 'rm', 'first');
      await docker('network', 'disconnect', 'first', 'server');
      assert.ok((await ping('server')).includes(`(${address})`));
      assert.equal(
        await docker(
          'inspect',
          '-f',
          '{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}',
          'server',
        ),
        'second',
      );
      assert.match(
        await docker('network', 'inspect', '-f', '{{range .Containers}}{{.Name}} {{end}}', 'first'),
        /^client$/,
      );
    });

    test('published ports of a container on a network of its own', async () => {
      await docker('network', 'create', 'shown');
      await docker(
        'run',
        '-d',
        '--name',
        'web',
        '--network',
        'shown',
        '-p',
        '127.0.0.1:8087:80',
        '--stop-signal',
        'KILL',
        'busybox',
        'httpd',
        '-f',
        '-h',
        '/var/www',
      );
      const page = await fetch('http://127.0.0.1:8087/', { signal: AbortSignal.timeout(30_000) });
      assert.equal(await page.text(), 'served by mydock\n');
      assert.equal(await docker('port', 'web'), '80/tcp -> 127.0.0.1:8087');
      assert.match(
        await docker('ps', '--format', '{{.Ports}} {{.Networks}}'),
        /^127\.0\.0\.1:8087->80\/tcp shown$/,
      );
    });
  });
}
