/**
 * Changes of inputs that keep enough of their structure to get past the first check: words of the format in place of
 * others, lines and runs of bytes doubled, moved and cut, numbers at their limits, brackets in each other, bits.
 */
import type { Random } from '../soak/random.ts';

const LENGTH_MAX = 64 * 1024;
const NUMBERS = [
  '0',
  '-1',
  '1',
  '255',
  '256',
  '65535',
  '65536',
  '2147483648',
  '4294967295',
  '9007199254740993',
  '1e309',
];
const BYTES = [0x00, 0x01, 0x7f, 0x80, 0xc0, 0xff, 0x0a, 0x0d, 0x20, 0x22, 0x27, 0x5c];
const WORDS = [
  '\0',
  '..',
  '/',
  '%00',
  '\u202e',
  '\ufeff',
  '\r\n',
  '__proto__',
  'constructor',
  '{',
  '[',
  '"',
  '\\',
  '$',
  '${',
  '*',
  '(',
];

export function mutate(input: Buffer, words: readonly string[], random: Random): Buffer {
  let changed = input;
  for (let left = 1 + random.below(5); left > 0; left--) changed = once(changed, words, random);
  return changed.subarray(0, LENGTH_MAX);
}

function once(input: Buffer, words: readonly string[], random: Random): Buffer {
  const at = random.below(input.length + 1);
  const length = random.below(Math.min(input.length - at, 64) + 1);
  const replace = (by: Buffer): Buffer =>
    Buffer.concat([input.subarray(0, at), by, input.subarray(at + length)]);
  switch (random.below(10)) {
    case 0: {
      const copy = Buffer.from(input);
      if (at < copy.length) copy[at] = (copy[at] ?? 0) ^ (1 << random.below(8));
      return copy;
    }
    case 1: {
      const copy = Buffer.from(input);
      if (at < copy.length) copy[at] = random.pick(BYTES) ?? 0;
      return copy;
    }
    case 2:
      return replace(Buffer.alloc(0));
    case 3:
      return input.subarray(0, at);
    case 4:
      return replace(Buffer.from(random.pick(words) ?? ''));
    case 5:
      return replace(Buffer.from(random.pick(WORDS) ?? ''));
    case 6:
      return replace(Buffer.from(random.pick(NUMBERS) ?? ''));
    case 7:
      return swapLines(input, random);
    case 8: {
      const piece = input.subarray(at, at + length);
      const times = random.chance(5) ? 2000 : 1 + random.below(4);
      return replace(Buffer.concat(Array.from({ length: times + 1 }, () => piece)));
    }
    default: {
      // Lengths in front of what they count, of two and four bytes, either way round.
      const copy = Buffer.from(input);
      if (at + 4 > copy.length) return copy;
      const value = random.pick([0, 1, 2, 3, 4, 15, 16, 17, 0x7fff, 0xffff, 0x7fffffff, 0xffffffff]) ?? 0;
      if (random.chance(50)) copy.writeUInt16LE(value & 0xffff, at);
      else copy.writeUInt32BE(value, at);
      return copy;
    }
  }
}

function swapLines(input: Buffer, random: Random): Buffer {
  const lines = input.toString('latin1').split('\n');
  const [from, to] = [random.below(lines.length), random.below(lines.length)];
  const [line = ''] = lines.splice(from, random.chance(50) ? 1 : 0);
  lines.splice(to, 0, line);
  return Buffer.from(lines.join('\n'), 'latin1');
}
