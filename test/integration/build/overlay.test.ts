/** Builds with the overlay driver: the same images, byte for byte, as with the one that unpacks nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { daemonWithBusybox } from '../harness.ts';
import { type Built, classicBuild } from './classic-build.ts';

const DOCKERFILE = `FROM busybox AS maker
WORKDIR /work/deep
COPY --chown=alice:staff a.txt sub/ ./
RUN echo made > made && ln made linked && ln -s made soft && chmod 4755 made && rm /etc/profile
RUN --mount=type=cache,target=/cache --mount=type=bind,target=/ctx cp /ctx/a.txt /cache/ && cat /cache/a.txt > from-mounts
FROM busybox
COPY --from=maker /work /work
COPY --link a.txt /linked/
RUN rm -r /var/www && mkdir /var/www && echo anew > /var/www/page
RUN <<END
mkdir -p /tmp/x
echo here > /tmp/x/doc
END
RUN rm /tmp/x/doc
COPY <<doc /here
content
doc
CMD ["cat", "/here"]
`;
const FILES = { Dockerfile: DOCKERFILE, 'a.txt': 'a\n', 'sub/b.txt': 'b\n' };

interface Results {
  built: string;
  squashed: string;
}

async function buildAll(args: readonly string[]): Promise<Results> {
  const { daemon, close } = await daemonWithBusybox(args);
  const build = async (query: string): Promise<Built> => {
    const built = await classicBuild(daemon, FILES, query);
    assert.equal(built.error, '', built.output);
    return built;
  };
  try {
    const { id } = await build('t=built');
    const script =
      'cat /here /work/deep/linked /work/deep/from-mounts; ls /var/www /tmp/x; stat -c "%a %h %u" /work/deep/made /work/deep/a.txt';
    assert.equal(
      await daemon.ok('run', '--rm', '--network', 'none', 'built', 'sh', '-c', script),
      'content\nmade\na\n/tmp/x:\n\n/var/www:\npage\n4755 2 0\n644 1 1000',
    );
    const again = await build('');
    assert.equal(again.id, id);
    assert.doesNotMatch(again.output, /Running in/);
    const squashed = (await build('squash=1&t=squashed')).id;
    assert.equal(await daemon.ok('run', '--rm', '--network', 'none', 'squashed', 'ls', '/var/www'), 'page');
    return { built: id, squashed };
  } finally {
    await close();
  }
}

test('the same images of both drivers, in parts and squashed', async () => {
  const unpacked = await buildAll(['--storage-driver', 'overlay']);
  assert.deepEqual(unpacked, await buildAll([]));
});
