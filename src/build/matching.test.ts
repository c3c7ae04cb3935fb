import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BuildArgs } from './build-args.ts';
import { isIgnored, parseIgnoreFile } from './ignore-file.ts';
import { parseExposedPorts } from './solve/exposed-ports.ts';
import { compileWildcard, hasWildcard } from './copy/wildcard.ts';

test("COPY's patterns are Go's", () => {
  const cases: [string, string, boolean][] = [
    ['*.go', 'a.go', true],
    ['*.go', 'x/a.go', false],
    ['a?c', 'abc', true],
    ['a?c', 'a/c', false],
    ['[a-c]x', 'bx', true],
    ['[^a-c]x', 'bx', false],
    ['[^a-c]x', 'dx', true],
    ['\\*', '*', true],
    ['\\*', 'a', false],
    ['a.b+', 'a.b+', true],
    ['a.b+', 'axb+', false],
    ['é*', 'éa', true],
  ];
  for (const [pattern, name, expected] of cases) {
    assert.equal(compileWildcard(pattern)(name), expected, `${pattern} ${name}`);
  }
  for (const pattern of ['[', '[a', 'a\\']) {
    assert.throws(() => compileWildcard(pattern), { kind: 'InvalidParameter' }, pattern);
  }
  assert.deepEqual(['a*', 'a\\*', 'a'].map(hasWildcard), [true, false, false]);
});

test('.dockerignore: the last match counts, folders hold what is below', () => {
  const patterns = parseIgnoreFile(
    '# comment\n\n/node_modules\n**/*.log\n!keep/**/*.log\nDockerfile*\n!Dockerfile.dev\ntmp?\n',
  );
  const ignored = ['node_modules/a/b', 'x.log', 'a/b/x.log', 'Dockerfile', 'tmp1/x'];
  const kept = ['src/node_modules', 'keep/a/x.log', 'Dockerfile.dev', 'tmp', 'a.logs', '.dockerignore'];
  for (const path of ignored) assert.ok(isIgnored(path, patterns), path);
  for (const path of kept) assert.ok(!isIgnored(path, patterns), path);
  const all = parseIgnoreFile('*\n!src\n');
  assert.deepEqual(
    ['a', 'src/x'].map((path) => isIgnored(path, all)),
    [true, false],
  );
});

test('ports of EXPOSE', () => {
  assert.deepEqual(['80', '53/UDP', '1-3/tcp'].flatMap(parseExposedPorts), [
    '80/tcp',
    '53/udp',
    '1/tcp',
    '2/tcp',
    '3/tcp',
  ]);
  for (const text of ['', 'x', '0', '65536', '3-1', '80/x', '80:80'])
    assert.throws(() => parseExposedPorts(text), text);
});

test('build arguments: who sees which', () => {
  const args = new BuildArgs({ A: 'given', HTTP_PROXY: 'p', LEFT: 'x', N: null }, { TARGETARCH: 'arm64' });
  args.declareGlobal('A', 'default');
  args.declareGlobal('G', 'global');
  assert.deepEqual(
    ['A', 'G', 'TARGETARCH'].map((name) => args.global(name)),
    ['given', 'global', 'arm64'],
  );
  args.beginStage();
  assert.equal(args.lookup('A'), undefined);
  args.declare('A', undefined);
  args.declare('G', undefined);
  args.declare('N', 'own');
  args.declare('TARGETARCH', undefined);
  assert.deepEqual(
    ['A', 'G', 'N', 'TARGETARCH'].map((name) => args.lookup(name)),
    ['given', 'global', 'own', 'arm64'],
  );
  const { all, visible } = args.environment(new Set(['G']));
  assert.deepEqual(all, ['A=given', 'N=own', 'TARGETARCH=arm64', 'HTTP_PROXY=p']);
  assert.deepEqual(visible, ['A=given', 'N=own', 'TARGETARCH=arm64']);
  assert.deepEqual(args.unused(), ['LEFT']);
  args.beginStage();
  assert.equal(args.lookup('A'), undefined);
});
