/** Go's fmt verbs that templates use: %s %v %d %q %t %x %X %o %b %c %f %e %g %T %%, with flags, width, precision. */
import { formatG } from '../units.ts';
import { printValue, typeName, type Value } from './values.ts';

const VERB = /%([-+# 0]*)(\d+|\*)?(?:\.(\d+)?)?([a-zA-Z%])/g;

/** Formats as Go's Sprintf; wrong and missing arguments show as `%!d(string=x)` and `%!d(MISSING)`. */
export function sprintf(format: string, args: readonly Value[]): string {
  let next = 0;
  const text = format.replace(
    VERB,
    (whole: string, flags: string, width = '', precision: string | undefined, verb: string) => {
      if (verb === '%') return '%';
      const size = width === '*' ? Number(args[next++]) : Number(width || 0);
      if (next >= args.length) return `%!${verb}(MISSING)`;
      const value = args[next++] as Value;
      const digits = precision === undefined ? (whole.includes('.') ? 0 : undefined) : Number(precision);
      return padded(formatVerb(verb, value, flags, digits), flags, size);
    },
  );
  if (next >= args.length) return text;
  const extra = args.slice(next).map((value) => `${typeName(value)}=${printValue(value)}`);
  return `${text}%!(EXTRA ${extra.join(', ')})`;
}

function padded(text: string, flags: string, width: number): string {
  if (flags.includes('-')) return text.padEnd(width);
  const sign = /^[+-]/.exec(text)?.[0] ?? '';
  if (flags.includes('0')) return sign + text.slice(sign.length).padStart(width - sign.length, '0');
  return text.padStart(width);
}

function formatVerb(verb: string, value: Value, flags: string, precision: number | undefined): string {
  const wrong = `%!${verb}(${typeName(value)}=${printValue(value)})`;
  switch (verb) {
    case 'v':
      return printValue(value);
    case 's':
      return typeof value === 'number' || typeof value === 'boolean'
        ? wrong
        : printValue(value).slice(0, precision);
    case 'T':
      return typeName(value);
    case 'q':
      return typeof value === 'string' ? goQuote(value) : wrong;
    case 't':
      return typeof value === 'boolean' ? String(value) : wrong;
    case 'x':
    case 'X':
      return hexadecimal(value, verb, wrong);
    case 'd':
    case 'o':
    case 'b':
    case 'c':
      return typeof value === 'number' || typeof value === 'bigint' ? integer(verb, value, flags) : wrong;
    case 'f':
    case 'e':
    case 'g':
      return typeof value === 'number' ? float(verb, value, precision) : wrong;
    default:
      return wrong;
  }
}

function integer(verb: string, value: number | bigint, flags: string): string {
  if (verb === 'c') return String.fromCodePoint(Number(value));
  const text = value.toString({ d: 10, o: 8, b: 2 }[verb] ?? 10);
  return flags.includes('+') && !text.startsWith('-') ? `+${text}` : text;
}

function float(verb: string, value: number, precision: number | undefined): string {
  if (verb === 'f') return value.toFixed(precision ?? 6);
  if (verb === 'g') return precision === undefined ? String(value) : formatG(value, precision);
  return value.toExponential(precision ?? 6).replace(/e([+-])(\d)$/, 'e$10$2');
}

function hexadecimal(value: Value, verb: string, wrong: string): string {
  let text = wrong;
  if (typeof value === 'number' || typeof value === 'bigint') text = value.toString(16);
  else if (typeof value === 'string') text = Buffer.from(value).toString('hex');
  else return wrong;
  return verb === 'X' ? text.toUpperCase() : text;
}

/** A Go string literal: printable characters stay, the rest is escaped. */
export function goQuote(text: string): string {
  const escaped = text.replace(/["\\]|[\p{C}\u2028\u2029]/gu, (char) => {
    const short = {
      '"': '\\"',
      '\\': '\\\\',
      '\n': '\\n',
      '\t': '\\t',
      '\r': '\\r',
      '\x07': '\\a',
      '\b': '\\b',
      '\f': '\\f',
      '\v': '\\v',
    }[char];
    if (short !== undefined) return short;
    const code = char.codePointAt(0) ?? 0;
    if (code < 0x80) return `\\x${code.toString(16).padStart(2, '0')}`;
    return code > 0xffff
      ? `\\U${code.toString(16).padStart(8, '0')}`
      : `\\u${code.toString(16).padStart(4, '0')}`;
  });
  return `"${escaped}"`;
}
