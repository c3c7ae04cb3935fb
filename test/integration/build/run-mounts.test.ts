/** `RUN --mount`: what each kind shows, what it keeps and what it throws away, and what hostile roots and trees get of it. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { CacheMounts } from '../../../src/build/run/cache-mounts.ts';
import type { RunMount } from '../../../src/build/run/run-step.ts';
import type { SourceTree } from '../../../src/build/source/source-tree.ts';
import { eventually } from '../command.ts';
import { RunHarness, sessionOf } from './run-harness.ts';

let harness: RunHarness;
before(async () => {
  harness = await RunHarness.start();
});
after(() => harness.close());

let trees = 0;

/** A tree of files, a folder for names that end with a slash. */
function tree(files: Record<string, string>, rest: Partial<SourceTree> = {}): SourceTree {
  const path = join(harness.folder, `tree-${trees++}`);
  mkdirSync(path, { mode: 0o755 });
  for (const [name, content] of Object.entries(files)) {
    if (name.endsWith('/')) mkdirSync(join(path, name), { recursive: true });
    else {
      mkdirSync(join(path, name, '..'), { recursive: true });
      writeFileSync(join(path, name), content);
    }
  }
  const facts = { path, title: 'build context', times: 'uniform', live: false } as const;
  return { ...facts, release: () => Promise.resolve(), ...rest };
}

function bind(from: SourceTree | 'scratch', rest: Partial<RunMount & { type: 'bind' }> = {}): RunMount {
  return { type: 'bind', target: '/m', tree: from, source: '', readOnly: true, ...rest };
}

describe('bind', () => {
  test('a folder and a file, read-only', async () => {
    const files = tree({ 'a/f': 'in a', 'b/g': 'in b' });
    const mounts = [bind(files, { source: 'a' }), bind(files, { source: '/b/g', target: '/etc/deep/g' })];
    const script = 'cat /m/f /etc/deep/g; echo; touch /m/x 2>&1; echo z 2>&1 > /etc/deep/g; ls /m';
    const output = await harness.output(script, { mounts });
    assert.match(output, /^in ain b\ntouch: \/m\/x: Read-only file system\n.*Read-only file system\nf\n$/s);
  });

  test('what is written to a writable one is thrown away', async () => {
    const files = tree({ 'd/f': 'old', g: 'file' });
    const mounts = [
      bind(files, { readOnly: false }),
      bind(files, { source: 'g', target: '/g', readOnly: false }),
    ];
    const script = 'echo new > /m/d/f; rm /m/g; echo more >> /g; cat /m/d/f /g; ls /m';
    const pending = await harness.run(script, { mounts });
    assert.equal(pending.empty, true, 'and is no part of the layer');
    assert.equal(readFileSync(join(files.path, 'd/f'), 'utf8'), 'old');
    assert.equal(readFileSync(join(files.path, 'g'), 'utf8'), 'file');
    assert.equal(await harness.output('ls /m', { mounts: [bind('scratch')] }), '');
  });

  test('nothing outside of the tree is shown, whatever links say', async () => {
    const outside = join(harness.folder, 'outside');
    mkdirSync(outside, { recursive: true });
    writeFileSync(join(outside, 'secret'), 'outside');
    const files = tree({ 'real/f': 'inside' });
    symlinkSync('/real', join(files.path, 'absolute'));
    symlinkSync(`../../../../../../../..${outside}`, join(files.path, 'up'));
    symlinkSync('/proc/self/root', join(files.path, 'magic'));
    const show = (source: string) => harness.output('cat /m/*', { mounts: [bind(files, { source })] });
    assert.equal(await show('absolute'), 'inside');
    assert.equal(await show('../../real'), 'inside');
    for (const source of ['up', `../..${outside}`, 'magic', 'no/such']) {
      await assert.rejects(show(source), {
        kind: 'InvalidParameter',
        message: `"${source}" of a bind mount: not found in build context`,
      });
    }
  });

  test('what is ignored is not there', async () => {
    const files = tree({
      'keep/f': '1',
      'keep/secret': 'x',
      'out/f': 'x',
      'half/yes': '2',
      'half/no': 'x',
      'half/deep/no': 'x',
      'none/a/b': 'x',
    });
    chmodSync(join(files.path, 'keep'), 0o750);
    const ignored = (path: string): boolean =>
      path === 'keep/secret' || (/^(?:out|half|none)(?:\/|$)/.test(path) && path !== 'half/yes');
    const ignore = {
      excludes: (path: string) => ignored(path),
      mayIncludeBelow: (path: string) => !path.startsWith('out'),
    };
    for (const readOnly of [true, false]) {
      const mounts = [bind({ ...files, ignore }, { readOnly })];
      const output = await harness.output('cd /m; find . | sort; stat -c %a keep', { mounts });
      assert.equal(output, '.\n./half\n./half/yes\n./keep\n./keep/f\n750\n');
    }
    const inside = await harness.output('ls /m', {
      mounts: [bind({ ...files, ignore }, { source: 'keep' })],
    });
    assert.equal(inside, 'f\n');
    await assert.rejects(
      harness.run('true', { mounts: [bind({ ...files, ignore }, { source: 'keep/secret' })] }),
      {
        message: /not found in build context/,
      },
    );
    assert.deepEqual(readdirSync(join(files.path, 'out')), ['f'], 'the folder itself is as it was');
  });

  test("a FIFO in somebody's folder does not lead to whoever reads it there", async () => {
    const files = tree({ 'a/f': 'file' }, { live: true });
    const path = join(files.path, 'a/p');
    execFileSync('mkfifo', [path]);
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const script = 'exec 3<>/m/p && echo from the step >&3; cat /m/f; touch /m/x 2>&1; true';
      const output = await harness.output(script, { mounts: [bind(files, { source: 'a' })] });
      assert.match(output, /^file.*Read-only file system/);
      assert.equal(readSync(reader, Buffer.alloc(16)), 0, 'nothing came');
    } finally {
      closeSync(reader);
    }
  });

  test("a client's folder is root's, as if it had been sent", async () => {
    const files = tree({ f: 'own', r: "root's" }, { live: true });
    chownSync(files.path, 4321, 8765);
    chownSync(join(files.path, 'f'), 4321, 8765);
    chmodSync(join(files.path, 'f'), 0o600);
    chmodSync(join(files.path, 'r'), 0o600);
    for (const readOnly of [true, false]) {
      const script = 'cd /m; stat -c "%n %u:%g" . f; cat f r';
      const output = await harness.output(script, { mounts: [bind(files, { readOnly })] });
      assert.equal(output, ". 0:0\nf 0:0\nownroot's");
    }
    assert.equal(statSync(join(files.path, 'f')).uid, 4321);
  });
});

describe('targets', () => {
  test("links in the root lead to places inside of it, and the host's files stay", async () => {
    const victim = join(harness.folder, 'victim');
    mkdirSync(victim);
    const evil = await harness.run(
      `ln -s ${victim} /a; ln -s ../../../../../../${victim} /b; ln -s /proc/1/root /c; mkdir /real; ln -s /real /d`,
    );
    const options = { layers: [harness.base, evil] };
    for (const target of ['/a', '/b', '/a/deep/er', '/d/x']) {
      const mounts: RunMount[] = [{ type: 'tmpfs', target }];
      const pending = await harness.run(`echo mine > ${target}/file && cat ${target}/file`, {
        ...options,
        mounts,
      });
      assert.deepEqual(readdirSync(victim), [], target);
      assert.equal(pending.empty, true, `${target}: its mount point is gone`);
    }
    for (const target of ['/c/etc', '/proc/self/x', '/proc']) {
      const mounts: RunMount[] = [{ type: 'tmpfs', target }];
      await assert.rejects(harness.run('true', { ...options, mounts }), /mount|proc|symbolic links/i, target);
    }
  });

  test('a tmpfs is empty, executable, bounded, and no part of the layer', async () => {
    const mounts: RunMount[] = [{ type: 'tmpfs', target: '/var', sizeBytes: 1024 * 1024 }];
    const script = `ls /var; cp /bin/busybox /var/x && echo too much; rm -f /var/x
      printf '#!/bin/sh\\necho runs' > /var/run.sh; chmod +x /var/run.sh; /var/run.sh; df -k /var | tail -1`;
    const output = await harness.output(script, { mounts });
    assert.match(output, /No space left on device\nruns\ntmpfs\s+1024 /);
  });
});

function cache(rest: Partial<RunMount & { type: 'cache' }> = {}): RunMount {
  const plain = { target: '/c', id: 'c', sharing: 'shared', source: '', readOnly: false } as const;
  return { type: 'cache', ...plain, mode: 0o755, uid: 0, gid: 0, ...rest };
}

describe('cache', () => {
  test('lasts from step to step by its ID, whatever that is, and is no part of the layer', async () => {
    const ids = ['plain', '../../../../etc/passwd', '/', '', 'a\nb\0c', 'x'.repeat(100_000)];
    for (const id of ids) {
      const mounts = [cache({ id })];
      const first = await harness.run(`test ! -e /c/f; echo ${ids.indexOf(id)} > /c/f`, { mounts });
      assert.equal(first.empty, true);
      assert.equal(await harness.output('cat /c/f', { mounts }), `${ids.indexOf(id)}\n`);
    }
    const names = readdirSync(join(harness.dataRoot, 'build/cache-mounts'));
    assert.ok(
      names.length >= ids.length && names.every((name) => /^[0-9a-f]{64}-\d+$/.test(name)),
      names.join(),
    );
  });

  test('owner, mode and read-only; a new one begins with what it is told', async () => {
    const from = tree({ 'sub/f': 'begin', other: 'x' });
    const filled = [
      cache({ id: 'from', from, fromKey: 'k1', source: 'sub', mode: 0o700, uid: 1000, gid: 50 }),
    ];
    const script = 'stat -c "%a %u:%g" /c; ls /c; cat /c/f; echo +more >> /c/f';
    assert.equal(await harness.output(script, { mounts: filled }), '700 1000:50\nf\nbegin');
    const again = filled.map((one) => ({ ...one, readOnly: true }) as RunMount);
    const output = await harness.output('cat /c/f; touch /c/x 2>&1', { mounts: again }).catch(String);
    assert.match(output, /exit code: 1/);
    assert.equal(await harness.output('cat /c/f', { mounts: again }), 'begin+more\n');
    const other = [cache({ id: 'from', from, fromKey: 'k2', source: '', mode: 0o700, uid: 1000, gid: 50 })];
    assert.equal(
      await harness.output('ls /c', { mounts: other }),
      'other\nsub\n',
      'another beginning, another cache',
    );
  });

  test('a new one is as the folder that it begins with, where that is wanted', async () => {
    const from = tree({ 'sub/f': 'begin' });
    const folder = join(from.path, 'sub');
    chownSync(folder, 7, 8);
    chmodSync(folder, 0o1750);
    const told = (rest: Partial<RunMount & { type: 'cache' }>): Promise<string> =>
      harness.output('stat -c "%a %u:%g" /c; ls /c', {
        mounts: [cache({ source: 'sub', keepsAttributes: true, ...rest })],
      });
    assert.equal(await told({ id: 'kept', from, fromKey: 'k' }), '1750 7:8\nf\n');
    chmodSync(folder, 0o700);
    assert.equal(await told({ id: 'kept', from, fromKey: 'k' }), '1750 7:8\nf\n', 'one that is there stays');
    const live = { ...from, live: true };
    assert.equal(await told({ id: 'live', from: live, fromKey: 'k' }), '700 0:0\nf\n');
    const owned = join(from.path, 'sub/f');
    chownSync(owned, 1234, 1234);
    const owner = (from: SourceTree, id: string): Promise<string> =>
      harness.output('stat -c %u:%g /c/f', { mounts: [cache({ source: 'sub', id, from, fromKey: 'k' })] });
    assert.equal(await owner(live, 'of the client'), '0:0\n', "a client's files count as root's");
    assert.equal(await owner(from, 'of a stage'), '1234:1234\n');
    const imported = async (to: string): Promise<boolean> => {
      writeFileSync(join(to, 'i'), '');
      return true;
    };
    assert.equal(await told({ id: 'imported', from, fromKey: 'k', imported }), '700 7:8\ni\n');
    assert.equal(await told({ id: 'empty' }), '755 0:0\n');
  });

  test('a new one begins without what is ignored', async () => {
    const ignore = {
      excludes: (path: string) => /^sub\/(?:half|none|secret)(?:\/|$)/.test(path) && path !== 'sub/half/yes',
      mayIncludeBelow: (folder: string) => 'sub/half/'.startsWith(`${folder}/`),
    };
    const files = { 'sub/f': '', 'sub/half/yes': '', 'sub/half/no': '', 'sub/none/x': '', 'sub/secret': '' };
    const from = tree(files, { ignore, live: true });
    const mounts = [cache({ id: 'ignoring', source: 'sub', from, fromKey: 'k' })];
    assert.equal(
      await harness.output('cd /c && find . -type f | sort; ls', { mounts }),
      './f\n./half/yes\nf\nhalf\n',
    );
  });

  test('shared is shared, private is not, locked waits and says so', async () => {
    const both = async (sharing: 'shared' | 'private' | 'locked', id: string): Promise<[string, string]> => {
      const mounts = [cache({ id, sharing })];
      const started = Promise.withResolvers<void>();
      const first: string[] = [];
      const holding = harness.run(
        'echo 1 >> /c/f; echo in; while test ! -e /g/go; do sleep 0.1; done; cat /c/f',
        {
          mounts: [...mounts, cache({ id: 'gate', target: '/g' })],
          output: (text) => {
            first.push(text);
            if (text.includes('in')) started.resolve();
          },
        },
      );
      await started.promise;
      let said = '';
      const waits = Promise.withResolvers<void>();
      const second = harness.run('echo 2 >> /c/f; cat /c/f', {
        mounts,
        output: (text) => {
          said += text;
          if (text.includes('waiting')) waits.resolve();
        },
      });
      await (sharing === 'locked' ? waits.promise : second);
      const open = [cache({ id: 'gate', target: '/g' })];
      await harness.run('touch /g/go', { mounts: open });
      await Promise.all([holding, second]);
      await harness.run('rm /g/go', { mounts: open });
      return [first.join('').replace('in\n', ''), said];
    };
    assert.deepEqual(await both('shared', 's'), ['1\n2\n', '1\n2\n']);
    assert.deepEqual(await both('private', 'p'), ['1\n', '2\n']);
    const waiting = 'waiting for the cache mount "l", which another step has locked\n';
    assert.deepEqual(await both('locked', 'l'), ['1\n', `${waiting}1\n2\n`]);
  });

  test('steps that want the same locked caches in another order both end; who waits can be cancelled', async () => {
    const pair = (targets: string[]) =>
      targets.map((id) => cache({ id, target: `/${id}`, sharing: 'locked' }));
    const steps = Array.from({ length: 6 }, (_, i) =>
      harness.run('sleep 0.05', { mounts: pair(i % 2 === 0 ? ['one', 'two'] : ['two', 'one']) }),
    );
    await Promise.all(steps);
    const twice = [...pair(['one']), cache({ id: 'one', target: '/again', sharing: 'locked' })];
    await harness.run('test -d /one -a -d /again', { mounts: twice });
    const abort = new AbortController();
    const started = Promise.withResolvers<void>();
    const holding = harness.run('echo in; sleep 2', {
      mounts: pair(['one']),
      output: () => started.resolve(),
    });
    await started.promise;
    const waiting = harness.run('true', {
      mounts: pair(['one']),
      signal: abort.signal,
      output: () => abort.abort(new Error('enough')),
    });
    await assert.rejects(waiting, { message: 'enough' });
    await holding;
  });

  test('is listed and removed, not while it is in use, and what a crash left goes', async () => {
    const { caches } = harness.service;
    const mounts = [cache({ id: 'listed', target: '/root/.cache' })];
    await harness.run('head -c 3000000 /dev/zero > /root/.cache/big', { mounts });
    const find = async () =>
      (await caches.entries()).find(({ description }) => description.includes('"listed"'));
    const entry = await find();
    assert.ok(entry !== undefined && entry.sizeBytes >= 3_000_000 && !entry.inUse);
    assert.equal(entry.type, 'exec.cachemount');
    const started = Promise.withResolvers<void>();
    const using = harness.run('echo in; sleep 1', { mounts, output: () => started.resolve() });
    await started.promise;
    assert.equal((await find())?.inUse, true);
    assert.equal(await caches.remove(entry.id), 0);
    await using;
    assert.ok((await caches.remove(entry.id)) >= 3_000_000);
    assert.equal(await find(), undefined);
    await harness.run('test ! -e /root/.cache/big', { mounts });
    const directory = join(harness.dataRoot, 'build/cache-mounts');
    mkdirSync(join(directory, '.tmp-half/data'), { recursive: true });
    mkdirSync(join(directory, `${'0'.repeat(64)}-0/data`), { recursive: true });
    const successor = new CacheMounts(directory);
    await successor.sweep();
    assert.ok(
      !existsSync(join(directory, '.tmp-half')) && !existsSync(join(directory, `${'0'.repeat(64)}-0`)),
    );
    assert.equal((await successor.entries()).length, (await caches.entries()).length);
  });

  test('one that is deeper than any path is counted and removed', async () => {
    const deep = 'cd /deep; n=$(printf %0200d 0); while mkdir $n && cd $n; do :; done 2>/dev/null; true';
    await harness.run(deep, { mounts: [cache({ id: 'deep', target: '/deep' })] });
    const entries = await harness.service.caches.entries();
    const made = entries.find(({ description }) => description.includes('"deep"'));
    assert.ok(made !== undefined && made.sizeBytes > 0);
    assert.ok((await harness.service.caches.remove(made.id)) > 0);
    const left = readdirSync(join(harness.dataRoot, 'build/cache-mounts'));
    assert.deepEqual(
      left,
      left.filter((name) => /^[0-9a-f]{64}-/.test(name)),
      'nor is half of it left',
    );
  });
});

describe('secret', () => {
  const word = 'correct-horse-battery-staple';
  const secrets = sessionOf({
    secret: (id) =>
      Promise.resolve(id === 'word' ? Buffer.from(word) : id === 'nul' ? Buffer.from('a\0b') : undefined),
  });
  const secret = (rest: Partial<RunMount & { type: 'secret' }> = {}): RunMount => {
    const plain = { id: 'word', target: '/run/secrets/word', required: true, mode: 0o400, uid: 0, gid: 0 };
    return { type: 'secret', ...plain, ...rest };
  };

  test('a file with its mode and owner, or a variable, and nothing of it anywhere afterwards', async () => {
    const { target: _, ...inEnv } = secret({ env: 'WORD' }) as RunMount & { type: 'secret' };
    const mounts = [secret({ mode: 0o440, uid: 1000, gid: 50 }), inEnv];
    const script = `stat -c "%a %u:%g" /run/secrets/word; test "$WORD" = "$(cat /run/secrets/word)" && echo same
      echo x 2>&1 >> /run/secrets/word; env | grep -c staple; echo done > /done`;
    const output: string[] = [];
    const pending = await harness.run(script, {
      mounts,
      env: ['PATH=/bin:/usr/bin', 'WORD=mine'],
      build: { session: secrets },
      output: (text) => output.push(text),
    });
    assert.match(output.join(''), /^440 1000:50\nsame\n.*Read-only file system\n1\n$/s);
    await pending.committed;
    const grep = (folder: string) =>
      execFileSync('sh', ['-c', 'grep -r -s -l -a -F "$1" "$2" || true', 'sh', word, folder], {
        encoding: 'utf8',
      });
    assert.equal(grep(harness.dataRoot), '');
    assert.equal(grep(harness.execRoot), '');
  });

  test('one that is missing is left out, or fails the step where it is required', async () => {
    const mounts = [secret({ id: 'other', required: false })];
    const build = { session: secrets };
    assert.equal(await harness.output('ls -d /run 2>/dev/null || echo none', { mounts, build }), 'none\n');
    await assert.rejects(harness.run('true', { mounts: [secret(), secret({ id: 'other' })], build }), {
      message: 'secret other: not found',
    });
    const left = readdirSync(join(harness.execRoot, 'build'));
    assert.deepEqual(left, [], 'nor does anything of the one that was there remain');
    await assert.rejects(harness.run('true', { mounts: [secret()] }), { message: 'secret word: not found' });
    const mounted = [secret({ id: 'nul', env: 'X' })];
    await assert.rejects(harness.run('true', { mounts: mounted, build }), { message: /NUL byte/ });
  });
});

describe('ssh', () => {
  const ssh = (rest: Partial<RunMount & { type: 'ssh' }> = {}): RunMount => {
    return { type: 'ssh', id: 'default', required: true, mode: 0o600, uid: 0, gid: 0, ...rest };
  };

  test('a socket at the usual place, each connection one to the client, until the step ends', async () => {
    const path = join(harness.folder, 'agent');
    const open = new Set<object>();
    const server = createServer((socket) => {
      open.add(socket);
      socket.on('close', () => open.delete(socket)).on('error', () => socket.destroy());
      socket.on('data', (data) => socket.write(data.toString().toUpperCase()));
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    const session = sessionOf({
      hasSshAgent: (id) => Promise.resolve(id === 'default'),
      connectSshAgent: () =>
        new Promise((resolve, reject) => {
          const socket = connect(path, () => resolve(socket));
          socket.on('error', reject);
        }),
    });
    try {
      // Whoever is outside reaches the same socket through the step's root.
      const script = `stat -c "%F %a" $SSH_AUTH_SOCK; echo $SSH_AUTH_SOCK; stat -c %u /second; echo ready
        while test ! -e /gate/go; do sleep 0.05; done`;
      const gate = cache({ id: 'ssh', target: '/gate' });
      const lines: string[] = [];
      const ready = Promise.withResolvers<void>();
      const step = harness.run(script, {
        mounts: [ssh(), ssh({ target: '/second', uid: 1000 }), gate],
        build: { session },
        output: (text) => {
          lines.push(text);
          if (text.includes('ready')) ready.resolve();
        },
      });
      await ready.promise;
      const folder = join(harness.execRoot, 'build');
      const [name = ''] = readdirSync(folder);
      const socket = connect(join(folder, name, '0'));
      const answer = await new Promise<string>((resolve, reject) => {
        socket.on('data', (data) => resolve(data.toString())).on('error', reject);
        socket.write('hi');
      });
      assert.equal(answer, 'HI');
      assert.equal(open.size, 1);
      const closed = new Promise((resolve) => socket.on('close', resolve));
      await harness.run('touch /gate/go', { mounts: [gate] });
      await step;
      await closed;
      await eventually('no connection is open', () => open.size === 0);
      assert.equal(lines.join(''), 'socket 600\n/run/buildkit/ssh_agent.0\n1000\nready\n');
      await assert.rejects(harness.run('true', { mounts: [ssh({ id: 'x' })], build: { session } }), {
        message: 'no SSH key "x" forwarded from the client',
      });
      const mounts = [ssh({ id: 'x', required: false })];
      assert.equal(await harness.output('echo "[$SSH_AUTH_SOCK]"', { mounts, build: { session } }), '[]\n');
    } finally {
      server.close();
    }
  });
});
