// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are variables of Dockerfiles
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BuildWarning } from '../../progress.ts';
import { parseDockerfile } from '../parse.ts';
import { DockerfileLint, type LintBase } from './dockerfile-lint.ts';
import type { GivenArguments } from './from-rules.ts';
import { parseLintOptions } from './linter.ts';

const PLATFORM = { BUILDPLATFORM: 'linux/amd64', TARGETPLATFORM: 'linux/arm64', TARGETARCH: 'arm64' };
const IMAGE: LintBase = { kind: 'image', env: ['PATH=/bin', 'HOME=/root'], hasShell: false, triggers: [] };

interface Setting {
  given?: GivenArguments;
  base?: LintBase;
  ignore?: readonly string[];
}

function lint(text: string, { given = {}, base = IMAGE, ignore = [] }: Setting = {}): BuildWarning[] {
  const found: BuildWarning[] = [];
  const dockerfile = parseDockerfile(text);
  const one = new DockerfileLint({
    dockerfile,
    file: { name: 'Dockerfile', content: text },
    given,
    platformArgs: PLATFORM,
    warn: (warning) => found.push(warning),
  });
  one.text();
  one.from();
  const names = dockerfile.stages.map(({ from }) => from.name);
  for (const [index, { from }] of dockerfile.stages.entries()) {
    const parent = names.slice(0, index).lastIndexOf(from.base);
    one.stage(index, parent < 0 ? base : { kind: 'stage', index: parent, triggers: [] });
  }
  one.copies(ignore);
  one.check();
  return found;
}

/** Each with a Dockerfile, and what is found: `Rule 3: message`. */
const CASES: readonly (readonly [
  title: string,
  text: string,
  found: readonly string[],
  setting?: Setting,
])[] = [
  ['nothing', 'FROM a AS b\nENV X=1 Y=$HOME\nCOPY $X ${Y} /\nCMD ["x"]\n', []],
  ['letters of names', 'FROM a AS Bad\n', ["StageNameCasing 1: Stage name 'Bad' should be lowercase"]],
  ['letters of AS', 'FROM a as b\n', ["FromAsCasing 1: 'as' and 'FROM' keywords' casing do not match"]],
  [
    'empty continued lines',
    'FROM a\nRUN x \\\n\n  && y\n',
    ['NoEmptyContinuation 4: Empty continuation line'],
  ],
  [
    'letters of instructions',
    'from a\nrun b\nrun c\nUSER x\n',
    [
      "ConsistentInstructionCasing 4: Command 'USER' should match the case of the command majority (lowercase)",
    ],
  ],
  [
    'mixed letters, and a tie that upper case wins',
    'FROM a\nuser x\nRun y\n',
    [
      "ConsistentInstructionCasing 2: Command 'user' should match the case of the command majority (uppercase)",
      "ConsistentInstructionCasing 3: Command 'Run' should match the case of the command majority (uppercase)",
    ],
  ],
  [
    'names that come twice, and reserved ones',
    'FROM a AS x\nFROM a AS x\nFROM a AS scratch\n',
    [
      'DuplicateStageName 2: Duplicate stage name "x", stage names should be unique',
      'ReservedStageName 3: Stage name should not use the same name as reserved stage "scratch"',
    ],
  ],
  [
    'shell form, without a shell of its own',
    'FROM a\nCMD x\nFROM a\nSHELL ["/bin/bash", "-c"]\nENTRYPOINT x\n',
    [
      'JSONArgsRecommended 2: JSON arguments recommended for CMD to prevent unintended behavior related to OS signals',
    ],
  ],
  [
    'maintainer',
    'FROM a\nMAINTAINER x\n',
    ['MaintainerDeprecated 2: Maintainer instruction is deprecated in favor of using label'],
  ],
  [
    'arguments of FROM',
    'ARG TAG=1\nFROM a:$TGA\nFROM --platform=$BULDPLATFORM a\n',
    [
      "UndefinedArgInFrom 2: FROM argument 'TGA' is not declared (did you mean TAG?)",
      'InvalidDefaultArgInFrom 2: Default value for ARG a:$TGA results in empty or invalid base image name',
      "UndefinedArgInFrom 3: FROM argument 'BULDPLATFORM' is not declared (did you mean BUILDPLATFORM?)",
    ],
  ],
  [
    'a base image that only arguments name',
    'ARG IMAGE\nFROM $IMAGE\n',
    ['InvalidDefaultArgInFrom 2: Default value for ARG $IMAGE results in empty or invalid base image name'],
    { given: { IMAGE: 'a' } },
  ],
  [
    'platforms of FROM',
    'FROM --platform=$TARGETPLATFORM a\nFROM --platform=linux/arm64 a\nFROM --platform=linux/arm64 a AS on-arm64\n',
    [
      'RedundantTargetPlatform 1: Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior',
      'FromPlatformFlagConstDisallowed 2: FROM --platform flag should not use constant value "linux/arm64"',
    ],
  ],
  [
    'an image of another platform',
    'FROM a\n',
    [
      'InvalidBaseImagePlatform 1: Base image a was pulled with platform "linux/amd64", expected "linux/arm64" for current build',
    ],
    { base: { ...IMAGE, mismatch: { name: 'a', expected: 'linux/arm64', actual: 'linux/amd64' } } },
  ],
  [
    'relative folders, the first one alone',
    'FROM a AS b\nWORKDIR x\nWORKDIR y\nFROM b\nWORKDIR z\nFROM a\nWORKDIR $HOME\nWORKDIR z\n',
    ['WorkdirRelativePath 2: Relative workdir "x" can have unexpected results if the base image changes'],
  ],
  [
    'variables that nobody set',
    'FROM a\nARG D\nARG V=$NOTHING\nENV P=$PAHT:${HOME}:$D\nCOPY --chown=$owner <<E $where/\n$INSIDE "$quoted"\nE\nRUN --mount=type=cache,target=$target $not here\nCMD ["$not"]\n',
    [
      "UndefinedVar 3: Usage of undefined variable '$NOTHING'",
      "UndefinedVar 4: Usage of undefined variable '$PAHT' (did you mean $PATH?)",
      "UndefinedVar 5: Usage of undefined variable '$INSIDE'",
      "UndefinedVar 5: Usage of undefined variable '$quoted'",
      "UndefinedVar 5: Usage of undefined variable '$owner'",
      "UndefinedVar 5: Usage of undefined variable '$where'",
      "UndefinedVar 8: Usage of undefined variable '$target'",
    ],
  ],
  [
    'variables of the stage below, of arguments in front, and given ones',
    'ARG G=1\nFROM a AS b\nARG G\nARG I\nENV E=$G$I\nFROM b\nUSER $E$G$I\n',
    [],
    { given: { I: 'x' } },
  ],
  ['a base image that is not known', 'FROM a\nUSER $ANY\n', [], { base: { kind: 'unknown' } }],
  [
    'what comes twice',
    'FROM a\nCMD ["a"]\nENTRYPOINT ["a"]\nCMD ["b"]\nFROM a\nCMD ["a"]\n',
    [
      'MultipleInstructionsDisallowed 2: Multiple CMD instructions should not be used in the same stage because only the last one will be used',
    ],
  ],
  [
    'old forms',
    'FROM a\nENV x y\nLABEL x y\n',
    [
      'LegacyKeyValueFormat 2: "ENV key=value" should be used instead of legacy "ENV key value" format',
      'LegacyKeyValueFormat 3: "LABEL key=value" should be used instead of legacy "LABEL key value" format',
    ],
  ],
  [
    'secrets',
    'FROM a\nARG API_KEY\nENV password=1 PUBLIC_KEY=2 TOKEN_FILE=3 keyboard=4\n',
    [
      'SecretsUsedInArgOrEnv 2: Do not use ARG or ENV instructions for sensitive data (ARG "API_KEY")',
      'SecretsUsedInArgOrEnv 3: Do not use ARG or ENV instructions for sensitive data (ENV "password")',
    ],
  ],
  [
    'ports',
    'FROM a\nEXPOSE 80/TCP 127.0.0.1:81:81 82/udp\n',
    [
      "ExposeInvalidFormat 2: EXPOSE instruction should not define an IP address or host-port mapping, found '127.0.0.1:81:81'",
      "ExposeProtoCasing 2: Defined protocol '80/TCP' in EXPOSE instruction should be lowercase",
    ],
  ],
  [
    'files that are ignored',
    'FROM a AS b\nCOPY d/x ./y/ /\nADD https://x/y git@x:y.git y /\nCOPY --from=b y /\nCOPY . /\n',
    [
      'CopyIgnoredFile 2: Attempting to Copy file "d/x" that is excluded by .dockerignore',
      'CopyIgnoredFile 2: Attempting to Copy file "y" that is excluded by .dockerignore',
      'CopyIgnoredFile 3: Attempting to Add file "y" that is excluded by .dockerignore',
    ],
    { ignore: ['d', 'y'] },
  ],
  [
    'all of the context ignored',
    'FROM a\nCOPY . /\n',
    ['CopyIgnoredFile 2: Attempting to Copy file "." that is excluded by .dockerignore'],
    { ignore: ['*'] },
  ],
  ['exceptions of what is ignored', 'FROM a\nCOPY x /\n', [], { ignore: ['x', '!x/y'] }],
  [
    'comments, where they are asked for',
    '# check=experimental=all\n# X is fine\nARG X\n# not about Y\nARG Y\n# nor this\n#\nFROM a AS b\n',
    ['InvalidDefinitionDescription 5: Comment for ARG should follow the format: `# Y <description>`'],
  ],
  ['what the file sets aside', '# check=skip=StageNameCasing, JSONArgsRecommended\nFROM a AS B\n', []],
  ['all set aside', '#!/usr/bin/env build\n# check=skip=all\nFROM a AS B\nCMD x\n', []],
  [
    'what a comment sets aside',
    'FROM a\n# check=skip=SecretsUsedInArgOrEnv  it is none\nENV key=1\nENV key=2\n',
    ['SecretsUsedInArgOrEnv 4: Do not use ARG or ENV instructions for sensitive data (ENV "key")'],
  ],
  [
    'an argument instead of what the file says',
    '# check=skip=all\nFROM a AS B\n',
    ["StageNameCasing 2: Stage name 'B' should be lowercase"],
    { given: { BUILDKIT_DOCKERFILE_CHECK: 'skip=UndefinedVar' } },
  ],
];

for (const [title, text, expected, setting] of CASES) {
  test(`lint: ${title}`, () => {
    const found = lint(text, setting)
      .map(({ rule, message, range }) => `${rule} ${range?.start.line}: ${message}`)
      .sort();
    assert.deepEqual(found, expected.toSorted());
  });
}

test('triggers of the base image are looked at on the line of FROM', () => {
  const trigger = parseDockerfile('FROM a\nENV key=$NONE\n').stages[0]?.instructions[0];
  assert.ok(trigger !== undefined);
  const found = lint('FROM a\nUSER $key\n', { base: { ...IMAGE, triggers: [trigger] } });
  assert.deepEqual(
    found.map(({ rule, range }) => [rule, range?.start.line]),
    [
      ['UndefinedVar', 1],
      ['SecretsUsedInArgOrEnv', 1],
    ],
  );
});

test('findings fail the build where the file wants it', () => {
  assert.throws(() => lint('# check=error=true\nFROM a AS B\nMAINTAINER x\n'), {
    kind: 'InvalidParameter',
    message: 'lint violation found for rules: MaintainerDeprecated, StageNameCasing',
  });
  assert.deepEqual(lint('# check=error=true\nFROM a AS b\n'), []);
});

test('options that cannot be read are refused', () => {
  for (const text of ['skip', 'foo=bar', 'error=maybe']) {
    assert.throws(() => parseLintOptions(text), { kind: 'InvalidParameter', message: /check option/ }, text);
  }
});
