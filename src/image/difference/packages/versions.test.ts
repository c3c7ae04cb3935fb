/** The orders of versions: tables from the rules' own documents, and dpkg's judgement where it is installed. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { compareAlpineVersions } from './alpine-version.ts';
import { compareDebianVersions } from './debian-version.ts';
import { compareNpmVersions, comparePythonVersions } from './language-version.ts';
import { compareRpmVersions } from './rpm-version.ts';

type Compare = (a: string, b: string) => number | undefined;

/** Each older than the next; texts in one array are equal. */
function checkOrder(compare: Compare, versions: readonly (string | readonly string[])[]): void {
  const groups = versions.map((group) => (typeof group === 'string' ? [group] : group));
  for (const [i, left] of groups.entries())
    for (const [j, right] of groups.entries())
      for (const a of left)
        for (const b of right)
          assert.equal(Math.sign(compare(a, b) ?? NaN), Math.sign(i - j), `${a} and ${b}`);
}

const DEBIAN = [
  '0~',
  ['0', '', '0-0', '000'],
  '1.0~~',
  '1.0~~a',
  '1.0~beta1~svn1245',
  '1.0~beta1',
  '1.0~rc1-1',
  '1.0~rc1-2',
  ['1.0', '1.00', '0:1.0', '1.0-0'],
  '1.0-1',
  '1.0-1+b1',
  '1.0-1.1',
  '1.0-2~bpo1',
  '1.0-2',
  '1.0-10',
  '1.0a',
  '1.0+dfsg-1',
  '1.0.1',
  '1.2-a-1',
  '1.9',
  '1.10',
  '20230311ubuntu0.22.04.1',
  '99999999999999999998',
  '99999999999999999999',
  '1:0.1',
  '2:0',
];

test('Debian versions', () => {
  checkOrder(compareDebianVersions, DEBIAN);
});

test('Debian versions, as dpkg has them', { skip: existsSync('/usr/bin/dpkg') ? false : 'no dpkg' }, () => {
  let seed = 7;
  const random = (below: number): number => {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return Math.floor((seed / 2147483648) * below);
  };
  const text = (): string =>
    Array.from({ length: 1 + random(6) }, () => '0019a~+.-zB'.charAt(random(11))).join('');
  const pairs = Array.from({ length: 120 }, () => {
    const base = `${random(3) === 0 ? '1:' : ''}1${text()}`;
    // dpkg takes no empty revision.
    return [`${base}0`, random(2) === 0 ? `1${text()}0` : `${base}${text()}0`] as const;
  });
  // One shell for all of them.
  const script = 'while read -r a b; do dpkg --compare-versions "$a" lt "$b" && echo lt || echo ge; done';
  const input = pairs.map(([a, b]) => `${a} ${b}\n`).join('');
  const { stdout } = spawnSync('sh', ['-c', script], { input, encoding: 'utf8', timeout: 20_000 });
  const judged = stdout.trim().split('\n');
  assert.equal(judged.length, pairs.length);
  for (const [at, [a, b]] of pairs.entries())
    assert.equal(compareDebianVersions(a, b) < 0 ? 'lt' : 'ge', judged[at], `${a} and ${b}`);
});

test('rpm versions', () => {
  checkOrder(compareRpmVersions, [
    '1.0~rc1-1',
    '1.0~rc1^git1',
    ['1.0', '1_0', '1..0', '0:1.0', '01.0'],
    '1.0-1',
    '1.0-1.el8',
    '1.0-1.el8_4.1',
    '1.0-2',
    '1.0^',
    '1.0^20160101',
    '1.0^20160101^git1',
    '1.0^20160102',
    '1.0.a',
    '1.0.1',
    '1.9',
    '1.10',
    '20101121',
    '1:0.1-1',
  ]);
  for (const [a, b, order] of [
    ['5.5p1', '5.5p10', -1],
    ['10xyz', '10.1xyz', -1],
    ['xyz10', 'xyz10.1', -1],
    ['xyz.4', '8', -1],
    ['xyz.4', '2', -1],
    ['5.5p2', '5.6p1', -1],
    ['6.0.rc1', '6.0', 1],
    ['10b2', '10a1', 1],
    ['1.0aa', '1.0a', 1],
    ['10.0001', '10.1', 0],
    ['10.0001', '10.0039', -1],
    ['2_0', '2.0', 0],
    ['1.0~rc1~git123', '1.0~rc1', -1],
    ['1.0~rc1~git123', '1.0~rc1~git123', 0],
    ['1.0^git1~pre', '1.0^git1', -1],
    ['1b.fc17', '1.fc17', -1],
  ] as const) {
    assert.equal(Math.sign(compareRpmVersions(a, b)), order, `${a} and ${b}`);
    assert.equal(Math.sign(compareRpmVersions(b, a)), -order || 0, `${b} and ${a}`);
  }
});

test('apk versions', () => {
  checkOrder(compareAlpineVersions, [
    '0.1.0_alpha',
    '0.1.0_alpha2-r1',
    '0.1.0_beta',
    '0.1.0_pre2',
    '0.1.0_rc1_p3',
    ['0.1.0', '0.1.0-r0'],
    '0.1.0-r2',
    '0.1.0-r10',
    '0.1.0_git20200101',
    '0.1.0_p1',
    '0.1.0_p1-r1',
    '0.1.0a',
    '0.1.0b_rc1',
    '0.1.0b',
    '0.1.0.1',
    '0.1.1',
    '0.9',
    '0.10',
    '1.2.3',
    '20230506-r0',
  ]);
  assert.ok((compareAlpineVersions('1.05', '1.1') ?? 0) < 0);
  assert.ok((compareAlpineVersions('1.05', '1.041') ?? 0) > 0);
  assert.equal(compareAlpineVersions('1.0', 'bogus version'), undefined);
});

test("versions of npm's packages", () => {
  checkOrder(compareNpmVersions, [
    '1.0.0-1',
    '1.0.0-alpha',
    '1.0.0-alpha.1',
    '1.0.0-alpha.beta',
    '1.0.0-beta.2',
    '1.0.0-beta.11',
    '1.0.0-rc.1',
    ['1.0.0', 'v1.0.0', '1.0.0+build.5'],
    '1.9.0',
    '1.10.0',
    '2.0.0',
  ]);
  assert.equal(compareNpmVersions('1.0', '1.0.0'), undefined);
});

test("versions of Python's packages", () => {
  checkOrder(comparePythonVersions, [
    '1.0.dev456',
    '1.0a1.dev1',
    ['1.0a1', '1.0.alpha1', '1.0-a.1'],
    '1.0a2.dev456',
    '1.0a12',
    '1.0b1.dev456',
    '1.0b2',
    '1.0b2.post345.dev456',
    '1.0b2.post345',
    ['1.0rc1', '1.0c1', '1.0.pre1'],
    ['1.0', '1', '1.0.0', 'v1.0'],
    '1.0+abc',
    '1.0+abc.5',
    '1.0+abc.7',
    '1.0+5',
    '1.0.post456.dev34',
    ['1.0.post456', '1.0-456', '1.0.r456'],
    '1.0.15',
    '1.1.dev1',
    '2023.7.22',
    '1!0.1',
  ]);
  assert.equal(comparePythonVersions('1.0', 'nonsense'), undefined);
});
