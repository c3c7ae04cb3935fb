// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are shell variables
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatExcerpt } from '../../api/source-excerpt.ts';
import { detectSyntax } from './directives.ts';
import { parseDuration } from './duration.ts';
import { DockerfileError } from './errors.ts';
import { expandWord, expandWords } from './expand.ts';
import { splitLines } from './lines.ts';
import { parseDockerfile, parseInstruction } from './parse.ts';

const ENV: Record<string, string> = {
  a: '1',
  empty: '',
  path: '/usr/local/lib/x.tar.gz',
  two: 'x y',
  v1: 'é',
};
const options = { escapeChar: '\\' as const, lookup: (name: string) => ENV[name] };

test('a Dockerfile with everything', () => {
  const file = parseDockerfile(`# syntax=docker/dockerfile:1
# escape=\\

# a comment
ARG VERSION=12 OTHER
FROM --platform=linux/amd64 debian:$VERSION AS Base
  # indented comment
ENV A=1 B="two words" \\
    # comment inside

    C=three\\ words
LABEL old style  value
RUN --mount=type=cache,target=/x --network=none apt-get update && \\
  apt-get install -y \\
  curl
RUN ["/bin/echo", "a  b", "<<EOF"]
COPY --from=base --chown=1:2 --chmod=755 a b* /dst/
COPY ["with space", "/x y"]
EXPOSE 80/tcp 53/udp 443
VOLUME ["/a", "/b c"]
HEALTHCHECK --interval=1m30s --retries=3 CMD curl -f http://localhost/ || exit 1
HEALTHCHECK NONE
ONBUILD COPY . /src
SHELL ["/bin/bash", "-c"]
ENTRYPOINT ["/x"]
CMD a b c
STOPSIGNAL SIGTERM
USER 1000:1000
WORKDIR /a b
MAINTAINER Some One <a@b>
from scratch
`);
  assert.deepEqual(file.directives, [
    { name: 'syntax', value: 'docker/dockerfile:1', line: 1 },
    { name: 'escape', value: '\\', line: 2 },
  ]);
  assert.deepEqual(file.globalArgs[0]?.args, [
    { name: 'VERSION', value: '12', description: '' },
    { name: 'OTHER', description: '' },
  ]);
  assert.deepEqual(
    file.stages.map(({ from }) => [from.base, from.name, from.platform, from.line]),
    [
      ['debian:$VERSION', 'base', 'linux/amd64', 6],
      ['scratch', '', '', 31],
    ],
  );
  const plain = (file.stages[0]?.instructions ?? []).map(
    ({ line: _, endLine: __, source: ___, keyword: ____, comments: _____, ...rest }) => rest,
  );
  const copy = { kind: 'copy', inline: [], link: false, parents: false, excludes: [], checksum: '' };
  const health = { kind: 'healthcheck', timeout: 0, startPeriod: 0, startInterval: 0 };
  assert.deepEqual(plain, [
    {
      kind: 'env',
      pairs: [
        { name: 'A', value: '1' },
        { name: 'B', value: '"two words"' },
        { name: 'C', value: 'three\\ words' },
      ],
      legacy: false,
    },
    { kind: 'label', pairs: [{ name: 'old', value: 'style  value' }], legacy: true },
    {
      kind: 'run',
      command: { form: 'shell', words: ['apt-get update &&   apt-get install -y   curl'] },
      heredocs: [],
      mounts: ['type=cache,target=/x'],
      network: 'none',
      security: '',
    },
    {
      kind: 'run',
      command: { form: 'exec', words: ['/bin/echo', 'a  b', '<<EOF'] },
      heredocs: [],
      mounts: [],
      network: '',
      security: '',
    },
    { ...copy, sources: ['a', 'b*'], destination: '/dst/', from: 'base', chown: '1:2', chmod: '755' },
    { ...copy, sources: ['with space'], destination: '/x y', from: '', chown: '', chmod: '' },
    { kind: 'expose', values: ['443', '53/udp', '80/tcp'] },
    { kind: 'volume', values: ['/a', '/b c'] },
    {
      ...health,
      type: 'CMD',
      command: { form: 'shell', words: ['curl -f http://localhost/ || exit 1'] },
      interval: 90e9,
      retries: 3,
    },
    { ...health, type: 'NONE', command: { form: 'shell', words: [] }, interval: 0, retries: 0 },
    { kind: 'onbuild', trigger: 'COPY . /src' },
    { kind: 'shell', words: ['/bin/bash', '-c'] },
    { kind: 'entrypoint', command: { form: 'exec', words: ['/x'] } },
    { kind: 'cmd', command: { form: 'shell', words: ['a b c'] } },
    { kind: 'stopsignal', value: 'SIGTERM' },
    { kind: 'user', value: '1000:1000' },
    { kind: 'workdir', value: '/a b' },
    { kind: 'maintainer', value: 'Some One <a@b>' },
  ]);
  assert.deepEqual(file.emptyContinuations, [11]);
});

test('heredocs', () => {
  const file = parseDockerfile(
    [
      'FROM x',
      'RUN <<EOF',
      'echo $A \\',
      '# not a comment',
      'EOF',
      'COPY <<-"one.txt" << two.txt /dst/',
      '\tfirst $A',
      '\tone.txt',
      'second',
      'two.txt',
      'RUN python3 <<E && echo done',
      'print(1 << 2)',
      'E',
      "RUN echo '<<EOF' $((1<<2))",
      'CMD ok',
    ].join('\r\n'),
  );
  const [run, copy, python, quoted, cmd] = file.stages[0]?.instructions ?? [];
  assert.ok(run?.kind === 'run' && copy?.kind === 'copy' && python?.kind === 'run' && quoted?.kind === 'run');
  assert.deepEqual(run.heredocs, [
    { name: 'EOF', expand: true, chomp: false, content: 'echo $A \\\r\n# not a comment\r\n' },
  ]);
  assert.deepEqual(
    copy.inline.map(({ name, expand, content }) => [name, expand, content]),
    [
      ['one.txt', false, 'first $A\r\n'],
      ['two.txt', true, 'second\r\n'],
    ],
  );
  assert.deepEqual([copy.sources, copy.destination], [[], '/dst/']);
  assert.equal(python.command.words[0], 'python3 <<E && echo done');
  assert.equal(python.heredocs[0]?.content, 'print(1 << 2)\r\n');
  assert.deepEqual(quoted.heredocs, []);
  assert.equal(cmd?.line, 15);
});

/** The heredoc words of an instruction: name, whether variables are expanded, whether tabs go. */
const HEREDOCS: [string, [name: string, expand: boolean, chomp: boolean][]][] = [
  ['RUN <<A', [['A', true, false]]],
  [
    'RUN 3<<A 4<<-B',
    [
      ['A', true, false],
      ['B', true, true],
    ],
  ],
  ['RUN << A > x', [['A', true, false]]],
  ["RUN <<'A b'", [['A b', false, false]]],
  ['RUN <<A"b"', [['Ab', false, false]]],
  // An escape does not quote.
  ['RUN <<\\A', [['A', true, false]]],
  ['RUN <<$A', [['$A', true, false]]],
  [
    'ONBUILD COPY <<A <<B /x',
    [
      ['A', true, false],
      ['B', true, false],
    ],
  ],
  ['RUN "<<A"', []],
  ['RUN x<<A', []],
  ['RUN <<<A', []],
  ['RUN <<- A', []],
  ['RUN echo "x <<A', []],
  ['RUN ["x", "<<A"]', []],
  ['CMD <<A', []],
];

test('which words begin heredocs', () => {
  for (const [line, expected] of HEREDOCS) {
    const bodies = expected.map(([name]) => `text\n${name}\n`).join('');
    const split = splitLines(`${line}\n${bodies}USER end\n`);
    const found = split.lines[0]?.heredocs.map(({ name, expand, chomp }) => [name, expand, chomp]);
    assert.deepEqual(found, expected, line);
    assert.equal(split.lines[1]?.text, 'USER end', line);
  }
});

test('a heredoc keeps its tabs for a trigger, and loses them in a file', () => {
  const onbuild = parseInstruction('ONBUILD COPY <<-A /x\n\ttext\n\tA\n');
  assert.ok(onbuild.kind === 'onbuild');
  assert.equal(onbuild.trigger, 'COPY <<-A /x\n\ttext\nA');
  const copy = parseInstruction(onbuild.trigger);
  assert.ok(copy.kind === 'copy');
  assert.equal(copy.inline[0]?.content, 'text\n');
});

test('directives stand in the first lines alone, in any case and order', () => {
  const names = (text: string) => splitLines(text).directives.map(({ name, value }) => `${name}=${value}`);
  assert.deepEqual(names('#Escape = `\n#  CHECK=skip=all \nFROM x'), ['escape=`', 'check=skip=all']);
  assert.deepEqual(names('\uFEFF# escape=`\r\nFROM x'), ['escape=`']);
  assert.deepEqual(names('# a comment\n# escape=`\nFROM x'), []);
  assert.deepEqual(names('\n# escape=`\nFROM x'), []);
  assert.deepEqual(names('# other=1\n# escape=`\nFROM x'), []);
});

test('frontends that a file asks for', () => {
  const cases: [string, string | undefined][] = [
    ['# syntax=a/b:1 option', 'a/b:1'],
    ['#!/usr/bin/env x\n# syntax = a/b', 'a/b'],
    ['// syntax=a/b', 'a/b'],
    ['{"syntax": "a/b", "other": 1}', 'a/b'],
    ['\n# syntax=a/b', undefined],
    ['{"syntax": 1}', undefined],
    ['FROM x', undefined],
  ];
  for (const [text, expected] of cases) assert.equal(detectSyntax(text), expected, text);
});

test('errors have their place, and show the lines around it', () => {
  const text = 'FROM x\nUSER a\nRUN b && \\\n  c\nCOPY a\r\nUSER e\nUSER f\nUSER g\n';
  assert.throws(
    () => parseDockerfile(text, 'my.Dockerfile'),
    (error: unknown) => {
      assert.ok(error instanceof DockerfileError);
      assert.deepEqual(error.range, { start: { line: 5 }, end: { line: 5 } });
      assert.equal(
        formatExcerpt(error),
        [
          'my.Dockerfile:5',
          '--------------------',
          '   3 |     RUN b && \\',
          '   4 |       c',
          '   5 | >>> COPY a',
          '   6 |     USER e',
          '   7 |     USER f',
          '--------------------',
          '',
        ].join('\n'),
      );
      return true;
    },
  );
  const several = { filename: 'f', content: text, range: { start: { line: 3 }, end: { line: 4 } } };
  assert.deepEqual(
    formatExcerpt(several)
      .split('\n')
      .slice(2, -2)
      .map((line) => line.slice(0, 10).trim()),
    ['2 |', '3 | >>>', '4 | >>>', '5 |'],
  );
  assert.equal(formatExcerpt({ ...several, range: { start: { line: 99 }, end: { line: 99 } } }), '');
});

test('comments describe what stands below them', () => {
  const file = parseDockerfile(
    '# A the first\n# B the second\n\nARG A=1 B\n# not this\n#\n# base is it\nFROM x AS Base\n',
  );
  assert.deepEqual(
    file.globalArgs[0]?.args.map(({ description }) => description),
    ['the first', 'the second'],
  );
  assert.equal(file.stages[0]?.from.description, 'is it');
  assert.deepEqual(file.stages[0]?.from.comments, ['base is it']);
  assert.equal(file.stages[0]?.from.writtenName, 'Base');
});

test('the backtick as escape character', () => {
  const file = parseDockerfile('# escape=`\nFROM x\nRUN dir C:\\ `\n && echo\nENV P=a` b\n');
  const [run, env] = file.stages[0]?.instructions ?? [];
  assert.ok(run?.kind === 'run' && env?.kind === 'env');
  assert.equal(run.command.words[0], 'dir C:\\  && echo');
  assert.deepEqual(env.pairs, [{ name: 'P', value: 'a` b' }]);
});

test('errors name the line and what was expected', () => {
  const wrong: [string, RegExp][] = [
    ['', /file with no instructions/],
    [
      'FROM x\n\nFOO bar',
      /^dockerfile parse error on line 3: unknown instruction: FOO \(did you mean FROM\?\)$/,
    ],
    ['FROM x\nCPOY a b', /line 2: unknown instruction: CPOY \(did you mean COPY\?\)/],
    ['RUN x', /line 1: no build stage in current context/],
    ['ARG x', /no stages to build: expected FROM after ARG/],
    ['# c\n\n', /line 3: file with no instructions/],
    ['FROM', /FROM requires either one or three arguments/],
    ['FROM a AS 1x', /invalid name for build stage: "1x"/],
    ['FROM --as=x a', /unknown flag: --as \(expected one of --platform\)/],
    ['FROM x\nCOPY a', /line 2: COPY requires at least two arguments, but only one was provided/],
    ['FROM x\nCOPY --from a b c', /missing a value on flag: --from/],
    ['FROM x\nCOPY --link=maybe b c', /expecting boolean value for flag --link, not: maybe/],
    ['FROM x\nCOPY --chown=1 --chown=2 b c', /duplicate flag specified: --chown/],
    ['FROM x\nENV a', /ENV must have two arguments/],
    ['FROM x\nENV a=1 b', /can't find = in "b"/],
    ['FROM x\nENV', /ENV requires at least one argument/],
    ['FROM x\nARG =1', /ARG names can not be blank/],
    ['FROM x\nSHELL bash', /SHELL requires the arguments to be in JSON form/],
    ['FROM x\nRUN ["a", 1]', /arrays must be comprised of strings only/],
    ['FROM x\nHEALTHCHECK foo', /Unknown type "FOO" in HEALTHCHECK \(try CMD\)/],
    ['FROM x\nHEALTHCHECK --interval=x CMD a', /invalid duration "x" of --interval/],
    ['FROM x\nONBUILD FROM y', /FROM isn't allowed as an ONBUILD trigger/],
    ['FROM x\nONBUILD FOO', /unknown instruction: FOO/],
    ['FROM x\nCOPY --chwon=1 a b', /unknown flag: --chwon \(did you mean chown\?\)/],
    ['FROM x\nCOPY --link= a b', /missing a value on flag: --link/],
    ['FROM x\nCOPY --from=$X a b', /variable expansion is not supported for --from/],
    ['FROM x\nRUN --network=bridge a', /invalid network mode "bridge": expected one of default, none, host/],
    ['FROM x\nRUN --security=none a', /security "none" is not valid: expected one of sandbox, insecure/],
    ['FROM x\nRUN --device=a/b=c a', /RUN --device is not supported/],
    ['FROM x\nrnu a', /unknown instruction: rnu \(did you mean run\?\)/],
    ['FROM x\nONBUILD --a RUN x', /unknown flag: --a/],
    ['FROM x\nconstructor a', /unknown instruction: constructor$/],
    ['FROM x\nHEALTHCHECK --retries=9999999999 CMD a', /--retries 9999999999 is out of range/],
    ['// syntax=a/b\nx', /unknown instruction: \/\/ \(the file asks for the frontend a\/b/],
    ['FROM x\nRUN <<EOF\nabc', /line 2: unterminated heredoc/],
    ['# escape=x\nFROM x', /line 1: invalid escape token 'x'/],
    ['# escape=`\n# escape=`\nFROM x', /line 2: only one escape parser directive can be used/],
  ];
  for (const [text, message] of wrong) {
    assert.throws(() => parseDockerfile(text), { kind: 'InvalidParameter', message }, text);
  }
});

test('a shell command that begins like JSON is a shell command', () => {
  const run = parseInstruction('RUN [ -f /x ] && echo "a"');
  assert.ok(run.kind === 'run');
  assert.deepEqual(run.command, { form: 'shell', words: ['[ -f /x ] && echo "a"'] });
});

test('variables are expanded as a shell does it', () => {
  const cases: [string, string][] = [
    ['$a${a}b', '11b'],
    ['\\$a', '$a'],
    ["'$a'", '$a'],
    ['"$a \'x\'"', "1 'x'"],
    ['"\\"\\a"', '"\\a'],
    ['$none.', '.'],
    ['$', '$'],
    ['${none:-x}${empty:-y}${empty-z}${none-w}', 'xyw'],
    ['${a:+set}${empty:+no}${empty+yes}${none+no}', 'setyes'],
    ['${none:-${a}-"q}"}', '1-q}'],
    ['${path#*/}', 'usr/local/lib/x.tar.gz'],
    ['${path##*/}', 'x.tar.gz'],
    ['${path%.*}', '/usr/local/lib/x.tar'],
    ['${path%%.*}', '/usr/local/lib/x'],
    ['${path/l/L}', '/usr/Local/lib/x.tar.gz'],
    ['${path//l?/_}', '/usr/_ca__b/x.tar.gz'],
    ['${path//\\//:}', ':usr:local:lib:x.tar.gz'],
    // An escape in the replacement stays.
    ['${path//\\//\\/}', '\\/usr\\/local\\/lib\\/x.tar.gz'],
    ['$v1', 'é'],
    ['a\\', 'a'],
  ];
  for (const [text, expected] of cases) assert.equal(expandWord(text, options), expected, text);
  const wrong = [
    '${a',
    '${}',
    '${:x}',
    '${a!x}',
    "'open",
    '"open',
    '${none:?}',
    '${none?is needed}',
    '${a:#x}',
    '${path#\\x}',
  ];
  for (const text of wrong)
    assert.throws(() => expandWord(text, options), { kind: 'InvalidParameter' }, text);
  assert.throws(() => expandWord('${none?is needed}', options), /failed to process .*none: is needed/);
});

test('quotes in the content of a heredoc are letters', () => {
  const literal = { ...options, literalQuotes: true };
  assert.equal(expandWord('say \\"$a\\" \'$a\' "${none:-"x"}" \\$a', literal), 'say "1" \'1\' ""x"" $a');
});

test('words split at blanks outside of quotes, also inside of values', () => {
  assert.deepEqual(expandWords(' $two "$two" a\\ b ', options), ['x', 'y', 'x y', 'a b']);
});

test('durations', () => {
  assert.deepEqual(['1h1m', '1.5s', '100ms', '0', '-1s'].map(parseDuration), [3660e9, 1.5e9, 1e8, 0, -1e9]);
  assert.deepEqual(['', '5', 'x', '1 s'].map(parseDuration), [undefined, undefined, undefined, undefined]);
});
