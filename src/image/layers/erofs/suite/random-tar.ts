/** Random tars of few names, so that entries meet: replaced, linked, hidden, reached through links. */

import { type Entry, tarOf } from '../../suite/fixture.ts';
import { byteString } from '../../tar/byte-string.ts';

type PlainEntry = Omit<Entry, 'name' | 'linkName'> & { name: string; linkName?: string };

const NAMES = ['a', 'b', 'c', 'dir', 'x', '-first', 'n'.repeat(40)];
const TYPES = [
  'file',
  'file',
  'directory',
  'directory',
  'symlink',
  'symlink',
  'hardlink',
  'character',
  'fifo',
] as const;
const XATTRS = ['user.note', 'trusted.mark', 'security.thing', 'trusted.overlay.opaque', 'system.unknown'];

export function randomTar(random: () => number): Buffer {
  const pick = <T>(list: readonly [T, ...T[]] | readonly T[]): T =>
    list[Math.floor(random() * list.length)] as T;
  const below = (limit: number) => Math.floor(random() * limit);
  const path = (): string => {
    const parts = Array.from({ length: 1 + below(3) }, () => pick(NAMES));
    if (random() < 0.02) parts.splice(below(parts.length), 0, '..');
    return parts.join('/');
  };
  const name = (): string => {
    const plain = path();
    const chance = random();
    if (chance < 0.1) return plain.replace(/[^/]+$/, (last) => `.wh.${last}`.slice(0, 250));
    if (chance < 0.14) return `${plain}/.wh..wh..opq`;
    if (chance < 0.15) return '.';
    return chance < 0.2 ? `./${plain}/` : plain;
  };
  const earlier: string[] = [];
  const entry = (): PlainEntry => {
    const type = pick(TYPES);
    const known = type === 'hardlink' && earlier.length > 0 && random() < 0.9;
    const target = known ? pick(earlier) : random() < 0.3 ? `/${path()}` : path();
    const up = type === 'symlink' && random() < 0.4 ? '../'.repeat(1 + below(3)) : '';
    const isNull = random() < 0.4;
    const ownName = name();
    if (type !== 'directory') earlier.push(ownName);
    return {
      name: ownName,
      type,
      mode: below(0o10000),
      uid: below(3),
      gid: below(3),
      mtimeSec: below(2 ** 31) - 2 ** 30,
      mtimeNsec: below(1e9),
      ...(type === 'symlink' || type === 'hardlink' ? { linkName: `${up}${target}` } : {}),
      ...(type === 'character' ? { deviceMajor: isNull ? 0 : 1, deviceMinor: isNull ? 0 : below(300) } : {}),
      ...(type === 'file' ? { content: 'c'.repeat(below(1500)) } : {}),
      xattrs: XATTRS.filter(() => random() < 0.08).map((xattr) => ({
        name: byteString(xattr),
        value: Buffer.from(pick(['y', 'value', ''])),
      })),
    };
  };
  return tarOf(...Array.from({ length: 1 + below(14) }, entry));
}
