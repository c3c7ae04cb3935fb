/** Repositories as sources, from git's own server on the loopback. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { OpenedSource } from './build-sources.ts';
import { GitServer, git, hasGit, served } from './testing/git-server.ts';
import { FakeSession, io, SourcesFixture } from './testing/sources-fixture.ts';

describe('git', { skip: hasGit() ? false : 'git is not installed' }, () => {
  const fixture = new SourcesFixture();
  const repositories = fixture.path('repositories');
  const main = join(repositories, 'main');
  const module = join(repositories, 'module');
  const server = new GitServer(repositories);
  let base = '';
  let commits: string[] = [];

  before(async () => {
    for (const folder of [main, module]) mkdirSync(folder, { recursive: true });
    git(module, 'init', '-q');
    writeFileSync(join(module, 'm'), 'module');
    git(module, 'add', '.');
    git(module, 'commit', '-q', '-m', 'm');
    git(main, 'init', '-q');
    writeFileSync(join(main, 'Dockerfile'), 'FROM scratch\n');
    mkdirSync(join(main, 'sub/deep'), { recursive: true });
    writeFileSync(join(main, 'sub/deep/f'), 'one');
    symlinkSync('/etc', join(main, 'outside'));
    git(main, 'add', '.');
    git(main, 'commit', '-q', '-m', 'one');
    git(main, 'tag', '-a', 'v1', '-m', 'v1');
    const first = git(main, 'rev-parse', 'HEAD');
    writeFileSync(join(main, 'sub/deep/f'), 'two');
    writeFileSync(join(main, 'run.sh'), '#!/bin/sh\n');
    chmodSync(join(main, 'run.sh'), 0o755);
    git(main, 'add', '.');
    git(main, 'commit', '-q', '-m', 'two');
    commits = [first, git(main, 'rev-parse', 'HEAD')];
    git(main, 'branch', 'other', first);
    base = await server.start();
  });
  after(async () => {
    await server.stop();
    await fixture.close();
  });

  const open = (behind = '', options = {}, given = {}): Promise<OpenedSource> =>
    fixture.sources.fetchGit(served(base, 'main') + behind, options, io(given));
  const text = ({ tree }: OpenedSource, path: string): string => readFileSync(join(tree.path, path), 'utf8');

  test('the default branch, its commit and its time; modes as git has them; nothing of git is left', async () => {
    const opened = await open();
    assert.equal(text(opened, 'sub/deep/f'), 'two');
    assert.deepEqual(opened.material, { kind: 'git', name: served(base, 'main'), pin: commits[1] });
    assert.equal(opened.epochSeconds, Date.UTC(2021, 2, 4, 5, 6, 7) / 1000);
    assert.equal(statSync(join(opened.tree.path, 'run.sh')).mode & 0o777, 0o755);
    assert.equal(statSync(join(opened.tree.path, 'Dockerfile')).mode & 0o777, 0o644);
    assert.equal(readlinkSync(join(opened.tree.path, 'outside')), '/etc');
    assert.deepEqual(readdirSync(opened.tree.path).sort(), ['Dockerfile', 'outside', 'run.sh', 'sub']);
    await opened.tree.release();
    assert.deepEqual(fixture.trees(), []);
  });

  test('branches, tags, commits, folders; what is here already is not transferred again', async () => {
    const cases: [string, string, string][] = [
      ['#other', 'sub/deep/f', 'one'],
      ['#v1', 'sub/deep/f', 'one'],
      ['#refs/tags/v1', 'sub/deep/f', 'one'],
      ['?branch=main', 'sub/deep/f', 'two'],
      [`#${commits[0]}`, 'sub/deep/f', 'one'],
      [`#${commits[0]}:sub`, 'deep/f', 'one'],
      ['?tag=v1&subdir=sub/deep', 'f', 'one'],
      [`?checksum=${commits[0]?.slice(0, 12)}#v1`, 'sub/deep/f', 'one'],
      [`?fetch-by-commit&checksum=${commits[0]}#main`, 'sub/deep/f', 'one'],
    ];
    for (const [behind, path, content] of cases) {
      const opened = await open(behind);
      assert.equal(text(opened, path), content, behind);
      assert.equal(opened.material?.pin, content === 'one' ? commits[0] : commits[1]);
      await opened.tree.release();
    }
    server.packs = 0;
    for (const behind of ['#other', `#${commits[0]}`]) await (await open(behind)).tree.release();
    const commitOnly = server.packs;
    assert.ok(commitOnly <= 1, `${commitOnly} requests for two commits that are here`);
    assert.deepEqual(fixture.trees(), []);
  });

  test('what is not there, or is another than it must be, is refused by name', async () => {
    const cases: [string, object, RegExp][] = [
      ['#nowhere', {}, /does not contain ref nowhere/],
      [`#${'0'.repeat(40)}`, {}, /0{40}/],
      ['#main:missing', {}, /has no folder "missing"/],
      ['#main:outside', {}, /has no folder "outside"/],
      ['#main:Dockerfile', {}, /has no folder "Dockerfile"/],
      [`?checksum=${commits[0]}#main`, {}, /expected checksum to match .*, got/],
      ['#main', { checksum: commits[0] }, /expected checksum to match/],
      ['#main', { pin: 'main' }, /expected a git commit/],
    ];
    for (const [behind, options, expected] of cases) {
      await assert.rejects(open(behind, options), (error: Error) => {
        assert.match(error.message, expected, behind);
        return true;
      });
    }
    await assert.rejects(fixture.sources.fetchGit(served(base, 'none'), {}, io()), /failed to fetch remote/);
    await assert.rejects(fixture.sources.fetchGit('/etc', {}, io()), /no address of a git repository/);
    assert.deepEqual(fixture.trees(), []);
  });

  test('a pin is used whatever the branch says by now', async () => {
    const opened = await open('#main', { pin: commits[0] });
    assert.equal(text(opened, 'sub/deep/f'), 'one');
    await opened.tree.release();
  });

  test('.git is kept where that is wanted: usable, of this commit alone, and the same every time', async () => {
    const files: Record<string, string>[] = [];
    for (let i = 0; i < 2; i++) {
      const opened = await open('#v1', { keepGitDir: true });
      const { path } = opened.tree;
      assert.equal(git(path, 'rev-parse', 'HEAD'), commits[0]);
      assert.equal(git(path, 'describe', '--always', '--tags'), 'v1');
      assert.equal(git(path, 'log', '--oneline').split('\n').length, 1);
      assert.equal(git(path, 'config', 'remote.origin.url'), served(base, 'main'));
      const again = await open('?keep-git-dir#v1');
      files.push(contents(join(again.tree.path, '.git')));
      await again.tree.release();
      assert.equal(git(path, 'status', '--porcelain'), '');
      await opened.tree.release();
    }
    assert.deepEqual(files[0], files[1]);
    assert.ok(Object.keys(files[0] ?? {}).includes('HEAD'));
  });

  test('a password comes from secrets or the address, and is nowhere to be found afterwards', async () => {
    const basic = (words: string): string => `basic ${Buffer.from(words).toString('base64')}`;
    server.authorization = basic('x-access-token:s3cret');
    try {
      await assert.rejects(open('#main'), (error: Error & { kind?: string }) => {
        assert.equal(error.kind, 'Unauthorized');
        assert.match(error.message, /GIT_AUTH_TOKEN/);
        return true;
      });
      const session = new FakeSession();
      session.secrets = { GIT_AUTH_TOKEN: 's3cret\n' };
      await (await open('#main', {}, { session })).tree.release();
      const known = await open(`#${commits[1]}`, {}, { session, cacheNamespace: 'owner' });
      await known.tree.release();
      await assert.rejects(open(`#${commits[1]}`, {}, { cacheNamespace: 'other' }), { kind: 'Unauthorized' });
      session.secrets = {
        GIT_AUTH_TOKEN: 'wrong',
        [`GIT_AUTH_HEADER.${new URL(base).host}`]: server.authorization,
      };
      await (await open('#main', {}, { session })).tree.release();
      server.authorization = basic('user:p@ss');
      const address = served(base, 'main').replace('://', '://user:p%40ss@');
      const opened = await fixture.sources.fetchGit(`${address}#main`, { keepGitDir: true }, io());
      const everything = JSON.stringify([
        contents(fixture.build),
        contents(opened.tree.path),
        opened.material,
        await fixture.sources.git.entries(),
      ]);
      for (const secret of ['s3cret', 'p@ss', 'p%40ss', server.authorization.slice(6)]) {
        assert.equal(everything.includes(secret), false, secret);
      }
      await opened.tree.release();
    } finally {
      server.authorization = '';
    }
  });

  test('submodules come along, unless they are not wanted; those on this machine do not', async () => {
    git(main, 'checkout', '-q', '-b', 'modules');
    writeFileSync(join(main, '.gitmodules'), '[submodule "m"]\n\tpath = mod\n\turl = ../../module/.git\n');
    const commit = git(module, 'rev-parse', 'HEAD');
    git(main, 'update-index', '--add', '--cacheinfo', `160000,${commit},mod`);
    git(main, 'add', '.gitmodules');
    git(main, 'commit', '-q', '-m', 'with a module');
    const opened = await open('#modules');
    assert.equal(text(opened, 'mod/m'), 'module');
    assert.deepEqual(readdirSync(join(opened.tree.path, 'mod')), ['m']);
    await opened.tree.release();
    const without = await open('?submodules=false#modules');
    assert.deepEqual(readdirSync(join(without.tree.path, 'mod')), []);
    await without.tree.release();
    for (const url of [`file://${module}/.git`, `${module}/.git`, 'ext::touch /tmp/mydock-never']) {
      writeFileSync(join(main, '.gitmodules'), `[submodule "m"]\n\tpath = mod\n\turl = ${url}\n`);
      git(main, 'add', '.gitmodules');
      git(main, 'commit', '-q', '-m', url);
      await assert.rejects(open('#modules'), /transport .* not allowed|not allowed|failed to fetch/, url);
    }
    assert.equal(existsSync('/tmp/mydock-never'), false);
    assert.deepEqual(fixture.trees(), []);
  });

  test('hooks, filters and attributes of a repository run nothing', async () => {
    git(main, 'checkout', '-q', '-f', 'main');
    const mark = fixture.path('ran');
    writeFileSync(join(main, '.gitattributes'), '* filter=evil diff=evil\n');
    writeFileSync(join(main, '.gitconfig'), `[filter "evil"]\n\tsmudge = touch ${mark}\n`);
    git(main, 'add', '.');
    git(main, 'commit', '-q', '-m', 'evil');
    writeFileSync(join(main, '.git/hooks/post-checkout'), `#!/bin/sh\ntouch ${mark}\n`);
    chmodSync(join(main, '.git/hooks/post-checkout'), 0o755);
    const opened = await open('#main', { keepGitDir: true });
    assert.equal(existsSync(mark), false);
    assert.equal(existsSync(join(opened.tree.path, '.git/hooks')), false);
    await opened.tree.release();
  });

  test('a damaged store is made anew; a cancelled build ends git', async () => {
    const [entry] = await fixture.sources.git.entries();
    assert.ok(entry);
    const bare = join(fixture.build, 'git', entry.id, 'content');
    for (const name of readdirSync(join(bare, 'objects/pack'))) {
      chmodSync(join(bare, 'objects/pack', name), 0o600);
      writeFileSync(join(bare, 'objects/pack', name), 'damaged');
    }
    const opened = await open('#other');
    assert.equal(text(opened, 'sub/deep/f'), 'one');
    await opened.tree.release();
    const abort = new AbortController();
    const opening = open('#main', {}, { signal: abort.signal });
    setTimeout(() => abort.abort(new Error('client is gone')), 20);
    await assert.rejects(opening, /client is gone/);
    assert.deepEqual(fixture.trees(), []);
  });

  test('without git there is an error that says so', async () => {
    const without = new SourcesFixture('erofs', { programs: { git: '/nowhere/git' } });
    try {
      await assert.rejects(without.sources.fetchGit(served(base, 'main'), {}, io()), {
        kind: 'NotImplemented',
        message: /need the program git/,
      });
    } finally {
      await without.close();
    }
  });

  test('ssh is asked with the agent of the client alone, and keeps host keys', async () => {
    const log = fixture.path('ssh.log');
    const ssh = fixture.path('ssh');
    writeFileSync(ssh, `#!/bin/sh\nfor one; do echo "$one" >> ${log}; done\nexit 255\n`);
    chmodSync(ssh, 0o755);
    const stubbed = new SourcesFixture('erofs', { programs: { ssh } });
    try {
      await assert.rejects(
        stubbed.sources.fetchGit('git@example.com:a/b.git', {}, io()),
        /failed to fetch remote/,
      );
      const words = readFileSync(log, 'utf8').split('\n');
      for (const word of ['/dev/null', 'IdentityFile=none', 'BatchMode=yes', 'git@example.com']) {
        assert.ok(words.includes(word), word);
      }
      assert.ok(words.includes(`UserKnownHostsFile=${join(stubbed.build, 'known_hosts')}`));
    } finally {
      await stubbed.close();
    }
  });
});

/** All files below a folder, with their bytes. */
function contents(folder: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    found[path.slice(folder.length + 1)] = readFileSync(path, 'latin1');
  }
  return found;
}
