/**
 * Parser directives: `# syntax=…`, `# escape=…` and `# check=…` in the first lines of a Dockerfile. Anything else, an
 * empty line too, ends them. What asks for a frontend may be written in other ways as well (BuildKit's DetectSyntax).
 */
import { parseError } from './errors.ts';

export type DirectiveName = 'syntax' | 'escape' | 'check';

export interface Directive {
  name: DirectiveName;
  value: string;
  /** Counted from 1. */
  line: number;
}

const DIRECTIVE = /^\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$/;
const NAMES: ReadonlySet<string> = new Set<DirectiveName>(['syntax', 'escape', 'check']);

function isName(name: string): name is DirectiveName {
  return NAMES.has(name);
}

/** `lines` without a BOM; `comment` begins a line of them. Throws DockerfileError for a directive that comes twice. */
export function readDirectives(lines: readonly string[], comment = '#'): Directive[] {
  const directives: Directive[] = [];
  for (const [index, line] of lines.entries()) {
    const text = line.trimStart();
    if (!text.startsWith(comment)) break;
    const [, word = '', value = ''] = DIRECTIVE.exec(text.slice(comment.length)) ?? [];
    const name = word.toLowerCase();
    if (!isName(name)) break;
    if (directives.some((earlier) => earlier.name === name)) {
      throw parseError(index + 1, `only one ${name} parser directive can be used`);
    }
    directives.push({ name, value, line: index + 1 });
  }
  return directives;
}

/**
 * The first word of what `# check=` says; unlike `escape` it may stand below a `#!` line. Empty where there is none.
 */
export function checkOptions(lines: readonly string[]): string {
  return firstWord(unlessTwice(belowShebang(lines), '#'), 'check') ?? '';
}

/**
 * The frontend that a file asks for: `# syntax=`, `// syntax=`, or a JSON object with `syntax`, also below a `#!` line.
 */
export function detectSyntax(text: string): string | undefined {
  const lines = belowShebang(linesOf(text));
  return (
    firstWord(unlessTwice(lines, '#'), 'syntax') ??
    firstWord(unlessTwice(lines, '//'), 'syntax') ??
    syntaxOfJson(lines)
  );
}

/** Without a BOM; every line without its line feed. */
export function linesOf(text: string): string[] {
  return text.replace(/^\uFEFF/, '').split('\n');
}

function belowShebang(lines: readonly string[]): readonly string[] {
  return lines[0]?.startsWith('#!') === true ? lines.slice(1) : lines;
}

/** That a directive comes twice is said where the file is parsed. */
function unlessTwice(lines: readonly string[], comment: string): Directive[] {
  try {
    return readDirectives(lines, comment);
  } catch {
    return [];
  }
}

function firstWord(directives: readonly Directive[], name: DirectiveName): string | undefined {
  return directives.find((directive) => directive.name === name)?.value.split(' ', 1)[0];
}

function syntaxOfJson(lines: readonly string[]): string | undefined {
  if (lines[0]?.trimStart().startsWith('{') !== true) return undefined;
  try {
    const parsed: unknown = JSON.parse(lines.join('\n'));
    if (typeof parsed !== 'object' || parsed === null || !('syntax' in parsed)) return undefined;
    return typeof parsed.syntax === 'string' ? parsed.syntax : undefined;
  } catch {
    // Not JSON: the file asks for nothing.
    return undefined;
  }
}
