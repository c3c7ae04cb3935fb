/** Named contexts in FROM and --from: files as a base, images and stages in the place of names. */
import assert from 'node:assert/strict';
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Daemon, daemonWithBusybox } from '../harness.ts';
import { type Built, classicBuild } from './classic-build.ts';

let daemon: Daemon;
let close: () => Promise<void>;
let folder: string;

before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
  folder = join(daemon.folder, 'files');
  mkdirSync(join(folder, 'sub'), { recursive: true });
  writeFileSync(join(folder, 'sub/a.txt'), 'from the folder\n', { mode: 0o640 });
  writeFileSync(join(folder, 'left-out'), 'x');
  writeFileSync(join(folder, '.dockerignore'), 'left-out\n');
});
after(async () => await close());

type Contexts = Record<string, Record<string, string>>;

const build = (dockerfile: string, contexts: Contexts, query = ''): Promise<Built> => {
  const named = `buildcontexts=${encodeURIComponent(JSON.stringify(contexts))}`;
  return classicBuild(daemon, { Dockerfile: dockerfile }, `${named}&${query}`);
};

function ofFolder(path: string): Record<string, string> {
  const { dev, ino } = statSync(path, { bigint: true });
  return { kind: 'folder', path, device: String(dev), inode: String(ino) };
}

test('files as a base', async () => {
  const dockerfile = 'FROM files AS base\nENV X=1\nFROM busybox\nCOPY --from=base / /got/\n';
  const built = await build(dockerfile, { files: ofFolder(folder) }, 't=from-base');
  assert.equal(built.error, '', built.output);
  assert.equal(
    await daemon.ok(
      'run',
      '--rm',
      '--network',
      'none',
      'from-base',
      'sh',
      '-c',
      'cd /got; find . | sort; cat sub/a.txt',
    ),
    '.\n./.dockerignore\n./sub\n./sub/a.txt\nfrom the folder',
  );
  const alone = await build(dockerfile, { files: ofFolder(folder) }, 't=alone&target=base');
  assert.equal(alone.error, '', alone.output);
  const history = (await daemon.api('GET', '/images/alone/history')).json<
    { CreatedBy: string; Size: number }[]
  >();
  assert.deepEqual(
    history.map(({ CreatedBy, Size }) => [CreatedBy, Size > 0]),
    [
      ['ENV X=1', false],
      ['FROM files', true],
    ],
  );
  assert.equal((await build(dockerfile, { files: ofFolder(folder) }, 'target=base&nocache=1')).id, alone.id);
});

test('the proof of a named folder is asked for, as of the main one', async () => {
  const wrong = { ...ofFolder(folder), inode: '1' };
  const refused = await build('FROM files\n', { files: wrong });
  assert.equal(refused.status, 412, refused.error);
});

test('an image or a stage in the place of a name', async () => {
  const contexts: Contexts = {
    'docker.io/library/alpine:latest': { kind: 'image', reference: 'busybox' },
    'part::linux/s390x': { kind: 'image', reference: 'missing.invalid/x' },
    part: { kind: 'stage', name: 'maker' },
  };
  const dockerfile =
    'FROM alpine AS maker\nRUN echo made > /made\nFROM part AS more\nRUN cat /made > /more\nFROM alpine\nCOPY --from=part /made /one\nCOPY --from=more /more /two\n';
  const built = await build(dockerfile, contexts, 't=replaced');
  assert.equal(built.error, '', built.output);
  assert.equal(
    await daemon.ok('run', '--rm', '--network', 'none', 'replaced', 'cat', '/one', '/two'),
    'made\nmade',
  );
  const circle = await build('FROM part AS first\nFROM first AS maker\n', contexts);
  assert.match(circle.error, /circular dependency detected on stage: first/);
});
