import assert from 'node:assert/strict';
import {
  chmodSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { extract } from 'tar-stream';
import { IgnoreRules } from './ignore.ts';
import { packContext } from './pack.ts';
import { compilePattern } from './pattern.ts';

test("patterns are Go's filepath.Match with **", () => {
  const matches: [string, string, boolean][] = [
    ['*.go', 'a.go', true],
    ['*.go', 'd/a.go', false],
    ['**/*.go', 'a.go', true],
    ['**/*.go', 'd/e/a.go', true],
    ['a/**', 'a/b/c', true],
    ['a/**', 'a', false],
    ['a/**/b', 'a/b', true],
    ['a/**/b', 'a/x/y/b', true],
    ['?', '/', false],
    ['[a-c]x', 'bx', true],
    ['[^a-c]x', 'bx', false],
    ['[^a]', '/', false],
    ['\\*', '*', true],
    ['\\*', 'a', false],
    ['a.b+(c)', 'a.b+(c)', true],
    ['é?', 'éü', true],
    ['[]]', ']', false],
  ];
  for (const [pattern, path, expected] of matches) {
    if (pattern === '[]]') assert.throws(() => compilePattern(pattern), /syntax error/);
    else assert.equal(compilePattern(pattern).test(path), expected, `${pattern} ${path}`);
  }
  for (const bad of ['[', '[a', 'a\\', '[-]'])
    assert.throws(() => compilePattern(bad), /syntax error in pattern/, bad);
});

test('later rules overrule earlier ones, folders take what is in them', () => {
  const rules = new IgnoreRules('# comment\r\n/node_modules/\n**/*.log\n!keep/*.log\n ./x/../tmp \n\n');
  const ignored: [string, boolean][] = [
    ['node_modules', true],
    ['node_modules/a/b', true],
    ['src/node_modules', false],
    ['a.log', true],
    ['keep/a.log', false],
    ['keep/d/a.log', true],
    ['tmp/f', true],
    ['main.c', false],
  ];
  for (const [path, expected] of ignored) assert.equal(rules.ignores(path), expected, path);
  assert.equal(rules.mayReturnBelow('keep'), true);
  assert.equal(rules.mayReturnBelow('node_modules'), false);
  assert.equal(new IgnoreRules('*\n!**/a').mayReturnBelow('any'), true);
  assert.throws(() => new IgnoreRules('!'), /illegal exclusion pattern/);
});

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
