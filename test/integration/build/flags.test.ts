/** The flags of `mydock build`, each by what a user would notice of it. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { busyboxImage, busyboxLayer } from '../../fixtures/catalog.ts';
import { makeImage } from '../../fixtures/image.ts';
import type { Registry } from '../../fixtures/registry.ts';
import { eventually } from '../command.ts';
import { type Daemon, daemonWithRegistry } from '../harness.ts';
import { contextFolder, type Files, shows } from './context-folder.ts';

let daemon: Daemon;
let registry: Registry;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, registry, close } = await daemonWithRegistry());
});
after(async () => await close());

/** Of what stands in a layout, what is looked at here. */
interface Document {
  manifests?: { digest: string }[];
  config?: { digest: string };
  annotations?: Record<string, string>;
}

const folderOf = (files: Files): string => contextFolder(daemon, files);

/** Builds, and returns what was shown. */
async function built(...words: string[]): Promise<string> {
  return (await daemon.ends(0, ['build', '--progress', 'plain', ...words])).stderr;
}

/** The registry's answer to who asks for `repository:1`. Who names no form gets one of Docker's past. */
async function manifestOf(repository: string): Promise<Response> {
  const forms = ['oci.image.manifest.v1', 'docker.distribution.manifest.v2'];
  const accept = forms.map((form) => `application/vnd.${form}+json`).join(', ');
  const url = `http://${registry.host}/v2/${repository}/manifests/1`;
  return await fetch(url, { method: 'HEAD', headers: { accept } });
}

const idOf = (image: string): Promise<string> => daemon.inspect(image, '{{.Id}}');
const exists = async (image: string): Promise<boolean> =>
  (await daemon.mydock(['image', 'inspect', image])).code === 0;

test('names, labels, arguments, the target, and files that tell of the result', async () => {
  const folder = folderOf({
    Dockerfile:
      'FROM busybox AS one\nARG WORD=none\nRUN echo "$WORD" > /word\nLABEL a=file b=file\nFROM one\nRUN false\n',
  });
  const [idFile, metadataFile] = [join(folder, '../iid'), join(folder, '../metadata')];
  await built(
    ...['-t', 'named:1', '--tag', 'other', '--target', 'one', '--build-arg', 'WORD=given', '--load'],
    ...['--label', 'b=flag', '--label', 'c=', '--iidfile', idFile, '--metadata-file', metadataFile, folder],
  );
  const id = await idOf('named:1');
  assert.equal(await idOf('other'), id);
  assert.equal(readFileSync(idFile, 'utf8'), id);
  const metadata = JSON.parse(readFileSync(metadataFile, 'utf8')) as Record<string, string>;
  assert.equal(metadata['containerimage.config.digest'], id);
  assert.equal(metadata['image.name'], 'docker.io/library/named:1,docker.io/library/other:latest');
  assert.equal(await shows(daemon, 'other', 'cat', '/word'), 'given');
  const { fixture: _, ...labels } = JSON.parse(await daemon.inspect(id, '{{json .Config.Labels}}')) as Files;
  assert.deepEqual(labels, { a: 'file', b: 'flag', c: '' });
  const failed = await daemon.mydock(['build', '-t', 'failed', '--iidfile', idFile, folder]);
  assert.equal(failed.code, 1);
  assert.equal(readFileSync(idFile, 'utf8'), id);
});

test('--no-cache and --no-cache-filter: all steps anew, or those of some stages', async () => {
  const folder = folderOf({
    Dockerfile: [
      'FROM busybox AS one',
      'RUN head -c 9 /dev/urandom | base64 > /random',
      'FROM busybox AS two',
      'RUN head -c 12 /dev/urandom | base64 > /random',
      'FROM busybox',
      'COPY --from=one /random /1',
      'COPY --from=two /random /2',
    ].join('\n'),
  });
  const numbers = async (...flags: string[]): Promise<string[]> => {
    await built('-t', 'random', ...flags, folder);
    return (await shows(daemon, 'random', 'cat', '/1', '/2')).split('\n');
  };
  const [one, two] = await numbers();
  assert.deepEqual(await numbers(), [one, two]);
  const [filteredOne, filteredTwo] = await numbers('--no-cache-filter', 'two,none');
  assert.equal(filteredOne, one);
  assert.notEqual(filteredTwo, two);
  const [anewOne, anewTwo] = await numbers('--no-cache');
  assert.notEqual(anewOne, one);
  assert.notEqual(anewTwo, filteredTwo);
});

test('--pull: a name that leads elsewhere by now', async () => {
  const name = await registry.push('moving', 'latest', await busyboxImage());
  const folder = folderOf({ Dockerfile: `FROM ${name}\nLABEL x=y\n` });
  await built('-t', 'pulled', folder);
  const moved = makeImage({ layers: [await busyboxLayer()], config: { Env: ['MOVED=1'] } });
  await registry.push('moving', 'latest', moved);
  const before = await idOf('pulled');
  await built('-t', 'pulled', folder);
  assert.equal(await idOf('pulled'), before);
  await built('-t', 'pulled', '--pull', folder);
  assert.match(await daemon.inspect('pulled', '{{json .Config.Env}}'), /MOVED=1/);
});

test('outputs: a registry, names of their own, nothing, and layouts that other builds begin with', async () => {
  const folder = folderOf({ Dockerfile: 'FROM busybox\nRUN echo here > /here\n' });
  const [layout, archive] = [join(folder, '../layout'), join(folder, '../image.tar')];
  const pushed = `${registry.host}/pushed:1`;
  const metadataFile = join(folder, '../pushed');
  await built('-t', pushed, '--push', '--metadata-file', metadataFile, folder);
  const metadata = JSON.parse(readFileSync(metadataFile, 'utf8')) as Record<string, string>;
  const manifest = await manifestOf('pushed');
  assert.equal(manifest.headers.get('docker-content-digest'), metadata['containerimage.digest']);
  const [also, last] = [`${registry.host}/also:1`, `${registry.host}/last:1`];
  await built('-o', `type=registry,name=${also}`, '-o', 'type=image,name=elsewhere:2', folder);
  await built('-o', `type=image,name=${last},push=true`, folder);
  for (const name of ['also', 'last']) assert.equal((await manifestOf(name)).status, 200, name);
  const id = await idOf('elsewhere:2');
  await daemon.ok('rmi', 'elsewhere:2', pushed, also, last);
  await built('-t', 'nothing', '-o', 'type=cacheonly', folder);
  assert.ok(!(await exists('nothing')));
  const files = [`type=oci,dest=${layout},tar=false`, `type=oci,dest=${archive}`];
  await built('-t', 'filed:1', ...files.flatMap((one) => ['-o', one]), folder);
  assert.ok(!(await exists('filed:1')) && existsSync(join(layout, 'index.json')));
  await daemon.ok('load', '-q', '-i', archive);
  assert.equal(await idOf('filed:1'), id);
  const next = folderOf({ Dockerfile: 'FROM base\nRUN cat /here > /again\n' });
  await built('-t', 'next', '--build-context', `base=oci-layout://${layout}`, next);
  assert.equal(await shows(daemon, 'next', 'cat', '/again'), 'here');
});

test('--cache-to and --cache-from: in the image, in a registry, in a folder', async () => {
  const folder = folderOf({ Dockerfile: 'FROM busybox\nRUN head -c 9 /dev/urandom | base64 > /random\n' });
  const image = `${registry.host}/inline:1`;
  const dest = join(folder, '../cache');
  const repository = `${registry.host}/cache:1`;
  const to = ['type=inline', `type=registry,ref=${repository}`, `type=local,dest=${dest}`];
  await built('-t', image, '--push', ...to.flatMap((one) => ['--cache-to', one]), folder);
  const random = await shows(daemon, image, 'cat', '/random');
  for (const from of [image, `type=registry,ref=${repository}`, `type=local,src=${dest}`]) {
    await daemon.ok('rmi', '-f', image);
    await daemon.ok('builder', 'prune', '-af');
    const shown = await built('-t', image, '--cache-from', from, folder);
    assert.match(shown, /RUN head .*\n#\d+ CACHED/, from);
    assert.equal(await shows(daemon, image, 'cat', '/random'), random, from);
  }
});

test('--squash: one layer above the base', async () => {
  const folder = folderOf({ Dockerfile: 'FROM busybox\nRUN echo 1 > /1\nRUN echo 2 > /2; rm /1\n' });
  const layers = async (image: string): Promise<number> =>
    Number(await daemon.inspect(image, '{{len .RootFS.Layers}}'));
  await built('-t', 'squashed', '--squash', folder);
  assert.equal(await layers('squashed'), (await layers('busybox')) + 1);
  assert.equal(await shows(daemon, 'squashed', 'sh', '-c', 'cat /2; test -e /1 || echo gone'), '2\ngone');
});

test('shares of processors, and the cgroup above those of steps', async () => {
  const unified = !existsSync('/sys/fs/cgroup/cpu');
  const files = unified ? 'cpu.weight cpu.max' : 'cpu/cpu.shares cpu/cpu.cfs_period_us cpu/cpu.cfs_quota_us';
  const run = `RUN cd /sys/fs/cgroup && cat ${files} | tr "\\n" " " && sleep 1`;
  const folder = folderOf({ Dockerfile: `FROM busybox\n${run}\n` });
  const flags = ['--cpu-shares', '512', '--cpu-period', '50000', '--cpu-quota', '25000'];
  const shown = await built('--no-cache', ...flags, folder);
  assert.match(shown, unified ? /^#\d+ \S+ \d+ 25000 50000 /m : /^#\d+ \S+ 512 50000 25000 /m);
  const parent = 'mydock-test-parent';
  const live = daemon.live([
    ...['build', '--no-cache', '--progress', 'plain', '--cgroup-parent', `/${parent}`],
    folderOf({ Dockerfile: 'FROM busybox\nRUN echo $((40+2)) begun; sleep 98765\n' }),
  ]);
  try {
    await eventually('the step runs', () => live.stderr.includes('42 begun'));
    const root = unified ? '/sys/fs/cgroup' : '/sys/fs/cgroup/cpu';
    assert.ok(existsSync(join(root, parent)), live.stderr);
  } finally {
    live.child.kill('SIGINT');
    await live.ended;
  }
});

test('progress: quiet, and as the environment wants it', async () => {
  const folder = folderOf({ Dockerfile: 'FROM busybox\nRUN echo said\n' });
  const quiet = await daemon.ends(0, ['build', '-t', 'quiet', '--quiet', folder]);
  assert.deepEqual([quiet.stdout.trim(), quiet.stderr], [await idOf('quiet'), '']);
  const none = await daemon.ends(0, ['build', '--progress', 'quiet', folder]);
  assert.equal(none.stderr, '');
  const env = { ...process.env, BUILDKIT_PROGRESS: 'rawjson' };
  const raw = await daemon.ends(0, ['build', '--progress', 'auto', folder], { env });
  assert.match(raw.stderr, /^#\d+ /m);
  const asked = await daemon.ends(0, ['build', folder], { env });
  assert.ok(asked.stderr.startsWith('{'), asked.stderr);
  const terminal = await daemon.ends(0, ['build', '--progress', 'plain', folder], { tty: true });
  assert.match(terminal.stdout, /^#\d+ \[2\/2\] RUN/m);
});

test('--platform of several, with annotations: an index over an image each', async () => {
  const folder = folderOf({
    Dockerfile: 'FROM scratch\nARG TARGETARCH\nLABEL arch=$TARGETARCH\nCOPY a /\n',
    a: 'a',
  });
  const layout = join(folder, '../several');
  const annotations = ['--annotation', 'one=manifest', '--annotation', 'index:two=index'];
  const output = ['-o', `type=oci,dest=${layout},tar=false`];
  await built('--platform', 'linux/amd64,linux/arm64', ...annotations, ...output, folder);
  const document = (digest: string): Document =>
    JSON.parse(readFileSync(join(layout, 'blobs', digest.replace(':', '/')), 'utf8')) as Document;
  const [top] = (JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8')) as Document).manifests ?? [];
  const index = document(top?.digest ?? '');
  assert.deepEqual(index.annotations, { two: 'index' });
  const images = (index.manifests ?? []).map(({ digest }) => {
    const manifest = document(digest);
    const { architecture, config } = document(manifest.config?.digest ?? '') as unknown as {
      architecture: string;
      config: { Labels: Record<string, string> };
    };
    return [architecture, config.Labels['arch'], manifest.annotations?.['one']];
  });
  assert.deepEqual(images, [
    ['amd64', 'amd64', 'manifest'],
    ['arm64', 'arm64', 'manifest'],
  ]);
});

test("a Dockerfile's own ignore file; flags that change nothing; a lock that would have to change", async () => {
  const folder = folderOf({
    Dockerfile: 'FROM busybox\nCOPY . /all/\nRUN ls -A /all | sort > /list\n',
    'Other.file': 'FROM busybox\nCOPY . /all/\nRUN ls -A /all | sort > /list\n',
    '.dockerignore': 'b\n*ignore\n*file\n',
    'Other.file.dockerignore': 'a\n.*\n*ignore\n*file\n',
    a: 'a',
    b: 'b',
  });
  await built('-t', 'ignoring', folder);
  assert.equal(await shows(daemon, 'ignoring', 'cat', '/list'), 'a');
  const id = await idOf('ignoring');
  const idle = ['--compress', '--force-rm', '--rm=false', '--builder', 'default', '--isolation=default'];
  await built('-t', 'ignoring', ...idle, folder);
  assert.equal(await idOf('ignoring'), id);
  const other = ['-t', 'other-ignoring', '-f', join(folder, 'Other.file')];
  await built(...other, folder);
  assert.equal(await shows(daemon, 'other-ignoring', 'cat', '/list'), 'b');
  const locked = await daemon.mydock(['build', '--locked', ...other, folder]);
  assert.equal(locked.code, 1);
  assert.match(locked.stderr, /Other\.file\.lock/);
  await built('--lock', ...other, folder);
  await built('--locked', ...other, folder);
});

test("proxies of the client's configuration are variables of its containers", async () => {
  mkdirSync(join(daemon.home, '.docker'), { recursive: true });
  const proxies = {
    default: { httpProxy: 'http://wrong.example' },
    [`unix://${daemon.socket}`]: { httpProxy: 'http://proxy.example:1', noProxy: 'a.example' },
  };
  writeFileSync(join(daemon.home, '.docker/config.json'), JSON.stringify({ proxies }));
  try {
    const command = ['busybox', 'sh', '-c', 'env | grep -i _proxy | sort'];
    const shown = ['HTTP_PROXY=http://proxy.example:1', 'NO_PROXY=a.example'];
    const flags = ['--rm', '--network', 'none', '-e', 'http_proxy=mine', '-e', 'no_proxy'];
    assert.equal(await daemon.ok('run', ...flags, ...command), [...shown, 'http_proxy=mine'].join('\n'));
    await daemon.ok('create', '--name', 'proxied', '--network', 'none', ...command);
    assert.match(await daemon.inspect('proxied', '{{json .Config.Env}}'), /"http_proxy=http:\/\/proxy/);
  } finally {
    writeFileSync(join(daemon.home, '.docker/config.json'), '{}');
  }
});

test('what is wrong with a build has its own message', async () => {
  const cases: [string, string, RegExp, Files?][] = [
    [
      'a cycle',
      'FROM busybox AS a\nCOPY --from=b / /\nFROM a AS b\n',
      /circular dependency detected on stage: [ab]/,
    ],
    ['a file that is not there', 'FROM busybox\nCOPY none /\n', /"\/none": not found/],
    [
      'a file above the context',
      'FROM busybox\nCOPY ../../../etc/hostname /\n',
      /"\/etc\/hostname": not found/,
    ],
    ['an unknown flag', 'FROM busybox\nCOPY --owner=1 a /\n', /unknown flag: --owner/],
    [
      'an unknown instruction',
      'FROM busybox\nCOPPY a /\n',
      /unknown instruction: COPPY \(did you mean COPY\?\)/,
    ],
    [
      'a cache mount with a bad sharing',
      'FROM busybox\nRUN --mount=type=cache,target=/c,sharing=all true\n',
      /sharing.*all/,
    ],
    ['a cache mount without a place', 'FROM busybox\nRUN --mount=type=cache,id=x true\n', /target/],
    ['an unknown stage', 'FROM busybox\nCOPY --from=9 / /\n', /9/],
  ];
  for (const [name, dockerfile, message] of cases) {
    const { code, stderr } = await daemon.mydock(['build', folderOf({ Dockerfile: dockerfile })]);
    assert.equal(code, 1, name);
    assert.match(stderr, message, name);
    assert.match(stderr, /Dockerfile:\d+\n-+\n/, name);
  }
  const secret = await built(folderOf({ Dockerfile: 'FROM busybox\nARG TOKEN=x\n' }));
  assert.match(secret, /1 warning found.*\n - SecretsUsedInArgOrEnv: .*\(ARG "TOKEN"\) \(line 2\)/);
  // Whatever an ID says, it is a name and no path.
  const climbing = folderOf({
    Dockerfile: 'FROM busybox\nRUN --mount=type=cache,id=../../../../etc,target=/c ls -A /c | wc -l\n',
  });
  assert.match(await built('--no-cache', climbing), /^#\d+ \S+ 0$/m);
  for (const flags of [['--unknown'], ['--platform', 'a/b/c/d'], ['--target', 'none']]) {
    const folder = folderOf({ Dockerfile: 'FROM busybox\n' });
    const { code, stderr } = await daemon.mydock(['build', ...flags, folder]);
    assert.notEqual(code, 0);
    assert.match(stderr, new RegExp(flags.at(-1)?.replace('--', '') ?? ''));
  }
});
