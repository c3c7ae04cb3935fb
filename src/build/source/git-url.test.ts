import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseGitUrl, withoutCredentials } from './git-url.ts';

const HEX = 'deadbeef'.repeat(5);

test('addresses, and what stands behind them', () => {
  const cases: [string, Record<string, unknown> | undefined][] = [
    ['https://example.com/', undefined],
    ['https://example.com/foo', undefined],
    ['https://example.com/foo.git/', undefined],
    ['https://example.com/foo.git.bar', undefined],
    ['custom.xyz/moby/buildkit.git', undefined],
    ['./.git', undefined],
    ['../x.git', undefined],
    ['.git', undefined],
    ['ext::sh -c id', undefined],
    ['file:///etc/x.git', undefined],
    ['https://example.com/foo.git', { remote: 'https://example.com/foo.git', protocol: 'https' }],
    ['https://example.com/foo.git#release/1.2', { ref: 'release/1.2', subdir: '' }],
    ['https://example.com/foo.git#baz/qux:quux/quuz', { ref: 'baz/qux', subdir: 'quux/quuz' }],
    ['https://example.com/foo.git#:myfolder', { ref: '', subdir: 'myfolder' }],
    ['https://example.com/foo.git#r:../../etc', { ref: 'r', subdir: 'etc' }],
    ['git://example.com/foo', { remote: 'git://example.com/foo', protocol: 'git' }],
    ['ssh://git@example.com:22/foo', { remote: 'ssh://git@example.com:22/foo', protocol: 'ssh' }],
    [
      'git@github.com:moby/buildkit',
      { remote: 'git@github.com:moby/buildkit', protocol: 'ssh', host: 'github.com' },
    ],
    ['git@example.com:a/b.git?subdir=/s#v1', { remote: 'git@example.com:a/b.git', ref: 'v1', subdir: 's' }],
    [
      'github.com/moby/buildkit#master',
      { remote: 'https://github.com/moby/buildkit', ref: 'master', couldBePath: true },
    ],
    ['github.com/moby/buildkit?tag=v1', { ref: 'refs/tags/v1' }],
    ['https://u:p%40ss@example.com/x.git', { remote: 'https://example.com/x.git', credentials: 'u:p@ss' }],
    ['https://example.com/x.git?ref=v1&subdir=/d', { ref: 'v1', subdir: 'd' }],
    ['https://example.com/x.git?branch=v1', { ref: 'refs/heads/v1' }],
    ['https://example.com/x.git?tag=v1#refs/tags/v1', { ref: 'refs/tags/v1' }],
    [`https://example.com/x.git?commit=${HEX}`, { checksum: HEX }],
    ['https://example.com/x.git?keep-git-dir', { keepGitDir: true }],
    ['https://example.com/x.git?keep-git-dir=false&submodules=0', { keepGitDir: false, submodules: false }],
    ['https://example.com/x.git?mtime=commit', {}],
    [`https://example.com/x.git?fetch-by-commit&checksum=${HEX}`, { fetchByCommit: true, checksum: HEX }],
  ];
  for (const [text, expected] of cases) {
    const address = parseGitUrl(text);
    if (expected === undefined) assert.equal(address, undefined, text);
    else {
      assert.ok(address, text);
      for (const [name, value] of Object.entries(expected)) {
        assert.deepEqual(Reflect.get(address, name), value, `${text}: ${name}`);
      }
    }
  }
});

test('queries and refs that are none are refused by name', () => {
  const cases: [string, RegExp][] = [
    ['https://example.com/x.git?ref=a#b', /ref conflicts: "b" vs "a"/],
    ['https://example.com/x.git?ref=a&tag=b', /ref conflicts/],
    ['https://example.com/x.git?tag=a&branch=a', /branch conflicts with tag/],
    ['https://example.com/x.git?subdir=a#:b', /subdir conflicts/],
    ['https://example.com/x.git?ref=', /query "ref" has no value/],
    ['https://example.com/x.git?ref=a&ref=b', /query "ref" has multiple values/],
    ['https://example.com/x.git?mtime=x', /invalid mtime value: "x"/],
    ['https://example.com/x.git?submodules=maybe', /invalid submodules value: "maybe"/],
    ['https://example.com/x.git?color=red', /unexpected query "color"/],
    ['https://example.com/x.git?checksum=xyz', /invalid checksum xyz/],
    ['https://example.com/x.git#--upload-pack=id', /invalid git ref "--upload-pack=id"/],
    ['https://example.com/x.git#a%0ab', /invalid git ref/],
    ['git@-oProxyCommand=id:x', /it has no host|is no/],
    ['https://u:secret@example.com/x.git?color=red', /xxxxx:xxxxx@example\.com/],
  ];
  for (const [text, expected] of cases) {
    try {
      // A host that looks like an option is no address at all in some forms.
      assert.equal(parseGitUrl(text), undefined, text);
      assert.match('is no address', expected, text);
    } catch (error) {
      assert.match((error as Error).message, expected, text);
    }
  }
  assert.equal(withoutCredentials('https://a:b@c/d'), 'https://xxxxx:xxxxx@c/d');
  assert.equal(withoutCredentials('ssh://git@c/d'), 'ssh://git@c/d');
});
