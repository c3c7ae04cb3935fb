import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { after, before, test } from 'node:test';
import type { BuildQuery } from '../api/build.ts';
import { openDatabase } from '../base/database.ts';
import type { ImageID } from '../image/digest.ts';
import { OverlaySnapshotter } from '../image/layers/overlay.ts';
import { ContentStore } from '../image/store/content-store.ts';
import { IMAGE_MIGRATIONS, ImageStore } from '../image/store/image-store.ts';
import { BUILD_MIGRATIONS } from './cache/cache-schema.ts';
import { ClassicBuilder } from './classic-builder.ts';
import { parseBuildQuery } from './request.ts';
import type { RunStep } from './step-runner.ts';

const base = mkdtempSync(join(tmpdir(), 'mydock-build-'));
const steps: RunStep[] = [];
let images: ImageStore;
let snapshotter: OverlaySnapshotter;
let builder: ClassicBuilder;
/** What a RUN does, by the last word of its command. */
const programs: Record<string, (step: RunStep) => number> = {};

before(() => {
  const database = openDatabase(join(base, 'db'), [IMAGE_MIGRATIONS, BUILD_MIGRATIONS]);
  const contentStore = new ContentStore(join(base, 'content'));
  snapshotter = new OverlaySnapshotter(join(base, 'layers'));
  images = new ImageStore({ database, contentStore, snapshotter });
  builder = new ClassicBuilder({
    database,
    contentStore,
    snapshotter,
    imageStore: images,
    directory: join(base, 'build'),
    puller: {
      pull: ({ reference }) => Promise.reject(new Error(`pull of ${reference}`)),
    },
    stepRunner: {
      withOwners: (_, use) => use(undefined),
      run: (step) => {
        steps.push(step);
        const program = programs[step.args.at(-1) ?? ''];
        return Promise.resolve({ exitCode: program === undefined ? 127 : program(step) });
      },
    },
  });
});
after(async () => {
  await snapshotter.close();
  rmSync(base, { recursive: true, force: true });
});

type Files = Record<string, string>;

async function build(
  files: Files,
  query: BuildQuery = {},
  prepare: (folder: string) => void = () => {},
): Promise<{ id: ImageID; output: string }> {
  const folder = mkdtempSync(join(base, 'context-'));
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
    utimesSync(join(folder, name), 1_500_000_000, 1_500_000_000);
  }
  prepare(folder);
  const tar = execFileSync('tar', ['-C', folder, '-cz', '.']);
  let output = '';
  const onMessage = ({ stream }: { stream?: string }) => {
    output += stream ?? '';
  };
  try {
    const id = await builder.build(
      parseBuildQuery(query),
      Readable.from([tar]),
      onMessage,
      new AbortController().signal,
    );
    return { id, output };
  } catch (error) {
    (error as { output?: string }).output = output;
    throw error;
  }
}

/** Looks into an image. */
async function inside<T>(id: ImageID, body: (root: string) => T): Promise<T> {
  const target = mkdtempSync(join(base, 'look-'));
  await snapshotter.mount({ layers: images.get(id)?.diffIds ?? [], target });
  try {
    return body(target);
  } finally {
    await snapshotter.unmount(target);
  }
}

test('a build from scratch: files, configuration, history, output', async () => {
  const { id, output } = await build(
    {
      Dockerfile: `ARG NAME=world
FROM scratch AS one
ARG NAME
COPY --chmod=640 a.txt /data/
COPY dir /data/dir/
ADD files.tar.gz /unpacked/
ENV GREETING="hello \${NAME}" OTHER=\${GREETING:-none}
WORKDIR /work
WORKDIR sub
COPY *.txt ./
LABEL a=b "c d"=e
EXPOSE 80 53/udp 8000-8001
VOLUME /v
USER 1000:1000
STOPSIGNAL SIGUSR1
HEALTHCHECK --interval=5s CMD ["true"]
ENTRYPOINT ["/entry"]
CMD ["x", "$NAME"]
`,
      'a.txt': 'A',
      'b.txt': 'B',
      'dir/sub/c': 'C',
    },
    { t: ['built:1', 'other'], buildargs: '{"NAME":"moon","UNUSED":"1"}', labels: '{"from":"query"}' },
    (folder) => {
      execFileSync('tar', [
        '-C',
        folder,
        '-czf',
        join(folder, 'files.tar.gz'),
        '--owner=7',
        '--group=8',
        'a.txt',
      ]);
      symlinkSync('dir', join(folder, 'link'));
    },
  );
  const image = images.resolve('built:1');
  assert.equal(image.id, id);
  assert.equal(images.resolve('other:latest').id, id);
  const { config } = image.config;
  assert.deepEqual(config.Env, [
    'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    'GREETING=hello moon',
    'OTHER=none',
  ]);
  assert.deepEqual(config.ExposedPorts, { '80/tcp': {}, '53/udp': {}, '8000/tcp': {}, '8001/tcp': {} });
  assert.deepEqual(
    [
      config.Labels,
      config.User,
      config.WorkingDir,
      config.StopSignal,
      config.Entrypoint,
      config.Cmd,
      config.Volumes,
    ],
    [
      { a: 'b', 'c d': 'e', from: 'query' },
      '1000:1000',
      '/work/sub',
      'SIGUSR1',
      ['/entry'],
      ['x', '$NAME'],
      { '/v': {} },
    ],
  );
  assert.deepEqual(config.Healthcheck, { Test: ['CMD', 'true'], Interval: 5e9 });
  assert.equal(
    image.config.history.filter(({ empty_layer }) => empty_layer !== true).length,
    image.diffIds.length,
  );
  assert.match(output, /^Step 1\/19 : ARG NAME=world\nStep 2\/19 : FROM scratch AS one\n ---> \n/);
  assert.match(output, /Step 19\/19 : LABEL from=query\n ---> [0-9a-f]{12}\n/);
  assert.match(output, /\[Warning\] One or more build-args \[UNUSED\] were not consumed\n/);
  assert.ok(
    output.endsWith(
      `Successfully built ${id.slice(7, 19)}\nSuccessfully tagged built:1\nSuccessfully tagged other:latest\n`,
    ),
  );
  await inside(id, (root) => {
    const a = lstatSync(join(root, 'data/a.txt'));
    assert.deepEqual([a.mode & 0o7777, a.uid, a.gid, a.mtimeMs], [0o640, 0, 0, 1_500_000_000_000]);
    assert.equal(readFileSync(join(root, 'data/dir/sub/c'), 'utf8'), 'C');
    const unpacked = lstatSync(join(root, 'unpacked/a.txt'));
    assert.deepEqual([unpacked.uid, unpacked.gid], [7, 8]);
    assert.deepEqual(readdirSync(join(root, 'work/sub')), ['a.txt', 'b.txt']);
  });
  assert.deepEqual(readdirSync(join(base, 'build')), []);
});

test('RUN, the cache, and what breaks it', async () => {
  programs['make'] = ({ rootfs, onOutput }) => {
    writeFileSync(join(rootfs, 'made'), 'by run');
    onOutput(Buffer.from('working\n'), 'stdout');
    return 0;
  };
  programs['fail'] = () => 3;
  const dockerfile = `FROM scratch
ARG VERSION=1
ENV A=b
WORKDIR /w
USER app
COPY in /in
RUN make
SHELL ["/bin/bash", "-ec"]
RUN make
RUN ["make"]
`;
  steps.length = 0;
  const first = await build({ Dockerfile: dockerfile, in: '1' }, { networkmode: 'none' });
  assert.deepEqual(
    steps.map(({ args }) => args),
    [['/bin/sh', '-c', 'make'], ['/bin/bash', '-ec', 'make'], ['make']],
  );
  const [step] = steps;
  assert.deepEqual(
    [step?.cwd, step?.user, step?.network, step?.env.slice(1)],
    ['/w', 'app', 'none', ['A=b', 'VERSION=1']],
  );
  assert.match(first.output, / ---> Running in [0-9a-f]{12}\nworking\n ---> Removed intermediate container/);
  assert.ok(
    images
      .get(first.id)
      ?.config.history.some(({ created_by }) => created_by === '|1 VERSION=1 /bin/sh -c make'),
  );
  assert.equal(images.get(first.id)?.config.config.Env?.includes('VERSION=1'), false);

  const again = await build({ Dockerfile: dockerfile, in: '1' });
  assert.equal(again.id, first.id);
  assert.equal(again.output.match(/Using cache/g)?.length, 8);
  assert.equal(steps.length, 3);
  await build({ Dockerfile: dockerfile, in: '2' });
  assert.equal(steps.length, 6);
  await build({ Dockerfile: dockerfile, in: '1' }, { buildargs: '{"VERSION":"2"}' });
  assert.equal(steps.length, 9);
  await build({ Dockerfile: dockerfile, in: '1' }, { nocache: '1' });
  assert.equal(steps.length, 12);

  await assert.rejects(build({ Dockerfile: 'FROM scratch\nRUN fail' }), {
    message: "The command '/bin/sh -c fail' returned a non-zero code: 3",
    exitCode: 3,
  });
  assert.deepEqual(readdirSync(join(base, 'build')), []);
});

test('stages, --from, ONBUILD and --target', async () => {
  const { id } = await build(
    {
      Dockerfile: `FROM scratch AS files
COPY f /sub/f
FROM scratch AS trigger
ONBUILD COPY --from=files /sub/f /triggered
CMD ["old"]
FROM trigger
COPY --from=files /sub /from-name
COPY --from=0 /sub/f /from-number
ENTRYPOINT ["/e"]
FROM nothing:here
`,
      f: 'F',
    },
    { target: '2' },
  );
  await inside(id, (root) => {
    for (const path of ['triggered', 'from-name/f', 'from-number']) {
      assert.equal(readFileSync(join(root, path), 'utf8'), 'F', path);
    }
  });
  const config = images.get(id)?.config.config;
  assert.deepEqual([config?.OnBuild, config?.Cmd, config?.Entrypoint], [undefined, undefined, ['/e']]);
  await assert.rejects(build({ Dockerfile: 'FROM nothing:here' }), { message: 'pull of nothing:here' });
  await assert.rejects(build({ Dockerfile: 'FROM scratch' }, { target: 'x' }), {
    message: 'target stage "x" could not be found',
  });
});

test('heredocs become files and scripts', async () => {
  programs['echo one\necho two\n'] = () => 0;
  programs['/dev/pipes/PY'] = ({ files }) =>
    readFileSync(files[0]?.source ?? '', 'utf8') === '#!/bin/py\nx\n' ? 0 : 9;
  const { id } = await build({
    Dockerfile: `FROM scratch
ARG WHO=me
COPY <<one <<"two" /files/
it's $WHO
one
not $WHO
two
RUN <<EOF
echo one
echo two
EOF
RUN <<PY
#!/bin/py
x
PY
`,
  });
  await inside(id, (root) => {
    assert.equal(readFileSync(join(root, 'files/one'), 'utf8'), "it's me\n");
    assert.equal(readFileSync(join(root, 'files/two'), 'utf8'), 'not $WHO\n');
  });
});

test('COPY stays inside: links of the context and of the image lead nowhere else', async () => {
  const outside = join(base, 'outside');
  mkdirSync(outside, { recursive: true });
  writeFileSync(join(outside, 'secret'), 'host');
  const { id } = await build(
    {
      Dockerfile: `FROM scratch
COPY links /
COPY f /abs/f
COPY f /up/
COPY tree/ /tree
COPY more/ /tree
`,
      f: 'F',
      'tree/both': '1',
      'tree/one': '1',
      'more/both': '2',
    },
    {},
    (folder) => {
      mkdirSync(join(folder, 'links', outside), { recursive: true });
      symlinkSync(outside, join(folder, 'links/abs'));
      symlinkSync('../../../..', join(folder, 'links/up'));
      chmodSync(join(folder, 'tree'), 0o700);
    },
  );
  assert.deepEqual(readdirSync(outside), ['secret']);
  await inside(id, (root) => {
    assert.equal(readFileSync(join(root, outside, 'f'), 'utf8'), 'F');
    assert.equal(readFileSync(join(root, 'f'), 'utf8'), 'F');
    assert.deepEqual(readdirSync(join(root, 'tree')), ['both', 'one']);
    assert.equal(readFileSync(join(root, 'tree/both'), 'utf8'), '2');
    assert.equal(lstatSync(join(root, 'tree')).mode & 0o777, 0o700);
  });
  const leak = (folder: string) => symlinkSync(join(outside, 'secret'), join(folder, 'leak'));
  await assert.rejects(build({ Dockerfile: 'FROM scratch\nCOPY leak /x' }, {}, leak), {
    message:
      'COPY failed: file not found in build context or excluded by .dockerignore: stat leak: file does not exist',
  });
});

test('what cannot be is refused in plain words', async () => {
  const wrong: [string, string, RegExp][] = [
    ['COPY ../x /', 'InvalidParameter', /^COPY failed: forbidden path outside the build context: \.\.\/x$/],
    ['COPY none /', 'InvalidParameter', /stat none: file does not exist$/],
    ['COPY *.none /', 'InvalidParameter', /^COPY failed: no source files were specified$/],
    ['COPY f Dockerfile /x', 'InvalidParameter', /destination must be a directory and end with a \/$/],
    ['COPY --chown=nobody f /', 'InvalidParameter', /unable to find user nobody/],
    ['COPY --chmod=u+x f /', 'InvalidParameter', /invalid chmod parameter/],
    ['COPY --from=1 f /', 'InvalidParameter', /index out of bounds|refers to current build stage/],
    ['COPY --parents f /', 'NotImplemented', /COPY --parents/],
    ['COPY http://x/y /', 'InvalidParameter', /source can't be a URL for COPY/],
    ['ADD http://x/y /', 'NotImplemented', /ADD of a remote source/],
    ['RUN --mount=type=cache,target=/x y', 'NotImplemented', /RUN --mount/],
    ['EXPOSE 99999', 'InvalidParameter', /invalid containerPort: 99999/],
    ['STOPSIGNAL FOO', 'InvalidParameter', /invalid signal: FOO/],
    ['FOO', 'InvalidParameter', /^dockerfile parse error on line 2: unknown instruction: FOO$/],
  ];
  for (const [line, kind, message] of wrong) {
    await assert.rejects(build({ Dockerfile: `FROM scratch\n${line}\n`, f: '' }), { kind, message }, line);
  }
  await assert.rejects(build({ f: '' }), { message: 'Cannot locate specified Dockerfile: Dockerfile' });
  await assert.rejects(build({ f: '' }, { dockerfile: '../x' }), /must be within the build context/);
  assert.throws(() => parseBuildQuery({ version: '2' }), { kind: 'NotImplemented' });
  assert.throws(() => parseBuildQuery({ buildargs: '[' }), { kind: 'InvalidParameter' });
  assert.deepEqual(readdirSync(join(base, 'build')), []);
});

test('quiet builds say only the ID', async () => {
  const { id, output } = await build({ Dockerfile: 'FROM scratch\nENV q=1' }, { q: '1' });
  assert.equal(output, `${id}\n`);
});

test('an excluded Dockerfile is used but not copied', async () => {
  const { id } = await build({
    Dockerfile: 'FROM scratch\nCOPY . /',
    '.dockerignore': 'Dockerfile\n',
    f: '',
  });
  await inside(id, (root) => assert.deepEqual(readdirSync(root).sort(), ['.dockerignore', 'f']));
});

test('archives of ADD and of the context write nothing outside of their folder', async () => {
  const outside = join(base, 'target');
  mkdirSync(outside, { recursive: true });
  const evil = (folder: string) => {
    const [one, two] = [join(folder, 'one'), join(folder, 'two')];
    for (const path of [one, join(two, 'l')]) mkdirSync(path, { recursive: true });
    symlinkSync(outside, join(one, 'l'));
    writeFileSync(join(two, 'l/written'), '');
    execFileSync('tar', ['-cf', join(folder, 'evil.tar'), '-C', one, 'l', '-C', two, 'l/written']);
  };
  const { id } = await build({ Dockerfile: 'FROM scratch\nADD evil.tar /into/' }, {}, evil).catch(
    (error: Error) => {
      assert.equal((error as { kind?: string }).kind, 'InvalidParameter');
      return { id: undefined };
    },
  );
  assert.deepEqual(readdirSync(outside), []);
  if (id !== undefined) await inside(id, (root) => assert.ok(lstatSync(join(root, 'into')).isDirectory()));
});

test('a cancelled build stops its step and leaves nothing', async () => {
  const cancel = new AbortController();
  programs['slow'] = ({ signal }) => {
    cancel.abort(new Error('client went away'));
    signal.throwIfAborted();
    return 0;
  };
  const folder = mkdtempSync(join(base, 'context-'));
  writeFileSync(join(folder, 'Dockerfile'), 'FROM scratch\nRUN slow\n');
  const tar = execFileSync('tar', ['-C', folder, '-c', '.']);
  await assert.rejects(
    builder.build(parseBuildQuery({}), Readable.from([tar]), () => {}, cancel.signal),
    { message: 'client went away' },
  );
  assert.deepEqual(readdirSync(join(base, 'build')), []);
});
