/**
 * Heredocs: which words of an instruction begin one (`<<EOF`, `3<<-"EOF"`), and what they hold. Quotes and escapes in them
 * are the shell's: the backslash escapes, whatever the `escape` directive says.
 */
import type { Heredoc } from './ast.ts';

type HeredocWord = Omit<Heredoc, 'content'>;

/** The heredocs that a line begins, in order. A line with a quote that is left open begins none. */
export function heredocWords(line: string): HeredocWord[] {
  const words = shellWords(line) ?? [];
  return words.flatMap((word) => parseHeredocWord(word) ?? []);
}

/** Undefined for any other word, or several. */
export function parseHeredocWord(word: string): HeredocWord | undefined {
  const match = /^\d*<<(-?)\s*([^<]*)$/.exec(word);
  if (match === null) return undefined;
  const words = shellWords(match[2] ?? '') ?? [];
  const [raw = ''] = words;
  if (words.length !== 1) return undefined;
  const { text: name, quoted } = unquoted(raw);
  return name === '' ? undefined : { name, expand: !quoted, chomp: match[1] === '-' };
}

/** What is in the file, or the script: `<<-` takes leading tabs away. */
export function heredocContent({ content, chomp }: Pick<Heredoc, 'content' | 'chomp'>): string {
  return chomp ? content.replace(/^\t+/gm, '') : content;
}

/**
 * Splits at blanks outside of quotes; quotes and escapes stay in the words, and `<<` keeps the word after it. Undefined
 * where a quote is left open.
 */
function shellWords(text: string): string[] | undefined {
  const words: string[] = [];
  let word = '';
  let quote = '';
  for (let at = 0; at < text.length; at++) {
    const char = text[at] ?? '';
    if (char === '\\' && quote !== "'") {
      word += char + (text[++at] ?? '');
    } else if (quote !== '') {
      word += char;
      if (char === quote) quote = '';
    } else if (char === '<' && text[at + 1] === '<') {
      word += '<<';
      at++;
      while (/[\t\r ]/.test(text[at + 1] ?? '')) at++;
    } else if (/\s/.test(char)) {
      if (word !== '') words.push(word);
      word = '';
    } else {
      if (char === '"' || char === "'") quote = char;
      word += char;
    }
  }
  if (quote !== '') return undefined;
  if (word !== '') words.push(word);
  return words;
}

/** `quoted`: some of it stood in quotes. An escape is none: `<<\EOF` expands, unlike in a shell. */
function unquoted(word: string): { text: string; quoted: boolean } {
  let text = '';
  let quote = '';
  let quoted = false;
  for (let at = 0; at < word.length; at++) {
    const char = word[at] ?? '';
    if (char === '\\' && (quote === '' || (quote === '"' && /["$\\]/.test(word[at + 1] ?? '')))) {
      text += word[++at] ?? '';
    } else if (quote === '' ? char === '"' || char === "'" : char === quote) {
      quote = quote === '' ? char : '';
      quoted = true;
    } else text += char;
  }
  return { text, quoted };
}
