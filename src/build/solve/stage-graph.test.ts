// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are shell variables
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDockerfile } from '../dockerfile/parse.ts';
import { StageArguments, unusedArguments } from './arguments.ts';
import { BuildError } from './build-error.ts';
import { StageGraph } from './stage-graph.ts';
import { planStage } from './stage-plan.ts';

const AMD64 = { os: 'linux', architecture: 'amd64' };
const ARM64 = { os: 'linux', architecture: 'arm64' };

function graph(
  text: string,
  options: {
    target?: string;
    given?: Record<string, string>;
    named?: string[];
    /** From names of contexts to stages. */
    stages?: Record<string, string>;
  } = {},
) {
  return new StageGraph({
    dockerfile: parseDockerfile(text),
    target: options.target ?? '',
    buildPlatform: AMD64,
    targetPlatform: ARM64,
    given: options.given ?? {},
    namedContext: (name) => {
      const stage = options.stages?.[name];
      if (stage !== undefined) return { name, stage };
      return options.named?.includes(name) === true ? { name } : undefined;
    },
  });
}

const needed = (one: StageGraph): string[] => one.needed().map(({ title }) => title);

test('a target needs what it takes from, by name, number, mount and FROM', () => {
  const text = `FROM a AS one
FROM b AS two
COPY --from=one /x /
FROM c AS lost
FROM d
RUN --mount=type=bind,from=two,target=/t true
FROM two AS last
COPY --from=3 /x /
`;
  assert.deepEqual(needed(graph(text)), ['one', 'two', 'stage-3', 'last']);
  assert.deepEqual(needed(graph(text, { target: 'TWO' })), ['one', 'two']);
  assert.deepEqual(needed(graph(text, { target: '2' })), ['lost']);
  assert.throws(() => graph(text, { target: 'none' }), /target stage "none" could not be found/);
});

test('FROM: arguments, platforms, named contexts before stages before images', () => {
  const one = graph(
    'ARG V=1\nFROM --platform=$BUILDPLATFORM img:$V AS a\nFROM a\nFROM ctx\nFROM scratch\nFROM x-$TARGETARCH\n',
    { given: { V: '2' }, named: ['ctx'] },
  );
  assert.deepEqual(
    one.stages.map(({ base }) => base),
    [
      { kind: 'image', reference: 'img:2' },
      { kind: 'stage', index: 0 },
      { kind: 'context', name: 'ctx' },
      { kind: 'scratch' },
      { kind: 'image', reference: 'x-arm64' },
    ],
  );
  assert.deepEqual(one.stages[0]?.platform, AMD64);
  assert.throws(() => graph('FROM $NOTHING\n'), /should not be blank/);
  // Of stages with the same name the last one counts, for FROM the last above it.
  const twice = graph('FROM a AS x\nFROM x AS x\nFROM x\nCOPY --from=x / /\n');
  assert.deepEqual(
    twice.stages.map(({ base }) => base),
    [
      { kind: 'image', reference: 'a' },
      { kind: 'stage', index: 0 },
      { kind: 'stage', index: 1 },
    ],
  );
  assert.deepEqual(twice.source('x', 2), { kind: 'stage', index: 1 });
});

test('named contexts that are stages, below and above, and in circles', () => {
  const text = 'FROM ctx AS one\nFROM i AS two\nCOPY --from=ctx / /\nFROM i AS Late\n';
  const later = graph(text, { target: 'one', stages: { ctx: 'LATE' } });
  assert.deepEqual(needed(later), ['one', 'late']);
  assert.throws(
    () => graph(text, { stages: { ctx: 'none' } }),
    /target stage "none" of the build context ctx could not be found/,
  );
  assert.throws(
    () => graph('FROM ctx AS a\nFROM a AS b\n', { stages: { ctx: 'b' } }),
    /circular dependency detected on stage: a \(a needs b needs a\)/,
  );
});

test('cycles name their stages, however long they are', () => {
  const cycle =
    'FROM i AS a\nCOPY --from=c /x /\nFROM i AS b\nCOPY --from=a /x /\nFROM i AS c\nCOPY --from=b /x /\n';
  assert.throws(() => graph(cycle), /circular dependency detected on stage: a \(a needs c needs b needs a\)/);
  const length = 5000;
  const long = Array.from({ length }, (_, i) =>
    i + 1 < length ? `FROM i AS s${i}\nCOPY --from=s${i + 1} /x /\n` : `FROM i AS s${i}\n`,
  ).join('');
  assert.equal(graph(long, { target: 's0' }).needed().length, length);
});

test('--from of a step: what it can mean', () => {
  const one = graph('FROM i AS a\nFROM j AS b\nFROM k AS c\n', { named: ['ctx'] });
  assert.deepEqual(one.source('c', 0), { kind: 'stage', index: 2 });
  assert.deepEqual(one.source('ctx', 0), { kind: 'context', name: 'ctx' });
  assert.deepEqual(one.source('busybox', 0), { kind: 'image', reference: 'busybox' });
  assert.throws(() => one.source('1', 1), /refers to current build stage/);
  assert.throws(() => one.source('7', 1), /index out of bounds/);
  assert.throws(() => one.source('c', 1, 1), /can only use stages above/);
});

test('the plan of a stage: variables, history, what RUN gets', () => {
  const { args, stages, escapeChar } = graph(
    `ARG G=global
FROM i
ARG G
ARG D=default
ARG SOURCE_DATE_EPOCH
ENV E=$G-$D P=1
WORKDIR /w
WORKDIR sub
RUN echo $E
COPY --chown=$D a b dest/
EXPOSE 80 53/udp
HEALTHCHECK --interval=90s --retries=3 CMD curl x
ENTRYPOINT ["e"]
CMD run
`,
    { given: { D: 'given', HTTP_PROXY: 'http://user:secret@proxy', constructor: 'x' } },
  );
  const [stage] = stages;
  assert.ok(stage !== undefined);
  const plan = planStage({
    instructions: stage.stage.instructions,
    fromLine: 2,
    base: { config: { Env: ['PATH=/bin'], Cmd: ['old'], OnBuild: ['LABEL t=1'] } },
    args: new StageArguments(args, 1000),
    escapeChar,
    at: (_, body) => body(),
  });
  assert.deepEqual(
    plan.steps.map(({ history }) => history),
    [
      'LABEL t=1',
      'ARG G=global',
      'ARG D=given',
      'ARG SOURCE_DATE_EPOCH=1000',
      'ENV E=global-given P=1',
      'WORKDIR /w',
      'WORKDIR /w/sub',
      'RUN |3 G=global D=given SOURCE_DATE_EPOCH=1000 /bin/sh -c echo $E # buildkit',
      'COPY --chown=given a b dest/ # buildkit',
      'EXPOSE [53/udp 80/tcp]',
      `HEALTHCHECK &{["CMD-SHELL" "curl x"] "1m30s" "0s" "0s" "0s" '\\x03'}`,
      'ENTRYPOINT ["e"]',
      'CMD ["/bin/sh" "-c" "run"]',
    ],
  );
  const run = plan.steps[7];
  assert.ok(run?.kind === 'run');
  assert.deepEqual(run.proxies, [
    'HTTP_PROXY=http://user:secret@proxy',
    'http_proxy=http://user:secret@proxy',
  ]);
  assert.deepEqual(run.env, [
    'PATH=/bin',
    'E=global-given',
    'P=1',
    'G=global',
    'D=given',
    'SOURCE_DATE_EPOCH=1000',
  ]);
  assert.deepEqual([run.cwd, plan.state.config.WorkingDir], ['/w/sub', '/w/sub']);
  assert.equal(plan.state.config.OnBuild, undefined);
  assert.ok(!JSON.stringify(plan.steps.map(({ history }) => history)).includes('secret'));
});

test('given arguments that nobody takes', () => {
  const given = { A: '1', HTTP_PROXY: 'p', BUILDKIT_INLINE_CACHE: '1', SOURCE_DATE_EPOCH: '1', LEFT: 'x' };
  assert.deepEqual(unusedArguments(given, new Set(['A'])), ['LEFT']);
});

test('what is wrong with a FROM, an ARG or a circle tells its line, in the file that was read', () => {
  const head = '# first\nARG A=x\n';
  const cases: [string, number, RegExp][] = [
    ['FROM i\nFROM $NOTHING\n', 4, /^base name \(\$NOTHING\) should not be blank$/],
    ['FROM --platform=$NOTHING i\n', 3, /^empty platform value from expression \$NOTHING$/],
    ['FROM i\nFROM --platform=a/b/c/d i\n', 4, /a\/b\/c\/d/],
    ['ARG B=${A:?is missing\nFROM i\n', 3, /./],
    [
      'FROM i AS a\nFROM i AS b\nCOPY --from=c / /\nFROM b AS c\n',
      4,
      /^circular dependency .*: b \(b needs c/,
    ],
  ];
  for (const [text, line, message] of cases) {
    assert.throws(
      () => graph(head + text),
      (error: unknown) => {
        assert.ok(error instanceof BuildError, `${text}: ${String(error)}`);
        assert.equal(error.kind, 'InvalidParameter');
        assert.match(error.message, message);
        const range = { start: { line }, end: { line } };
        assert.deepEqual(error.source, { filename: 'Dockerfile', content: head + text, range });
        return true;
      },
    );
  }
});

test('of ARG and ENV the later one counts, also for a stage upon it', () => {
  const { args, stages, escapeChar } = graph(
    'FROM i AS one\nARG A=1\nENV A=2\nLABEL l=$A\nARG A=3 N\nLABEL l=$A\nRUN x\nFROM one\nARG A\nLABEL l=$A\nENV A=4\nRUN y\n',
  );
  let above: StageArguments | undefined;
  const histories = stages.map(({ stage }, index) => {
    const own: StageArguments = new StageArguments(args, 1000, above);
    above = own;
    const base = { config: { Env: index === 0 ? [] : ['A=2'] } };
    const { steps } = planStage({
      instructions: stage.instructions,
      fromLine: 1,
      base,
      args: own,
      escapeChar,
      at: (_, body) => body(),
    });
    const run = steps.at(-1);
    assert.ok(run?.kind === 'run');
    assert.ok(run.env.includes(index === 0 ? 'A=3' : 'A=4'), run.env.join(' '));
    return steps.map(({ history }) => history).filter((text) => !text?.startsWith('ENV'));
  });
  assert.deepEqual(histories, [
    ['ARG A=1', 'LABEL l=2', 'ARG A=3 N', 'LABEL l=3', 'RUN |2 A=3 N= /bin/sh -c x # buildkit'],
    ['ARG A', 'LABEL l=3', 'RUN |2 A=4 N= /bin/sh -c y # buildkit'],
  ]);
});

test('a heredoc with #! is executed by itself; histories have its place behind the shell', () => {
  const { stages, args, escapeChar } = graph('FROM a\nRUN <<EOF\n#!/bin/x\nbody\nEOF\n');
  const [stage] = stages;
  assert.ok(stage !== undefined);
  const { steps } = planStage({
    instructions: stage.stage.instructions,
    fromLine: 1,
    base: { config: {} },
    args: new StageArguments(args, 1000),
    escapeChar,
    at: (_, body) => body(),
  });
  const [run] = steps;
  assert.ok(run?.kind === 'run');
  assert.deepEqual(run.args, ['/dev/pipes/EOF']);
  assert.deepEqual(run.script, { name: 'EOF', content: '#!/bin/x\nbody\n' });
  assert.equal(run.history, 'RUN /bin/sh -c /dev/pipes/EOF # buildkit');
});
