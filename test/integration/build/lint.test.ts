/** The linter in builds: what it warns of, what it fails, and what is asked instead of a build. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { buildxProgram } from '../../fixtures/compose.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';
import { classicBuild } from './classic-build.ts';

let daemon: Daemon;
let close: () => Promise<void>;

before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => await close());

const DOCKERFILE = `# syntax=docker/dockerfile:1
# TOOL is what is run
ARG TOOL=ls
FROM busybox AS Base
ARG TOOL
COPY kept left /got/
ENV api_key=1 P=$PAHT
# makes the thing
FROM base AS made
RUN --mount=type=secret,id=token true
CMD $TOOL
`;
const FOUND = [
  'StageNameCasing: Stage name .Base. should be lowercase (line 4)',
  'SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ENV "api_key") (line 7)',
  "UndefinedVar: Usage of undefined variable '$PAHT' (did you mean $PATH?) (line 7)",
];

test('a build warns as BuildKit does, once for all', async () => {
  const files = { Dockerfile: DOCKERFILE, '.dockerignore': 'left\n', kept: 'x', left: 'x' };
  const { output, error } = await classicBuild(daemon, files, 't=linted');
  assert.equal(error, '', output);
  const warnings = output.split('\n').filter((line) => line.startsWith('[Warning]'));
  const expected = [
    "[Warning] StageNameCasing: Stage name 'Base' should be lowercase (line 4)",
    ...FOUND.slice(1).map((one) => `[Warning] ${one}`),
    '[Warning] JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended behavior related to OS signals (line 11)',
    '[Warning] CopyIgnoredFile: Attempting to Copy file "left" that is excluded by .dockerignore (line 6)',
  ];
  assert.deepEqual(warnings.sort(), expected.sort());
});

test('findings fail the build before a step is done, where the file wants it', async () => {
  const Dockerfile = '# check=error=true\nFROM busybox\nRUN echo never\nMAINTAINER x\n';
  const { output, error } = await classicBuild(daemon, { Dockerfile });
  assert.match(error, /lint violation found for rules: MaintainerDeprecated/);
  assert.ok(!output.includes('never'), output);
  const fine = await classicBuild(daemon, { Dockerfile: Dockerfile.replace('MAINTAINER x', 'USER x') });
  assert.equal(fine.error, '');
});

test('an error of a Dockerfile names the place', async () => {
  const { error } = await classicBuild(daemon, { Dockerfile: 'FROM busybox\nCPOY a b\n' });
  assert.match(error, /dockerfile parse error on line 2: unknown instruction: CPOY \(did you mean COPY\?\)/);
});

const program = buildxProgram();

/** By the flag that buildx had before `--check` and `--call`, which its newer versions understand as well. */
test('docker buildx asks for lint, targets and outline', { skip: program === undefined }, async () => {
  const folder = join(daemon.folder, 'asked');
  mkdirSync(folder);
  writeFileSync(join(folder, 'Dockerfile'), DOCKERFILE);
  writeFileSync(join(folder, '.dockerignore'), 'left\n');
  const ask = async (...words: string[]): Promise<string> => {
    const env = { BUILDX_EXPERIMENTAL: '1' };
    const { code, stdout, stderr } = await daemon.docker(program ?? '', ['build', ...words, folder], { env });
    assert.equal(code, 0, stderr);
    return stdout;
  };
  const check = await ask('--print', 'lint');
  assert.match(check, /WARNING: StageNameCasing - https:\/\/docs\.docker\.com\/go\/dockerfile\/rule/);
  assert.match(check, /Dockerfile:7\n-+\n[\s\S]*>>> ENV api_key=1 P=\$PAHT\n/);
  assert.match(check, /excluded by \.dockerignore/);

  assert.match(await ask('--print', 'targets'), /TARGET +DESCRIPTION\nbase +\nmade \(default\) +/);

  const outline = await ask('--print', 'outline');
  assert.match(outline, /BUILD ARG +VALUE +DESCRIPTION\nTOOL +ls +is what is run\n/);
  assert.match(outline, /SECRET +REQUIRED\ntoken/);

  // What stands in front of an error is looked at.
  writeFileSync(join(folder, 'Dockerfile'), 'FROM busybox AS Bad\nCPOY a b\n');
  assert.match(await ask('--print', 'lint'), /WARNING: StageNameCasing[\s\S]*>>> FROM busybox AS Bad\n/);
});

test('mydock build --check', async () => {
  const folder = join(daemon.folder, 'checked');
  mkdirSync(folder);
  writeFileSync(join(folder, 'Dockerfile'), DOCKERFILE);
  const found = await daemon.mydock(['build', '--check', folder]);
  assert.equal(found.code, 1, found.stderr);
  const text = found.stdout + found.stderr;
  assert.match(
    text,
    /WARNING: UndefinedVar - https:[^\n]+\nUsage of undefined variable '\$PAHT'[^\n]*\)\nDockerfile:7/,
  );
  writeFileSync(join(folder, 'Dockerfile'), 'FROM busybox\nCPOY a b\n');
  const broken = await daemon.mydock(['build', '--check', folder]);
  assert.notEqual(broken.code, 0, broken.stdout);
  assert.match(broken.stderr, /unknown instruction: CPOY/);
  writeFileSync(join(folder, 'Dockerfile'), 'FROM busybox\nUSER 1\n');
  const fine = await daemon.mydock(['build', '--check', folder]);
  assert.equal(fine.code, 0, fine.stdout + fine.stderr);
  assert.match(fine.stdout + fine.stderr, /no warnings found/);
});
