// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are shell variables
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDuration } from './duration.ts';
import { expandWord, expandWords } from './expand.ts';
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
EXPOSE 80/tcp 53/udp
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
  assert.deepEqual(file.directives, { syntax: 'docker/dockerfile:1', escape: '\\' });
  assert.deepEqual(file.globalArgs[0]?.args, [{ name: 'VERSION', value: '12' }, { name: 'OTHER' }]);
  assert.deepEqual(
    file.stages.map(({ from }) => [from.base, from.name, from.platform, from.line]),
    [
      ['debian:$VERSION', 'base', 'linux/amd64', 6],
      ['scratch', '', '', 31],
    ],
  );
  const plain = (file.stages[0]?.instructions ?? []).map(
    ({ line: _, endLine: __, source: ___, ...rest }) => rest,
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
    },
    { kind: 'label', pairs: [{ name: 'old', value: 'style  value' }] },
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
    { kind: 'expose', values: ['80/tcp', '53/udp'] },
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
  assert.match(file.warnings[0] ?? '', /Empty continuation line found in: ENV A=1/);
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
    ['FROM x\n\nFOO bar', /^dockerfile parse error on line 3: unknown instruction: FOO$/],
    ['FROM x\nCPOY a b', /line 2: unknown instruction: CPOY \(did you mean COPY\?\)/],
    ['RUN x', /line 1: no build stage in current context/],
    ['ARG x', /has no build stage/],
    ['FROM', /FROM requires either one or three arguments/],
    ['FROM a AS 1x', /invalid name for build stage: "1x"/],
    ['FROM --as=x a', /unknown flag: --as \(expected one of --platform\)/],
    ['FROM x\nCOPY a', /line 2: COPY requires at least two arguments, but only one was provided/],
    ['FROM x\nCOPY --from a b c', /missing a value on flag: from/],
    ['FROM x\nCOPY --link=maybe b c', /expecting boolean value for flag link, not: maybe/],
    ['FROM x\nCOPY --chown=1 --chown=2 b c', /duplicate flag specified: chown/],
    ['FROM x\nENV a', /ENV must have two arguments/],
    ['FROM x\nENV a=1 b', /can't find = in "b"/],
    ['FROM x\nENV', /ENV requires at least one argument/],
    ['FROM x\nARG =1', /ARG names can not be blank/],
    ['FROM x\nSHELL bash', /SHELL requires the arguments to be in JSON form/],
    ['FROM x\nRUN ["a", 1]', /only string type is allowed in JSON format arrays/],
    ['FROM x\nHEALTHCHECK foo', /Unknown type "FOO" in HEALTHCHECK \(try CMD\)/],
    ['FROM x\nHEALTHCHECK --interval=x CMD a', /invalid duration "x" of --interval/],
    ['FROM x\nONBUILD FROM y', /FROM isn't allowed as an ONBUILD trigger/],
    ['FROM x\nONBUILD FOO', /unknown instruction: FOO/],
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

test('words split at blanks outside of quotes, also inside of values', () => {
  assert.deepEqual(expandWords(' $two "$two" a\\ b ', options), ['x', 'y', 'x y', 'a b']);
});

test('durations', () => {
  assert.deepEqual(['1h1m', '1.5s', '100ms', '0', '-1s'].map(parseDuration), [3660e9, 1.5e9, 1e8, 0, -1e9]);
  assert.deepEqual(['', '5', 'x', '1 s'].map(parseDuration), [undefined, undefined, undefined, undefined]);
});
