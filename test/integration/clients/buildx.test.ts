/**
 * `docker buildx build` and the `docker build` of Docker 20.10 with BuildKit, against mydockd: contexts, secrets, outputs,
 * errors and cancelling go over BuildKit's protocol. Skipped where there is no buildx (fixtures/compose.ts).
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { buildxProgram } from '../../fixtures/compose.ts';
import { dockerProgram } from '../../fixtures/packages.ts';
import { eventually, LiveCommand, type Result, run } from '../command.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';
import { TestSocket } from '../scoped-socket.ts';

const program = buildxProgram();

const DOCKERFILE = `FROM busybox AS base
ARG WORD=plain
COPY kept /kept
RUN --mount=type=secret,id=token echo "$WORD $(wc -c < /run/secrets/token)" > /said && ls /kept > /list
FROM base AS failing
RUN echo about to fail && exit 7
FROM base AS slow
RUN echo asleep now && sleep 1000
FROM scratch AS files
COPY --from=base /said /list /
COPY kept/link /link
FROM base
LABEL made=here
CMD ["cat", "/said"]
`;

describe('docker buildx build', { skip: program === undefined ? 'no buildx is installed' : false }, () => {
  let daemon: Daemon;
  let close: () => Promise<void>;
  let folder: string;

  before(async () => {
    ({ daemon, close } = await daemonWithBusybox());
    folder = join(daemon.folder, 'project');
    mkdirSync(join(folder, 'kept/deep'), { recursive: true });
    writeFileSync(join(folder, 'Dockerfile'), DOCKERFILE);
    writeFileSync(join(folder, '.dockerignore'), '**/*.ignored\n');
    writeFileSync(join(folder, 'kept/a'), 'first');
    writeFileSync(join(folder, 'kept/b.ignored'), 'not sent');
    writeFileSync(join(folder, 'kept/ü'), 'not ASCII');
    writeFileSync(join(folder, 'kept/deep/large'), Buffer.alloc(9_000_000, 'x'));
    symlinkSync('a', join(folder, 'kept/link'));
    writeFileSync(join(folder, 'token'), '12345');
  });
  after(async () => await close());

  const args = (...more: string[]): string[] => [
    'build',
    '--progress',
    'plain',
    '--secret',
    `id=token,src=${folder}/token`,
    ...more,
  ];
  const build = async (
    words: readonly string[],
    options: Parameters<Daemon['docker']>[2] = {},
  ): Promise<Result> => await daemon.docker(program ?? '', args(...words), options);
  const built = async (...words: string[]): Promise<string> => {
    const { code, stderr } = await build([...words, folder]);
    assert.equal(code, 0, `buildx ${words.join(' ')}: ${stderr}`);
    return stderr;
  };
  const containers = async (): Promise<string> => await daemon.ok('ps', '-aq');

  test('a folder becomes an image, with progress, --iidfile and --metadata-file', async () => {
    const files = ['--iidfile', join(folder, '../iid'), '--metadata-file', join(folder, '../metadata')];
    const output = await built('-t', 'one', '-t', 'two:x', '--build-arg', 'WORD=other', ...files);
    assert.match(output, /\[base 3\/3\] RUN .*\n(.*\n)*?#\d+ DONE/);
    assert.match(output, /transferring context: 9\.\d+MB/);
    const id = await daemon.ok('inspect', '--format', '{{.Id}}', 'one');
    assert.equal(readFileSync(join(folder, '../iid'), 'utf8'), id);
    const metadata = JSON.parse(readFileSync(join(folder, '../metadata'), 'utf8')) as Record<string, string>;
    assert.equal(metadata['containerimage.config.digest'], id);
    assert.equal(await daemon.ok('inspect', '--format', '{{.Id}}', 'two:x'), id);
    assert.equal(await daemon.ok('run', '--rm', 'one'), 'other 5');
    assert.equal(await daemon.ok('run', '--rm', 'one', 'cat', '/kept/ü'), 'not ASCII');
    assert.equal(await daemon.ok('run', '--rm', 'one', 'grep', '-c', '', '/list'), '4');
    assert.equal(await daemon.ok('inspect', '--format', '{{.Config.Labels.made}}', 'one'), 'here');
  });

  test('the same build is cached, sends nothing again, and is the same image', async () => {
    await built('-t', 'again');
    const id = await daemon.ok('inspect', '--format', '{{.Id}}', 'again');
    const output = await built('-t', 'again');
    assert.match(output, /\[base 3\/3\] RUN .*\n#\d+ CACHED/);
    assert.doesNotMatch(output, /transferring context: [1-9]\d*\.?\d*MB/);
    assert.equal(await daemon.ok('inspect', '--format', '{{.Id}}', 'again'), id);
    writeFileSync(join(folder, 'kept/a'), 'other');
    assert.match(await built('-t', 'again'), /\[base 2\/3\] COPY .*\n(#\d+ \d.*\n)*#\d+ DONE/);
    assert.equal(await daemon.ok('run', '--rm', 'again', 'cat', '/kept/link'), 'other');
  });

  test('a step that fails is shown with its lines and output; so is a Dockerfile that is none', async () => {
    const { code, stderr } = await build(['--target', 'failing', folder]);
    assert.equal(code, 1);
    assert.match(stderr, /about to fail/);
    assert.match(stderr, /Dockerfile:6\n-+\n(.*\n)*? +6 \| >>> RUN echo about to fail && exit 7\n/);
    assert.match(
      stderr,
      /ERROR: failed to solve: process "\/bin\/sh -c echo about to fail && exit 7" did not complete successfully: exit code: 7\n/,
    );
    const broken = await build(['-f', '-', folder], { stdin: 'FROM scratch\nCOPPY a b\n' });
    assert.equal(broken.code, 1);
    assert.match(broken.stderr, /2 \| >>> COPPY a b/);
    assert.match(broken.stderr, /unknown instruction: COPPY/);
    const missing = await build(['-f', '-', folder], { stdin: 'FROM scratch\nCOPY nothing /\n' });
    assert.match(missing.stderr, /"\/nothing": not found/);
  });

  test('files come to the client: a folder, a tar, an archive of the image', async () => {
    const out = join(folder, '../out');
    await built('--target', 'files', '--output', `type=local,dest=${out}`);
    assert.equal(readFileSync(join(out, 'said'), 'utf8'), 'plain 5\n');
    assert.ok(lstatSync(join(out, 'link')).isFile() || readlinkSync(join(out, 'link')) === 'a');
    await built('--target', 'files', '--output', `type=tar,dest=${out}.tar`);
    assert.equal(execFileSync('tar', ['xOf', `${out}.tar`, 'said'], { encoding: 'utf8' }), 'plain 5\n');
    await built('-t', 'carried', '--output', `type=docker,dest=${out}.docker.tar`);
    assert.match(await daemon.ok('load', '-i', `${out}.docker.tar`), /carried/);
    await built('-t', 'carried', '--output', `type=oci,dest=${out}.oci.tar`);
    assert.match(execFileSync('tar', ['tf', `${out}.oci.tar`], { encoding: 'utf8' }), /^oci-layout$/m);
  });

  test('the context is a tar on stdin, the Dockerfile is on stdin, or it has a name of its own', async () => {
    const archive = execFileSync('tar', ['c', '-C', folder, '.'], { maxBuffer: 1 << 26 });
    const piped = await build(['--target', 'files', '-'], { stdin: archive });
    assert.equal(piped.code, 0, piped.stderr);
    const text = await build(['-t', 'text', '-f', '-', folder], { stdin: 'FROM busybox\nCOPY kept/a /a\n' });
    assert.equal(text.code, 0, text.stderr);
    assert.equal(await daemon.ok('run', '--rm', 'text', 'cat', '/a'), 'other');
    const alone = await build(['-t', 'alone', '-'], { stdin: 'FROM busybox\nLABEL from=stdin\n' });
    assert.equal(alone.code, 0, alone.stderr);
    writeFileSync(join(folder, 'kept/Other.file'), 'FROM busybox\nCOPY --from=more a /from-more\n');
    await built(
      '-t',
      'named',
      '-f',
      join(folder, 'kept/Other.file'),
      '--build-context',
      `more=${folder}/kept`,
    );
    assert.equal(await daemon.ok('run', '--rm', 'named', 'cat', '/from-more'), 'other');
  });

  test('bake: targets take from the results of others, for one platform and for several', async () => {
    const bake = join(folder, '../bake');
    mkdirSync(bake);
    writeFileSync(
      join(bake, 'docker-bake.json'),
      JSON.stringify({
        target: {
          low: { 'dockerfile-inline': 'FROM busybox\nENV LOW=yes\nRUN echo low > /low\n' },
          high: {
            contexts: { base: 'target:low' },
            tags: ['baked'],
            'dockerfile-inline': [
              'FROM base AS on',
              'RUN echo "$LOW $(cat /low)" > /on',
              'FROM busybox',
              'COPY --from=on /on /',
              'COPY --from=base /low /',
              'RUN --mount=from=base,target=/mnt cat /mnt/low > /mounted',
              '',
            ].join('\n'),
          },
          many: {
            platforms: ['linux/amd64', 'linux/arm64'],
            'dockerfile-inline': 'FROM scratch\nARG TARGETARCH\nLABEL arch=$TARGETARCH\n',
          },
          more: {
            contexts: { base: 'target:many' },
            platforms: ['linux/amd64', 'linux/arm64'],
            tags: ['many'],
            'dockerfile-inline': 'FROM base\n',
            output: [`type=oci,dest=${bake}/more.tar`],
          },
        },
      }),
    );
    const baked = async (target: string): Promise<void> => {
      const { code, stderr } = await daemon.docker(
        program ?? '',
        ['bake', '--progress', 'plain', '-f', join(bake, 'docker-bake.json'), target],
        { env: { BUILDX_BAKE_ENTITLEMENTS_FS: '0' } },
      );
      assert.equal(code, 0, stderr);
    };
    await baked('high');
    const command = ['cat', '/on', '/low', '/mounted'];
    assert.equal(await daemon.ok('run', '--rm', 'baked', ...command), 'yes low\nlow\nlow');
    const id = await daemon.ok('inspect', '--format', '{{.Id}}', 'baked');
    await baked('high');
    assert.equal(await daemon.ok('inspect', '--format', '{{.Id}}', 'baked'), id);
    await baked('more');
    const archive = join(bake, 'more.tar');
    const configs = execFileSync('tar', ['xOf', archive, '--wildcards', 'blobs/sha256/*'], {
      encoding: 'latin1',
    });
    for (const arch of ['amd64', 'arm64']) {
      const platform = new RegExp(`"architecture":"${arch}"[^\\0]*?"arch":"${arch}"`);
      assert.match(configs, platform);
    }
  });

  test('a secret that is required and missing', async () => {
    const dockerfile = 'FROM busybox\nRUN --mount=type=secret,id=none,required=true cat /run/secrets/none\n';
    const { code, stderr } = await build(['-f', '-', folder], { stdin: dockerfile });
    assert.equal(code, 1);
    assert.match(stderr, /secret none: not found|none.*not found/);
  });

  test('what is not built is refused by name', async () => {
    const inputs: [string[], RegExp][] = [[['--output', 'type=nonsense'], /nonsense/]];
    for (const [words, message] of inputs) {
      const { code, stderr } = await build([...words, folder]);
      assert.notEqual(code, 0);
      assert.match(stderr, message);
    }
  });

  for (const signal of ['SIGINT', 'SIGKILL'] as const) {
    test(`a client that goes away by ${signal} ends its build`, async () => {
      const env = { ...process.env, HOME: daemon.home, DOCKER_HOST: `unix://${daemon.socket}` };
      const live = new LiveCommand([program ?? '', ...args('--target', 'slow', folder)], { env });
      await eventually('the step runs', () => live.stderr.includes('asleep now') && live.stderr);
      assert.ok(sleepers() > 0);
      live.child.kill(signal);
      await live.ended;
      await eventually('no process of the step is left', () => sleepers() === 0);
      assert.equal(await containers(), '');
      assert.match(await built('--target', 'files'), /CACHED/);
    });
  }

  test('the cache is listed and pruned', async () => {
    await built();
    const { stdout } = await daemon.docker(program ?? '', ['du', '--verbose']);
    assert.match(stdout, /^Description:.*RUN --mount=type=secret/m);
    const pruned = await daemon.docker(program ?? '', ['prune', '--all', '--force']);
    assert.equal(pruned.code, 0, pruned.stderr);
    assert.match(pruned.stdout, /^Total:/m);
    assert.doesNotMatch(await built(), /COPY .*\n#\d+ CACHED/);
    const listed = await daemon.docker(program ?? '', ['ls']);
    assert.match(listed.stdout, /default\s+running\s+v\d/);
  });

  test('docker build of Docker 20.10 with BuildKit: the same image', async () => {
    await built('-t', 'by-buildx');
    const id = await daemon.ok('inspect', '--format', '{{.Id}}', 'by-buildx');
    const docker = async (words: readonly string[], stdin = ''): Promise<Result> =>
      await run([await dockerProgram(), 'build', '--progress', 'plain', ...words], {
        stdin,
        env: {
          ...process.env,
          HOME: daemon.home,
          DOCKER_HOST: `unix://${daemon.socket}`,
          DOCKER_BUILDKIT: '1',
        },
      });
    const secret = ['--secret', `id=token,src=${folder}/token`];
    const one = await docker([...secret, '-t', 'by-docker', folder]);
    assert.equal(one.code, 0, one.stderr);
    assert.match(one.stderr, /\[base 3\/3\] RUN/);
    assert.equal(await daemon.ok('inspect', '--format', '{{.Id}}', 'by-docker'), id);
    const piped = await docker(['-t', 'piped', '-'], 'FROM busybox\nLABEL piped=yes\n');
    assert.equal(piped.code, 0, piped.stderr);
    assert.equal(await daemon.ok('inspect', '--format', '{{.Config.Labels.piped}}', 'piped'), 'yes');
    const failed = await docker([...secret, '--target', 'failing', folder]);
    assert.notEqual(failed.code, 0);
    assert.match(failed.stderr, /exit code: 7/);
  });

  test('scoped sockets: builds by BuildKit are held to the same limits', async () => {
    const socket = await TestSocket.create(
      daemon,
      '--allow',
      'images.build,ping,version,info',
      '--image',
      'mine/*',
      '--image',
      'busybox',
    );
    const scoped = async (...words: string[]): Promise<Result> =>
      await run([program ?? '', ...args(...words), folder], {
        env: { ...process.env, HOME: daemon.home, DOCKER_HOST: `unix://${socket.path}` },
      });
    const allowed = await scoped('-t', 'mine/one');
    assert.equal(allowed.code, 0, allowed.stderr);
    const foreign = await scoped('-t', 'yours/one');
    assert.notEqual(foreign.code, 0);
    assert.match(foreign.stderr, /not allowed on socket/);
    const host = await scoped('--network', 'host', '--allow', 'network.host');
    assert.notEqual(host.code, 0);
    assert.match(host.stderr, /not allowed on socket/);
    const cache = await scoped('--cache-from', 'type=registry,ref=yours/cache');
    assert.notEqual(cache.code, 0);
    assert.match(cache.stderr, /not allowed on socket/);
    const prune = await run([program ?? '', 'prune', '--all', '--force'], {
      env: { ...process.env, HOME: daemon.home, DOCKER_HOST: `unix://${socket.path}` },
    });
    assert.notEqual(prune.code, 0);
    await socket.remove();
    const reading = await TestSocket.create(daemon, '--read-only');
    for (const path of ['/session', '/grpc']) {
      const headers = { Connection: 'Upgrade', Upgrade: 'h2c' };
      assert.equal((await reading.api('POST', path, undefined, headers)).status, 403, path);
    }
    await reading.remove();
  });
});

/** Processes of steps that sleep. */
function sleepers(): number {
  const found = execFileSync('sh', ['-c', 'grep -lz "^1000$" /proc/[0-9]*/cmdline 2>/dev/null || true'], {
    encoding: 'utf8',
  });
  return found.split('\n').filter((path) => path !== '' && existsSync(path)).length;
}
