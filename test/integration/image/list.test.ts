/** `images`: filters, the tree of platforms, inspect; and the `docker` program's answers beside ours. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { busyboxLayer } from '../../fixtures/catalog.ts';
import { HOST_PLATFORM, makeImage, makeIndex, makeLayer, OTHER_PLATFORM } from '../../fixtures/image.ts';
import { makeTar } from '../../fixtures/tar.ts';
import { dockerPrograms } from '../engine.ts';
import { type Daemon, daemonWithRegistry } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
let multi = '';
before(async () => {
  const { daemon: started, registry, close: closing } = await daemonWithRegistry();
  daemon = started;
  close = closing;
  const layer = await busyboxLayer();
  const top = makeLayer(makeTar([{ path: 'top', data: 'top' }]), 'gzip');
  const own = makeImage({ layers: [layer, top], config: { Labels: { tier: 'web' } } });
  const other = makeImage({ layers: [layer], platform: OTHER_PLATFORM });
  multi = await registry.push('team/multi', 'v1', makeIndex([own, other]));
  await daemon.ok('pull', '-q', multi);
});
after(async () => await close());

test('filters', async () => {
  const names = async (...filters: string[]): Promise<string[]> => {
    const flags = filters.flatMap((filter) => ['--filter', filter]);
    const text = await daemon.ok('images', '--format', '{{.Repository}}:{{.Tag}}', ...flags);
    return text
      .split('\n')
      .filter((line) => line !== '')
      .sort();
  };
  assert.deepEqual(await names('reference=*/team/m?lti'), [multi]);
  assert.deepEqual(await names('reference=busy[a-c]ox:l*'), ['busybox:latest']);
  assert.deepEqual(await names('label=tier=web'), [multi]);
  assert.deepEqual(await names('label!=tier', 'reference=busybox'), ['busybox:latest']);
  assert.deepEqual(await names('dangling=true'), []);
  assert.deepEqual(await names('until=2020-01-01'), []);
  await daemon.fails(1, /syntax error in pattern/, 'images', '--filter', 'reference=[');
  await daemon.fails(1, /invalid filter 'colour'/, 'images', '--filter', 'colour=red');
});

test('the tree has the platforms of the index, and marks what runs', async () => {
  const tree = async (): Promise<string> => await daemon.ok('images', '--tree', multi);
  const [own, other] = [HOST_PLATFORM, OTHER_PLATFORM].map(({ os, architecture, variant }) =>
    [os, architecture, ...(variant === undefined ? [] : [variant])].join('/'),
  );
  assert.match(await tree(), new RegExp(`─ ${own} +[0-9a-f]{12} +\\d\\S*MB +\\S+B +\\n`));
  assert.match(await tree(), new RegExp(`─ ${other} +[0-9a-f]{12} +0B +0B +\\n`));
  await daemon.ok('create', '--name', 'user', multi, 'true');
  assert.match(await tree(), new RegExp(`─ ${own} .* U +\\n`));
  await daemon.ok('rm', 'user');
});

test('inspect: descriptor, manifests, the platform asked for', async () => {
  const { Descriptor, Manifests } = (await daemon.api('GET', `/images/${multi}/json?manifests=1`)).json<{
    Descriptor: { digest: string; size: number };
    Manifests: { Available: boolean; Descriptor: { platform: { architecture: string } } }[];
  }>();
  const digest = await daemon.ok('image', 'inspect', '--format', '{{index .RepoDigests 0}}', multi);
  assert.ok(digest.endsWith(`@${Descriptor.digest}`), `${digest} of ${Descriptor.digest}`);
  assert.deepEqual(
    Manifests.map(({ Available, Descriptor: { platform } }) => [platform.architecture, Available]),
    [
      [HOST_PLATFORM.architecture, true],
      [OTHER_PLATFORM.architecture, false],
    ],
  );
  const byDigest = await daemon.ok('image', 'inspect', '--format', '{{.Id}}', digest);
  assert.equal(await daemon.ok('image', 'inspect', '--format', '{{.Id}}', multi), byDigest);
  const { os, architecture } = HOST_PLATFORM;
  await daemon.ok('image', 'inspect', '--platform', `${os}/${architecture}`, multi);
  await daemon.fails(
    1,
    /was found but its platform \(.*\) does not match the specified platform \(linux\/s390x\)/,
    ...['image', 'inspect', '--platform', 'linux/s390x', multi],
  );
});

test('expressions of clients cannot stop the daemon', async () => {
  await daemon.ok('create', '--name', 'a'.repeat(60), 'busybox', 'true');
  const filters = encodeURIComponent(JSON.stringify({ name: ['^(a|a)*$b', '(a+)+c'] }));
  const answer = await daemon.api('GET', `/containers/json?all=1&filters=${filters}`);
  assert.deepEqual(answer.json(), []);
  assert.equal((await daemon.ok('ps', '-aq', '--filter', 'name=^/?a+$')).length, 12);
  await daemon.ok('rm', 'a'.repeat(60));
});

for (const program of dockerPrograms()) {
  test(`${program} prints of images what mydock prints`, async () => {
    const version = (await daemon.docker(program, ['version', '--format', '{{.Client.Version}}'])).stdout;
    const isRecent = Number(version.split('.')[0]) >= 28;
    const same = async (...args: string[]): Promise<void> => {
      const theirs = await daemon.docker(program, args);
      assert.equal(theirs.code, 0, `docker ${args.join(' ')}: ${theirs.stderr}`);
      // Docker's headings of trees are bold also where no terminal is; names of one image come in any order.
      const plain = theirs.stdout.replaceAll(/\u001b\[[\d;]*m/g, '');
      const sorted = (text: string): string[] => text.trimEnd().split('\n').sort();
      assert.deepEqual(sorted(plain), sorted(await daemon.ok(...args)), args.join(' '));
    };
    await same('images');
    await same('images', '-a', '--no-trunc');
    await same('images', '-q', '--filter', 'reference=busybox');
    await same('images', '--digests', 'busybox');
    await same('image', 'ls', '--format', '{{.Repository}} {{.ID}} {{.Size}}');
    await same('history', 'busybox');
    await same('history', '--no-trunc', '--human=false', multi);
    await same('image', 'inspect', '--format', '{{.Config.Labels}} {{.RootFS.Layers}}', multi);
    // Older ones ask for other versions of the API, whose answers differ, and know no trees.
    if (!isRecent) return;
    await same('image', 'inspect', 'busybox');
    await same('image', 'ls', '--tree');
  });
}
