/**
 * The same image, byte for byte: from other folders, ways in, data roots and times, from the cache and without it; and
 * what `--verify` says of builds that are not so.
 */
import assert from 'node:assert/strict';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { run } from '../command.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

const DOCKERFILE = `FROM BASE AS one
RUN mkdir /made && echo one > /made/one && ln /made/one /made/hard && mkfifo /made/fifo
RUN echo two > /made/two && chmod 4711 /made/two
FROM BASE AS two
COPY files /files
RUN --mount=type=cache,target=/c echo x >> /c/x && cp -r /files /copied && date > /dev/null
WORKDIR /a/b
FROM BASE
COPY --from=one /made /made
COPY --from=two /copied /copied
COPY --chown=1:2 --link files/a /linked/
ADD files/z* /z/
ENV A=b
LABEL c=d
RUN touch /now; rm /files 2> /dev/null; rm -r /made/fifo
`;

/** Files in another order, and of other times on the disk, but the newest. */
function context(base: string, order: readonly string[], times: number): string {
  const folder = mkdtempSync(join(tmpdir(), 'context-'));
  mkdirSync(join(folder, 'files/sub'), { recursive: true });
  chmodSync(join(folder, 'files/sub'), 0o750);
  for (const name of order) writeFileSync(join(folder, 'files', name), `content of ${name}\n`);
  writeFileSync(join(folder, 'Dockerfile'), DOCKERFILE.replaceAll('BASE', base));
  for (const name of order) utimesSync(join(folder, 'files', name), times, times);
  for (const name of ['files/sub', 'files', 'Dockerfile', '.']) utimesSync(join(folder, name), times, times);
  // An image is as new as its context.
  utimesSync(join(folder, 'files', 'a'), 1_750_000_000, 1_750_000_000);
  return folder;
}

const NAMES = ['z1', 'a', 'sub/b', 'ä ö', 'z2'];

async function build(daemon: Daemon, folder: string, ...flags: string[]): Promise<string> {
  const file = join(daemon.folder, 'iid');
  await daemon.ends(0, ['build', '-q', '--iidfile', file, ...flags, folder]);
  return readFileSync(file, 'utf8').trim();
}

test('one image in all ways', async () => {
  const ids: Record<string, string> = {};
  for (const round of ['one', 'two']) {
    const { daemon, close } = await daemonWithBusybox(round === 'two' ? ['--storage-driver', 'overlay'] : []);
    try {
      const first = context('busybox', round === 'one' ? NAMES : NAMES.toReversed(), 1_700_000_000);
      const other = context('busybox', NAMES.toReversed(), 1_600_000_000);
      ids[`${round}: a folder`] = await build(daemon, first);
      ids[`${round}: the same again`] = await build(daemon, first);
      ids[`${round}: another folder, of other times`] = await build(daemon, other);
      ids[`${round}: without the cache`] = await build(daemon, other, '--no-cache');
      ids[`${round}: without the last stage's`] = await build(daemon, other, '--no-cache-filter', 'one,two');
      const tar = join(daemon.folder, 'context.tar');
      await run(['tar', '-C', first, '-cf', tar, '.']);
      const sent = await daemon.mydock(['build', '--no-cache', '-q', '-'], { stdin: readFileSync(tar) });
      ids[`${round}: an archive`] = sent.stdout.trim();
      await daemon.ends(0, ['build', '-q', '-t', 'saved', '--verify', first]);
    } finally {
      await close();
    }
  }
  assert.equal(new Set(Object.values(ids)).size, 1, JSON.stringify(ids, null, 1));
});

test('--verify shows what differs, leaves nothing, and begins with empty cache mounts', async () => {
  const { daemon, close } = await daemonWithBusybox();
  try {
    const folder = mkdtempSync(join(tmpdir(), 'verify-'));
    cpSync(context('busybox', NAMES, 1_700_000_000), folder, { recursive: true });
    const verify = async (...lines: string[]) => {
      writeFileSync(join(folder, 'Dockerfile'), `FROM busybox\n${lines.join('\n')}\n`);
      return await daemon.mydock(['build', '-q', '--verify', folder]);
    };
    const same = await verify('COPY files /x', 'RUN echo same > /y');
    assert.equal(same.code, 0, same.stderr);
    assert.match(same.stderr, /verified: both builds gave sha256:[0-9a-f]{64}/);
    const images = await daemon.ok('images', '-aq', '--no-trunc');
    const other = await verify('RUN cat /proc/sys/kernel/random/uuid > /differs');
    assert.equal(other.code, 1, other.stderr);
    assert.match(other.stdout + other.stderr, /differs/);
    assert.equal(
      (await daemon.ok('images', '-aq', '--no-trunc')).split('\n').length,
      images.split('\n').length + 1,
    );
    // The mount has what earlier builds left: the result is theirs, and not the Dockerfile's.
    const warm = 'RUN --mount=type=cache,target=/c echo x >> /c/x; wc -l < /c/x > /lines';
    await verify(warm);
    const again = await verify(warm, 'RUN true');
    assert.equal(again.code, 0, again.stderr);
    await daemon.api('POST', '/build/prune?filters=%7B%22type%22%3A%5B%22regular%22%5D%7D&all=1');
    const cold = await verify(warm, 'RUN echo');
    assert.equal(cold.code, 1, cold.stderr);
    assert.match(cold.stdout + cold.stderr, /lines/);
    const { BuildCache } = (await daemon.api('GET', '/system/df')).json<{ BuildCache: { Type: string }[] }>();
    assert.equal(BuildCache.filter(({ Type }) => Type === 'exec.cachemount').length, 1);
  } finally {
    await close();
  }
});
