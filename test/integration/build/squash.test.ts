/** `--squash`: one layer above the base, with what is gone from it gone, and Docker's history. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Daemon, daemonWithBusybox } from '../harness.ts';
import { type Built, classicBuild, type Files } from './classic-build.ts';

let daemon: Daemon;
let close: () => Promise<void>;

before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
  const base = {
    Dockerfile:
      'FROM busybox\nRUN mkdir -p /d/sub /e /k && echo base > /d/file && echo base > /d/sub/deep && echo base > /e/gone && echo base > /turned && echo base > /k/kept\n',
  };
  const built = await classicBuild(daemon, base, 't=base');
  assert.equal(built.error, '', built.output);
});
after(async () => await close());

const build = (files: Files, query: string): Promise<Built> => classicBuild(daemon, files, query);

interface Inspected {
  Id: string;
  RootFS: { Layers: string[] };
}

const inspect = async (image: string): Promise<Inspected> =>
  (await daemon.api('GET', `/images/${image}/json`)).json<Inspected>();

const history = async (image: string): Promise<{ Comment: string; Size: number; CreatedBy: string }[]> =>
  (await daemon.api('GET', `/images/${image}/history`)).json();

/** Everything in a root filesystem, with what it is. */
const listing = async (image: string): Promise<string> =>
  await daemon.ok(
    'run',
    '--rm',
    '--network',
    'none',
    image,
    'sh',
    '-c',
    'for d in d e k new turned links copied; do [ -e /$d ] && find /$d -exec stat -c "%n %F %a %u:%g %Y %h" {} + | sort; done; cat /d/file /k/kept /links/b 2>/dev/null; readlink /links/s; true',
  );

const DOCKERFILE = `FROM base
RUN rm /e/gone && echo changed > /d/file && rm -r /d/sub && mkdir /d/sub && echo new > /d/sub/other
RUN rm /turned && mkdir /turned && echo x > /turned/x && rm /d/sub/other && chmod 700 /k
RUN mkdir /links && echo linked > /links/a && ln /links/a /links/b && ln -s a /links/s && chown 1000:1000 /links/a
RUN echo away > /made-and-gone
RUN rm /made-and-gone
COPY a.txt /copied/
ENV X=1
`;

test('one layer above the base; nothing that is gone comes back; the same each time', async () => {
  const files = { Dockerfile: DOCKERFILE, 'a.txt': 'a' };
  const plain = await build(files, 't=plain');
  assert.equal(plain.error, '', plain.output);
  const squashed = await build(files, 't=squashed&squash=1');
  assert.equal(squashed.error, '', squashed.output);
  const [base, whole, one] = [await inspect('base'), await inspect('plain'), await inspect('squashed')];
  assert.equal(whole.RootFS.Layers.length, base.RootFS.Layers.length + 6);
  assert.deepEqual(one.RootFS.Layers.slice(0, -1), base.RootFS.Layers);
  assert.equal(await listing('squashed'), await listing('plain'));
  assert.match(await listing('squashed'), /\/links\/b regular file 644 1000:1000 \d+ 2/);
  const entries = await history('squashed');
  const baseLength = (await history('base')).length;
  assert.equal(entries[0]?.Comment, `merge ${plain.id} to ${base.Id}`);
  assert.equal(entries.length, baseLength + 8);
  assert.ok(entries.slice(1, -baseLength).every(({ Size }) => Size === 0));
  assert.match(entries[2]?.CreatedBy ?? '', /^COPY a.txt/);
  // From the cache, and made anew.
  assert.equal((await build(files, 'squash=1')).id, squashed.id);
  await daemon.ok('rmi', '-f', 'squashed');
  await daemon.api('POST', '/build/prune?all=1');
  assert.equal((await build(files, 'squash=1')).id, squashed.id);
});

test('from scratch, of one step, and of none', async () => {
  const scratch = await build(
    { Dockerfile: 'FROM scratch\nCOPY a.txt /a\nCOPY a.txt /b\n', 'a.txt': 'a' },
    't=scratched&squash=1',
  );
  assert.equal(scratch.error, '', scratch.output);
  assert.equal((await inspect('scratched')).RootFS.Layers.length, 1);
  assert.match((await history('scratched'))[0]?.Comment ?? '', /^create new from sha256:[0-9a-f]{64}$/);
  const none = await build({ Dockerfile: 'FROM base\nENV A=b\n' }, 't=none&squash=1');
  assert.equal(none.error, '', none.output);
  assert.deepEqual((await inspect('none')).RootFS.Layers, (await inspect('base')).RootFS.Layers);
});
