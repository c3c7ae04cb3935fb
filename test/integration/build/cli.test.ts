/** `mydock build` as people use it: contexts, secrets, agents, outputs, failures, locks, repeated builds. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { eventually } from '../command.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;

before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => await close());

/** Runs `body` with a folder of these files. */
async function withFolder(
  files: Readonly<Record<string, string>>,
  body: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'mydock-build-'));
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
  await body(folder).finally(() => rmSync(folder, { recursive: true, force: true }));
}

test('a folder, an archive and a Dockerfile from stdin or elsewhere give the same image', async () => {
  const dockerfile = 'FROM busybox\nCOPY . /all/\nRUN ls -A /all > /list\n';
  const files = {
    'c/a.txt': 'a',
    'c/skip/b': 'b',
    'c/.dockerignore': 'skip\nDocker*\n.dockerignore\n',
    d: dockerfile,
  };
  await withFolder({ ...files, 'c/Dockerfile': dockerfile }, async (folder) => {
    const context = join(folder, 'c');
    const args = ['build', '-q', '--build-arg', 'SOURCE_DATE_EPOCH=1700000000', '-t', 'ways'];
    const id = await daemon.ok(...args, context);
    assert.match(id, /^sha256:[0-9a-f]{64}$/);
    assert.equal(await daemon.ok('run', '--rm', '--network', 'none', 'ways', 'cat', '/list'), 'a.txt');
    assert.equal(await daemon.ok(...args, '-f', join(folder, 'd'), context), id);
    const stdin = await daemon.mydock([...args, '-f', '-', context], { stdin: dockerfile });
    assert.deepEqual([stdin.code, stdin.stdout.trim()], [0, id], stdin.stderr);
  });
  const alone = await daemon.mydock(['build', '-q', '-'], { stdin: 'FROM busybox\nRUN true\n' });
  assert.match(alone.stdout, /^sha256:/, alone.stderr);
});

test('progress goes to stderr: numbered steps, output with times, what was cached', async () => {
  await withFolder({ Dockerfile: 'FROM busybox\nRUN echo said-$((1+1))\n' }, async (folder) => {
    const first = await daemon.mydock(['build', '--progress', 'plain', '--no-cache', folder]);
    assert.deepEqual([first.code, first.stdout], [0, ''], first.stderr);
    assert.match(
      first.stderr,
      /^#\d+ \[2\/2\] RUN echo said-\$\(\(1\+1\)\)\n#\d+ \d\.\d{3} said-2\n#\d+ DONE \d+\.\ds\n/m,
    );
    const second = await daemon.mydock(['build', folder]);
    assert.match(second.stderr, /^#\d+ \[2\/2\] RUN .*\n#\d+ CACHED\n/m);
    const json = await daemon.mydock(['build', '--progress', 'rawjson', folder]);
    for (const line of json.stderr.trim().split('\n')) assert.equal(typeof JSON.parse(line), 'object');
  });
});

describe('what a session serves', () => {
  test('secrets from files and variables; they are in no layer', async () => {
    const dockerfile =
      'FROM busybox\nRUN --mount=type=secret,id=one --mount=type=secret,id=two,target=/two sha256sum /run/secrets/one /two | cut -c1-8 > /sums\n';
    await withFolder({ Dockerfile: dockerfile, secret: 'from a file' }, async (folder) => {
      const flags = ['--secret', `id=one,src=${join(folder, 'secret')}`, '--secret', 'id=two,env=TWO'];
      const built = await daemon.mydock(['build', '-q', '-t', 'secrets', ...flags, folder], {
        env: { ...process.env, TWO: 'from a variable' },
      });
      assert.equal(built.code, 0, built.stderr);
      const command = ['sh', '-c', 'cat /sums; test -e /run/secrets || test -s /two || echo nothing else'];
      const shown = await daemon.ok('run', '--rm', '--network', 'none', 'secrets', ...command);
      const sum = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 8);
      assert.equal(shown, `${sum('from a file')}\n${sum('from a variable')}\nnothing else`);
    });
  });

  test('an ssh agent: what a step says to it arrives, and its answer', async () => {
    const dockerfile =
      'FROM busybox\nRUN --mount=type=ssh test -S "$SSH_AUTH_SOCK" && echo "$SSH_AUTH_SOCK" > /socket\n';
    await withFolder({ Dockerfile: dockerfile }, async (folder) => {
      const path = join(folder, 'agent');
      const server = createServer((socket) => socket.end('bye'));
      await new Promise<void>((resolve) => server.listen(path, resolve));
      try {
        const flags = ['-q', '-t', 'agent', '--ssh', `default=${path}`];
        const built = await daemon.mydock(['build', ...flags, folder]);
        assert.equal(built.code, 0, built.stderr);
      } finally {
        server.close();
      }
      const without = await daemon.mydock(['build', '-q', '--no-cache', folder]);
      assert.equal(without.code, 1, without.stderr);
    });
  });

  test('outputs: a folder, an archive on stdout, an archive in a file', async () => {
    const dockerfile =
      'FROM busybox AS make\nRUN mkdir /o && echo made > /o/file && ln -s file /o/link\nFROM scratch\nCOPY --from=make /o /\n';
    await withFolder({ Dockerfile: dockerfile }, async (folder) => {
      const out = join(folder, 'out', 'deep');
      const context = ['-f', join(folder, 'Dockerfile'), folder];
      assert.equal(await daemon.ok('build', '-q', '-o', out, ...context), '');
      assert.equal(readFileSync(join(out, 'link'), 'utf8'), 'made\n');
      const tar = await daemon.mydock(['build', '-q', '-o', '-', ...context]);
      assert.ok(tar.code === 0 && tar.stdout.includes('made\n') && tar.stdout.includes('ustar'), tar.stderr);
      const file = join(folder, 'image.tar');
      await daemon.ok('build', '-q', '-t', 'out:1', '-o', `type=docker,dest=${file}`, ...context);
      assert.match(await daemon.ok('load', '-i', file), /Loaded image: out:1/);
    });
  });

  test('named contexts that are folders', async () => {
    const files = {
      'c/Dockerfile': 'FROM busybox\nCOPY --from=other name /\nRUN cat /name\n',
      'o/name': 'of the other\n',
    };
    await withFolder(files, async (folder) => {
      const flags = ['--progress', 'plain', '--build-context', `other=${join(folder, 'o')}`];
      const built = await daemon.mydock(['build', ...flags, join(folder, 'c')]);
      assert.match(built.stderr, /^#\d+ \d\.\d{3} of the other$/m);
    });
  });
});

test('a failed step: its output, its lines, the exit code; nothing is tagged', async () => {
  const dockerfile = 'FROM busybox\n\nRUN echo first; \\\n    echo reason >&2; exit 7\nCMD true\n';
  await withFolder({ Dockerfile: dockerfile }, async (folder) => {
    const { code, stderr, stdout } = await daemon.mydock(['build', '-t', 'failed', folder]);
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(
      stderr,
      /^------\n > \[2\/2\] RUN echo first;[^\n]*:\n\d\.\d{3} first\n\d\.\d{3} reason\n------\n/m,
    );
    assert.match(
      stderr,
      /^Dockerfile:3\n-+\n[\s\S]*\n {3}3 \| >>> RUN echo first; \\\n {3}4 \| >>> {5}echo reason/m,
    );
    assert.match(
      stderr,
      /^ERROR: failed to build: failed to solve: process .* did not complete successfully: exit code: 7$/m,
    );
    assert.equal((await daemon.mydock(['image', 'inspect', 'failed'])).code, 1);
  });
});

test('stages that cannot be: the lines of the Dockerfile go before the reason', async () => {
  const cases: [string, number, RegExp][] = [
    ['FROM busybox\nFROM $NOTHING\n', 2, /base name \(\$NOTHING\) should not be blank$/m],
    ['FROM busybox\nFROM --platform=a/b/c/d busybox\n', 2, /a\/b\/c\/d/],
    ['FROM busybox AS a\nCOPY --from=b / /\nFROM a AS b\n', 1, /circular dependency detected on stage: a/],
  ];
  for (const [dockerfile, line, reason] of cases) {
    await withFolder({ Dockerfile: dockerfile }, async (folder) => {
      const { code, stderr } = await daemon.mydock(['build', folder]);
      assert.equal(code, 1);
      assert.match(stderr, new RegExp(`^Dockerfile:${line}\\n-+\\n[^]*^ {3}${line} \\| >>> FROM `, 'm'));
      assert.match(stderr, reason);
    });
  }
});

test('--check judges and does nothing', async () => {
  await withFolder({ Dockerfile: 'FROM busybox\nRUN touch /never\nCMD echo hi\n' }, async (folder) => {
    const { code, stdout, stderr } = await daemon.mydock(['build', '--check', '-t', 'checked', folder]);
    assert.equal(code, 1, stderr);
    assert.match(stdout, /^Check complete, 1 warning has been found!\n\nWARNING: JSONArgsRecommended - http/);
    assert.match(stdout, /^ {3}3 \| >>> CMD echo hi$/m);
    assert.equal((await daemon.mydock(['image', 'inspect', 'checked'])).code, 1);
    assert.match(await daemon.ok('build', '--call', 'targets', folder), /^TARGET/);
    writeFileSync(join(folder, 'Dockerfile'), 'FROM busybox\nCMD ["echo"]\n');
    assert.equal(await daemon.ok('build', '--check', folder), 'Check complete, no warnings found.');
  });
});

test('--verify: the same image twice, or the difference', async () => {
  await withFolder({ Dockerfile: 'FROM busybox\nRUN date > /dev/null; echo x > /x\n' }, async (folder) => {
    const same = await daemon.mydock(['build', '--verify', '-q', '-t', 'verified', folder]);
    assert.equal(same.code, 0, same.stderr);
    assert.match(same.stderr, /^verified: both builds gave sha256:/m);
    const count = (await daemon.ok('images', '-aq')).split('\n').length;
    writeFileSync(join(folder, 'Dockerfile'), 'FROM busybox\nRUN head -c 9 /dev/urandom > /random\n');
    const other = await daemon.mydock(['build', '--verify', '-q', folder]);
    assert.equal(other.code, 1, other.stderr);
    assert.match(other.stdout, /~ \/random/);
    assert.equal(
      (await daemon.ok('images', '-aq')).split('\n').length,
      count + 1,
      'the second image is gone',
    );
  });
});

test('a lock names what the build took, and a changed one is refused', async () => {
  await withFolder({ Dockerfile: 'FROM busybox\nRUN true\n' }, async (folder) => {
    const id = await daemon.ok('build', '-q', '--lock', folder);
    const path = join(folder, 'Dockerfile.lock');
    const lock = readFileSync(path, 'utf8');
    assert.ok(lock.length > 0);
    assert.equal(await daemon.ok('build', '-q', '--locked', folder), id);
    assert.equal(readFileSync(path, 'utf8'), lock);
    assert.ok(statSync(path).mtimeMs <= statSync(join(folder, 'Dockerfile')).mtimeMs);
  });
});

test('the cache is shown and pruned', async () => {
  await withFolder({ Dockerfile: 'FROM busybox\nRUN echo shown-in-du > /x\n' }, async (folder) => {
    await daemon.ok('build', '-q', folder);
    assert.match(await daemon.ok('builder', 'du', '--verbose'), /RUN echo shown-in-du[\s\S]*^Total:\t/m);
    assert.match(await daemon.ok('buildx', 'ls'), /^default\* +docker/m);
    assert.match(
      await daemon.ok('builder', 'prune', '-af'),
      /^Deleted build cache objects:\n[\s\S]*^Total reclaimed space: /m,
    );
    assert.ok(!(await daemon.ok('builder', 'du', '--verbose')).includes('shown-in-du'));
  });
});

describe('on a terminal', () => {
  test('steps are redrawn and stay; the cursor comes back', async () => {
    await withFolder({ Dockerfile: 'FROM busybox\nRUN echo visible; sleep 1\n' }, async (folder) => {
      const { code, stdout } = await daemon.mydock(['build', '--no-cache', folder], { tty: true });
      assert.equal(code, 0, stdout);
      assert.match(stdout, /\[\+\] Building \d+\.\ds \(\d+\/\d+\)/);
      assert.match(stdout, / => => # visible/);
      const last = stdout.slice(stdout.lastIndexOf('[+] Building'));
      assert.match(last, /^\[\+\] Building \d+\.\ds \((\d+)\/\1\) FINISHED/);
      assert.ok(!last.includes('# visible') && last.includes('=> [2/2] RUN echo visible'), last);
      assert.ok(stdout.trimEnd().endsWith('\x1b[?25h'), JSON.stringify(stdout.slice(-50)));
    });
  });

  test('--on-error shell: in the state of the step, and the build has failed', async () => {
    const dockerfile = 'FROM busybox\nENV WORD=kept\nWORKDIR /w\nRUN echo half > done; exit 5\n';
    await withFolder({ Dockerfile: dockerfile }, async (folder) => {
      const live = daemon.live(['build', '--on-error', 'shell', folder], { tty: true });
      await live.sees(/\/w # /);
      live.type('echo "$WORD:$(cat done):$(pwd)" | tr a-z A-Z\n');
      await live.sees(/KEPT:HALF:\/W/);
      live.type('exit 0\n');
      const { code, stdout } = await live.ended;
      assert.equal(code, 1, stdout);
      assert.match(stdout, /failed to solve: process .* exit code: 5/);
    });
    await eventually('the step is let go', async () => {
      const { text } = await daemon.api('GET', '/system/df');
      return text.includes('"InUse":true') === false;
    });
  });

  test('--watch: a change is built, one that is ignored is not', async () => {
    const files = {
      Dockerfile: 'FROM busybox\nCOPY a /\nRUN cat /a\n',
      a: 'one\n',
      '.dockerignore': '*.log\n',
    };
    await withFolder(files, async (folder) => {
      const live = daemon.live(['build', '--progress', 'plain', '--watch', '-t', 'watched', folder]);
      const seen = async (pattern: RegExp): Promise<void> => {
        await eventually(String(pattern), () => pattern.test(live.stderr));
      };
      await seen(/watching for changes/);
      writeFileSync(join(folder, 'x.log'), 'ignored');
      writeFileSync(join(folder, 'a'), 'two\n');
      await seen(/^a changed: building again$[\s\S]*^#\d+ \d\.\d{3} two$[\s\S]*watching for changes/m);
      assert.ok(!live.stderr.includes('x.log'), live.stderr);
      live.child.kill('SIGINT');
      await live.ended;
    });
  });
});
