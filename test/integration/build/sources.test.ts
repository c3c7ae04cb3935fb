/** Where the files of `mydock build` come from: archives, repositories, addresses, named contexts; and COPY --parents. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { GitServer, git, hasGit, served } from '../../../src/build/source/testing/git-server.ts';
import { makeTar } from '../../fixtures/tar.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';
import { contextFolder, type Files, shows } from './context-folder.ts';

let daemon: Daemon;
let close: () => Promise<void>;
let server: Server;
let url = '';
const files = new Map<string, Buffer>();
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
  server = createServer((request, response) => {
    const content = files.get(request.url ?? '');
    response.writeHead(content === undefined ? 404 : 200).end(content);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
after(async () => {
  await close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const folderOf = (files: Files): string => contextFolder(daemon, files);
const built = async (...words: string[]): Promise<void> => {
  await daemon.ends(0, ['build', '-q', ...words]);
};

const CONTEXT: Readonly<Record<string, string>> = {
  'sub/Other': 'FROM busybox\nCOPY a.txt /a\n',
  Dockerfile: 'FROM busybox\nCOPY a.txt /top\n',
  'a.txt': 'of the context\n',
};

test('an archive on stdin and at an address; a Dockerfile at an address', async () => {
  const tar = makeTar(Object.entries(CONTEXT).map(([path, data]) => ({ path, data })));
  const piped = await daemon.mydock(['build', '-q', '-t', 'piped', '-f', 'sub/Other', '-'], { stdin: tar });
  assert.equal(piped.code, 0, piped.stderr);
  assert.equal(await shows(daemon, 'piped', 'cat', '/a'), 'of the context');
  files.set('/context.tar', tar);
  await built('-t', 'fetched', `${url}/context.tar`);
  assert.equal(await shows(daemon, 'fetched', 'cat', '/top'), 'of the context');
  files.set('/Dockerfile', Buffer.from('FROM busybox\nRUN echo alone > /alone\n'));
  await built('-t', 'alone', `${url}/Dockerfile`);
  assert.equal(await shows(daemon, 'alone', 'cat', '/alone'), 'alone');
  const missing = await daemon.mydock(['build', `${url}/none`]);
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /\/none.*404/);
});

test('ADD of an address, with the checksum of what has to come', async () => {
  files.set('/file', Buffer.from('checked\n'));
  const add = (sum: string): string =>
    folderOf({ Dockerfile: `FROM busybox\nADD --checksum=sha256:${sum} ${url}/file /file\n` });
  const right = createHash('sha256').update('checked\n').digest('hex');
  await built('-t', 'checked', add(right));
  assert.equal(await shows(daemon, 'checked', 'cat', '/file'), 'checked');
  const { code, stderr } = await daemon.mydock(['build', add('0'.repeat(64))]);
  assert.equal(code, 1);
  assert.match(stderr, new RegExp(`0{64}[^]*${right}|${right}[^]*0{64}`));
});

test('a repository: as the context, as a named one, and in ADD, with its .git where that is wanted', {
  skip: hasGit() ? false : 'git is not installed',
}, async () => {
  const root = join(daemon.folder, 'repositories');
  mkdirSync(join(root, 'one/sub'), { recursive: true });
  for (const [path, content] of Object.entries(CONTEXT)) writeFileSync(join(root, 'one', path), content);
  git(join(root, 'one'), 'init', '-q');
  git(join(root, 'one'), 'add', '-A');
  git(join(root, 'one'), 'commit', '-q', '-m', 'first');
  git(join(root, 'one'), 'tag', 'v1');
  writeFileSync(join(root, 'one/sub/Dockerfile'), 'FROM busybox\nCOPY Other /other\n');
  git(join(root, 'one'), 'add', '-A');
  git(join(root, 'one'), 'commit', '-q', '-m', 'second');
  const gitServer = new GitServer(root);
  const repository = served(await gitServer.start(), 'one');
  try {
    await built('-t', 'whole', repository);
    assert.equal(await shows(daemon, 'whole', 'cat', '/top'), 'of the context');
    await built('-t', 'part', `${repository}#main:sub`);
    assert.match(await shows(daemon, 'part', 'cat', '/other'), /^FROM busybox/);
    const early = await daemon.mydock(['build', `${repository}#v1:sub`]);
    assert.match(early.stderr, /Dockerfile/, 'the tag has none');
    const add = `FROM busybox
ADD ${repository}#v1 /plain
ADD --keep-git-dir=true ${repository}#v1 /kept
COPY --from=code a.txt /named
RUN ls -A /plain /kept > /list; cat /kept/.git/HEAD >> /list
`;
    await built('-t', 'added', '--build-context', `code=${repository}#v1`, folderOf({ Dockerfile: add }));
    const list = await shows(daemon, 'added', 'cat', '/list', '/named');
    assert.match(
      list,
      /^\/kept:\n\.git\nDockerfile\na\.txt\nsub\n\n\/plain:\nDockerfile\na\.txt\nsub\n[0-9a-f]{40}\nof the context$/,
    );
  } finally {
    await gitServer.stop();
  }
});

test('named contexts: an image, a stage, a folder in the place of an image', async () => {
  const other = folderOf({ 'made/file': 'of the folder\n' });
  const folder = folderOf({
    Dockerfile:
      'FROM alpine AS maker\nRUN echo made > /made\nFROM image.invalid/part AS more\nFROM alpine\nCOPY --from=part /made /stage\nCOPY --from=files made/file /file\n',
  });
  const contexts = [
    'alpine=docker-image://busybox',
    'part=target:maker',
    `files=${other}`,
    'image.invalid/part=target:maker',
  ];
  await built('-t', 'named', ...contexts.flatMap((one) => ['--build-context', one]), folder);
  assert.equal(await shows(daemon, 'named', 'cat', '/stage', '/file'), 'made\nof the folder');
});

test('COPY --parents keeps the folders behind the pivot', async () => {
  const folder = folderOf({
    Dockerfile: `FROM busybox AS first
COPY --parents x/y/a.txt z/*.txt /whole/
FROM first
COPY --parents x/./y/a.txt /pivot/
COPY --parents ./x/**/a.txt /stars/
COPY --parents --exclude=**/*.md x/./y /folder/
COPY --from=first --parents /whole/./x /again/
RUN cd / && find whole pivot stars folder again -type f | sort > /list
`,
    'x/y/a.txt': 'a',
    'x/y/b.md': 'b',
    'z/c.txt': 'c',
  });
  await built('-t', 'parents', folder);
  assert.deepEqual((await shows(daemon, 'parents', 'cat', '/list')).split('\n'), [
    'again/x/y/a.txt',
    'folder/y/a.txt',
    'pivot/y/a.txt',
    'stars/x/y/a.txt',
    'whole/x/y/a.txt',
    'whole/z/c.txt',
  ]);
});

test('heredocs become files, several at once; what the environment says is put in', async () => {
  const folder = folderOf({
    Dockerfile: `FROM busybox
ENV WHO=world
COPY --chmod=640 <<one <<"two" /made/
hello $WHO
one
raw $WHO
two
RUN <<EOF
cat /made/one /made/two > /both
stat -c %a /made/two >> /both
EOF
`,
  });
  await built('-t', 'heredocs', folder);
  assert.equal(await shows(daemon, 'heredocs', 'cat', '/both'), 'hello world\nraw $WHO\n640');
});
