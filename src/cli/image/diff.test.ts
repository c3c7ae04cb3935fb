/** `mydock image diff` against a played daemon: what it asks, what it prints, how it ends. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FileState, ImageDifference } from '../../api/image-difference.ts';
import { sendJson } from '../../client/fake-daemon.ts';
import { mydock } from '../run-in-test.ts';

const HEAD: Pick<ImageDifference, 'From' | 'To' | 'Identical' | 'Equal' | 'Notes'> = {
  From: {
    Kind: 'image',
    Name: 'server:a',
    ImageID: `sha256:${'a'.repeat(64)}`,
    Created: '2024-01-02T03:04:05.6Z',
  },
  To: {
    Kind: 'container',
    Name: 'container:web',
    ImageID: `sha256:${'b'.repeat(64)}`,
    ContainerID: 'c'.repeat(64),
    Created: '',
  },
  Identical: false,
  Equal: false,
  Notes: [],
};

function state(more: Partial<FileState> = {}): FileState {
  return {
    Type: 'file',
    Mode: 0o644,
    Uid: 0,
    Gid: 0,
    Size: 0,
    ModTime: '2024-01-01T00:00:00.000000000Z',
    ...more,
  };
}

const NO_FILES = { Added: 0, Removed: 0, Changed: 0, SizeChange: 0 };

const DIFFERENT: ImageDifference = {
  ...HEAD,
  Packages: {
    Counts: [{ Manager: 'dpkg', From: 2, To: 2 }],
    Changes: [
      {
        Manager: 'dpkg',
        Name: 'libc6',
        Kind: 'upgraded',
        FromVersion: '2.36-9',
        ToVersion: '2.36-10',
        FromArchitecture: 'amd64',
        ToArchitecture: 'amd64',
        Files: { Added: 1, Removed: 0, Changed: 2, SizeChange: -1500 },
      },
      {
        Manager: 'npm',
        Name: 'left',
        Kind: 'added',
        FromVersion: '',
        ToVersion: '1.2.3',
        Path: '/app/node_modules/left',
        Files: NO_FILES,
      },
    ],
  },
  Files: {
    Changes: [
      {
        Path: '/etc/\u001b[2Jx',
        Kind: 'changed',
        Aspects: ['content', 'mode'],
        From: state({ Size: 10 }),
        To: state({ Size: 2000, Mode: 0o4755 }),
      },
      {
        Path: '/lib/libc.so.6',
        Kind: 'changed',
        Aspects: ['content'],
        From: state({ Size: 9 }),
        To: state({ Size: 9 }),
        Package: 'dpkg:libc6',
      },
      { Path: '/opt', Kind: 'added', To: state({ Type: 'directory' }) },
      { Path: '/opt/a', Kind: 'added', To: state({ Size: 1000 }) },
      { Path: '/opt/b', Kind: 'added', To: state({ Type: 'symlink', Link: 'a' }) },
      { Path: '/srv', Kind: 'removed', From: state({ Type: 'directory' }) },
    ],
    Added: 3,
    Removed: 1,
    Changed: 2,
    TimesOnly: 1234,
    SizeChange: 2990,
    Directories: [
      { Path: '/etc', Added: 0, Removed: 0, Changed: 1, SizeChange: 1990 },
      { Path: '/opt', Added: 3, Removed: 0, Changed: 0, SizeChange: 1000 },
    ],
    Cut: false,
  },
  Config: [
    { Field: 'Env', Key: 'A', To: '1' },
    { Field: 'Cmd', Key: '', From: ['sh'], To: ['bash', '-l'] },
    { Field: 'ExposedPorts', Key: '80/tcp', From: {} },
  ],
};

const TEXT = `- image server:a (aaaaaaaaaaaa, created 2024-01-02 03:04:05)
+ container web (cccccccccccc)

Packages: 1 added, 1 upgraded
  ↑ dpkg   libc6:amd64   2.36-9 → 2.36-10   3 files, -1.5kB
  + npm    left          1.2.3                                /app/node_modules/left

Files: 3 added, 1 removed, 2 changed, +2.99kB
  ~ /etc/\\x1b[2Jx   content (10B → 2kB), mode 0644 → 4755
  + /opt/           2 entries, +1kB
  - /srv/
  1 file of the packages above
  1,234 more files with another modification time only

By folder
  /etc   +0   -0   ~1   +1.99kB
  /opt   +3   -0   ~0   +1kB

Configuration: 3 settings
  + Env A                 1
  ~ Cmd                   ["sh"] → ["bash","-l"]
  - ExposedPorts 80/tcp

Different: 2 packages, 6 files, 3 settings.
`;

test('what is different, as text', async () => {
  const { io, exitCode, calls } = await mydock(['image', 'diff', 'server:a', 'web'], (_, response) =>
    sendJson(response, DIFFERENT),
  );
  assert.equal(io.out(), TEXT);
  assert.equal(exitCode, 1);
  assert.deepEqual(calls, ['GET /images/difference?from=server%3Aa&to=web&content=1&times=0']);
});

test('colours on a terminal only, and limits', async () => {
  const words = ['image', 'diff', '--limit', '1', 'server:a', 'web'];
  const respond = (_: unknown, response: Parameters<typeof sendJson>[0]): void =>
    sendJson(response, DIFFERENT);
  const terminal = { rows: 24, columns: 80 };
  const colored = await mydock(words, respond, { terminal });
  assert.match(colored.io.out(), /\x1b\[36m↑ dpkg/);
  assert.match(colored.io.out(), /… and 2 more \(--limit 0 shows all\)/);
  assert.doesNotMatch(colored.io.out(), /\x1b\[2J/);
  const plain = await mydock(words, respond, { terminal, env: { NO_COLOR: '1' } });
  assert.doesNotMatch(plain.io.out(), /\x1b/);
  const all = await mydock(['image', 'diff', '--limit', '0', 'server:a', 'web'], respond);
  assert.match(all.io.out(), /~ \/lib\/libc\.so\.6 +content \(9B\) +\[dpkg:libc6\]/);
});

test('JSON as it came, and the flags in the query', async () => {
  const words = [
    'image',
    'diff',
    '--format',
    'json',
    '--only',
    'files, config',
    '--no-content',
    '--times',
    'web',
  ];
  const { io, calls } = await mydock(words, (_, response) => sendJson(response, DIFFERENT));
  assert.deepEqual(JSON.parse(io.out()), DIFFERENT);
  assert.deepEqual(calls, ['GET /images/difference?from=web&only=files%2Cconfig&content=0&times=1']);
});

test('exit codes', async () => {
  const none: ImageDifference = { ...HEAD, Packages: { Changes: [], Counts: [] }, Config: [] };
  const run = async (difference: ImageDifference) =>
    await mydock(['image', 'diff', 'a', 'b'], (_, response) => sendJson(response, difference));
  const equal = await run({ ...none, Equal: true });
  assert.equal(equal.exitCode, 0);
  assert.match(equal.io.out(), /\n\nEqual in what was compared; only their IDs/);
  const same = await run({ ...none, Identical: true, Equal: true });
  assert.equal(same.exitCode, 0);
  assert.match(same.io.out(), /The same, by its ID/);
  const unsure = await run({ ...none, Notes: ['"x" could not be read'] });
  assert.equal(unsure.exitCode, 2);
  assert.match(unsure.io.out(), /Note: "x" could not be read\n\nNo difference was found, but not everything/);
  assert.equal((await mydock(['image', 'diff', 'a', 'b'])).exitCode, 2);
  assert.equal((await mydock(['image', 'diff'])).exitCode, 2);
  assert.equal((await mydock(['image', 'diff', 'a', 'b', 'c'])).exitCode, 2);
  assert.equal((await mydock(['image', 'diff', '--only', 'x', 'a', 'b'])).exitCode, 2);
  assert.equal((await mydock(['image', 'diff', '--limit', '-1', 'a', 'b'])).exitCode, 125);
});
