import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BuildMaterial } from '../solve/solved.ts';
import { BuildLock } from './build-lock.ts';
import { formatLock, parseLock } from './lock-file.ts';

const A = `sha256:${'a'.repeat(64)}`;
const B = `sha256:${'b'.repeat(64)}`;
const COMMIT = 'c'.repeat(40);
const DEBIAN = 'docker.io/library/debian:12';

const image = (pin: string, platform?: string): BuildMaterial => ({
  kind: 'image',
  name: 'debian:12',
  pin,
  ...(platform === undefined ? {} : { platform }),
});
const http: BuildMaterial = { kind: 'http', name: 'https://example.com/a b%20c', pin: B };
const git: BuildMaterial = { kind: 'git', name: 'https://example.com/x.git#main', pin: COMMIT };
const update = (content = '') => new BuildLock({ mode: 'update', content });
const frozen = (content = '') => new BuildLock({ mode: 'frozen', content });

test('lines are sorted, and read back as they were written', () => {
  const text = update().text([image(A, 'linux/amd64'), http, git], true) ?? '';
  assert.equal(
    text,
    `version 1\ngit https://example.com/x.git#main ${COMMIT}\nhttp https://example.com/a%20b%2520c ${B}\nimage ${DEBIAN} ${A}\n`,
  );
  assert.deepEqual(
    parseLock(text).map(({ name }) => name),
    [git.name, http.name, DEBIAN],
  );
  assert.equal(formatLock(parseLock(text)), text);
  assert.equal(frozen(text).text([git, http, image(A, 'linux/amd64')], true), text);
});

test('several platforms: one line where they agree, lines of others stay', () => {
  const both = update().text([image(A, 'linux/amd64'), image(B, 'linux/arm64')], true) ?? '';
  assert.equal(both, `version 1\nimage ${DEBIAN} linux/amd64 ${A}\nimage ${DEBIAN} linux/arm64 ${B}\n`);
  assert.equal(frozen(both).text([image(A, 'linux/amd64')], true), both);
  assert.equal(update(both).pin(['image'], 'debian:12', 'linux/arm64')?.pin, B);
  const one = `version 1\nimage ${DEBIAN} ${A}\n`;
  assert.equal(frozen(one).pin(['image'], 'debian:12', 'linux/arm64')?.pin, A);
  assert.equal(frozen(one).text([image(A, 'linux/arm64')], true), one);
});

test('what is no longer used goes, unless stages were left out; frozen refuses either', () => {
  const text = `version 1\nhttp https://example.com/old ${A}\nimage ${DEBIAN} ${A}\n`;
  assert.equal(update(text).text([image(A)], true), `version 1\nimage ${DEBIAN} ${A}\n`);
  assert.equal(update(text).text([image(A)], false), text);
  assert.equal(frozen(text).text([image(A)], false), text);
  assert.throws(
    () => frozen(text).text([image(A)], true),
    /would have to change: remove line 2 "http https:\/\/example\.com\/old sha256:a/,
  );
  assert.throws(() => frozen('version 1\n').pin(['http'], http.name), /add "http https:\/\/example\.com/);
  assert.throws(
    () => frozen('').text([image(A)], true),
    /add "image docker\.io\/library\/debian:12 sha256:a/,
  );
});

test('a name that says its digest needs no line; one that is used as something else is told', () => {
  const digested = { ...image(A), name: `debian@${A}` };
  assert.equal(frozen('version 1\n').pin(['image', 'local'], digested.name), undefined);
  assert.equal(update().text([digested], true), 'version 1\n');
  assert.throws(
    () => update(`version 1\nimage ${DEBIAN} ${A}\n`).text([image(B)], true),
    new RegExp(`line 2: ${DEBIAN} is locked to ${A}, and the build used ${B}`),
  );
  const off = new BuildLock({ mode: 'off', content: 'nonsense' });
  assert.equal(off.text([image(A)], true), undefined);
});

test('passwords in addresses are not written', () => {
  const secret = { ...http, name: 'https://user:word@example.com/x' };
  const text = update().text([secret], true) ?? '';
  assert.ok(!text.includes('word'), text);
  assert.equal(frozen(text).pin(['http'], secret.name)?.pin, B);
});

test('what is no lock file is told with line and value', () => {
  const cases: [string, RegExp][] = [
    ['version 2\n', /line 1: invalid value "version 2": expected "version 1"/],
    ['# people\n\nimage x y\n', /line 3: invalid value/],
    [`version 1\nwhat x ${A}\n`, /line 2: invalid value "what": expected git, http, image or local/],
    ['version 1\nimage x sha256:12\n', /line 2: invalid value "sha256:12": expected sha256:/],
    [`version 1\ngit x ${A}\n`, /expected a full git commit/],
    [`version 1\nimage x no-platform ${A}\n`, /"no-platform": expected a platform/],
    [`version 1\nhttp x y ${A}\n`, /line 2: invalid value/],
    [`version 1\nimage x ${A}\nimage x ${B}\n`, /line 3: x is locked on line 2 already/],
    [`version 1\nimage %zz ${A}\n`, /"%zz": expected a name/],
    ['x'.repeat(2 << 20), /more than 1048576 bytes/],
  ];
  for (const [text, message] of cases) assert.throws(() => parseLock(text), message);
  assert.deepEqual(parseLock(''), []);
});
