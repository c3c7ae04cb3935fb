/**
 * What `RUN --mount` shows is part of what a result is known by: which mount has which source, names as they are, and
 * files that change meanwhile.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { eventually } from '../command.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => await close());

function folder(): string {
  return mkdtempSync(join(tmpdir(), 'context-'));
}

/** Builds, and returns what is in the image's /out. */
async function built(context: string, ...lines: string[]): Promise<string> {
  writeFileSync(join(context, 'Dockerfile'), `${lines.join('\n')}\n`);
  return await daemon.ok('run', '--rm', await daemon.ok('build', '-q', context), 'cat', '/out');
}

test('the same sources at other mounts are another step', async () => {
  const context = folder();
  const lines = (first: string, second: string) => [
    'FROM busybox AS one',
    'RUN echo one > /file',
    'FROM busybox',
    `RUN --mount=type=bind,from=${first},target=/first --mount=type=bind,from=${second},target=/second ls -d /first/file /second/file > /out 2> /dev/null; true`,
  ];
  assert.equal(await built(context, ...lines('one', 'scratch')), '/first/file');
  assert.equal(await built(context, ...lines('scratch', 'one')), '/second/file');
});

test('the source of a mount is no pattern', async () => {
  const context = folder();
  const lines = ['FROM busybox', 'RUN --mount=type=bind,source=/[a],target=/m cat /m/file > /out'];
  for (const name of ['[a]', 'a']) mkdirSync(join(context, name));
  writeFileSync(join(context, 'a/file'), 'not this one');
  for (const content of ['first', 'other']) {
    writeFileSync(join(context, '[a]/file'), content);
    assert.equal(await built(context, ...lines), content);
  }
});

test('what a step made of files that changed under it is found by nobody', async () => {
  const context = folder();
  const flag = join(context, 'flag');
  writeFileSync(
    join(context, 'Dockerfile'),
    'FROM busybox\nRUN --mount=type=bind,target=/m echo begun; until grep go /m/flag > /out; do sleep 0.1; done\n',
  );
  for (const content of ['go-1', 'go-2']) {
    writeFileSync(flag, 'wait');
    const build = daemon.live(['build', '--progress', 'plain', '-t', 'changed', context]);
    await eventually('the step runs', () => /^#\d+ [\d.]+ begun$/m.test(build.stdout + build.stderr));
    writeFileSync(flag, content);
    assert.equal((await build.ended).code, 0);
    assert.equal(await daemon.ok('run', '--rm', 'changed', 'cat', '/out'), content);
  }
});
