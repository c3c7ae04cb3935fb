/** What a RUN leaves and how it ends: its layer, what the next step sees of it, failures, cancelling, floods, shells. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { after, before, describe, test } from 'node:test';
import { RunFailedError } from '../../../src/build/run/run-failed.ts';
import type { PendingLayer } from '../../../src/build/run/run-step.ts';
import { NO_LIMITS } from '../../../src/build/solve-request.ts';
import { eventually } from '../command.ts';
import { EPOCH, RunHarness } from './run-harness.ts';

async function committed(pending: PendingLayer) {
  const layer = await pending.committed;
  assert.ok(layer !== undefined, 'the step has changed something');
  return layer;
}

for (const driver of ['erofs', 'overlay'] as const) {
  describe(`steps, ${driver}`, () => {
    let harness: RunHarness;
    before(async () => {
      harness = await RunHarness.start(['--storage-driver', driver]);
    });
    after(() => harness.close());

    test('what changed is a layer with clamped times, the same bytes each time', async () => {
      const script = `mkdir -p /a/b; echo x > /a/b/f; ln -s f /a/b/l; mkfifo /a/p; touch -d @1000 /a/old
        touch -d @1900000000 /a/future; chown 33:34 /a/old; ln /a/b/f /a/hard; rm /etc/profile`;
      const first = await committed(await harness.run(script));
      assert.deepEqual(await harness.entries(first), [
        `a/ 755 0:0 ${EPOCH}`,
        `a/b/ 755 0:0 ${EPOCH}`,
        `a/b/f 644 0:0 ${EPOCH}`,
        `a/b/l 777 0:0 ${EPOCH}`,
        `a/future 644 0:0 ${EPOCH}`,
        `a/hard 644 0:0 ${EPOCH}`,
        'a/old 644 33:34 1000',
        `a/p 644 0:0 ${EPOCH}`,
        `etc/ 755 0:0 ${EPOCH}`,
        `etc/.wh.profile 600 0:0 0`,
      ]);
      assert.equal((await committed(await harness.run(script))).diffId, first.diffId);
    });

    test('a step that changes nothing makes no layer, also where mount points were missing', async () => {
      for (const script of ['true', 'ls / > /dev/null; cat /etc/hosts /etc/resolv.conf > /dev/null']) {
        const mounts = [
          { type: 'tmpfs', target: '/home/alice/deep/er' },
          { type: 'tmpfs', target: '/var/www' },
        ] as const;
        const pending = await harness.run(script, { mounts: [...mounts] });
        assert.equal(pending.empty, true, script);
        assert.equal(await pending.committed, undefined);
      }
    });

    test('mount points are no part of the layer, and what stands beside them is', async () => {
      const mounts = [{ type: 'tmpfs', target: '/home/alice/cache/x' }] as const;
      const pending = await harness.run('echo y > /home/alice/cache/x/in-mount; echo z > /home/alice/kept', {
        mounts: [...mounts],
      });
      const names = (await harness.entries(await committed(pending))).map((line) => line.split(' ')[0]);
      assert.deepEqual(names, ['home/', 'home/alice/', 'home/alice/kept']);
    });

    test('the next step lies on what is not stored yet, and sees the same times as later', async () => {
      const first = await harness.run('echo 1 > /one; mkdir /d; echo 2 > /d/two; rm /var/www/index.html');
      const script =
        'cat /one /d/two; stat -c %Y / /one /d; test -e /var/www/index.html || echo gone; echo 3 > /d/three';
      const lines: string[] = [];
      const second = await harness.run(script, {
        layers: [harness.base, first],
        output: (text) => lines.push(text),
      });
      const times = [EPOCH, EPOCH, EPOCH].join('\n');
      assert.equal(lines.join(''), `1\n2\n${times}\ngone\n`);
      const stored = await committed(first);
      const again: string[] = [];
      const later = await harness.run(script, {
        layers: [harness.base, stored.diffId],
        output: (text) => again.push(text),
      });
      assert.equal(again.join(''), lines.join(''));
      assert.equal((await committed(later)).diffId, (await committed(second)).diffId);
      const third = await harness.output('cat /one /d/three', { layers: [harness.base, first, second] });
      assert.equal(third, '1\n3\n');
    });

    test('a layer that was released before a step on it ended is there until then', async () => {
      const first = await harness.run('echo 1 > /one');
      const started = Promise.withResolvers<void>();
      const second = harness.run('echo started; sleep 1; cat /one', {
        layers: [harness.base, first],
        output: () => started.resolve(),
      });
      await started.promise;
      await first.release();
      await second;
      await eventually('its directory is gone', () => !existsSync(first.upper));
    });

    test('ten steps in a row are ten layers', async () => {
      const layers: PendingLayer[] = [];
      for (let i = 0; i < 10; i++) {
        layers.push(await harness.run(`echo ${i} >> /log`, { layers: [harness.base, ...layers] }));
      }
      const output = await harness.output('cat /log', { layers: [harness.base, ...layers] });
      assert.equal(output, '0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n');
      const ids = await Promise.all(layers.map(async (layer) => (await committed(layer)).diffId));
      assert.equal(new Set(ids).size, 10);
    });
  });
}

describe('the end of a step', () => {
  let harness: RunHarness;
  before(async () => {
    harness = await RunHarness.start();
  });
  after(() => harness.close());

  test('a code other than 0 fails with the last output', async () => {
    const failed = harness.run('echo out; echo err >&2; exit 7');
    await assert.rejects(failed, (error: unknown) => {
      assert.ok(error instanceof RunFailedError);
      assert.equal(error.exitCode, 7);
      assert.deepEqual(error.lastOutput.split('\n').sort(), ['err', 'out']);
      assert.match(
        error.message,
        /^process "\/bin\/sh -c echo out.*" did not complete successfully: exit code: 7$/,
      );
      return true;
    });
    assert.deepEqual(harness.service.failedSteps(), []);
  });

  test('folders deeper than any path go with the step that made them, and before the next start', async () => {
    const script = 'n=$(printf %0200d 0); while mkdir $n && cd $n; do :; done 2>/dev/null; exit 3';
    await assert.rejects(harness.run(script), /exit code: 3/);
    await eventually('nothing is left', () => Promise.resolve(harness.leftovers().length === 0));
    // As a daemon leaves it that is killed before it has removed all.
    const folder = join(harness.dataRoot, 'build/runs/killed');
    const name = 'd'.repeat(200);
    mkdirSync(join(folder, name), { recursive: true });
    const deeper = 'for i in $(seq 30); do mkdir "$0" && cd -P "./$0" || exit 1; done';
    execFileSync('/bin/bash', ['-c', deeper, name], { cwd: folder.concat('/', name) });
    await harness.service.sweep();
    assert.deepEqual(harness.leftovers(), []);
  });

  test('a program that is not there is 127, and said', async () => {
    await assert.rejects(harness.run('', { args: ['/no/such'] }), (error: unknown) => {
      assert.ok(error instanceof RunFailedError);
      assert.equal(error.exitCode, 127);
      assert.match(error.lastOutput, /\/no\/such.*no such file or directory/);
      return true;
    });
  });

  test('cancelled, its processes end within a second, and nothing is left', async () => {
    const abort = new AbortController();
    const started = Promise.withResolvers<void>();
    // Deaf to every signal that can be blocked, and multiplying.
    const script = `trap '' TERM INT HUP; (while :; do sleep 1000 & sleep 0.01; done) & echo started; wait; sleep 1000`;
    const step = harness.run(script, { signal: abort.signal, output: () => started.resolve() });
    await started.promise;
    const at = performance.now();
    abort.abort(new Error('the client went away'));
    await assert.rejects(step, { message: 'the client went away' });
    assert.ok(performance.now() - at < 10_000, 'it does not wait for the program');
    assert.deepEqual(
      readdirSync('/proc')
        .filter((name) => /^\d+$/.test(name))
        .filter((pid) => commandOf(pid).startsWith('sleep\x001000')),
      [],
    );
  });

  test('a fork bomb ends when its step does', async () => {
    const abort = new AbortController();
    const started = Promise.withResolvers<void>();
    const step = harness.run('echo go; f() { f | f & }; f; sleep 1000', {
      signal: abort.signal,
      output: () => started.resolve(),
      build: { ulimits: [{ Name: 'nproc', Soft: 200, Hard: 200 }], keepFailed: true },
      user: 'alice',
    });
    await started.promise;
    abort.abort(new Error('enough'));
    await assert.rejects(step, { message: 'enough' });
    assert.deepEqual(harness.service.failedSteps(), [], 'what was cancelled is not kept');
  });

  test('a user or group that the root does not know fails it as a program would', async () => {
    const failed = 'process "/bin/sh -c id" did not complete successfully: unable to find';
    await assert.rejects(harness.run('id', { user: 'nobodyhere' }), {
      kind: 'InvalidParameter',
      message: `${failed} user nobodyhere: no matching entries in passwd file`,
    });
    await assert.rejects(harness.run('id', { user: '0:nobodyhere' }), {
      message: `${failed} group nobodyhere: no matching entries in group file`,
    });
  });

  test('a flood of output is clipped, and its end is kept', async () => {
    let bytes = 0;
    let clipped = false;
    const step = harness.run('head -c 40000000 /dev/zero | tr "\\0" x; echo; echo the end; exit 1', {
      output: (text) => {
        bytes += text.length;
        clipped ||= text.includes('[output clipped, log limit 16MiB reached]');
      },
    });
    await assert.rejects(step, (error: unknown) => {
      assert.ok(error instanceof RunFailedError);
      assert.equal(error.lastOutput.split('\n').at(-1), 'the end');
      assert.ok(error.lastOutput.length < 10_000);
      return true;
    });
    assert.ok(clipped && bytes < 17 * 1024 * 1024, `${bytes} bytes`);
  });

  test('what a build is not entitled to is refused, and else given', async () => {
    await assert.rejects(harness.run('true', { network: 'host' }), {
      kind: 'Forbidden',
      message: 'network.host is not allowed',
    });
    await assert.rejects(harness.run('true', { insecure: true }), {
      kind: 'Forbidden',
      message: 'security.insecure is not allowed',
    });
    const capabilities = (text: string) => /CapEff:\s+(\w+)/.exec(text)?.[1];
    const plain = await harness.output('cat /proc/self/status; cat /sys/class/net/*/address | wc -l');
    assert.equal(capabilities(plain), '00000000a80425fb');
    assert.match(plain, /^Seccomp:\s+2$/m);
    const insecure = await harness.output('cat /proc/self/status; mount -t tmpfs x /mnt 2>&1 || mkdir /mnt', {
      insecure: true,
      build: { entitlements: ['security.insecure'] },
    });
    assert.notEqual(capabilities(insecure), capabilities(plain));
    assert.match(insecure, /^Seccomp:\s+0$/m);
    const own = readdirSync('/sys/class/net').sort().join(' ');
    const host = await harness.output('echo $(ls /sys/class/net)', {
      network: 'host',
      build: { entitlements: ['network.host'] },
    });
    assert.equal(host.trim(), own);
  });

  test('limits, hosts and the shared memory are as the build says', async () => {
    const output = await harness.output('ulimit -n; grep -c marked /etc/hosts; df -k /dev/shm | tail -1', {
      build: {
        ulimits: [{ Name: 'nofile', Soft: 123, Hard: 456 }],
        extraHosts: ['marked:10.1.2.3'],
        limits: { ...NO_LIMITS, shmSize: 8 * 1024 * 1024 },
      },
    });
    assert.match(output, /^123\n1\n\S+\s+8192 /);
  });

  test('a heredoc program runs as a program', async () => {
    const output = await harness.output('', {
      args: ['/dev/pipes/EOF'],
      script: { name: 'EOF', content: '#!/bin/sh\necho "from $0"\n' },
    });
    assert.equal(output, 'from /dev/pipes/EOF\n');
  });
});

function commandOf(pid: string): string {
  try {
    return readFileSync(join('/proc', pid, 'cmdline'), 'utf8');
  } catch {
    // It has ended.
    return '';
  }
}

describe('a failed step that is kept', () => {
  let harness: RunHarness;
  before(async () => {
    harness = await RunHarness.start([], 3_600_000);
  });
  after(() => harness.close());

  async function fail(script: string, options: Parameters<RunHarness['run']>[1] = {}): Promise<string> {
    const error = await harness
      .run(script, { ...options, build: { ...options.build, keepFailed: true } })
      .then(
        () => assert.fail('the step succeeds'),
        (reason: unknown) => reason,
      );
    assert.ok(error instanceof RunFailedError, String(error));
    assert.ok(error.keptStep !== undefined);
    return error.keptStep;
  }

  async function shell(id: string, script: string, tty = false): Promise<{ exitCode: number; text: string }> {
    const stdin = new PassThrough();
    let text = '';
    stdin.end(script);
    const { exitCode } = await harness.service.shell(id, {
      args: [],
      terminal: { tty, stdin, ...(tty ? { size: { rows: 33, columns: 77 } } : {}) },
      onOutput: (chunk) => {
        text += chunk.toString();
      },
      signal: AbortSignal.timeout(30_000),
    });
    return { exitCode, text };
  }

  test('a shell is in its root, with its mounts, environment, folder and user', async () => {
    const id = await fail('echo half > made; exit 3', {
      cwd: '/tmp',
      user: 'alice',
      env: ['PATH=/bin', 'WORD=w'],
      mounts: [
        {
          type: 'cache',
          target: '/c',
          id: 'kept',
          sharing: 'locked',
          source: '',
          readOnly: false,
          mode: 0o777,
          uid: 0,
          gid: 0,
        },
      ],
    });
    const [kept] = harness.service.failedSteps();
    assert.equal(kept?.id, id);
    assert.equal(kept?.buildId, 'build');
    const first = await shell(
      id,
      'pwd; id -un; echo $WORD; cat made; grep -c " /c " /proc/mounts; echo more >> made; exit 5',
    );
    assert.deepEqual(first, { exitCode: 5, text: '/tmp\nalice\nw\nhalf\n1\n' });
    assert.equal((await shell(id, 'cat made')).text, 'half\nmore\n', 'what a shell writes stays');
    const terminal = await shell(id, 'stty size; exit\n', true);
    assert.match(terminal.text, /33 77\r\n/);
    await harness.service.releaseFailed(id);
    assert.deepEqual(harness.leftovers(), []);
    await assert.rejects(shell(id, 'true'), { kind: 'NotFound' });
  });

  test('only one at a time is in it, and it lasts as long as that one', async () => {
    const id = await fail('exit 1');
    const stdin = new PassThrough();
    const started = Promise.withResolvers<void>();
    const request = { args: [], terminal: { tty: false, stdin }, signal: AbortSignal.timeout(30_000) };
    const inside = harness.service.shell(id, { ...request, onOutput: () => started.resolve() });
    stdin.write('echo in\n');
    await started.promise;
    await assert.rejects(shell(id, 'true'), { kind: 'Conflict' });
    await harness.service.releaseFailed(id);
    assert.equal(harness.leftovers().length, 1);
    stdin.end('exit 4\n');
    assert.deepEqual(await inside, { exitCode: 4 });
    await eventually('its state is gone', () => harness.leftovers().length === 0);
  });

  test('only a few are kept', async () => {
    for (let i = 0; i < 10; i++) await fail(`exit ${i + 1}`);
    assert.equal(harness.service.failedSteps().length, 8);
  });
});
