// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are variables of Dockerfiles
/** Instructions that change the image's configuration, and what FROM, targets and stages make of it. */
import type { BuildCase } from './build-case.ts';

/** A case from lines below FROM. */
function config(name: string, lines: readonly string[], more: Partial<BuildCase> = {}): BuildCase {
  return { name: `config: ${name}`, dockerfile: `FROM base\n${lines.join('\n')}\n`, ...more };
}

/** An image that says something of everything. */
const FULL = `FROM busybox
ENV A=1 B="two words" PATH=/usr/local/bin:/bin
LABEL one=1 two="2 2"
EXPOSE 80 81/udp
VOLUME /v1 /v2
WORKDIR /work
USER alice:staff
ENTRYPOINT ["/bin/entry", "x"]
CMD ["cmd", "y"]
STOPSIGNAL SIGQUIT
SHELL ["/bin/sh", "-e", "-c"]
HEALTHCHECK --interval=10s --retries=3 CMD true
MAINTAINER somebody
`;

const full = (name: string, lines: readonly string[], more: Partial<BuildCase> = {}): BuildCase => ({
  name: `config: ${name}`,
  dockerfile: `FROM full\n${lines.join('\n')}\n`,
  bases: { full: { dockerfile: FULL } },
  ...more,
});

const VALUES: readonly BuildCase[] = [
  config('everything', FULL.split('\n').slice(1)),
  full('inherited', ['ENV C=3']),
  full('replaced', [
    'ENV A=changed PATH=/bin:$PATH',
    'LABEL one= three=3',
    'EXPOSE 80/tcp 9000-9002',
    'VOLUME ["/v1", "/v3 with blank"]',
    'WORKDIR sub',
    'USER 1',
    'STOPSIGNAL 9',
    'HEALTHCHECK NONE',
  ]),
  full('ENTRYPOINT takes CMD away', ['ENTRYPOINT ["/new"]']),
  full('ENTRYPOINT after CMD keeps it', ['CMD ["mine"]', 'ENTRYPOINT ["/new"]']),
  full('CMD after ENTRYPOINT', ['ENTRYPOINT ["/new"]', 'CMD ["mine"]']),
  full('empty ENTRYPOINT and CMD', ['ENTRYPOINT []', 'CMD []']),
  full('CMD alone', ['CMD other']),
  full('shell forms use the SHELL', ['CMD echo $A "q"', 'ENTRYPOINT exec  two   blanks']),
  full('RUN in the inherited SHELL, folder and user', [
    'RUN false || true; echo reached > /tmp/x',
    'RUN id > /tmp/id; pwd > /tmp/pwd',
  ]),
  config('ENV forms', [
    'ENV one two  three   four',
    'ENV a=1 b="x y" c=x\\ y d=\'$a\' e="$a" f=$a',
    'ENV a=2 g=$a',
    'ENV h=$g$a i=${h}x j="${unset}" k=${unset:-def} l=${a:+alt}',
    'ENV m="quote\\"inside" n=\'single"double\' o=back\\\\slash p=a#b',
    'ENV q old  form "quoted" \\$notvar $a',
    'ENV r= s="" t=\'\'',
    'ENV u=multi \\',
    '    v=line \\',
    '# comment inside',
    '    w="continued \\',
    '  text"',
    'ENV x=a=b=c y==z',
    'ENV ä=ü',
    'ENV dollar=$ pct=% tilde=~ star=* q=? br=[a] cur={a,b}',
    'ENV esc="\\n\\t\\$a" esc2=\\n\\t\\$a',
  ]),
  config('ENV without a value', ['ENV one']),
  config('ENV with a blank name', ['ENV =x']),
  config('ENV with a stray word', ['ENV a=b c']),
  config('ENV without anything', ['ENV']),
  config('ENV open quote', ['ENV a="x']),
  config('LABEL quoting', [
    'LABEL a=1 "b c"=2 d="e f" g=\'h i\' j=k\\ l',
    'LABEL com.example.some-label="multi \\',
    'line"',
    'LABEL a=changed empty= "quoted name"=x',
    'LABEL $BASE=expanded v="$BASE" w=\'$BASE\' esc="\\"x\\"" back="\\\\"',
    'LABEL old form here',
    'LABEL uni="ü → x"',
    'LABEL json={"a":"b"} list=["x"] single=\'{"a":"b"}\'',
  ]),
  config('LABEL without a value', ['LABEL one']),
  config('labels of the request', ['LABEL a=1 b=2', 'ENV x=y'], { labels: { a: 'over', c: 'new', e: '' } }),
  config('labels of the request over nothing', ['ENV x=y'], { labels: { z: '1', a: '2' } }),
  config('EXPOSE forms', [
    'ARG p=7000',
    'EXPOSE 80 80/tcp 53/udp 9/sctp 8000-8002 9000-9001/udp',
    'EXPOSE $p ${p}/udp',
    'ENV ports="1 2"',
    'EXPOSE $ports',
    'EXPOSE 443/TCP',
  ]),
  config('EXPOSE with a host port', ['EXPOSE 8080:80']),
  config('EXPOSE with an address', ['EXPOSE 127.0.0.1:80:8080']),
  config('EXPOSE of no number', ['EXPOSE http']),
  config('EXPOSE out of range', ['EXPOSE 70000']),
  config('EXPOSE with a protocol that is none', ['EXPOSE 80/foo']),
  config('EXPOSE a range the wrong way', ['EXPOSE 90-80']),
  config('EXPOSE nothing', ['EXPOSE']),
  config('EXPOSE an empty variable', ['EXPOSE $nothing']),
  config('VOLUME forms', [
    'VOLUME /a /b',
    'VOLUME ["/c", "/d e"]',
    'ENV v=/f',
    'VOLUME $v ${v}/g',
    'VOLUME rel',
  ]),
  config('VOLUME of nothing', ['VOLUME []']),
  config('VOLUME of an empty text', ['VOLUME [""]']),
  config(
    'VOLUME then RUN and COPY',
    ['VOLUME /vol', 'RUN mkdir -p /vol && echo kept > /vol/file', 'COPY a /vol/a', 'RUN ls /vol > /list'],
    { files: { a: 'a' } },
  ),
  config('USER forms', [
    'ENV u=alice g=staff',
    'USER $u:$g',
    'RUN id > /tmp/id',
    'USER 12:34',
    'RUN id -u > /tmp/id2; id -g > /tmp/gid2',
    'USER root',
  ]),
  config('USER of an empty variable', ['USER $nothing']),
  config('USER unknown, not used', ['USER nobodyhere']),
  config('STOPSIGNAL forms', ['STOPSIGNAL SIGTERM', 'STOPSIGNAL 15', 'ENV s=KILL', 'STOPSIGNAL $s']),
  config('STOPSIGNAL that is none', ['STOPSIGNAL SIGFOO']),
  config('STOPSIGNAL RTMIN', ['STOPSIGNAL SIGRTMIN+3']),
  config('STOPSIGNAL zero', ['STOPSIGNAL 0']),
  config('SHELL', [
    'SHELL ["/bin/sh", "-x", "-c"]',
    'RUN echo $0 > /zero',
    'CMD run',
    'SHELL ["/bin/busybox", "sh", "-c"]',
    'RUN echo $0 > /one',
  ]),
  config('SHELL without JSON', ['SHELL /bin/sh -c']),
  config('SHELL of nothing', ['SHELL []']),
  config('HEALTHCHECK', [
    'HEALTHCHECK --interval=1m30s --timeout=3s --start-period=500ms --start-interval=2s --retries=12 CMD curl -f "x" || exit 1',
  ]),
  config('HEALTHCHECK exec form', ['HEALTHCHECK CMD ["a", "b c"]']),
  config('HEALTHCHECK with other options', ['HEALTHCHECK --interval=0s --retries=0 CMD x']),
  config('HEALTHCHECK lower case', ['HEALTHCHECK cmd x y']),
  config('HEALTHCHECK with a short interval', ['HEALTHCHECK --interval=1us CMD x']),
  config('HEALTHCHECK with a bad duration', ['HEALTHCHECK --interval=10 CMD x']),
  config('HEALTHCHECK with negative retries', ['HEALTHCHECK --retries=-1 CMD x']),
  config('HEALTHCHECK of an unknown kind', ['HEALTHCHECK FOO x']),
  config('HEALTHCHECK without a command', ['HEALTHCHECK CMD']),
  config('HEALTHCHECK NONE with arguments', ['HEALTHCHECK NONE x']),
  config('MAINTAINER', ['MAINTAINER Some Body <a@b.c>', 'ENV a=b', 'RUN true']),
  config('CMD forms', ['CMD ["a", "b c", "\\"q\\"", "\\u00fc", "tab\\there"]']),
  config('CMD with single quotes is shell form', ["CMD ['a', 'b']"]),
  config('CMD with numbers', ['CMD ["a", 1]']),
  config('CMD shell with continuation', ['CMD echo one \\', '  two \\', '  three']),
  config('ENTRYPOINT variables stay', ['ENV x=y', 'ENTRYPOINT ["echo", "$x"]', 'CMD echo $x ${x}']),
  config('WORKDIR forms', [
    'WORKDIR /a',
    'WORKDIR b',
    'WORKDIR ../c/./d',
    'ENV w=/env/dir r=rel',
    'WORKDIR $w',
    'WORKDIR ${r}/x',
    'WORKDIR /with blank/x',
    'WORKDIR "/quoted dir"',
    'WORKDIR /trailing/',
    'RUN pwd > /pwd',
  ]),
  config(
    'WORKDIR through links',
    ['WORKDIR /base/dlink/new', 'RUN pwd > /pwd', 'WORKDIR ../up', 'RUN pwd > /pwd2', 'COPY x .'],
    { files: { x: 'x' } },
  ),
  config('WORKDIR through a link to nothing', ['WORKDIR /base/dangling/x', 'RUN pwd > /pwd']),
  config('WORKDIR at a link to nothing', ['WORKDIR /base/dangling', 'RUN pwd > /pwd']),
  config('WORKDIR at a file', ['WORKDIR /base/f', 'ENV a=b']),
  config('WORKDIR below a file', ['WORKDIR /base/f/x', 'ENV a=b']),
  config('WORKDIR belongs to USER', [
    'USER alice:staff',
    'WORKDIR /mine/deep',
    'USER 1234',
    'WORKDIR /theirs',
    'RUN pwd',
  ]),
  config('WORKDIR of a USER that is unknown', ['USER nobodyhere', 'WORKDIR /x']),
  config('WORKDIR of an empty variable', ['WORKDIR $nothing']),
  config('WORKDIR in a folder that keeps its group', [
    'WORKDIR /base/sgid/w',
    'USER 5:6',
    'WORKDIR /base/sgid/x/y',
  ]),
  config('WORKDIR nothing', ['WORKDIR']),
  config('WORKDIR that is there', ['WORKDIR /base/d', 'RUN pwd > /pwd', 'WORKDIR /']),
  config('ONBUILD is kept', [
    'ONBUILD RUN echo $x > /x',
    'ONBUILD COPY a /b',
    'ONBUILD ENV x=y',
    'ONBUILD   ENTRYPOINT ["a"]',
  ]),
  config('ONBUILD ONBUILD', ['ONBUILD ONBUILD RUN x']),
  config('ONBUILD FROM', ['ONBUILD FROM x']),
  config('ONBUILD nothing', ['ONBUILD']),
  config('an unknown instruction', ['FOO bar']),
  config('an unknown instruction that is nearly one', ['RUNN echo']),
  config('instructions in lower case', ['env a=b', 'Run echo x > /x', 'label q=r', 'cmd ["x"]']),
];

const STAGES: readonly BuildCase[] = [
  {
    name: 'config: triggers are done',
    dockerfile: 'FROM triggers\nRUN cat /t > /w/after\nENV last=$x\n',
    files: { a: 'from context' },
    bases: {
      triggers: {
        dockerfile:
          'FROM base\nONBUILD ARG who=me\nONBUILD RUN echo $who > /t\nONBUILD COPY a /copied\nONBUILD ENV x=y\nONBUILD LABEL t=1\nONBUILD USER alice\nONBUILD WORKDIR /w\nONBUILD CMD ["t"]\n',
      },
    },
    buildArgs: { who: 'given' },
  },
  {
    name: 'config: triggers are done in the stage that begins with the image',
    dockerfile:
      'FROM triggers-stages AS one\nFROM one AS two\nRUN echo 2 >> /t\nFROM base\nCOPY --from=two /t /t\n',
    bases: { 'triggers-stages': { dockerfile: 'FROM base\nONBUILD RUN echo trigger >> /t\n' } },
  },
  { name: 'config: FROM alone', dockerfile: 'FROM base\n' },
  { name: 'config: FROM alone with a label', dockerfile: 'FROM base\n', labels: { x: 'y' } },
  {
    name: 'config: stages inherit',
    dockerfile:
      'FROM base AS one\nENV a=1\nRUN echo 1 > /1\nUSER alice\nCMD ["c"]\nFROM one AS two\nENTRYPOINT ["e"]\nENV b=$a\nFROM two\nLABEL l=$b\n',
  },
  {
    name: 'config: a target by number',
    dockerfile: 'FROM base AS one\nENV a=1\nFROM base\nENV a=2\nFROM base AS three\nENV a=3\n',
    target: '1',
  },
  {
    name: 'config: a target by name in another case',
    dockerfile: 'FROM base AS One\nENV a=1\nFROM base\nENV a=2\n',
    target: 'oNe',
  },
  { name: 'config: a target that is not there', dockerfile: 'FROM base AS one\n', target: 'two' },
  { name: 'config: a target out of range', dockerfile: 'FROM base AS one\n', target: '5' },
  { name: 'config: a stage name twice', dockerfile: 'FROM base AS one\nFROM base AS one\nENV a=b\n' },
  { name: 'config: a bad stage name', dockerfile: 'FROM base AS one/two\n' },
  { name: 'config: a stage name that begins with a digit', dockerfile: 'FROM base AS 1x\n' },
  { name: 'config: FROM with too much', dockerfile: 'FROM base AS one two\n' },
  { name: 'config: FROM with three words', dockerfile: 'FROM base one two\n' },
  { name: 'config: FROM nothing', dockerfile: 'FROM\n' },
  { name: 'config: FROM an empty variable', dockerfile: 'ARG x\nFROM $x\n' },
  { name: 'config: no FROM', dockerfile: 'RUN x\n' },
  { name: 'config: nothing at all', dockerfile: '' },
  { name: 'config: only comments', dockerfile: '# x\n\n# y\n' },
  { name: 'config: only ARG', dockerfile: 'ARG x\n' },
  { name: 'config: an instruction in front of FROM', dockerfile: 'ENV a=b\nFROM base\n' },
  {
    name: 'config: a cycle',
    dockerfile: 'FROM base AS a\nCOPY --from=b /x /x\nFROM base AS b\nCOPY --from=a /x /x\n',
  },
  {
    name: 'config: line ends, blanks, marks',
    dockerfile:
      '\uFEFF# escape=`\r\nFROM base\r\n  ENV a=b `\r\n   c=d\r\n\tLABEL x=y\r\nENV e="f`"g" h=C:\\dir\r\n',
  },
  { name: 'config: a directive twice', dockerfile: '# escape=`\n# escape=`\nFROM base\n' },
  { name: 'config: a bad escape', dockerfile: '# escape=x\nFROM base\n' },
  {
    name: 'config: a directive behind a comment is a comment',
    dockerfile: '# comment\n# escape=`\nFROM base\nENV a=b\\\n c=d\n',
  },
  {
    name: 'config: empty lines and comments in continuations',
    dockerfile:
      'FROM base\nRUN echo a > /x && \\\n\n  # comment\n  echo b >> /x && \\\n# another\n\n  echo c >> /x\nENV a=1 \\\n\n\\\n b=2\n',
  },
];

export const CONFIG_CASES: readonly BuildCase[] = [...VALUES, ...STAGES];
