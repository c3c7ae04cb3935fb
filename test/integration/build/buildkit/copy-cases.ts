// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are variables of Dockerfiles
/** COPY: what is taken, where it goes, whose it is. */
import type { BuildCase, ContextFiles } from './build-case.ts';

const FILES: ContextFiles = {
  'a.txt': 'a',
  'b.txt': 'b',
  'run.sh': { data: '#!/bin/sh\n', mode: 0o755, uid: 12, gid: 13 },
  'dir/': { mode: 0o700, uid: 5, gid: 6 },
  'dir/one': { data: '1', mode: 0o600, uid: 5, gid: 6 },
  'dir/sub/': { mode: 0o1777 },
  'dir/sub/two': '2',
  'dir/empty/': { mode: 0o711 },
  'dir/.hidden': 'h',
};

const LINKS: ContextFiles = {
  'real/': {},
  'real/file': 'content',
  'real/inner': { type: 'symlink', target: 'file' },
  'to-file': { type: 'symlink', target: 'real/file' },
  'to-dir': { type: 'symlink', target: 'real' },
  'to-abs': { type: 'symlink', target: '/real/file' },
  'to-out': { type: 'symlink', target: '../../../real/file' },
  'to-nothing': { type: 'symlink', target: 'nowhere' },
  'hard/a': 'twin',
  'hard/b': { type: 'hardlink', target: 'hard/a' },
  hard2: { type: 'hardlink', target: 'hard/a' },
};

const TREE: ContextFiles = {
  'src/a.go': 'a',
  'src/b.go': 'b',
  'src/b_test.go': 'bt',
  'src/x/c.go': 'c',
  'src/x/c.txt': 't',
  'src/x/y/d.go': 'd',
  'src/x/y/d_test.go': 'dt',
  'lib/e.go': 'e',
  'lib/[odd]': 'odd',
  'top.go': 'top',
  'README.md': 'r',
};

/** A case from lines below FROM. */
function copy(name: string, lines: readonly string[], files: ContextFiles = FILES): BuildCase {
  return { name: `copy: ${name}`, dockerfile: `FROM base\n${lines.join('\n')}\n`, files };
}

const DESTINATIONS: readonly BuildCase[] = [
  copy('files to names, folders, working directory', [
    'COPY a.txt /to-name',
    'COPY a.txt /new/folder/',
    'COPY a.txt /deep/er/name',
    'COPY a.txt b.txt /both/',
    'WORKDIR /work',
    'COPY a.txt rel',
    'COPY a.txt ./',
    'COPY a.txt reldir/',
    'COPY b.txt .',
    'COPY run.sh /',
    'COPY ["a.txt", "b.txt", "/json form/"]',
  ]),
  copy('folders', [
    'COPY dir /to-dir',
    'COPY dir/ /to-slash/',
    'COPY dir /base/d',
    'COPY dir/. /to-dot',
    'COPY dir/sub dir/empty /content/',
    'COPY . /all',
  ]),
  copy('links at the destination', [
    'COPY a.txt /base/dlink',
    'COPY b.txt /base/abslink/sub/b2',
    'COPY a.txt /base/flink',
    'COPY run.sh /base/outside/',
    'COPY dir /base/dlink/merged',
    'COPY dir/sub /base/abslink',
  ]),
  copy('a link to nothing at the destination, file', ['COPY a.txt /base/dangling']),
  copy('a link to nothing at the destination, slash', ['COPY a.txt /base/dangling/']),
  copy('a link to nothing at the destination, folder', ['COPY dir /base/dangling']),
  copy('a link to nothing on the way', ['COPY a.txt /base/dangling/below/name']),
  copy('a link within the destination is replaced by a file', ['COPY t /base/d/'], {
    't/inner': 'new content',
  }),
  copy('a link within the destination, folder over it', ['COPY t /base'], { 't/dlink/new': 'x' }),
  copy('a folder over a file', ['COPY dir /base/f']),
  copy('a folder over a file, slash', ['COPY dir /base/f/']),
  copy('a folder over a file within', ['COPY t /base'], { 't/f/x': 'x' }),
  copy('a file over a folder', ['COPY t /base'], { 't/d': 'file' }),
  copy('a file over a folder by name', ['COPY t/d /base/'], { 't/d': 'file' }),
  copy('a file below a file', ['COPY a.txt /base/f/below']),
  copy('a file to a file with slash', ['COPY a.txt /base/f/']),
  copy('a link over a folder', ['COPY t /base'], { 't/d': { type: 'symlink', target: 'f' } }),
  copy('several files to a name', ['COPY a.txt b.txt /name']),
  copy('several files to a folder without slash', ['COPY a.txt b.txt /base/d']),
  copy('a wildcard with several files to a name', ['COPY *.txt /name']),
  copy('a wildcard with one file to a name', ['COPY a.t* /name']),
  copy('a wildcard with a folder to a name', ['COPY di* /name']),
  copy(
    'the attributes of what was there',
    [
      'COPY t/ /base/',
      'COPY a.txt /base/setid',
      'COPY a.txt /base/sgid/new/deep',
      'COPY a.txt /base/attributes',
    ],
    {
      'a.txt': 'a',
      't/d/': { mode: 0o701 },
      't/d/sub/new': 'n',
      't/twin-a': 'changed',
    },
  ),
  copy('dots in paths', [
    'COPY ./dir/../a.txt /x/../y/./z',
    'COPY ../a.txt /up',
    'COPY /b.txt /abs',
    'COPY dir//sub /double//slash/',
    'WORKDIR /w/v',
    'COPY a.txt ../sibling',
    'COPY a.txt ..',
  ]),
  copy('the root as destination', ['COPY t /', 'COPY a.txt /.', 'WORKDIR /w', 'COPY a.txt ./sub/.'], {
    'a.txt': 'a',
    't/base/added': 'x',
    't/tmp/': { mode: 0o700 },
  }),
];

const SOURCES: readonly BuildCase[] = [
  copy(
    'links as sources',
    [
      'COPY to-file /1/',
      'COPY to-dir /2/',
      'COPY to-abs /3/',
      'COPY to-out /4/',
      'COPY to-file /5',
      'COPY . /6/',
      'COPY to-dir/inner /7/',
      'COPY to-dir/ /8/',
      'COPY hard /9/',
      'COPY hard/a hard2 /10/',
    ],
    LINKS,
  ),
  copy('a link to nothing as source', ['COPY to-nothing /x/'], LINKS),
  copy('a wildcard over links', ['COPY to-[fd]i[lr]* /x/'], LINKS),
  copy('a wildcard over a link to nothing', ['COPY to-n* /x/'], LINKS),
  copy(
    'wildcards',
    [
      'COPY *.go /1/',
      'COPY src/*.go /2/',
      'COPY src/*/*.go /3/',
      'COPY s*/x /4/',
      'COPY src/?.go /5/',
      'COPY src/[^ax]*.go /7/',
      'COPY lib/[[]odd] /8/',
      'COPY * /10/',
      'COPY src/* /11/',
    ],
    TREE,
  ),
  copy('an escaped bracket', ['COPY lib/\\\\[odd] /9/'], TREE),
  copy('** in a wildcard', ['COPY src/**/*.go /1/', 'COPY **/d.go /2/', 'COPY src/** /3/'], TREE),
  copy('a class with an exclamation mark', ['COPY src/[!ax]*.go /6/'], TREE),
  copy('a wildcard that matches nothing', ['COPY *.none /1/']),
  copy('a wildcard that matches nothing and a name', ['COPY *.none a.txt /1/']),
  copy('a source that is not there', ['COPY nothere /1/']),
  copy('a name in a folder that is not there', ['COPY dir/nothere/x /1/']),
  copy('a bad pattern', ['COPY [a /1/']),
  copy('set-ID bits, odd modes', ['COPY t /x'], {
    't/setuid': { data: 's', mode: 0o4755 },
    't/setgid': { data: 's', mode: 0o2755 },
    't/none': { data: 's', mode: 0 },
    't/sticky/': { mode: 0o3775 },
    't/exec': { data: 's', mode: 0o111 },
  }),
  copy('extended attributes', ['COPY t /x', 'COPY t/file /y'], {
    't/file': { data: 's', xattrs: { 'user.one': 'v', 'user.two': 'w' } },
    't/dir/': { xattrs: { 'user.dir': 'v' } },
    't/capable': {
      data: 'p',
      mode: 0o755,
      xattrs: { 'security.capability': Buffer.from('0100000200040000000000000000000000000000', 'hex') },
    },
  }),
  copy('a pipe in a folder', ['COPY t /x'], { 't/pipe': { type: 'fifo' }, 't/a': 'a' }),
  copy('a pipe by name', ['COPY t/pipe /x'], { 't/pipe': { type: 'fifo' }, 't/a': 'a' }),
  copy('devices', ['COPY t /x'], { 't/null': { type: 'char', device: [1, 3] }, 't/a': 'a' }),
  copy('names of many kinds', ['COPY . /x', 'COPY ["sp ace", "/y/"]', "COPY it\\'s /z"], {
    'sp ace': '1',
    "it's": '2',
    ünï: '3',
    'tab\there': '4',
    'new\nline': '5',
    'quo"te': '6',
    'back\\slash': '7',
    $dollar: '8',
  }),
  copy('variables in names', [
    'ARG what=a',
    'ENV where=/env/dir more="x y"',
    'COPY ${what}.txt $where/',
    'COPY ${nothing:-b}.txt "${where}/${more}"',
    'COPY --chown=${u:-7}:${g:-8} a.txt /owned',
    'COPY ["$what.txt", "${where}/json"]',
  ]),
  copy(
    'an empty source folder',
    ['COPY empty /1', 'COPY empty /2/', 'COPY empty /base/d', 'COPY empty /3/sub'],
    {
      'empty/': { mode: 0o700 },
    },
  ),
  copy('an empty file, a large file', ['COPY . /x/'], { empty: '', large: 'x'.repeat(300_000) }),
];

const OWNERS: readonly BuildCase[] = [
  copy('--chown', [
    'COPY --chown=1:2 dir /1',
    'COPY --chown=alice dir /2/',
    'COPY --chown=alice:staff a.txt /3/new/name',
    'COPY --chown=:staff a.txt /4',
    'COPY --chown=5 a.txt /5/',
    'COPY --chown=alice:77 a.txt /base/f',
    'COPY --chown=0:0 run.sh /base/d/',
    'COPY --chown=9:9 dir /base/d',
    'COPY --chown=daemon: a.txt /8',
  ]),
  copy('--chown with an unknown user', ['COPY --chown=nobody a.txt /1']),
  copy('--chown with an unknown group', ['COPY --chown=alice:nogroup a.txt /1']),
  copy('--chown with a bad ID', ['COPY --chown=-1 a.txt /1']),
  copy('--chown with a large ID', ['COPY --chown=4294967296 a.txt /1']),
  copy('--chown with three parts', ['COPY --chown=1:2:3 a.txt /1']),
  copy('USER does not own what is copied', [
    'USER alice',
    'COPY dir /1',
    'WORKDIR /made/by/user',
    'COPY a.txt .',
  ]),
  copy('--chmod octal', [
    'COPY --chmod=640 dir /1',
    'COPY --chmod=0755 a.txt /2/new/name',
    'COPY --chmod=4711 a.txt /3',
    'COPY --chmod=700 --chown=3:4 dir/sub /4/',
    'COPY --chmod=1777 dir/empty /5',
    'COPY --chmod=644 a.txt /base/setid',
    'COPY --chmod=600 dir /base/d',
  ]),
  copy('--chmod symbolic', [
    'COPY --chmod=u=rwX,go=rX dir /1',
    'COPY --chmod=a+x a.txt /2/new/name',
    'COPY --chmod=go-r run.sh /3',
    'COPY --chmod=g=u dir /4',
    'COPY --chmod=u+s,g+s,+t run.sh /5',
    'COPY --chmod=o= dir /6',
    'COPY --chmod=+w a.txt /7',
    'COPY --chmod=ug+rwx,o-rwx dir/sub /8/',
  ]),
  copy('--chmod with a variable', [
    'ARG m=0601',
    'COPY --chmod=$m a.txt /1',
    'COPY --chmod=${n:-u+x} a.txt /2',
  ]),
  copy('--chmod that is none', ['COPY --chmod=foo a.txt /1']),
  copy('--chmod out of range', ['COPY --chmod=10000 a.txt /1']),
  copy('--chmod with eight', ['COPY --chmod=0888 a.txt /1']),
  copy('--chmod of links', ['COPY --chmod=600 --chown=1:1 . /x'], LINKS),
];

const OPTIONS: readonly BuildCase[] = [
  copy('--link', ['COPY --link a.txt /1', 'COPY --link dir /base/d']),
  copy('--link replaces links on the way', ['COPY --link a.txt /base/dlink/x']),
  copy('--link replaces files on the way', ['COPY --link a.txt /base/f/below']),
  copy('--link with owner and mode', [
    'COPY --link --chown=1:2 --chmod=711 dir /2/',
    'COPY --link --chown=3:4 a.txt /base/new/name',
  ]),
  copy('--link with a name as owner', ['COPY --link --chown=alice a.txt /2/']),
  copy('--link a folder over a file', ['COPY --link dir /base/f']),
  copy(
    '--exclude',
    [
      'COPY --exclude=*.md --exclude=src . /1/',
      'COPY --exclude=**/*_test.go src /2/',
      'COPY --exclude=x src /3/',
      'COPY --exclude=*.go src /4/',
      'COPY --exclude=** --exclude=!a.go src /5/',
      'COPY --exclude=src/x . /6/',
      'COPY --exclude=x/y src /7/',
      'COPY --exclude=b.go src/a.go src/b.go /8/',
      'COPY --exclude=c.go src/x /9/',
      'COPY --exclude=*.txt --from=busybox /etc /10/',
    ],
    TREE,
  ),
  copy('--exclude all of a folder', ['COPY --exclude=* src /1/'], TREE),
  copy('--exclude the only file', ['COPY --exclude=top.go top.go /1/'], TREE),
  copy(
    '--exclude with a wildcard source',
    ['COPY --exclude=b* src/*.go /1/', 'COPY --exclude=x src/* /2/', 'COPY --exclude=y src/* /3/'],
    TREE,
  ),
  copy('heredocs', [
    'ENV NAME=world',
    'COPY <<one <<"two" <<-three /h/',
    'hello $NAME ${MISSING:-default} \\$NAME "quoted" \'single\'',
    'one',
    'raw $NAME',
    'two',
    '\ttabs\t$NAME',
    '\t\tmore',
    '\tthree',
    'COPY --chmod=700 --chown=1:2 <<script.sh /bin/made',
    '#!/bin/sh',
    '# no comment',
    '',
    'echo \\',
    'script.sh',
    'COPY <<empty a.txt /mixed/',
    'empty',
    'COPY <<EOF /base/d',
    'in folder',
    'EOF',
  ]),
  copy('a flag that is unknown', ['COPY --unknown=1 a.txt /1']),
  copy('one word', ['COPY a.txt']),
  copy('nothing', ['COPY']),
  copy('an empty destination', ['ENV E=', 'COPY a.txt $E']),
  copy('an empty source', ['ENV E=', 'COPY "$E" /x/']),
  copy('a URL', ['COPY http://localhost/x /x/']),
];

const FROM: readonly BuildCase[] = [
  {
    name: 'copy: from stages, images, numbers, contexts',
    dockerfile: `FROM base AS First
RUN mkdir -p /out/sub && echo o > /out/o && chown 11:12 /out/o && chmod 6751 /out/o && ln -s o /out/link && \\
  chown 13:14 /out/sub && chmod 1700 /out/sub && mkfifo /out/pipe && ln /out/o /out/twin
FROM base
COPY --from=first /out /1
COPY --from=FIRST /out/o /out/link /2/
COPY --from=0 out/sub /3/
COPY --from=first --chown=1:1 /out /4/
COPY --from=busybox /etc/passwd /5
COPY --from=other / /6/
COPY --from=other sub/x /7
COPY --from=first /out/pipe /8/
COPY --from=first /base/dlink /9/
COPY --from=first /base/setid /10
COPY --from=first /base/attributes /11
COPY --from=first /base/sgid /12/
COPY --from=first /base /13/
`,
    contexts: { other: { file: { data: 'f', uid: 21, gid: 22 }, 'sub/x': { data: 'x', mode: 0o4755 } } },
  },
  { name: 'copy: from a stage that is not there', dockerfile: 'FROM base\nCOPY --from=7 /x /y\n' },
  { name: 'copy: from itself', dockerfile: 'FROM base AS me\nCOPY --from=me /x /y\n' },
  { name: 'copy: from nothing', dockerfile: 'FROM base AS me\nCOPY --from= /x /y\n' },
  {
    name: 'copy: from a variable',
    dockerfile: 'FROM base AS a\nFROM base\nARG s=a\nCOPY --from=$s /base/f /y\n',
  },
  {
    name: 'copy: a file that a stage does not have',
    dockerfile: 'FROM busybox AS first\nFROM base\nCOPY --from=first /none /x\n',
  },
  {
    name: 'copy: a later stage of the name of an image',
    dockerfile: 'FROM base AS busybox\nRUN echo mine > /mine\nFROM busybox\nCOPY --from=busybox /mine /got\n',
  },
  {
    name: 'copy: into scratch',
    dockerfile: 'FROM scratch\nCOPY a.txt /a/b\nCOPY dir /\nCOPY --from=base /base/f /c/\nWORKDIR /w\n',
    files: FILES,
  },
];

const IGNORED: readonly BuildCase[] = [
  copy('what is ignored', ['COPY . /1/', 'COPY src /2/', 'COPY *.go /3/'], {
    ...TREE,
    '.dockerignore':
      '# comment\n*.md\n**/*_test.go\n!src/b_test.go\nsrc/x\n!src/x/y\n.dockerignore\nDockerfile\n',
  }),
  copy('an ignored file by name', ['COPY README.md /1/'], { ...TREE, '.dockerignore': '*.md\n' }),
  copy('a file in an ignored folder by name', ['COPY src/x/c.go /1/'], {
    ...TREE,
    '.dockerignore': 'src/x\n',
  }),
  copy('an exception in an ignored folder', ['COPY . /1/', 'COPY src/x/y/d.go /2/'], {
    ...TREE,
    '.dockerignore': '*\n!src/x/y/d.go\n!lib\n',
  }),
  copy('all ignored', ['COPY . /1/'], { ...TREE, '.dockerignore': '**\n' }),
  copy('all ignored, by name', ['COPY src /1/'], { ...TREE, '.dockerignore': '**\n' }),
  copy('an ignored link', ['COPY . /1/'], { ...LINKS, '.dockerignore': 'real/file\nto-file\n' }),
  copy('a link to what is ignored', ['COPY to-file /1/'], { ...LINKS, '.dockerignore': 'real/file\n' }),
];

export const COPY_CASES: readonly BuildCase[] = [
  ...DESTINATIONS,
  ...SOURCES,
  ...OWNERS,
  ...OPTIONS,
  ...FROM,
  ...IGNORED,
];
