// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are variables of Dockerfiles
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BuildWarning } from '../../progress.ts';
import { DockerfileLint } from '../lint/dockerfile-lint.ts';
import { parseDockerfile } from '../parse.ts';
import type { SubrequestAnswer } from './answer.ts';
import { lintAnswer } from './lint-answer.ts';
import { outlineAnswer } from './outline-answer.ts';
import { targetsAnswer } from './targets-answer.ts';

const TEXT = `# TAG of the image
ARG TAG=1
ARG FULL=base:$TAG
# tools to build with
# build makes it
FROM $FULL AS build
ARG MODE=fast OTHER
RUN --mount=type=secret,id=key,required --mount=type=ssh x
FROM scratch
COPY --from=build / /
`;

function json(answer: SubrequestAnswer): unknown {
  return JSON.parse(String(answer['result.json']));
}

function lintOf(text: string, warn: (warning: BuildWarning) => void): DockerfileLint {
  const dockerfile = parseDockerfile(text);
  const file = { name: 'Dockerfile', content: text };
  return new DockerfileLint({ dockerfile, file, given: { MODE: 'slow' }, platformArgs: {}, warn });
}

test('targets', () => {
  const answer = targetsAnswer(parseDockerfile(TEXT), TEXT);
  assert.equal(String(answer['result.txt']), 'TARGET      DESCRIPTION\nbuild       makes it\n(default)   \n');
  assert.deepEqual(json(answer), {
    targets: [
      {
        name: 'build',
        description: 'makes it',
        base: '$FULL',
        location: { ranges: [{ start: { line: 6 }, end: { line: 6 } }] },
      },
      { default: true, base: 'scratch', location: { ranges: [{ start: { line: 9 }, end: { line: 9 } }] } },
    ],
    sources: [Buffer.from(TEXT).toString('base64')],
  });
  assert.equal(String(answer['version']), '1.0.0');
});

test('the outline of a target has what its stages take', () => {
  const lint = lintOf(TEXT, () => {});
  const dockerfile = parseDockerfile(TEXT);
  lint.from();
  for (const index of [0, 1]) lint.stage(index, { kind: 'image', env: [], hasShell: false, triggers: [] });
  const [build, last] = dockerfile.stages;
  assert.ok(build !== undefined && last !== undefined);
  const answer = outlineAnswer({ lint, target: build.from, stages: [0], content: TEXT });
  assert.equal(
    String(answer['result.txt']),
    [
      'TARGET:      build',
      'DESCRIPTION: makes it',
      '',
      'BUILD ARG   VALUE    DESCRIPTION',
      'TAG         1        of the image',
      'FULL        base:1   ',
      'MODE        slow     ',
      'OTHER                ',
      '',
      'SECRET   REQUIRED',
      'key      true',
      '',
      'SSH       REQUIRED',
      'default   ',
      '',
      '',
    ].join('\n'),
  );
  const scratch = outlineAnswer({ lint, target: last.from, stages: [1], content: TEXT });
  assert.deepEqual(json(scratch), { sources: [Buffer.from(TEXT).toString('base64')] });
});

test('what the linter found, by line, with the lines; and what the build fails with', () => {
  const text = 'FROM a AS B\nMAINTAINER \\\n  x\n';
  const warnings: BuildWarning[] = [];
  lintOf(text, (warning) => warnings.push(warning)).text();
  const file = { name: 'my.Dockerfile', content: text };
  const answer = lintAnswer({ file, warnings: warnings.toReversed() });
  assert.match(
    String(answer['result.txt']),
    /^\nWARNING: StageNameCasing - https:\/\/docs.docker.com\/go\/dockerfile\/rule\/stage-name-casing\/\nStage name 'B' should be lowercase\nDockerfile:1\n-{20}\n {3}1 \| >>> FROM a AS B\n[\s\S]*\n\nWARNING: MaintainerDeprecated/,
  );
  const { warnings: found } = json(answer) as { warnings: { ruleName: string; location: unknown }[] };
  assert.deepEqual(
    found.map(({ ruleName }) => ruleName),
    ['StageNameCasing', 'MaintainerDeprecated'],
  );
  assert.deepEqual(found[1]?.location, {
    ranges: [
      { start: { line: 2 }, end: { line: 2 } },
      { start: { line: 3 }, end: { line: 3 } },
    ],
  });
  assert.equal(String(answer['result.statuscode']), '1');

  const clean = lintAnswer({ file, warnings: [] });
  assert.equal(String(clean['result.statuscode']), '0');
  assert.equal(String(clean['result.txt']), '');
  const range = { start: { line: 1 }, end: { line: 1 } };
  const source = { filename: 'my.Dockerfile', content: text, range };
  const failed = lintAnswer({ file, warnings: [], error: { message: 'no', source } });
  assert.equal(String(failed['result.statuscode']), '1');
  const { buildError } = json(failed) as { buildError: unknown };
  assert.deepEqual(buildError, {
    message: 'no',
    location: { ranges: [{ start: { line: 1 }, end: { line: 1 } }] },
  });
});
