/** `exec`: in the container's namespaces and limits, with its own environment, user, directory, terminal and exit code. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { ExecInspectResponse } from '../../../src/api/exec.ts';
import type { ApiAnswer } from '../api-request.ts';
import { eventually } from '../command.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
  const flags = ['-d', '--name', 'box', '-e', 'FROM_RUN=1', '-w', '/var', '-h', 'box', '-m', '100m'];
  await daemon.ok('run', ...flags, 'busybox', 'sleep', '1000');
});
after(async () => await close());

test('output, error and exit code', async () => {
  const result = await daemon.mydock(['exec', 'box', 'sh', '-c', 'echo out; echo err >&2; exit 7']);
  assert.deepEqual(result, { code: 7, stdout: 'out\n', stderr: 'err\n' });
});

test('it shares namespaces, environment, directory, capabilities and cgroup', async () => {
  assert.equal(
    await daemon.ok('exec', 'box', 'sh', '-c', 'hostname; pwd; echo $FROM_RUN; cat /proc/1/comm'),
    'box\n/var\n1\nsleep',
  );
  assert.equal(
    await daemon.ok(
      'exec',
      'box',
      'sh',
      '-c',
      'cd /proc/self/ns; for n in *; do [ $(readlink $n) = $(readlink /proc/1/ns/$n) ] || echo $n; done',
    ),
    '',
  );
  assert.equal(
    await daemon.ok('exec', 'box', 'sh', '-c', 'grep -E "CapEff|Seccomp:" /proc/self/status'),
    'CapEff:\t00000000a80425fb\nSeccomp:\t2',
  );
  assert.equal(
    await daemon.ok('exec', 'box', 'sh', '-c', 'cmp /proc/1/cgroup /proc/self/cgroup && echo same'),
    'same',
  );
});

test('a command that ends while more is sent to it keeps its output and exit code', async () => {
  const stdin = 'x'.repeat(8_000_000);
  const script = 'head -c 5; seq 20000; exit 6';
  const expected = `xxxxx${Array.from({ length: 20_000 }, (_, index) => `${index + 1}\n`).join('')}`;
  const exec = await daemon.ends(6, ['exec', '-i', 'box', 'sh', '-c', script], { stdin });
  assert.equal(exec.stdout, expected);
  const run = await daemon.ends(6, ['run', '--rm', '-i', 'busybox', 'sh', '-c', script], { stdin });
  assert.equal(run.stdout, expected);
});

test('-e, -u, -w', async () => {
  assert.equal(
    await daemon.ok(
      'exec',
      '-e',
      'A=b',
      '-u',
      'alice',
      '-w',
      '/tmp',
      'box',
      'sh',
      '-c',
      'echo $A $FROM_RUN; id -un; pwd',
    ),
    'b 1\nalice\n/tmp',
  );
});

test('-i reads stdin to its end', async () => {
  const result = await daemon.mydock(['exec', '-i', 'box', 'md5sum'], {
    stdin: Buffer.alloc(1_000_000, 'y'),
  });
  assert.equal(result.code, 0);
  const inside = await daemon.ok('exec', 'box', 'sh', '-c', 'yes y | tr -d "\\n" | head -c 1000000 | md5sum');
  assert.equal(result.stdout.trim(), inside);
});

test('-t gives a terminal of the right size', async () => {
  const live = daemon.live(['exec', '-it', 'box', 'sh'], { tty: true, size: [31, 101] });
  await live.sees(/[$#] /);
  live.type('stty size; exit\n');
  await live.sees(/31 101/);
  assert.equal((await live.ended).code, 0);
});

test('-d leaves it running', async () => {
  assert.equal(await daemon.ok('exec', '-d', 'box', 'sh', '-c', 'sleep 0.2; echo done > /tmp/done'), '');
  await eventually('the detached program writes', async () => {
    const result = await daemon.mydock(['exec', 'box', 'cat', '/tmp/done']);
    return result.stdout === 'done\n';
  });
});

test('127 and 126', async () => {
  const missing = await daemon.mydock(['exec', 'box', 'no-such-program']);
  assert.equal(missing.code, 127);
  assert.match(missing.stdout + missing.stderr, /no-such-program.*executable file not found in \$PATH/s);
  assert.equal((await daemon.mydock(['exec', 'box', '/etc/passwd'])).code, 126);
});

test('a container that does not run, and one that is not there', async () => {
  await daemon.ok('create', '--name', 'idle', 'busybox');
  await daemon.fails(1, /[Cc]ontainer \w+ is not running/, 'exec', 'idle', 'true');
  await daemon.fails(1, /No such container: nobody/, 'exec', 'nobody', 'true');
  await daemon.ok('rm', 'idle');
});

test('many at once', async () => {
  const outputs = await Promise.all(
    Array.from({ length: 12 }, (_, i) => daemon.ok('exec', 'box', 'echo', `number ${i}`)),
  );
  assert.deepEqual(
    outputs,
    Array.from({ length: 12 }, (_, i) => `number ${i}`),
  );
});

test('the exit code is never lost, however quickly it ends', async () => {
  for (let round = 0; round < 6; round++) {
    const codes = Array.from({ length: 8 }, (_, i) => i + 1);
    const exits = codes.map((code) => daemon.mydock(['exec', 'box', 'sh', '-c', `exit ${code}`]));
    assert.deepEqual(
      (await Promise.all(exits)).map(({ code }) => code),
      codes,
    );
  }
});

test('a signal to the client of exec -it arrives; the container lives on', async () => {
  const live = daemon.live(['exec', '-it', 'box', 'sh'], { tty: true });
  await live.sees(/[$#] /);
  live.type('sleep 2000\n');
  await eventually('it sleeps', async () => /sleep 2000/.test(await daemon.ok('top', 'box')));
  live.type('\x03');
  live.type('echo st""ill here; exit 4\n');
  await live.sees(/still here/);
  assert.equal((await live.ended).code, 4);
  assert.equal(await daemon.inspect('box', '{{.State.Running}}'), 'true');
});

test('a second start of a command changes nothing of the first', async () => {
  const name = 'started-twice';
  await daemon.ok('run', '-d', '--name', name, 'busybox', 'sleep', '1000');
  const statuses = [];
  for (let round = 0; round < 5; round++) {
    const Cmd = ['sh', '-c', 'sleep 0.3; exit 7'];
    const { Id } = (await daemon.api('POST', `/containers/${name}/exec`, { Cmd })).json<{ Id: string }>();
    const start = (): Promise<ApiAnswer> => daemon.api('POST', `/exec/${Id}/start`, { Detach: true });
    const answers = await Promise.all([start(), start(), start()]);
    statuses.push(answers.map(({ status }) => status).sort((a, b) => a - b));
    await eventually('the command has ended', async () => {
      const { Running, ExitCode } = (await daemon.api('GET', `/exec/${Id}/json`)).json<ExecInspectResponse>();
      return !Running && ExitCode === 7;
    });
  }
  assert.deepEqual(statuses, Array(5).fill([200, 409, 409]));
  await daemon.ok('pause', name);
  await daemon.ok('rm', '-f', name);
});
