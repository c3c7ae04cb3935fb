/** linux.namespaces of type user, through the life of a container: what it is inside, and what it is on the host. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, lchownSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { eventually, run } from '../command.ts';
import { Bundle, type Config } from './bundle.ts';

const BASE = 400_000;
const MAPPINGS = [{ containerID: 0, hostID: BASE, size: 65536 }];

let bundle: Bundle;
before(async () => {
  bundle = await Bundle.make();
  // An engine shows the root with mapped owners; here they are on disk.
  const made = await run(['find', bundle.rootfs]);
  for (const path of made.stdout.trimEnd().split('\n')) lchownSync(path, BASE, BASE);
});
after(() => bundle.close());

/** A new user namespace, or that of a path. */
function mapped(config: Config, path?: string): void {
  config.linux.namespaces.push(path === undefined ? { type: 'user' } : { type: 'user', path });
  if (path !== undefined) return;
  config.linux['uidMappings'] = MAPPINGS;
  config.linux['gidMappings'] = MAPPINGS;
}

function hostUid(pid: number): number {
  return Number(/^Uid:\t(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

test('create, start, exec and delete: root inside, nobody outside', async () => {
  bundle.configure('id -u; exec sleep 1000', mapped);
  await bundle.create('mapped');
  const { pid } = await bundle.state('mapped');
  assert.equal(hostUid(pid), BASE, 'the waiting init is not the host’s root');
  await bundle.succeeds(['start', 'mapped']);
  await eventually('the init runs', () => bundle.output === '0\n');
  assert.match(readFileSync(`/proc/${pid}/uid_map`, 'utf8'), /^ +0 +400000 +65536\n$/);
  const script = 'id -u; grep CapEff /proc/self/status; ls /proc/self/fd | wc -l';
  assert.equal(
    await bundle.succeeds(['exec', '--user', '7:8', 'mapped', 'sh', '-c', script]),
    '7\nCapEff:\t0000000000000000\n4\n',
  );
  await bundle.fails(['exec', '--user', '70000', 'mapped', 'true'], /process\.user\.\wid 70000/);
  await bundle.succeeds(['delete', '--force', 'mapped']);
});

test('the container’s root has no power over what is the host’s', async () => {
  const folder = join(bundle.folder, 'host');
  mkdirSync(folder);
  writeFileSync(join(folder, 'secret'), 'host', { mode: 0o600 });
  const script =
    'cat /host/secret; touch /host/new; mount -t tmpfs x /host; kill -9 "$(cat /host-pid)"; ' +
    'echo 1 > /proc/sys/kernel/panic; echo b > /proc/sysrq-trigger; echo done';
  writeFileSync(join(bundle.folder, 'host-pid'), `${process.pid}\n`);
  bundle.configure(script, (config) => {
    mapped(config);
    config.mounts.push(
      { destination: '/host', type: 'bind', source: folder, options: ['rbind'] },
      { destination: '/host-pid', type: 'bind', source: join(bundle.folder, 'host-pid'), options: ['bind'] },
    );
    config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'pid');
    // Without a pid namespace of its own it may not mount procfs.
    config.mounts = config.mounts.map((mount) =>
      mount.destination === '/proc'
        ? { destination: '/proc', type: 'bind', source: '/proc', options: ['rbind', 'ro'] }
        : mount,
    );
    for (const set of ['bounding', 'effective', 'permitted']) {
      config.process.capabilities = {
        ...config.process.capabilities,
        [set]: ['CAP_DAC_OVERRIDE', 'CAP_KILL', 'CAP_SYS_ADMIN', 'CAP_SYS_PTRACE'],
      };
    }
    config.linux['maskedPaths'] = [];
    config.linux['readonlyPaths'] = [];
  });
  const result = await bundle.call(['run', '--bundle', bundle.folder, 'weak']);
  assert.match(result.stdout, /^done$/m);
  assert.doesNotMatch(result.stdout, /^host$/m);
  assert.match(result.stderr, /cat: can't open '\/host\/secret': Permission denied/);
  assert.match(result.stderr, /touch: \/host\/new: Permission denied/);
  assert.match(result.stderr, /can't kill pid \d+: Operation not permitted/);
  assert.match(result.stderr, /can't create \/proc\/sys\/kernel\/panic: (Permission denied|Read-only)/);
});

test('a namespace of a path is joined, by those who may not look where the root is', async () => {
  const holder = spawn('unshare', ['--user', 'sleep', '1000'], { stdio: 'ignore' });
  const path = `/proc/${holder.pid}/ns/user`;
  try {
    await eventually('the holder has its namespace', () => {
      const own = readFileSync('/proc/self/uid_map', 'utf8');
      return readFileSync(`/proc/${holder.pid}/uid_map`, 'utf8') !== own;
    });
    for (const map of ['uid_map', 'gid_map']) {
      writeFileSync(`/proc/${holder.pid}/${map}`, `0 ${BASE} 65536\n`);
    }
    chmodSync(bundle.folder, 0o700);
    bundle.configure('id -u; readlink /proc/self/ns/user', (config) => mapped(config, path));
    const output = await bundle.succeeds(['run', '--bundle', bundle.folder, 'joined']);
    const link = (await run(['readlink', path])).stdout;
    assert.equal(output, `0\n${link}`);
    bundle.configure('true', (config) => {
      mapped(config, path);
      config.linux['uidMappings'] = [{ containerID: 0, hostID: 1, size: 10 }];
    });
    await bundle.fails(
      ['run', '--bundle', bundle.folder, 'other'],
      /linux\.uidMappings differ from those of \/proc/,
    );
  } finally {
    holder.kill('SIGKILL');
  }
});

test('what cannot be is refused by name', async () => {
  const refused: [RegExp, (config: Config) => void][] = [
    [/linux\.uidMappings are missing/, (config) => config.linux.namespaces.push({ type: 'user' })],
    [/linux\.gidMappings need a user namespace/, (config) => (config.linux['gidMappings'] = MAPPINGS)],
    [/\/proc\/self\/ns\/net is not a user namespace/, (config) => mapped(config, '/proc/self/ns/net')],
    [
      /linux\.uidMappings\[1\]\.containerID is in an earlier range/,
      (config) => {
        mapped(config);
        config.linux['uidMappings'] = [...MAPPINGS, { containerID: 9, hostID: 1, size: 1 }];
      },
    ],
  ];
  for (const [message, change] of refused) {
    bundle.configure('true', change);
    await bundle.fails(['run', '--bundle', bundle.folder, 'refused'], message);
  }
});
