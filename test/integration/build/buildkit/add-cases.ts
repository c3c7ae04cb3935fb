/** ADD where it is not COPY: archives. Addresses need servers, and are tested elsewhere. */
import { execFileSync } from 'node:child_process';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { makeTar, type TarEntry } from '../../../fixtures/tar.ts';
import type { BuildCase, ContextFiles } from './build-case.ts';

const TAR = makeTar([
  { path: 'top/', type: 'directory', mode: 0o711, uid: 5, gid: 6 },
  { path: 'top/file', data: 'archived', mode: 0o640, uid: 7, gid: 8, xattrs: { 'user.a': 'v' } },
  { path: 'top/setid', data: 's', mode: 0o4755 },
  { path: 'top/link', type: 'symlink', target: 'file' },
  { path: 'top/hard', type: 'hardlink', target: 'top/file' },
  { path: 'implied/deep/file', data: 'i' },
  { path: './dotted', data: 'd' },
  { path: 'pipe', type: 'fifo' },
]);

const packed = (program: string): Buffer => execFileSync(program, ['-c'], { input: TAR });

const ARCHIVES: ContextFiles = {
  'plain.tar': { data: TAR },
  'zipped.tgz': { data: gzipSync(TAR) },
  'b.tbz2': { data: packed('bzip2') },
  'x.tar.xz': { data: packed('xz') },
  'z.tar.zst': { data: zstdCompressSync(TAR) },
  'named.txt': { data: TAR },
  'text.tar': 'no archive',
  'file.gz': { data: gzipSync('only compressed') },
  empty: '',
};

function add(name: string, lines: readonly string[], files: ContextFiles = ARCHIVES): BuildCase {
  return { name: `add: ${name}`, dockerfile: `FROM base\n${lines.join('\n')}\n`, files };
}

const archive = (entries: readonly TarEntry[]): ContextFiles => ({ 'a.tar': { data: makeTar(entries) } });

export const ADD_CASES: readonly BuildCase[] = [
  add('archives are unpacked', [
    'ADD plain.tar /1',
    'ADD zipped.tgz /2/',
    'ADD b.tbz2 /3/',
    'ADD x.tar.xz /4/',
    'ADD z.tar.zst /5/',
    'ADD named.txt /6/',
  ]),
  add('what is no archive is copied', ['ADD text.tar file.gz empty /1/', 'ADD text.tar /2']),
  add('COPY unpacks nothing', ['COPY text.tar empty /1/', 'COPY zipped.tgz /2']),
  add('with other files', ['ADD plain.tar text.tar /1/', 'ADD *.t* /2/']),
  add('a folder with archives', ['ADD d /1/'], { 'd/plain.tar': { data: TAR }, 'd/x': 'x' }),
  add('owners', ['ADD --chown=1:2 plain.tar /1', 'ADD --chown=alice text.tar plain.tar /2/']),
  add('modes', ['ADD --chmod=700 text.tar /2/', 'ADD --chmod=711 plain.tar /1']),
  add('--unpack', ['ADD --unpack=true plain.tar /1', 'ADD --unpack=false zipped.tgz /2/']),
  add('--link', ['ADD --link plain.tar /1', 'ADD --link text.tar /2/']),
  add('to a link', ['ADD plain.tar /base/dlink']),
  add('to a link to nothing', ['ADD plain.tar /base/dangling']),
  add('to a file', ['ADD plain.tar /base/f']),
  add(
    'over a folder',
    ['ADD a.tar /base'],
    archive([
      { path: 'd/', type: 'directory', mode: 0o700, uid: 1 },
      { path: 'd/old', data: 'replaced' },
      { path: 'f', type: 'symlink', target: 'd' },
      { path: 'dlink/through', data: 't' },
      { path: 'sgid', data: 'a file now' },
      { path: 'twin-a/', type: 'directory' },
      { path: 'twin-a/x', data: 'x' },
    ]),
  ),
  add(
    'names that climb out',
    ['ADD a.tar /x'],
    archive([
      { path: '../../escaped', data: 'x' },
      { path: '/abs', data: 'a' },
    ]),
  ),
  add(
    'a link that leads out',
    ['ADD a.tar /x'],
    archive([
      { path: 'out', type: 'symlink', target: '/base/d' },
      { path: 'out/file', data: 'x' },
    ]),
  ),
  add(
    'a hard link that leads out',
    ['ADD a.tar /x'],
    archive([{ path: 'h', type: 'hardlink', target: '../../../etc/passwd' }]),
  ),
  add(
    'names of whiteouts',
    ['ADD a.tar /base'],
    archive([
      { path: '.wh.f', data: '' },
      { path: 'x', data: 'x' },
    ]),
  ),
  add(
    'devices in an archive',
    ['ADD a.tar /x'],
    archive([{ path: 'null', type: 'char', device: [1, 3], mode: 0o666 }]),
  ),
  add(
    'one entry twice',
    ['ADD a.tar /x'],
    archive([
      { path: 'a', data: '1' },
      { path: 'a', data: '2', mode: 0o600 },
    ]),
  ),
  add('an empty archive', ['ADD a.tar /x'], archive([])),
  add('a cut archive', ['ADD a.tar /x'], { 'a.tar': { data: TAR.subarray(0, 1300) } }),
  add('a cut compressed archive', ['ADD a.tgz /x'], { 'a.tgz': { data: gzipSync(TAR).subarray(0, 200) } }),
  add('a heredoc', ['ADD <<EOF /x', 'text', 'EOF']),
  add('with a checksum of a local file', [
    'ADD --checksum=sha256:24454f830cdb571e2c4ad15481119c43b3cafd48dd869a9b2945d1036d1dc68d text.tar /x',
  ]),
  { name: 'add: from a stage', dockerfile: 'FROM base\nADD --from=busybox /etc/passwd /x\n' },
];
