/** Builds through `POST /build`: stages, cache, reproducible images, the classic builder's words. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { makeTar } from '../../fixtures/tar.ts';
import { eventually } from '../command.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';
import { sendBytes } from '../security/attack.ts';
import { type Built, classicBuild, type Files } from './classic-build.ts';

let daemon: Daemon;
let close: () => Promise<void>;

before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => await close());

const build = (files: Files, query = '', mtime?: number): Promise<Built> =>
  classicBuild(daemon, files, query, mtime);

const shows = async (image: string, ...command: string[]): Promise<string> =>
  await daemon.ok('run', '--rm', '--network', 'none', image, ...command);

test('stages, arguments, COPY between stages; what the target does not need is not done', async () => {
  const files = {
    Dockerfile: `ARG WORD=hello
FROM busybox AS broken
RUN false
FROM busybox AS maker
ARG WORD
WORKDIR /made
RUN echo "$WORD world" > file && mkdir sub && echo two > sub/two
FROM busybox
COPY --from=maker /made /got
COPY a.txt /got/
ENV X=1
CMD ["cat", "/got/file"]
`,
    'a.txt': 'from the context\n',
  };
  const built = await build(files, 't=first&t=second:2');
  assert.equal(built.error, '', built.output);
  assert.match(
    built.output,
    /Successfully built [0-9a-f]{12}\nSuccessfully tagged first:latest\nSuccessfully tagged second:2\n$/,
  );
  assert.equal(await shows('first'), 'hello world');
  assert.equal(await shows('second:2', 'cat', '/got/sub/two', '/got/a.txt'), 'two\nfrom the context');
  assert.ok(!built.output.includes('RUN false'), built.output);
  const again = await build(files, 't=third');
  assert.equal(again.id, built.id);
  assert.equal(again.output.match(/Using cache/g)?.length, 4, again.output);
});

test('the same image at any time, from the cache or without it', async () => {
  const files = {
    Dockerfile:
      'FROM busybox\nCOPY a.txt /x/\nRUN date > /dev/null; mkdir /r; echo same > /r/file; ln -s file /r/link\nWORKDIR /w/w\n',
    'a.txt': 'a',
  };
  const first = await build(files, 't=same');
  assert.equal(first.error, '', first.output);
  const uncached = await build(files, 't=same&nocache=1');
  assert.equal(uncached.id, first.id, uncached.output);
  assert.ok(!uncached.output.includes('Using cache'), uncached.output);
  await daemon.ok('rmi', '-f', 'same');
  const pruned = await daemon.api('POST', '/build/prune?all=1');
  assert.equal(pruned.status, 200, pruned.text);
  const anew = await build(files, 't=same');
  assert.ok(!anew.output.includes('Using cache'), anew.output);
  assert.equal(anew.id, first.id);
  // The fixture's image says no earlier time than the file.
  assert.equal(await daemon.inspect('same', '{{.Created}}'), '2023-11-14T22:13:20Z');
  // A file of another time is the same layer, in an image of another time.
  const later = await build(files, '', 1_800_000_000);
  assert.equal(later.output.match(/Using cache/g)?.length, 3, later.output);
  assert.notEqual(later.id, first.id);
  const args = encodeURIComponent('{"SOURCE_DATE_EPOCH":"1234567890"}');
  const fixed = await build(files, `buildargs=${args}&t=fixed`);
  assert.equal(await daemon.inspect('fixed', '{{.Created}}'), '2009-02-13T23:31:30Z', fixed.error);
  assert.equal(await shows('fixed', 'stat', '-c', '%Y', '/r/file', '/x/a.txt'), '1234567890\n1234567890');
});

test('a changed file does what takes it again, and no more where the result is the same', async () => {
  const dockerfile =
    'FROM busybox AS one\nCOPY a.txt /a\nRUN wc -l < /a > /lines\nFROM busybox\nCOPY --from=one /lines /lines\nRUN echo > /done\n';
  const first = await build({ Dockerfile: dockerfile, 'a.txt': 'one\n' });
  assert.equal(first.error, '', first.output);
  const changed = await build({ Dockerfile: dockerfile, 'a.txt': 'two\n' });
  assert.equal(changed.error, '', changed.output);
  // The first stage is done again; the file that the second takes from it is as it was.
  assert.equal(changed.output.match(/Using cache/g)?.length, 2, changed.output);
  assert.equal(changed.id, first.id);
});

test('a failing step: its place, exit code and output; nothing but cache is left', async () => {
  const failed = await build(
    { Dockerfile: 'FROM busybox\nRUN echo before\nRUN echo words; exit 7\n' },
    't=failed',
  );
  assert.equal(failed.status, 200);
  assert.equal(failed.error, "The command '/bin/sh -c echo words; exit 7' returned a non-zero code: 7");
  assert.match(
    failed.output,
    /Step 3\/3 : RUN echo words; exit 7\n ---> Running in [0-9a-f]{12}\nwords\n\nDockerfile:3\n-+\n.*\n {3}3 \| >>> RUN echo words; exit 7\n.*-+\n$/s,
  );
  assert.equal((await daemon.api('GET', '/images/failed/json')).status, 404);
  const wrong = await build({ Dockerfile: 'FROM busybox\nCOPY nothere /\n' });
  assert.match(wrong.error, /nothere/);
  const cycle = {
    Dockerfile: 'FROM busybox AS a\nCOPY --from=b /x /\nFROM busybox AS b\nCOPY --from=a /x /\n',
  };
  const { status, text } = await sendBytes(
    daemon,
    'POST',
    '/build',
    makeTar([{ path: 'Dockerfile', data: cycle.Dockerfile }]),
  );
  assert.equal(status, 400);
  assert.match(text, /circular dependency detected on stage: a/);
});

test('histories as BuildKit writes them, labels, triggers, heredocs', async () => {
  const triggers = {
    Dockerfile:
      'FROM busybox\nONBUILD COPY a.txt /from-trigger\nONBUILD RUN echo triggered > /t\nLABEL base=1 over=1\n',
    'a.txt': 'a',
  };
  const base = await build(triggers, 't=triggers');
  assert.equal(base.error, '', base.output);
  const dockerfile = [
    'FROM triggers',
    'ARG NAME=x',
    'RUN <<END',
    'echo one > /one',
    'echo "$NAME" > /two',
    'END',
    'COPY <<here /here',
    'content',
    'here',
    'ENV A=b',
    'CMD ["cat", "/one"]',
  ];
  const labels = encodeURIComponent('{"over":"2"}');
  const built = await build(
    { Dockerfile: `${dockerfile.join('\n')}\n`, 'a.txt': 'a' },
    `t=heredocs&labels=${labels}`,
  );
  assert.equal(built.error, '', built.output);
  assert.match(built.output, /# Executing 2 build triggers\n/);
  assert.equal(await shows('heredocs', 'cat', '/one', '/two', '/here', '/t'), 'one\nx\ncontent\ntriggered');
  assert.equal(
    await daemon.inspect('heredocs', '{{json .Config.Labels}}'),
    '{"base":"1","fixture":"busybox","over":"2"}',
  );
  const history = (await daemon.api('GET', '/images/heredocs/history')).json<{ CreatedBy: string }[]>();
  assert.deepEqual(
    history.slice(0, 7).map(({ CreatedBy }) => CreatedBy),
    [
      'CMD ["cat" "/one"]',
      'ENV A=b',
      'COPY <<here /here # buildkit',
      'RUN |1 NAME=x /bin/sh -c echo one > /one\necho "$NAME" > /two\n # buildkit',
      'ARG NAME=x',
      'RUN /bin/sh -c echo triggered > /t # buildkit',
      'COPY a.txt /from-trigger # buildkit',
    ],
  );
});

interface Entry {
  ID: string;
  Type: string;
  Shared: boolean;
  InUse: boolean;
}

const cacheSteps = async (): Promise<Entry[]> =>
  (await daemon.api('GET', '/system/df'))
    .json<{ BuildCache: Entry[] }>()
    .BuildCache.filter(({ Type }) => Type === 'regular');

const prune = async (query: string): Promise<string[]> =>
  (await daemon.api('POST', `/build/prune?${query}`)).json<{ CachesDeleted: string[] }>().CachesDeleted;

test('the cache: builds side by side do a step once; listed, pruned by what it is', async () => {
  await prune('all=1');
  const files = { Dockerfile: 'FROM busybox\nRUN cat /proc/sys/kernel/random/uuid > /id; sleep 1\n' };
  const [one, two] = await Promise.all([build(files, 't=side-one'), build(files, 't=side-two')]);
  assert.equal(one.error + two.error, '');
  assert.equal(one.id, two.id);
  const [step, ...others] = await cacheSteps();
  assert.deepEqual([step?.Shared, step?.InUse, others.length], [true, false, 0]);
  assert.ok(!(await prune('')).includes(step?.ID ?? ''));
  await daemon.ok('rmi', '-f', 'side-one', 'side-two');
  assert.equal((await build(files)).id, one.id);
  const filters = encodeURIComponent('{"nothing":["x"]}');
  assert.equal((await daemon.api('POST', `/build/prune?filters=${filters}`)).status, 400);
  assert.ok((await prune('all=1')).includes(step?.ID ?? ''));
});

test('a killed daemon leaves cache that is whole, and nothing of the build', async () => {
  const kept = 'FROM busybox\nRUN echo kept > /kept\n';
  const running = build({ Dockerfile: `${kept}RUN sleep 600\n` }).catch(() => undefined);
  await eventually('the first step is cached', async () => (await cacheSteps()).length > 0);
  await daemon.stop('SIGKILL');
  await running;
  await daemon.launch();
  const again = await build({ Dockerfile: kept });
  assert.equal(again.error, '', again.output);
  assert.match(again.output, /Using cache/);
});
