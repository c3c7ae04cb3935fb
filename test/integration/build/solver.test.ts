/** Builds through `POST /build`: stages, cache, reproducible images, the classic builder's words. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { makeTar, type TarEntry } from '../../fixtures/tar.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';
import { sendBytes } from '../security/attack.ts';

let daemon: Daemon;
let close: () => Promise<void>;

before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => await close());

interface Built {
  status: number;
  /** What a client prints. */
  output: string;
  error: string;
  id: string;
}

interface Message {
  stream?: string;
  error?: string;
  aux?: { ID?: string };
}

type Files = Readonly<Record<string, string>>;

async function build(files: Files, query = '', mtime = 1_700_000_000): Promise<Built> {
  const entries = Object.entries(files).map(([path, data]): TarEntry => ({ path, data, mtimeNs: BigInt(mtime) * 1_000_000_000n }));
  const { status, text } = await sendBytes(daemon, 'POST', `/build?${query}`, makeTar(entries));
  const messages = text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => JSON.parse(line) as Message);
  return {
    status,
    output: messages.map(({ stream = '' }) => stream).join(''),
    error: messages.map(({ error = '' }) => error).join(''),
    id: messages.map(({ aux }) => aux?.ID ?? '').join(''),
  };
}

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
  assert.match(built.output, /Successfully built [0-9a-f]{12}\nSuccessfully tagged first:latest\nSuccessfully tagged second:2\n$/);
  assert.equal(await shows('first'), 'hello world');
  assert.equal(await shows('second:2', 'cat', '/got/sub/two', '/got/a.txt'), 'two\nfrom the context');
  assert.ok(!built.output.includes('RUN false'), built.output);
  const again = await build(files, 't=third');
  assert.equal(again.id, built.id);
  assert.equal(again.output.match(/Using cache/g)?.length, 4, again.output);
});
