/**
 * What a step is given besides its files, seen from inside of it: networks, hosts, privileges, limits, proxies; by our client
 * and by buildx, with what each needs to be allowed, and what is refused.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { buildxProgram } from '../../fixtures/compose.ts';
import type { Result } from '../command.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
let folder: string;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
  folder = join(daemon.folder, 'context');
  mkdirSync(folder);
});
after(async () => await close());

type Builder = (words: readonly string[]) => Promise<Result>;

const OWN: Builder = (words) =>
  daemon.mydock(['build', '--no-cache', '--progress', 'plain', ...words, folder]);
const BUILDX: Builder = (words) =>
  daemon.docker(buildxProgram() ?? '', ['build', '--no-cache', '--progress', 'plain', ...words, folder]);

const write = (...instructions: string[]): void =>
  writeFileSync(join(folder, 'Dockerfile'), ['FROM busybox', ...instructions, ''].join('\n'));

/** What the step says, line by line. */
async function says(builder: Builder, run: string, ...flags: string[]): Promise<string[]> {
  write(run);
  const { code, stderr } = await builder(flags);
  assert.equal(code, 0, `${run} ${flags.join(' ')}: ${stderr}`);
  return [...stderr.matchAll(/^#\d+ \d+\.\d+ (.*)$/gm)].map((match) => match[1] ?? '');
}

async function refused(builder: Builder, message: RegExp, run: string, ...flags: string[]): Promise<void> {
  write(run);
  const { code, stderr } = await builder(flags);
  assert.notEqual(code, 0, run);
  assert.match(stderr, message, run);
}

const CLIENTS: readonly (readonly [string, Builder, string | false])[] = [
  ['mydock build', OWN, false],
  ['docker buildx build', BUILDX, buildxProgram() === undefined && 'no buildx is installed'],
];

for (const [client, builder, skip] of CLIENTS) {
  describe(client, { skip }, () => {
    test('networks: the bridge, none, the host for who is allowed', async () => {
      const NETWORK = 'echo $(ls /sys/class/net) $(readlink /proc/self/ns/net)';
      const hosts = readlinkSync('/proc/self/ns/net');
      const interfaces = async (run: string, ...flags: string[]): Promise<string> =>
        (await says(builder, `${run} ${NETWORK}`, ...flags))
          .join()
          .replace(hosts, 'HOST')
          .replace(/ net:.*/, '');
      assert.equal(await interfaces('RUN'), 'eth0 lo');
      assert.equal(await interfaces('RUN', '--network', 'default'), 'eth0 lo');
      assert.equal(await interfaces('RUN', '--network', 'none'), 'lo');
      assert.equal(await interfaces('RUN --network=none'), 'lo');
      assert.match(await interfaces('RUN', '--network', 'host', '--allow', 'network.host'), /HOST$/);
      assert.match(await interfaces('RUN --network=host', '--allow', 'network.host'), /HOST$/);
      // The instruction's own goes before that of the build.
      assert.equal(
        await interfaces('RUN --network=none', '--network', 'host', '--allow', 'network.host'),
        'lo',
      );
      await refused(builder, /network\.host is not allowed/, 'RUN --network=host true');
      await refused(builder, /network|unsupported|invalid/i, 'RUN --network=elsewhere true');
    });

    test('the bridge leads to the host, by its name where that is given', async () => {
      const flags = [
        '--add-host',
        'named:10.1.2.3',
        '--add-host',
        'six=fd00::6',
        '--add-host',
        'gate:host-gateway',
      ];
      const lines = await says(
        builder,
        'RUN grep -E "named|six|gate" /etc/hosts | tr "\\t" " "; ip route | sed -n "s/default via \\([^ ]*\\).*/\\1/p"',
        ...flags,
      );
      const gateway = lines.at(-1) ?? '';
      assert.match(gateway, /^\d+\.\d+\.\d+\.\d+$/);
      assert.deepEqual(
        lines.slice(0, -1).sort(),
        [`${gateway} gate`, '10.1.2.3 named', 'fd00::6 six'].sort(),
      );
      // Of the build's and not of the image's.
      write('RUN true');
      assert.equal((await builder([...flags, '-t', 'hosts'])).code, 0);
      assert.doesNotMatch(await daemon.ok('run', '--rm', 'hosts', 'cat', '/etc/hosts'), /named/);
    });

    test('privileges are for steps that ask, in builds that are allowed', async () => {
      const status = 'grep -E "^(CapEff|Seccomp):" /proc/self/status | tr "\\t" " "; ls /dev | grep -c .';
      const [capabilities, filter, devices] = await says(builder, `RUN ${status}`);
      assert.deepEqual([capabilities, filter], ['CapEff: 00000000a80425fb', 'Seccomp: 2']);
      const allow = ['--allow', 'security.insecure'];
      assert.deepEqual(await says(builder, `RUN ${status}`, ...allow), [capabilities, filter, devices]);
      assert.deepEqual(await says(builder, `RUN --security=sandbox ${status}`), [
        capabilities,
        filter,
        devices,
      ]);
      const insecure = await says(
        builder,
        `RUN --security=insecure ${status}; mount -t tmpfs x /mnt 2>&1 || mount -t tmpfs x /tmp`,
        ...allow,
      );
      assert.notEqual(insecure[0], capabilities);
      assert.equal(insecure[1], 'Seccomp: 0');
      assert.ok(Number(insecure[2]) > Number(devices), insecure.join());
      await refused(builder, /security\.insecure is not allowed/, 'RUN --security=insecure true');
      await refused(builder, /is not allowed/, 'RUN --security=insecure true', '--allow', 'network.host');
    });

    test('shared memory and limits of processes', async () => {
      const run = 'RUN ulimit -Sn; ulimit -Hn; df -k /dev/shm | tail -1 | tr -s " " | cut -d" " -f2';
      const flags = ['--shm-size', '4m', '--ulimit', 'nofile=123:456'];
      assert.deepEqual(await says(builder, run, ...flags), ['123', '456', '4096']);
    });

    test('proxies of the configuration are arguments of steps, and in no image', async () => {
      mkdirSync(join(daemon.home, '.docker'), { recursive: true });
      const config = join(daemon.home, '.docker/config.json');
      const proxies = {
        default: { httpProxy: 'http://wrong.example' },
        [`unix://${daemon.socket}`]: {
          httpProxy: 'http://proxy.example:1',
          noProxy: 'a.example',
          ftpProxy: '',
        },
      };
      writeFileSync(config, JSON.stringify({ proxies }));
      try {
        const run = 'RUN env | grep -i _proxy | sort';
        const given = [
          'HTTP_PROXY=http://proxy.example:1',
          'NO_PROXY=a.example',
          'http_proxy=http://proxy.example:1',
          'no_proxy=a.example',
        ];
        assert.deepEqual(await says(builder, run), given);
        const own = ['--build-arg', 'http_proxy=http://mine.example', '--build-arg', 'HTTP_PROXY='];
        assert.deepEqual(await says(builder, `${run} || true`, ...own), [
          'HTTP_PROXY=',
          'NO_PROXY=a.example',
          'http_proxy=http://mine.example',
          'no_proxy=a.example',
        ]);
        write('RUN echo "$HTTP_PROXY" | wc -c');
        assert.equal((await builder(['-t', 'proxied'])).code, 0);
        assert.doesNotMatch(await daemon.inspect('proxied', '{{json .}}'), /proxy\.example/);
        assert.doesNotMatch(await daemon.ok('history', '--no-trunc', 'proxied'), /proxy\.example/);
      } finally {
        writeFileSync(config, '{}');
      }
      // The same image as without.
      const id = await daemon.inspect('proxied', '{{.Id}}');
      write('RUN echo "$HTTP_PROXY" | wc -c');
      const cached = await daemon.ok('build', '-q', folder);
      assert.equal(cached, id, 'a proxy is in no key');
    });
  });
}

test('limits of memory and processors, by our client', async () => {
  const memory = 'cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null';
  const run = `RUN ${memory}; grep -E "^(Cpus|Mems)_allowed_list" /proc/self/status | tr "\\t" " "`;
  const flags = ['--memory', '64m', '--memory-swap', '64m', '--cpuset-cpus', '0', '--cpuset-mems', '0'];
  assert.deepEqual(await says(OWN, run, ...flags), [
    String(64 * 1024 * 1024),
    'Cpus_allowed_list: 0',
    'Mems_allowed_list: 0',
  ]);
  await refused(OWN, /cpuset|memory nodes|Mems|invalid/i, 'RUN true', '--cpuset-mems', '63');
  await refused(OWN, /Linux only supports "default"/, 'RUN true', '--isolation', 'hyperv');
  await refused(
    OWN,
    /does not support setting security options on build/,
    'RUN true',
    '--security-opt',
    'seccomp=x',
  );
  write('RUN true');
  assert.equal((await OWN(['--isolation', 'default', '--disable-content-trust=false'])).code, 0);
});
