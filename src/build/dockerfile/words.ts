/**
 * How the arguments of an instruction are cut into words: flags in front, JSON arrays, `name=value` pairs, blanks.
 */
import { InvalidParameterError } from '../../base/errors.ts';
import type { CommandLine, EscapeCharacter, NameValue } from './ast.ts';

/** Flags in front of the arguments (`--from=x`), with quotes and escapes resolved, and what follows them. */
export function splitFlags(text: string, escapeChar: EscapeCharacter): { flags: string[]; rest: string } {
  const flags: string[] = [];
  let at = 0;
  for (;;) {
    while (/\s/.test(text[at] ?? '')) at++;
    if (!text.startsWith('--', at)) return { flags, rest: text.slice(at).trim() };
    let word = '';
    let quote = '';
    for (; at < text.length; at++) {
      const char = text[at] ?? '';
      if (quote === '' && /\s/.test(char)) break;
      if (char === escapeChar) word += text[++at] ?? '';
      else if (quote !== '' ? char === quote : char === '"' || char === "'") quote = quote === '' ? char : '';
      else word += char;
    }
    if (word === '--') return { flags, rest: text.slice(at).trim() };
    flags.push(word);
  }
}

/** The strings of a JSON array; undefined where the text is none. Throws for an array of something else. */
export function parseJsonWords(text: string): string[] | undefined {
  if (!text.startsWith('[')) return undefined;
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    // `RUN [ -f x ] && y` is the shell form.
    return undefined;
  }
  if (!Array.isArray(parsed)) return undefined;
  if (!parsed.every((item) => typeof item === 'string')) {
    throw new InvalidParameterError('when using JSON array syntax, arrays must be comprised of strings only');
  }
  return parsed;
}

/** Exec form for a JSON array, else shell form. */
export function parseCommand(text: string): CommandLine {
  const words = parseJsonWords(text);
  if (words !== undefined) return { form: 'exec', words };
  return { form: 'shell', words: text === '' ? [] : [text] };
}

/** A JSON array, else what blanks separate. */
export function parseList(text: string): string[] {
  return parseJsonWords(text) ?? splitBlanks(text);
}

export function splitBlanks(text: string): string[] {
  return text.split(/[\t\v\f\r ]+/).filter((word) => word !== '');
}

/** Splits at blanks outside of quotes; quotes and escapes stay for the expansion. */
export function quotedWords(text: string, escapeChar: EscapeCharacter): string[] {
  const words: string[] = [];
  let word = '';
  let quote = '';
  let open = false;
  for (let at = 0; at < text.length; at++) {
    const char = text[at] ?? '';
    if (quote === '' && /\s/.test(char)) {
      if (open) words.push(word);
      word = '';
      open = false;
      continue;
    }
    open = true;
    if (char === escapeChar && quote !== "'") {
      // An escape at the very end says nothing.
      if (at + 1 < text.length) word += char + (text[++at] ?? '');
      else if (word === '') open = false;
      continue;
    }
    if (quote === '' ? char === '"' || char === "'" : char === quote) quote = quote === '' ? char : '';
    word += char;
  }
  if (open) words.push(word);
  return words;
}

/** `a=1 b="2 3"`, or the old form `a everything else`. */
export function parsePairs(
  text: string,
  instruction: string,
  escapeChar: EscapeCharacter,
): { pairs: NameValue[]; legacy: boolean } {
  const words = quotedWords(text, escapeChar);
  const [first] = words;
  if (first === undefined) throw new InvalidParameterError(`${instruction} requires at least one argument`);
  if (!first.includes('=')) {
    const match = /^(\S+)[\t\v\f\r ]+(.*)$/s.exec(text);
    if (match === null) throw new InvalidParameterError(`${instruction} must have two arguments`);
    return { pairs: [{ name: match[1] ?? '', value: match[2] ?? '' }], legacy: true };
  }
  const pairs = words.map((word) => {
    const at = word.indexOf('=');
    if (at < 0) {
      throw new InvalidParameterError(
        `Syntax error - can't find = in ${JSON.stringify(word)}. Must be of the form: name=value`,
      );
    }
    if (at === 0) throw new InvalidParameterError(`${instruction} names can not be blank`);
    return { name: word.slice(0, at), value: word.slice(at + 1) };
  });
  return { pairs, legacy: false };
}
