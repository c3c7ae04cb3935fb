import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { extract } from 'tar-stream';
import { cleanCommitSec } from './clean-commit.ts';
import { contextFolder } from './folder.ts';
import { readIgnoreFile } from './ignore-file.ts';
import { packContext } from './pack.ts';

interface Entry {
  type: string | null | undefined;
  mode: number | undefined;
  linkname: string | null | undefined;
  content: string;
  mtime: number | undefined;
  owner: string;
}

async function entries(archive: AsyncIterable<Uint8Array>): Promise<Map<string, Entry>> {
  const found = new Map<string, Entry>();
  for await (const entry of Readable.from(archive).pipe(extract())) {
    const { name, type, mode, linkname, mtime, uid, gid } = entry.header;
    const chunks: Buffer[] = [];
    for await (const chunk of entry) chunks.push(chunk as Buffer);
    const content = Buffer.concat(chunks).toString();
    found.set(name, { type, mode, linkname, content, mtime: mtime?.getTime(), owner: `${uid}:${gid}` });
  }
  return found;
}

function withContext(files: Record<string, string>, body: (root: string) => Promise<void>): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), 'mydock-context-'));
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
  return body(root).finally(() => rmSync(root, { recursive: true }));
}

test('a context keeps modes, times and links, and leaves out what is ignored', async () => {
  const files = {
    Dockerfile: 'FROM x',
    'a/run.sh': '#!',
    'a/skip.log': '',
    'b/c': 'c',
    '.dockerignore': '**/*.log\nDockerfile\nb',
  };
  await withContext(files, async (root) => {
    chmodSync(join(root, 'a/run.sh'), 0o4751);
    utimesSync(join(root, 'a/run.sh'), 1000, 1000);
    symlinkSync('a/run.sh', join(root, 'link'));
    linkSync(join(root, 'a/run.sh'), join(root, 'a/twin'));
    const found = await entries(await packContext(root, { dockerfile: 'Dockerfile' }));
    assert.deepEqual([...found.keys()], ['.dockerignore', 'Dockerfile', 'a/', 'a/run.sh', 'a/twin', 'link']);
    const script = found.get('a/run.sh');
    assert.deepEqual(script, {
      type: 'file',
      mode: 0o4751,
      linkname: null,
      content: '#!',
      mtime: 1_000_000,
      owner: '0:0',
    });
    assert.equal(found.get('a/twin')?.linkname, 'a/run.sh');
    assert.equal(found.get('link')?.linkname, 'a/run.sh');
  });
});

test("a Dockerfile's own ignore file goes first; an outside Dockerfile is added", async () => {
  const files = { 'x.Dockerfile': 'F', 'x.Dockerfile.dockerignore': 'a', '.dockerignore': 'b', a: '', b: '' };
  await withContext(files, async (root) => {
    const own = await entries(await packContext(root, { dockerfile: 'x.Dockerfile' }));
    assert.equal(own.has('a'), false);
    assert.equal(own.has('b'), true);
    const outside = await packContext(root, { dockerfile: '.d', dockerfileContent: Buffer.from('FROM y') });
    assert.equal((await entries(outside)).get('.d')?.content, 'FROM y');
  });
});

test('a bad pattern is reported with its file', async () => {
  await withContext({ '.dockerignore': 'a\n[\n' }, async (root) => {
    await assert.rejects(packContext(root, { dockerfile: 'Dockerfile' }), {
      message: `error checking context: failed parsing ${join(root, '.dockerignore')}: syntax error in pattern`,
    });
  });
  await withContext({ 'd/x': '', 'y.dockerignore': 'z' }, async (root) => {
    const outside = await readIgnoreFile(join(root, 'd'), join(root, 'y'));
    assert.deepEqual(outside.patterns, ['z']);
    assert.deepEqual(await readIgnoreFile(join(root, 'd'), 'x'), { patterns: [], content: '' });
  });
});

test('a folder is named by device and inode, and is as new as its commit where nothing was changed', async () => {
  await withContext({ 'd/f': 'x', g: 'y' }, async (root) => {
    const { dev, ino } = statSync(join(root, 'd'), { bigint: true });
    symlinkSync('d', join(root, 'link'));
    assert.deepEqual(await contextFolder(join(root, 'link')), {
      path: join(root, 'd'),
      device: String(dev),
      inode: String(ino),
    });
    assert.equal(await cleanCommitSec(root), undefined);
    if (!existsSync('/usr/bin/git')) return;
    const git = (...args: string[]) =>
      execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.com', ...args], {
        cwd: root,
        env: { ...process.env, GIT_COMMITTER_DATE: '2021-03-04T05:06:07Z' },
        stdio: 'ignore',
      });
    git('init', '-q');
    git('add', '.');
    git('commit', '-q', '-m', 'x');
    assert.equal(await cleanCommitSec(join(root, 'd')), Date.UTC(2021, 2, 4, 5, 6, 7) / 1000);
    writeFileSync(join(root, 'g'), 'changed');
    assert.equal(await cleanCommitSec(root), undefined);
    assert.equal(await cleanCommitSec(join(root, 'd')), Date.UTC(2021, 2, 4, 5, 6, 7) / 1000);
    writeFileSync(join(root, 'd/new'), '');
    assert.equal(await cleanCommitSec(join(root, 'd')), undefined);
  });
});
