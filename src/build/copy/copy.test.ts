/** COPY and ADD: what is taken, where it goes, with whose owner and mode; as BuildKit does it. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  linkSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { IgnoreRules } from '../../base/ignore/ignore-rules.ts';
import { type DiffID, parseDiffID } from '../../image/digest.ts';
import type { BlobOptions, LayerWriter } from '../../image/layers/snapshotter.ts';
import { CopyFixture, rawName } from './copy-fixture.ts';
import { makeWorkdir } from './make-workdir.ts';

const MADE = parseDiffID(`sha256:${'1'.repeat(64)}`);
let fixture: CopyFixture;
beforeEach(() => {
  fixture = new CopyFixture();
});
afterEach(() => fixture.remove());

function put(root: string, files: Readonly<Record<string, string | null>>): void {
  for (const [name, content] of Object.entries(files)) {
    const path = join(root, name);
    mkdirSync(content === null ? path : dirname(path), { recursive: true });
    if (content === null) continue;
    writeFileSync(path, content);
    chmodSync(path, 0o644);
  }
}

const context = (files: Readonly<Record<string, string | null>>): void => put(fixture.context, files);
const root = (files: Readonly<Record<string, string | null>>): void => {
  put(fixture.root, files);
  execFileSync('find', [fixture.root, '-exec', 'touch', '-h', '-d', '@5', '{}', '+']);
};

describe('where a copy goes', () => {
  const cases: [title: string, sources: string[], destination: string, expected: string[]][] = [
    ['a file to a name', ['a'], '/x', ['file x 644 0:0 = A']],
    ['a file into the working directory', ['a'], '.', ['directory w 755 0:0 @5', 'file w/a 644 0:0 = A']],
    ['a file to a relative name', ['a'], 'y', ['directory w 755 0:0 @5', 'file w/y 644 0:0 = A']],
    ['a file into a folder that is there', ['a'], '/w', ['directory w 755 0:0 @5', 'file w/a 644 0:0 = A']],
    ['a file into a folder that is made', ['a'], '/n/', ['directory n 755 0:0', 'file n/a 644 0:0 = A']],
    ['a slash and a point', ['a'], '/n/.', ['directory n 755 0:0', 'file n/a 644 0:0 = A']],
    [
      'folders above a name are made',
      ['a'],
      '/n/m/x',
      ['directory n 755 0:0', 'directory n/m 755 0:0', 'file n/m/x 644 0:0 = A'],
    ],
    [
      'a folder is its content',
      ['d'],
      '/n',
      ['directory n 755 0:0', 'file n/e 644 0:0 = E', 'directory n/s 755 0:0'],
    ],
    ['an absolute source is one of the root', ['/a'], '/x', ['file x 644 0:0 = A']],
    ['what would climb out stays in', ['../../a'], '/x', ['file x 644 0:0 = A']],
    [
      'several files',
      ['a', 'd/e'],
      '/n/',
      ['directory n 755 0:0', 'file n/a 644 0:0 = A', 'file n/e 644 0:0 = E'],
    ],
    ['a link at the end of a source is followed', ['link'], '/x', ['file x 644 0:0 = E']],
    ['and keeps its own name', ['link'], '/w/', ['directory w 755 0:0 @5', 'file w/link 644 0:0 = E']],
    [
      'a link in the destination is followed inside',
      ['a'],
      '/wlink/x',
      ['directory w 755 0:0 @5', 'file w/x 644 0:0 = A'],
    ],
    ['also one at its end', ['a'], '/wlink', ['directory w 755 0:0 @5', 'file w/a 644 0:0 = A']],
    [
      'a link to nothing names what is made',
      ['a'],
      '/gone',
      ['directory w 755 0:0 @5', 'file w/new 644 0:0 = A'],
    ],
    [
      'a link out of the root stays inside',
      ['a'],
      '/out/x',
      ['directory etc 755 0:0', 'file etc/x 644 0:0 = A'],
    ],
    [
      'a file in the place of a file',
      ['a'],
      '/w/file',
      ['directory w 755 0:0 @5', 'file w/file 644 0:0 = A'],
    ],
    ['wildcards', ['[ab]*'], '/n/', ['directory n 755 0:0', 'file n/a 644 0:0 = A', 'file n/b 644 0:0 = B']],
    ['a star takes no slash', ['*/e'], '/x', ['file x 644 0:0 = E']],
    ['a wildcard without a match', ['nothing*'], '/n/', []],
    [
      'a folder that a wildcard matched is its content',
      ['d*'],
      '/n/',
      ['directory n 755 0:0', 'file n/e 644 0:0 = E', 'directory n/s 755 0:0'],
    ],
    ['an empty folder into one that is there', ['d/s'], '/w', []],
    [
      'several folders to a name',
      ['d/s', 'd'],
      '/n',
      ['directory n 755 0:0', 'file n/e 644 0:0 = E', 'directory n/s 755 0:0'],
    ],
    ['several files to a name', ['a', 'b'], '/n', ['file n 644 0:0 = B']],
    [
      'several files to a folder without a slash',
      ['a', 'b'],
      '/w',
      ['directory w 755 0:0 @5', 'file w/a 644 0:0 = A', 'file w/b 644 0:0 = B'],
    ],
    [
      'a folder below one that keeps its group',
      ['a'],
      '/g/n/a',
      ['directory g 2775 0:50 @5', 'directory g/n 2755 0:50', 'file g/n/a 644 0:0 = A'],
    ],
  ];
  for (const [title, sources, destination, expected] of cases) {
    test(title, async () => {
      context({ a: 'A', b: 'B', 'd/e': 'E', 'd/s': null });
      symlinkSync('d/e', join(fixture.context, 'link'));
      symlinkSync('w', join(fixture.root, 'wlink'));
      symlinkSync('/w/new', join(fixture.root, 'gone'));
      symlinkSync('../../../etc', join(fixture.root, 'out'));
      root({ 'w/file': 'old', g: null });
      chownSync(join(fixture.root, 'g'), 0, 50);
      chmodSync(join(fixture.root, 'g'), 0o2775);
      assert.deepEqual(await fixture.copy(sources, destination, { workingDir: '/w' }), expected);
      assert.equal(fixture.held.length, expected.length === 0 ? 0 : 1, 'held when it was there');
    });
  }

  const refusals: [title: string, sources: string[], destination: string, error: RegExp][] = [
    ['a file over a folder', ['d/.'], '/w', /cannot replace to directory \/w\/e with file/],
    ['a folder over a file', ['f'], '/w', /cannot copy to non-directory: \/w\/file/],
    ['a folder below a file', ['a'], '/w/file/x', /mkdir \/w\/file: not a directory/],
    ['a slash behind a file', ['a'], '/w/file/', /mkdir \/w\/file: not a directory/],
    ['a source that is not there', ['nothing'], '/x', /"\/nothing": not found/],
    ['a bad pattern', ['[a'], '/x', /syntax error in pattern/],
    ['a link in a circle', ['circle'], '/x', /too many levels of symbolic links/],
    ['a name that means something in layers', ['.wh.a'], '/x/', /names that begin with \.wh\. are reserved/],
  ];
  for (const [title, sources, destination, error] of refusals) {
    test(`${title} is refused`, async () => {
      context({ a: 'A', 'd/e': 'E', 'f/file/x': 'X', '.wh.a': '' });
      symlinkSync('circle', join(fixture.context, 'circle'));
      root({ 'w/file': 'old', 'w/e/x': 'X' });
      await assert.rejects(async () => fixture.copy(sources, destination), error);
    });
  }

  test('a link out of the context leads to nothing', async () => {
    put(fixture.directory, { secret: 'S' });
    symlinkSync(join(fixture.directory, 'secret'), join(fixture.context, 'absolute'));
    symlinkSync('../secret', join(fixture.context, 'relative'));
    await assert.rejects(fixture.copy(['absolute'], '/x'), /not found/);
    await assert.rejects(fixture.copy(['relative'], '/x'), /not found/);
  });

  test('a folder below a link of the parent is no folder for a folder', async () => {
    context({ 'd/lib/x': 'X' });
    root({ 'usr/lib': null });
    symlinkSync('usr/lib', join(fixture.root, 'lib'));
    await assert.rejects(fixture.copy(['d'], '/'), /cannot copy to non-directory: \/lib/);
  });

  test('--link knows nothing of the parent', async () => {
    context({ a: 'A' });
    root({ 'w/file': 'old' });
    const lines = await fixture.copy(['a'], '/w/file/x', { link: true });
    assert.deepEqual(lines, ['directory w 755 0:0', 'directory w/file 755 0:0', 'file w/file/x 644 0:0 = A']);
    await assert.rejects(
      fixture.copy(['a'], '/x', { link: true, chown: 'www' }),
      /with --link, --chown takes numbers/,
    );
  });

  test("a downloaded file's name is no pattern", async () => {
    context({ 'a[1]*\\b': 'A', a1: 'other' });
    const file = { kind: 'file', name: 'a[1]*\\b', tree: fixture.tree(), unpack: false } as const;
    const lines = await fixture.copy([], '/n/', { sources: [file], instruction: 'ADD' });
    assert.deepEqual(lines, ['directory n 755 0:0', 'file n/a[1]*\\b 644 0:0 = A']);
  });

  test('upon the root itself', async () => {
    context({ 'w/a': 'A', b: 'B' });
    root({ 'w/file': 'old' });
    chmodSync(join(fixture.context, 'w'), 0o700);
    assert.deepEqual(await fixture.copy(['.'], '/'), [
      'file b 644 0:0 = B',
      'directory w 700 0:0',
      'file w/a 644 0:0 = A',
    ]);
  });

  test('content of the Dockerfile', async () => {
    const inline = { kind: 'inline', name: 'EOF', content: 'text\n' } as const;
    const lines = await fixture.copy([], '/n/', { sources: [inline], chmod: '600', chown: '5' });
    assert.deepEqual(lines, ['directory n 600 5:5', 'file n/EOF 600 5:5 = text\n']);
  });
});

describe('what is taken', () => {
  test('--exclude, with exceptions', async () => {
    context({ 'd/a.log': '1', 'd/b': '2', 'd/s/c.log': '3', 'd/s/keep.log': '4', 'd/t/x.log': '5' });
    const excludes = ['**/*.log', '!s/keep.log'];
    const lines = await fixture.copy(['d'], '/n', { excludes });
    const expected = ['directory n 755 0:0', 'file n/b 644 0:0 = 2', 'directory n/s 755 0:0'];
    assert.deepEqual(lines, [...expected, 'file n/s/keep.log 644 0:0 = 4', 'directory n/t 755 0:0']);
  });

  test('--parents, from a pivot on, with stars for any number of folders', async () => {
    context({ 'a/b/c.txt': 'C', 'a/d.txt': 'D', 'a/e/f.md': 'F' });
    const one = await fixture.copy(['a/b/c.txt'], '/n/', { parents: true });
    const above = ['directory n 755 0:0', 'directory n/a 755 0:0', 'directory n/a/b 755 0:0'];
    assert.deepEqual(one, [...above, 'file n/a/b/c.txt 644 0:0 = C']);
    const pivot = await fixture.copy(['a/./b/c.txt'], '/n/', { parents: true });
    assert.deepEqual(pivot, ['directory n 755 0:0', 'directory n/b 755 0:0', 'file n/b/c.txt 644 0:0 = C']);
    const all = await fixture.copy(['**/*.txt'], '/n/', { parents: true });
    assert.deepEqual(all, [...above, 'file n/a/b/c.txt 644 0:0 = C', 'file n/a/d.txt 644 0:0 = D']);
    await assert.rejects(fixture.copy(['a/none'], '/n/', { parents: true }), /"\/a\/none": not found/);
  });

  test('ignored files are not there, also behind links and patterns', async () => {
    context({ 'd/a': 'A', 'd/secret': 'S', 'node/x': 'X', 'node/keep/y': 'Y', 'node/z/w': 'W' });
    symlinkSync('d/secret', join(fixture.context, 'link'));
    const rules = new IgnoreRules(['**/secret', 'node', '!node/keep']);
    const ignore = {
      excludes: (path: string) => rules.excludes(path),
      mayIncludeBelow: (path: string) => rules.mayIncludeBelow(path),
    };
    const from = (patterns: string[]) => ({
      sources: [{ kind: 'tree' as const, tree: fixture.tree({ ignore }), patterns }],
    });
    assert.deepEqual(await fixture.copy([], '/n', from(['d'])), [
      'directory n 755 0:0',
      'file n/a 644 0:0 = A',
    ]);
    assert.deepEqual(await fixture.copy([], '/n', from(['node'])), [
      'directory n 755 0:0',
      'directory n/keep 755 0:0',
      'file n/keep/y 644 0:0 = Y',
    ]);
    for (const path of ['d/secret', 'link', 'node/x', 'node/z']) {
      await assert.rejects(fixture.copy([], '/n', from([path])), /excluded by \.dockerignore/, path);
    }
    assert.deepEqual(await fixture.copy([], '/n/', from(['d/s*'])), []);
  });

  test('hard links, devices, FIFOs, sockets, attributes, names that are not UTF-8', async () => {
    context({ 'd/one': 'same' });
    linkSync(join(fixture.context, 'd/one'), join(fixture.context, 'd/two'));
    writeFileSync(rawName(join(fixture.context, 'd'), '\xff\xfe'), 'raw');
    execFileSync('mkfifo', ['-m', '600', join(fixture.context, 'd/fifo')]);
    execFileSync('mknod', ['-m', '644', join(fixture.context, 'd/null'), 'c', '1', '3']);
    symlinkSync('/etc/passwd', join(fixture.context, 'd/link'));
    chmodSync(join(fixture.context, 'd/one'), 0o4755);
    assert.deepEqual(await fixture.copy(['d'], '/n'), [
      'directory n 755 0:0',
      'fifo n/fifo 600 0:0',
      'symlink n/link 777 0:0 -> /etc/passwd',
      'character n/null 644 0:0',
      'file n/one 4755 0:0 = same',
      'hardlink n/two 4755 0:0 -> n/one',
      'file n/\xff\xfe 644 0:0 = raw',
    ]);
  });

  test('owners and times of stages are kept, those of contexts are not', async () => {
    context({ 'd/a': 'A' });
    chownSync(join(fixture.context, 'd/a'), 7, 8);
    utimesSync(join(fixture.context, 'd/a'), 99, 99);
    utimesSync(join(fixture.context, 'd'), 98, 98);
    assert.deepEqual(await fixture.copy(['d'], '/n'), ['directory n 755 0:0', 'file n/a 644 0:0 = A']);
    const tree = fixture.tree({ times: 'kept' });
    const sources = [{ kind: 'tree' as const, tree, patterns: ['d'] }];
    assert.deepEqual(await fixture.copy([], '/n', { sources }), [
      'directory n 755 0:0 @98',
      'file n/a 644 7:8 @99 = A',
    ]);
  });

  test('--chown and --chmod', async () => {
    context({ 'd/a': 'A', 'd/s/run': 'R' });
    chmodSync(join(fixture.context, 'd/s/run'), 0o755);
    root({
      'etc/passwd': 'root:x:0:0::/:\nwww:x:33:34::/:\n',
      'etc/group': 'root:x:0:\nstaff:x:50:\n',
    });
    const owners: [string, string][] = [
      ['5', '5:5'],
      ['5:6', '5:6'],
      ['www', '33:34'],
      ['www:staff', '33:50'],
      [':staff', '0:50'],
      ['root', '0:0'],
      ['5:root', '5:0'],
    ];
    for (const [chown, owner] of owners) {
      const lines = await fixture.copy(['d/a'], '/n/', { chown });
      assert.deepEqual(lines, [`directory n 755 ${owner}`, `file n/a 644 ${owner} = A`], chown);
    }
    await assert.rejects(fixture.copy(['d/a'], '/n', { chown: 'nobody' }), /unable to find user nobody/);
    await assert.rejects(fixture.copy(['d/a'], '/n', { chown: '1:none' }), /unable to find group none/);
    await assert.rejects(fixture.copy(['d/a'], '/n', { chown: '1:2:3' }), /invalid chown string format/);
    await assert.rejects(fixture.copy(['d/a'], '/n', { chown: '-1' }), /uids and gids must be in range/);
    const modes: [string, string, string, string][] = [
      ['u=rwX,go=rX', '644', '755', '755'],
      ['0600', '600', '600', '600'],
      ['+x', '755', '755', '755'],
      ['go-rwx', '600', '700', '700'],
      ['g=u,o=', '660', '770', '770'],
      ['u+s', '4644', '4755', '4755'],
      ['a=r', '444', '444', '444'],
      ['u-w+x,o=u', '545', '555', '555'],
      ['o+t', '1644', '1755', '1755'],
    ];
    for (const [chmod, file, directory, program] of modes) {
      const lines = await fixture.copy(['d'], '/n', { chmod });
      const made = /^[0-7]+$/.test(chmod) ? Number.parseInt(chmod, 8).toString(8) : '755';
      assert.deepEqual(
        lines,
        [
          `directory n ${made} 0:0`,
          `file n/a ${file} 0:0 = A`,
          `directory n/s ${directory} 0:0`,
          `file n/s/run ${program} 0:0 = R`,
        ],
        chmod,
      );
    }
    for (const chmod of ['888', '77777', 'u=q', 'x+y', ',', 'u']) {
      assert.throws(() => fixture.prepare(['d'], '/n', { chmod }), /invalid chmod parameter/, chmod);
    }
  });
});

describe('the key of the content', () => {
  const key = async (patterns: string[]): Promise<string> =>
    await fixture.prepare(patterns, '/n/').contentKey();
  /** Times of change must be older than the clock's granularity, or they are not remembered. */
  const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 80));

  test('follows names, content and modes, and neither times nor owners of contexts', async () => {
    context({ 'd/a': 'A', 'd/b': 'B' });
    const before = await key(['d']);
    utimesSync(join(fixture.context, 'd/a'), 5, 5);
    chownSync(join(fixture.context, 'd/a'), 5, 5);
    assert.equal(await key(['d']), before);
    const changes: [string, () => void, () => void][] = [
      ['content', () => context({ 'd/a': 'C' }), () => context({ 'd/a': 'A' })],
      [
        'mode',
        () => chmodSync(join(fixture.context, 'd/a'), 0o600),
        () => chmodSync(join(fixture.context, 'd/a'), 0o644),
      ],
      ['a new file', () => context({ 'd/c': '' }), () => rmSync(join(fixture.context, 'd/c'))],
      [
        'a name',
        () => renameSync(join(fixture.context, 'd/a'), join(fixture.context, 'd/z')),
        () => renameSync(join(fixture.context, 'd/z'), join(fixture.context, 'd/a')),
      ],
      [
        'a folder',
        () => context({ 'd/e': null }),
        () => rmSync(join(fixture.context, 'd/e'), { recursive: true }),
      ],
    ];
    for (const [what, change, back] of changes) {
      change();
      assert.notEqual(await key(['d']), before, what);
      back();
      assert.equal(await key(['d']), before, `${what}, undone`);
    }
  });

  test('what is remembered is not read again, what changed is', async () => {
    context({ 'd/a': 'A', 'd/b': 'B' });
    await settle();
    const first = fixture.prepare(['d'], '/n');
    assert.equal(await first.contentKnown(), false);
    const before = await first.contentKey();
    const second = fixture.prepare(['d'], '/n');
    assert.equal(await second.contentKnown(), true);
    assert.equal(await second.contentKey(), before);
    // The same size, and the same time of modification: the time of change tells.
    context({ 'd/a': 'X' });
    utimesSync(join(fixture.context, 'd/a'), 5, 5);
    const third = fixture.prepare(['d'], '/n');
    assert.equal(await third.contentKnown(), false);
    assert.notEqual(await third.contentKey(), before);
  });

  test('a file that was written just now is not trusted', async () => {
    context({ a: 'A' });
    await key(['a']);
    assert.equal(await fixture.prepare(['a'], '/n').contentKnown(), false);
  });

  test('trees that never change are not even listed again', async () => {
    context({ 'd/a': 'A' });
    const sources = [
      { kind: 'tree' as const, tree: fixture.tree({ live: false, identity: 'layers' }), patterns: ['d'] },
    ];
    const before = await fixture.prepare([], '/n', { sources }).contentKey();
    rmSync(fixture.context, { recursive: true });
    const again = fixture.prepare([], '/n', { sources });
    assert.equal(await again.contentKnown(), true);
    assert.equal(await again.contentKey(), before);
  });
});

describe('a file that changes while it is read', () => {
  const changes: [string, (path: string) => void][] = [
    ['grows', (path) => appendFileSync(path, 'more')],
    ['becomes shorter', (path) => truncateSync(path, 1)],
    [
      'is replaced',
      (path) => {
        writeFileSync(`${path}.new`, 'other');
        renameSync(`${path}.new`, path);
      },
    ],
    [
      'becomes a link',
      (path) => {
        rmSync(path);
        symlinkSync('/etc/passwd', path);
      },
    ],
    ['goes', (path) => rmSync(path)],
  ];
  for (const size of [5, 1000]) {
    for (const [title, change] of changes) {
      test(`${size} bytes: ${title}`, async () => {
        context({ a: 'x'.repeat(size), b: 'B' });
        fixture.beforeRead = (name) => {
          if (name === 'n/b') return;
          change(join(fixture.context, 'a'));
        };
        await assert.rejects(fixture.copy(['.'], '/n'), /"a" was changed while it was read/);
      });
    }
  }

  test('a folder on the way that becomes a link', async () => {
    put(fixture.directory, { 'outside/a': 'S' });
    context({ 'd/a': 'A' });
    fixture.beforeRead = () => {
      renameSync(join(fixture.context, 'd'), join(fixture.context, 'e'));
      symlinkSync(join(fixture.directory, 'outside'), join(fixture.context, 'd'));
    };
    await assert.rejects(fixture.copy(['.'], '/n'), /"d\/a" was changed while it was read/);
  });
});

test('WORKDIR makes what is missing, for the user', async () => {
  root({ 'etc/passwd': 'app:x:7:8::/:\n', 'w/x': 'file' });
  symlinkSync('w', join(fixture.root, 'link'));
  const made: string[] = [];
  const held: DiffID[] = [];
  const env = {
    snapshotter: {
      create: async (write: (layer: LayerWriter) => Promise<void>, options?: BlobOptions) => {
        await write({
          addFiles: () => Promise.reject(new Error('no files were expected')),
          add: async ({ name, uid, gid }) => {
            made.push(`${Buffer.from(name)} ${uid}:${gid}`);
          },
        });
        options?.onStored?.(MADE);
        return { diffId: MADE, sizeBytes: 0 };
      },
    },
    newLayers: { onStored: (diffId: DiffID) => void held.push(diffId) },
    signal: new AbortController().signal,
  };
  const parent = { path: fixture.root };
  assert.equal(await makeWorkdir({ path: '/w', user: 'nobody', epochSeconds: 1 }, parent, env), undefined);
  await makeWorkdir({ path: '/link/a/b', user: 'app', epochSeconds: 1 }, parent, env);
  assert.deepEqual(made, ['w 0:0', 'w/a 7:8', 'w/a/b 7:8']);
  assert.deepEqual(held, [MADE]);
  await assert.rejects(
    makeWorkdir({ path: '/w/x/y', user: '', epochSeconds: 1 }, parent, env),
    /mkdir \/w\/x: not a directory/,
  );
  made.length = 0;
  await makeWorkdir({ path: '/n', user: 'who', epochSeconds: 1 }, parent, env);
  assert.deepEqual(made, ['n 0:0']);
});
