import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ImageManifestSummary, ImageSummary } from '../../api/images.ts';
import { type Respond, sendJson } from '../../client/fake-daemon.ts';
import { mydock } from '../run-in-test.ts';

const id = (digits: string): string => `sha256:${digits.repeat(16)}`;

function manifest(architecture: string, fields: Partial<ImageManifestSummary> = {}): ImageManifestSummary {
  return {
    ID: id('0a1b'),
    Descriptor: { mediaType: '', digest: id('0a1b'), size: 1 },
    Available: true,
    Size: { Total: 5_500_000, Content: 1_234_567 },
    Kind: 'image',
    ImageData: { Platform: { os: 'linux', architecture }, Containers: [], Size: { Unpacked: 4_000_000 } },
    ...fields,
  };
}

function image(
  digits: string,
  created: number,
  names: string[],
  manifests: ImageManifestSummary[],
): ImageSummary {
  return {
    Containers: 0,
    Created: created,
    Id: id(digits),
    Labels: null,
    ParentId: '',
    RepoDigests: [],
    RepoTags: names,
    SharedSize: -1,
    Size: 8_800_000,
    Manifests: manifests,
  };
}

const IMAGES = [
  image('ab12', 1_690_000_000, ['busybox:1'], [manifest('amd64')]),
  { ...image('cd34', 1_700_000_000, [], []), Containers: 1 },
  image(
    'ef56',
    1_710_000_000,
    ['alpine:latest', 'localhost:5000/team/alpine-with-a-long-name:v1'],
    [
      manifest('amd64', {
        ImageData: {
          Platform: { os: 'linux', architecture: 'amd64' },
          Containers: ['c1'],
          Size: { Unpacked: 4_000_000 },
        },
      }),
      manifest('arm64', { Available: false, Size: { Total: 0, Content: 0 } }),
      manifest('', { Kind: 'attestation', ImageData: null, AttestationData: { For: id('0a1b') } }),
    ],
  ),
];

const respond: Respond = ({ url }, response) => {
  if (url.includes('/history')) sendJson(response, HISTORY);
  else if (url.includes('/prune'))
    sendJson(response, {
      ImagesDeleted: [{ Untagged: 'a:b' }, { Deleted: id('ab12') }],
      SpaceReclaimed: 123_456,
    });
  else sendJson(response, IMAGES);
};

const HISTORY = [
  {
    Id: id('ab12'),
    Created: 1_700_000_000,
    CreatedBy: `RUN\t${'x'.repeat(60)}`,
    Tags: ['a:b'],
    Size: 0,
    Comment: 'c',
  },
  { Id: '<missing>', Created: 0, CreatedBy: 'ADD', Tags: null, Size: 4_123_456, Comment: '' },
];

test('the tree shows platforms, what is here of them and what is used', async () => {
  const { io, calls } = await mydock(['image', 'ls', '--tree'], respond);
  assert.deepEqual(calls, ['GET /images/json?manifests=1']);
  assert.deepEqual(io.out().split('\n').slice(3), [
    'IMAGE                           ID             DISK USAGE   CONTENT SIZE   EXTRA',
    'localhost:5000/team/alpine-with-a-long-name:v1',
    'alpine:latest                   ef56ef56ef56        8.8MB         1.23MB   U    ',
    '├─ linux/amd64                  0a1b0a1b0a1b        5.5MB         1.23MB   U    ',
    '└─ linux/arm64                  0a1b0a1b0a1b           0B             0B        ',
    '',
    'busybox:1                       ab12ab12ab12        8.8MB         1.23MB        ',
    '└─ linux/amd64                  0a1b0a1b0a1b        5.5MB         1.23MB        ',
    '',
    '',
  ]);
  const all = await mydock(['images', '--tree', '-a'], respond);
  assert.match(all.io.out(), /^<untagged> +cd34cd34cd34 +8\.8MB +0B {3}U {4}$/m);
  for (const flags of [['-q'], ['--no-trunc'], ['--digests'], ['--format', 'json']]) {
    const { io: refused, exitCode, calls: none } = await mydock(['images', '--tree', ...flags], respond);
    assert.deepEqual([exitCode, none], [1, []]);
    assert.match(refused.err(), /is not yet supported with --tree/);
  }
});

test('nothing that an image says is obeyed by the terminal', async () => {
  const step = { ...HISTORY[1], CreatedBy: 'RUN \u001b[2J\u009b0m\nsecond', Comment: '\u001b]0;title\u0007' };
  const hostile: Respond = ({ url }, response) => {
    if (url.includes('/history')) sendJson(response, [step]);
    else sendJson(response, { message: 'no such file: \u001b[31ma' }, 500);
  };
  const { io } = await mydock(['history', '--format', '{{.CreatedBy}}|{{.Comment}}', 'a'], hostile);
  assert.equal(io.out(), 'RUN \\x1b[2J\\x9b0m\nsecond|\\x1b]0;title\\x07\n');
  const json = await mydock(['history', '--format', 'json', 'a'], hostile);
  assert.equal((JSON.parse(json.io.out()) as { CreatedBy: string }).CreatedBy, step.CreatedBy);
  const failed = await mydock(['image', 'inspect', 'a'], hostile);
  assert.ok(failed.io.err().includes('no such file: \\x1b[31ma'), failed.io.err());
});

test('history in all its forms', async () => {
  const out = async (...flags: string[]): Promise<string[]> =>
    (await mydock(['history', ...flags, 'a:b'], respond)).io.out().trimEnd().split('\n');
  assert.deepEqual(await out(), [
    'IMAGE          CREATED       CREATED BY                                      SIZE      COMMENT',
    `ab12ab12ab12   6 weeks ago   RUN ${'x'.repeat(40)}…   0B        c`,
    '<missing>      N/A           ADD                                             4.12MB',
  ]);
  assert.deepEqual(await out('-q', '--no-trunc'), [id('ab12'), '<missing>']);
  assert.deepEqual(await out('--human=false', '--format', '{{.CreatedAt}} {{.Size}} {{.Comment}}'), [
    '2023-11-14T22:13:20Z 0 c',
    '1970-01-01T00:00:00Z 4123456',
  ]);
  assert.equal(
    (await out('--format', 'json'))[1],
    '{"Comment":"","CreatedAt":"1970-01-01T00:00:00Z","CreatedBy":"ADD","CreatedSince":"N/A","ID":"\\u003cmissing\\u003e","Size":"4.12MB"}',
  );
  const { calls } = await mydock(['history', '--platform', 'linux/arm64', 'a:b'], respond);
  assert.match(decodeURIComponent(calls[0] ?? ''), /platform=\{"architecture":"arm64","os":"linux"\}$/);
});

test('image prune asks, and tells what went', async () => {
  const pruned = `Deleted Images:\nuntagged: a:b\ndeleted: ${id('ab12')}\n\nTotal reclaimed space: 123.5kB\n`;
  const forced = await mydock(['image', 'prune', '-f'], respond);
  assert.equal(forced.io.out(), pruned);
  assert.deepEqual(forced.calls.map(decodeURIComponent), [
    'POST /images/prune?filters={"dangling":["true"]}',
  ]);
  const no = await mydock(['image', 'prune'], respond, { stdin: ['n\n'] });
  assert.deepEqual(no.calls, []);
  assert.match(no.io.out(), /^WARNING! This will remove all dangling images\.\n/);
  const yes = await mydock(['image', 'prune', '-a', '--filter', 'until=24h'], respond, { stdin: ['y\n'] });
  assert.match(
    yes.io.out(),
    /^WARNING! This will remove all images without at least one container associated to them\./,
  );
  assert.ok(yes.io.out().endsWith(pruned));
  assert.deepEqual(yes.calls.map(decodeURIComponent), [
    'POST /images/prune?filters={"until":["24h"],"dangling":["false"]}',
  ]);
});

test('rmi and inspect name platforms as the API wants them', async () => {
  const answer: Respond = ({ method }, response) => sendJson(response, method === 'DELETE' ? [] : {});
  const platform = '{"architecture":"arm64","os":"linux"}';
  const removed = await mydock(['rmi', '--platform', 'linux/arm64', 'a'], answer);
  assert.deepEqual(removed.calls.map(decodeURIComponent), [`DELETE /images/a?platforms=${platform}`]);
  const inspected = await mydock(['image', 'inspect', '--platform', 'linux/arm64', 'a'], answer);
  assert.deepEqual(inspected.calls.map(decodeURIComponent), [`GET /images/a/json?platform=${platform}`]);
});
