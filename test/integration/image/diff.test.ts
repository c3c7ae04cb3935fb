/** `image diff`: packages, files and configuration of images and containers, its exit codes and its JSON. */
import assert from 'node:assert/strict';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { ImageDifference } from '../../../src/api/image-difference.ts';
import { debianImage, hasDebianImage } from '../../fixtures/catalog.ts';
import { type Daemon, daemonWithRegistry } from '../harness.ts';

const skip = hasDebianImage() ? false : 'the Debian base image could not be made';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  const started = await daemonWithRegistry();
  ({ daemon, close } = started);
  if (skip !== false) return;
  await daemon.ok('pull', '-q', await started.registry.push('debian', 'one', await debianImage()));
  await daemon.ok('tag', `${started.registry.host}/debian:one`, 'server:a');
  await build('server:b', [
    'FROM server:a',
    'RUN sed -i "/^Package: bash$/,/^$/s/^Version: .*/Version: 99:6.0/" /var/lib/dpkg/status && echo x >> /bin/bash',
    'RUN echo changed >> /etc/passwd && chmod 0600 /etc/hostname.tpl 2> /dev/null; chmod 4755 /usr/bin/env',
    'RUN mkdir -p /opt/app/node_modules/left && echo "{\\"name\\":\\"left\\",\\"version\\":\\"1.2.3\\"}" > /opt/app/node_modules/left/package.json',
    'RUN rm /etc/debian_version && ln -s passwd /etc/new-link && touch -d 2001-01-01 /etc/issue',
    'ENV A=1',
    'EXPOSE 80',
    'CMD ["other"]',
  ]);
});
after(async () => await close());

async function build(tag: string, lines: readonly string[]): Promise<void> {
  const context = mkdtempSync(join(daemon.folder, 'context-'));
  writeFileSync(join(context, 'Dockerfile'), `${lines.join('\n')}\n`);
  await daemon.ok('build', '-q', '-t', tag, context);
}

async function difference(exitCode: number, ...args: string[]): Promise<ImageDifference> {
  const { code, stdout, stderr } = await daemon.mydock(['image', 'diff', '--format', 'json', ...args]);
  assert.equal(code, exitCode, `${stderr}${stdout.slice(0, 2000)}`);
  return JSON.parse(stdout) as ImageDifference;
}

/** The changes of the files, by path. */
function byPath({ Files }: ImageDifference) {
  return new Map((Files?.Changes ?? []).map((change) => [change.Path, change]));
}

test('two images: packages, then files that no package explains, then configuration', { skip }, async () => {
  const found = await difference(1, 'server:a', 'server:b');
  assert.deepEqual(found.Notes, []);
  assert.equal(found.Equal, false);
  assert.equal(found.Identical, false);
  assert.deepEqual([found.From.Kind, found.From.Name], ['image', 'server:a']);
  assert.deepEqual(
    found.Packages?.Changes.map(({ Manager, Name, Kind, ToVersion, Path }) => [
      Manager,
      Name,
      Kind,
      ToVersion,
      Path,
    ]),
    [
      ['dpkg', 'bash', 'upgraded', '99:6.0', undefined],
      ['npm', 'left', 'added', '1.2.3', '/opt/app/node_modules/left'],
    ],
  );
  const files = byPath(found);
  // The packages name /bin/bash, which lies in /usr/bin.
  const bash = files.get('/usr/bin/bash') ?? files.get('/bin/bash');
  assert.equal(bash?.Package, 'dpkg:bash');
  assert.deepEqual(bash?.Aspects, ['content']);
  assert.equal(bash?.To?.Size, (bash?.From?.Size ?? 0) + 2);
  assert.equal(files.get('/opt/app/node_modules/left/package.json')?.Package, 'npm:left');
  assert.equal(files.get('/var/lib/dpkg/status')?.Package, 'dpkg');
  assert.deepEqual(files.get('/etc/passwd')?.Aspects, ['content']);
  assert.equal(files.get('/etc/passwd')?.Package, undefined);
  assert.deepEqual(files.get('/usr/bin/env')?.Aspects, ['mode']);
  assert.equal(files.get('/usr/bin/env')?.To?.Mode, 0o4755);
  assert.equal(files.get('/etc/debian_version')?.Kind, 'removed');
  assert.equal(files.get('/etc/new-link')?.To?.Link, 'passwd');
  assert.equal(files.has('/etc/issue'), false);
  assert.ok((found.Files?.TimesOnly ?? 0) >= 1);
  assert.deepEqual(
    found.Config?.map(({ Field, Key, To }) => [Field, Key, To]),
    [
      ['Env', 'A', '1'],
      ['Cmd', '', ['other']],
      ['ExposedPorts', '80/tcp', {}],
    ],
  );
  const times = byPath(await difference(1, '--times', '--only', 'files', 'server:a', 'server:b'));
  assert.deepEqual(times.get('/etc/issue')?.Aspects, ['time']);
});

test('the other way round it is the opposite', { skip }, async () => {
  const found = await difference(1, 'server:b', 'server:a');
  assert.equal(found.Packages?.Changes[0]?.Kind, 'downgraded');
  assert.equal(byPath(found).get('/etc/debian_version')?.Kind, 'added');
  const one = await difference(1, 'server:a', 'server:b');
  assert.equal(found.Files?.SizeChange, -(one.Files?.SizeChange ?? 0));
});

test('as text', { skip }, async () => {
  const { code, stdout } = await daemon.mydock(['image', 'diff', 'server:a', 'server:b']);
  assert.equal(code, 1);
  assert.match(stdout, /^- image server:a \([0-9a-f]{12}, created /);
  assert.match(stdout, /Packages: 1 added, 1 upgraded\n {2}↑ dpkg +bash:\w+ +\S+ → 99:6\.0 +\d+ files?, /);
  assert.match(stdout, /~ \/etc\/passwd +content \(\d+B → \d+B\)\n/);
  assert.match(stdout, /~ \/usr\/bin\/env +mode 0755 → 4755\n/);
  assert.match(stdout, /~ Cmd +\["bash"\] → \["other"\]\n/);
  assert.doesNotMatch(stdout, /\x1b|\/bin\/bash/);
  const all = await daemon.mydock(['image', 'diff', '--limit', '0', 'server:a', 'server:b']);
  assert.match(all.stdout, /\/bin\/bash +content .*\[dpkg:bash\]\n/);
  const few = await daemon.mydock([
    'image',
    'diff',
    '--limit',
    '1',
    '--only',
    'config',
    'server:a',
    'server:b',
  ]);
  assert.match(few.stdout, /\+ Env A +1\n {2}… and 2 more/);
  assert.doesNotMatch(few.stdout, /Packages|Files/);
});

test('equal: the same image, an equal one under another ID, other names for one', async () => {
  await daemon.ok('tag', 'busybox', 'other-name');
  const same = await difference(0, 'busybox', 'other-name');
  assert.deepEqual([same.Identical, same.Equal], [true, true]);
  const id = await daemon.inspect('busybox', '{{.Id}}');
  assert.equal((await difference(0, id, id.slice(7, 19))).Identical, true);
  await build('again', ['FROM busybox', 'ENV NEW=1']);
  await build('back', ['FROM again', 'RUN true', 'ENV NEW=1']);
  const equal = await difference(0, 'again', 'back');
  assert.deepEqual([equal.Identical, equal.Equal], [false, true]);
  const { stdout, code } = await daemon.mydock(['image', 'diff', 'again', 'back']);
  assert.equal(code, 0);
  assert.match(stdout, /Equal in what was compared; only their IDs/);
  await difference(1, 'busybox', 'again');
  await difference(0, '--only', 'files,packages', 'busybox', 'again');
});

test('a container, running or not, against its image, an image and another container', async () => {
  await daemon.ok(
    'run',
    '-d',
    '--name',
    'live',
    '-e',
    'B=2',
    'busybox',
    'sh',
    '-c',
    'echo 1 > /new; echo x >> /etc/passwd; rm /etc/profile; sleep 1000',
  );
  await daemon.ok('create', '--name', 'fresh', 'busybox', 'sh');
  const { Files } = await waitForFiles('live');
  assert.deepEqual(
    Files?.Changes.map(({ Path, Kind }) => [Kind, Path]),
    [
      ['changed', '/etc/passwd'],
      ['removed', '/etc/profile'],
      ['added', '/new'],
    ],
  );
  const own = await difference(1, 'container:live');
  assert.deepEqual([own.From.Kind, own.From.Name, own.To.Kind], ['image', 'busybox', 'container']);
  assert.ok(own.Config?.some(({ Field, Key, To }) => Field === 'Env' && Key === 'B' && To === '2'));
  await daemon.ok('rm', '-f', 'live');
  await difference(0, 'fresh');
  await difference(0, 'container:fresh', 'busybox');
  await daemon.ok('run', '--name', 'ended', 'busybox', 'sh', '-c', 'echo 1 > /new');
  const two = await difference(1, '--only', 'files', 'fresh', 'ended');
  assert.deepEqual(
    two.Files?.Changes.map(({ Path, Kind }) => [Kind, Path]),
    [['added', '/new']],
  );
  await daemon.ok('rm', 'fresh', 'ended');
});

async function waitForFiles(container: string): Promise<ImageDifference> {
  for (let attempt = 0; ; attempt++) {
    const found = await difference(1, '--only', 'files', container);
    if ((found.Files?.Changes.length ?? 0) >= 3 || attempt === 50) return found;
  }
}

test('names that could drive a terminal are escaped', async () => {
  await daemon.ok('run', '--name', 'evil', 'busybox', 'sh', '-c', 'touch "/$(printf "a\\033[2Jb\\nc\\377")"');
  const { stdout } = await daemon.mydock(['image', 'diff', 'evil']);
  assert.match(stdout, /\+ \/a\\x1b\[2Jb\\x0ac/);
  const { Files } = await difference(1, 'evil');
  assert.equal(
    Buffer.from(Files?.Changes[0]?.PathBytes ?? '', 'base64').toString('latin1'),
    '/a\x1b[2Jb\nc\xff',
  );
  await daemon.ok('rm', 'evil');
});

test('errors end with 2, and nothing is left mounted', async () => {
  const diff = ['image', 'diff'];
  await daemon.fails(2, /No such image or container: nobody/, ...diff, 'busybox', 'nobody');
  await daemon.fails(2, /No such container: nobody/, ...diff, 'container:nobody');
  await daemon.fails(2, /name a second image/, ...diff, 'busybox');
  await daemon.fails(2, /use packages, files or config/, ...diff, '--only', 'nonsense', 'busybox', 'busybox');
  await daemon.fails(2, /one or two names/, ...diff);
  await daemon.fails(125, /it must be text or json/, ...diff, '--format', 'xml', 'busybox', 'busybox');
  const answer = await daemon.api('GET', '/images/difference?from=busybox&to=busybox&only=x');
  assert.equal(answer.status, 400);
  assert.equal((await daemon.api('GET', '/images/difference')).status, 400);
});
