/**
 * `RUN --mount=type=cache` in whole builds, on both storage drivers: builds side by side that share, do not share or take
 * turns; what a new one begins with; and caches that go from one machine to another, whatever its driver is.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

const DRIVERS = ['erofs', 'overlay'] as const;

/** Outlives the daemons: what one of them keeps of its cache mounts, for the next. */
const shared = mkdtempSync(join(tmpdir(), 'cache-mounts-'));
after(() => rmSync(shared, { recursive: true }));

let daemon: Daemon;

/** Tests with a daemon of that driver; one at a time, since each wants the machine's network for itself. */
function withDriver(driver: (typeof DRIVERS)[number], title: string, tests: () => void): void {
  describe(`${driver}: ${title}`, () => {
    let close: () => Promise<void>;
    before(async () => {
      ({ daemon, close } = await daemonWithBusybox(
        driver === 'overlay' ? ['--storage-driver', 'overlay'] : [],
      ));
    });
    after(async () => await close());
    tests();
  });
}

let contexts = 0;

/** Builds it without results of earlier builds, and gives what its steps said. */
async function build(lines: readonly string[], ...flags: string[]): Promise<string[]> {
  const folder = join(daemon.folder, `context-${contexts++}`);
  mkdirSync(folder);
  writeFileSync(join(folder, 'Dockerfile'), `${lines.join('\n')}\n`);
  const { code, stderr } = await daemon.mydock([
    'build',
    '--no-cache',
    '--progress',
    'plain',
    ...flags,
    folder,
  ]);
  assert.equal(code, 0, stderr);
  return [...stderr.matchAll(/^#\d+ \d+\.\d+ (.*)$/gm)].map((match) => match[1] ?? '');
}

/** Waits until the other build is there, too: only two that run side by side get past it. */
const MEET =
  'touch /meet/$ME; n=0; until [ $(ls /meet | wc -l) = 2 ]; do n=$((n+1)); [ $n -lt 1200 ] || exit 9; sleep 0.05; done';

for (const driver of DRIVERS) {
  withDriver(driver, 'steps and builds side by side', () => {
    const both = async (id: string, step: string): Promise<string[][]> => {
      const one = (me: string): Promise<string[]> =>
        build(
          [
            'FROM busybox',
            'ARG ME',
            `RUN --mount=type=cache,id=meet-${id},target=/meet ${step.replace('MEET', MEET)}`,
          ],
          '--build-arg',
          `ME=${me}`,
        );
      return await Promise.all([one('a'), one('b')]);
    };

    test('shared: builds side by side see each other’s files; private: each has its own', async () => {
      const mount = (sharing: string): string =>
        `--mount=type=cache,id=${sharing},sharing=${sharing},target=/c`;
      const look = 'touch /c/$ME; MEET; echo $(ls /c)';
      assert.deepEqual(await both('shared', `${mount('shared')} ${look}`), [['a b'], ['a b']]);
      assert.deepEqual(await both('private', `${mount('private')} ${look}`), [['a'], ['b']]);
      // One after the other has what either left.
      const later = await build(['FROM busybox', `RUN ${mount('private')} ls /c`]);
      assert.ok(later.length === 1 && ['a', 'b'].includes(later[0] ?? ''), later.join());
    });

    test('locked: stages and builds take turns, and lose nothing', async () => {
      const count = (stage: string): string =>
        `RUN --mount=type=cache,id=count,sharing=locked,target=/c echo ${stage}; n=$(cat /c/n 2>/dev/null || echo 0); sleep 0.2; echo $((n+1)) > /c/n`;
      const lines = [
        ...['a', 'b', 'c'].flatMap((stage) => [
          `FROM busybox AS ${stage}`,
          count(stage),
          `RUN touch /${stage}`,
        ]),
        'FROM busybox',
        ...['a', 'b', 'c'].map((stage) => `COPY --from=${stage} /${stage} /`),
      ];
      await Promise.all([build(lines), build(lines)]);
      const read = ['FROM busybox', 'RUN --mount=type=cache,id=count,target=/c cat /c/n'];
      assert.deepEqual(await build(read), ['6']);
    });

    test('a new one has the owner and mode that it is given, or those of what it begins with', async () => {
      const said = await build([
        'FROM busybox AS files',
        'RUN mkdir -p /from/sub && echo begun > /from/sub/f && ln /from/sub/f /from/sub/g && chown -R 7:8 /from && chmod 2750 /from/sub',
        'FROM busybox',
        'RUN --mount=type=cache,target=/c,id=given,uid=1000,gid=50,mode=0710 stat -c "%a %u:%g" /c',
        'RUN --mount=type=cache,target=/c,id=begun,from=files,source=/from/sub stat -c "%a %u:%g %h" /c /c/f; cat /c/g; echo more >> /c/g',
        'RUN --mount=type=cache,target=/c,id=begun,from=files,source=/from/sub cat /c/f',
        // Its files are its own: those of the stage stay.
        'COPY --from=files /from/sub/f /f',
        'RUN cat /f; test ! -e /c/f',
        'USER 1000:50',
        'RUN --mount=type=cache,target=/c,id=given,uid=1000,gid=50,mode=0710 touch /c/mine && stat -c "%u:%g" /c/mine',
      ]);
      assert.deepEqual(said, [
        '710 1000:50',
        ...['2750 7:8 2', '644 7:8 2', 'begun', 'begun', 'more'],
        ...['begun', '1000:50'],
      ]);
    });
  });
}

const MOVED = '--mount=type=cache,id=moved,target=/c';
const WRITE = `RUN ${MOVED} echo f > /c/f && chown 3:4 /c/f && chmod 640 /c/f && mkdir /c/deep && echo g > /c/deep/g && ln -s f /c/l`;
const READ = `RUN ${MOVED} cd /c && stat -c "%n %a %u:%g" f deep/g l && cat deep/g`;

function keeps(folder: string): void {
  test('files, owners and modes go into a cache', async () => {
    await build(
      ['FROM busybox', WRITE],
      '--cache-to',
      `type=local,dest=${join(shared, folder)},cache-mounts=true`,
    );
  });
}

function takes(folder: string): void {
  test('and out of one that another driver has made; a mount that is there is nobody’s to change', async () => {
    const flags = ['--cache-from', `type=local,src=${join(shared, folder)}`];
    const given = await build(['FROM busybox', READ], ...flags);
    assert.deepEqual(given, ['f 640 3:4', 'deep/g 644 0:0', 'l 777 0:0', 'g']);
    // It is a mount as others are now, for builds that were given no cache as well.
    assert.deepEqual(await build(['FROM busybox', READ]), given);
    await build(['FROM busybox', `RUN ${MOVED} echo own > /c/deep/g`]);
    assert.equal((await build(['FROM busybox', READ], ...flags)).at(-1), 'own');
  });
}

withDriver('erofs', 'a cache for another driver', () => keeps('of-erofs'));
withDriver('overlay', 'a cache of another driver', () => {
  takes('of-erofs');
});
withDriver('overlay', 'a cache for another driver', () => keeps('of-overlay'));
withDriver('erofs', 'a cache of another driver', () => takes('of-overlay'));
