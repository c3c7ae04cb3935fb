/**
 * Attempts on what the runtime and the daemon leave in reach: the runtime's own program, descriptors, processes that
 * enter the container, sockets, the client's terminal, users and capabilities.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { attackProgram, outcomes, winners } from '../../fixtures/attack.ts';
import { eventually } from '../command.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';
import { Bundle } from '../runtime/bundle.ts';

let daemon: Daemon;
let close: () => Promise<void>;
let program = '';
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
  program = join(daemon.folder, 'attack');
  copyFileSync(await attackProgram(), program);
  // An image that has the program, and names for what the runtime holds open or executes.
  const lines = [
    'ln -s /proc/self/fd /fds; ln -s /proc/self/exe /self; printf "#!/proc/self/exe\\n" > /script',
    'for n in 3 4 5 6 7 8 9 10; do ln -s /proc/self/fd/$n/../.. /out$n; done',
    'echo "1000:x:0:0::/root:/bin/sh" >> /etc/passwd; echo "1000:x:0:" >> /etc/group',
    'mkfifo /fifo; cp /attack /raised; chmod 4755 /raised /script',
    'cp /attack /inherits; /attack inheritable-file /inherits',
  ];
  await daemon.ok('create', '--name', 'maker', 'busybox', 'sh', '-c', lines.join('; '));
  await daemon.ok('cp', program, 'maker:/attack');
  await daemon.ok('start', '-a', 'maker');
  await daemon.ok('commit', 'maker', 'evil');
  await daemon.ok('rm', 'maker');
});
afterEach(async () => await daemon.removeContainers());
after(async () => await close());

async function start(name: string, flags: readonly string[] = [], args = ['sleep', '1000']): Promise<void> {
  await daemon.ok('run', '-d', '--name', name, ...flags, 'evil', ...args);
}

test("the runtime's program is not to be changed by containers that execute it (CVE-2019-5736)", async () => {
  const runtime = () => statSync(join(daemon.execRoot, 'mydock-runtime'));
  const before = runtime();
  await start('self', ['--init']);
  // /proc/self/exe is the runtime in the moment of its exec; it then waits for the FIFO's other end.
  const held = daemon.live(['exec', 'self', '/self', '--log', '/fifo', 'list']);
  const script = await daemon.mydock(['exec', 'self', '/script']);
  assert.notEqual(script.code, 0);
  let output = '';
  await eventually('the runtime runs in the container', async () => {
    output = await daemon.ok('exec', 'self', '/attack', 'programs');
    return Object.keys(outcomes(output)).length > 1;
  });
  assert.deepEqual(winners(output), [], output);
  assert.match(output, /^programs \d+ held EROFS/m);
  for (const path of ['/proc/1/exe', '/sbin/docker-init']) {
    assert.match(await daemon.ok('exec', 'self', '/attack', 'chmod', path), /^chmod held EROFS/, path);
    assert.match(await daemon.ok('exec', 'self', '/attack', 'write', path), /held (EROFS|ETXTBSY)/, path);
  }
  await daemon.ok('rm', '-f', 'self');
  await held.ended;
  assert.equal(runtime().mode, before.mode);
  assert.equal(runtime().ctimeMs, before.ctimeMs);
});

test('no descriptor of the runtime or the daemon is left in the container (CVE-2024-21626)', async () => {
  await start('open');
  for (const flags of [[], ['-t'], ['-u', 'alice']]) {
    for (const verb of [
      ['run', '--rm', ...flags, 'evil'],
      ['exec', ...flags, 'open'],
    ]) {
      const output = await daemon.ok(...verb, '/attack', 'descriptors');
      assert.match(output, /^descriptors held all\r?$/, verb.join(' '));
    }
  }
});

test('no working directory and no program leads out by a descriptor (CVE-2024-21626)', async () => {
  await start('inside');
  const numbers = [3, 4, 5, 6, 7, 8];
  const attempts = numbers.flatMap((number) => [
    ['exec', '-w', `/proc/self/fd/${number}`, 'inside', 'pwd'],
    ['exec', '-w', `/out${number}`, 'inside', 'pwd'],
    ['exec', 'inside', `/fds/${number}/../../bin/sh`, '-c', 'pwd'],
    ['run', '--rm', '-w', `/proc/self/fd/${number}`, 'evil', 'pwd'],
  ]);
  while (attempts.length > 0) {
    await Promise.all(
      attempts.splice(0, 4).map(async (args) => {
        const { code, stdout, stderr } = await daemon.mydock(args);
        assert.ok([125, 126, 127].includes(code), `${args.join(' ')}: ${code} ${stdout}${stderr}`);
        assert.doesNotMatch(stdout, /^\//m, args.join(' '));
      }),
    );
  }
});

for (const [title, flags] of [
  ['as it is', []],
  ['as a tracer in a user namespace', ['--userns', 'auto', '--cap-add', 'SYS_PTRACE']],
] as const) {
  test(`a process that enters is not taken over by the container, ${title} (CVE-2016-9962)`, async () => {
    await start('watcher', flags, ['/attack', 'watch', '/stop']);
    await eventually('it watches', async () => /watching/.test(await daemon.ok('logs', 'watcher')));
    // They fail where the watcher has won and ended.
    for (let turn = 0; turn < 6; turn++) await daemon.mydock(['exec', 'watcher', 'true']);
    await daemon.mydock(['run', '--rm', '--pid', 'container:watcher', 'busybox', 'true']);
    await daemon.mydock(['exec', 'watcher', 'touch', '/stop']);
    await daemon.ok('wait', 'watcher');
    assert.match(await daemon.ok('logs', 'watcher'), /^watch held seen [1-9]/m);
  });
}

test('sockets: none is abstract, and none lets users of the host in (CVE-2020-15257)', async () => {
  await start('served');
  const listener = createServer().listen('\0seen-by-the-test');
  try {
    const output = await daemon.ok(
      'run',
      '--rm',
      '--network',
      'host',
      '-u',
      'alice',
      'evil',
      '/attack',
      'abstract',
    );
    assert.deepEqual(output.split('\n'), ['abstract won @seen-by-the-test', 'abstract held all']);
  } finally {
    listener.close();
  }
  const supervisors = join(daemon.execRoot, 's');
  const paths = [daemon.socket, ...readdirSync(supervisors).map((name) => join(supervisors, name))];
  assert.equal(paths.length, 2);
  const user = '/run/attack-of-a-user';
  copyFileSync(program, user);
  try {
    for (const path of paths) {
      const connect = (uid: number) =>
        execFileSync(user, ['connect', path], { encoding: 'utf8', uid, gid: uid });
      assert.equal(connect(1000), 'connect held EACCES\n', path);
      assert.equal(connect(0), 'connect won \n', path);
    }
  } finally {
    rmSync(user);
  }
});

test("a terminal of the caller's takes no input from the container (TIOCSTI)", async () => {
  const bundle = await Bundle.make();
  try {
    copyFileSync(program, join(bundle.rootfs, 'attack'));
    bundle.configure('/attack terminal');
    const run = (line: readonly string[]): string =>
      execFileSync(program, ['on-terminal', ...line], { encoding: 'utf8', timeout: 60_000 });
    assert.match(run([program, 'terminal']), /^terminal won/);
    assert.match(run(bundle.command(['run', '--bundle', bundle.folder, 'x'])), /^terminal held \w+\r?$/m);
  } finally {
    bundle.close();
  }
});

test('a number is no name of a user or group (CVE-2016-3697)', async () => {
  const line = ['sh', '-c', 'id -u; id -g'];
  assert.equal(await daemon.ok('run', '--rm', '-u', '1000:1000', 'evil', ...line), '1000\n1000');
  await start('users');
  assert.equal(await daemon.ok('exec', '-u', '1000:1000', 'users', ...line), '1000\n1000');
});

test('no capability is inherited by programs that ask for it (CVE-2022-24769, CVE-2022-29162)', async () => {
  await start('inheriting');
  for (const verb of [
    ['run', '--rm', '-u', 'alice', 'evil'],
    ['exec', '-u', 'alice', 'inheriting'],
  ]) {
    assert.equal(await daemon.ok(...verb, '/inherits', 'capabilities'), 'capabilities held 0000000000000000');
  }
});

test('set-user-ID programs, and no-new-privileges', async () => {
  const run = ['run', '--rm', '-u', 'alice'];
  assert.equal(await daemon.ok(...run, 'evil', '/raised', 'user'), 'user won 0');
  const held = [...run, '--security-opt', 'no-new-privileges', 'evil', '/raised', 'user'];
  assert.equal(await daemon.ok(...held), 'user held 1000');
});
