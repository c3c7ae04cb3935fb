/**
 * `--chmod` of COPY and ADD: octal digits, which are the mode, or symbolic changes of the mode that a file has
 * (chmod(1): `u=rwX,go=rX`), without a umask.
 */
import { InvalidParameterError } from '../../base/errors.ts';

export interface ModeChange {
  /** The mode of a file or directory that had `mode`. */
  apply(mode: number, isDirectory: boolean): number;
  /** Of octal digits: what directories get that are made on the way. */
  absolute: number | undefined;
}

const CLAUSE = /^([ugoa]*)((?:[-+=][rwxXst]*|[-+=][ugo])+)$/;
const ACTION = /([-+=])([rwxXst]*|[ugo])(?=[-+=]|$)/g;
const SHIFT: Readonly<Record<string, number>> = { u: 6, g: 3, o: 0 };

/** Undefined for an empty text. Throws InvalidParameter with BuildKit's text. */
export function parseModeChange(text: string): ModeChange | undefined {
  if (text === '') return undefined;
  if (/^\+?[0-7]+$/.test(text)) {
    const mode = Number.parseInt(text, 8);
    if (mode > 0o7777) throw invalid(text);
    return { apply: () => mode, absolute: mode & 0o777 };
  }
  const clauses = text.split(',').map((clause) => parseClause(clause, text));
  return {
    apply: (mode, isDirectory) => clauses.reduce((changed, apply) => apply(changed, isDirectory), mode),
    absolute: undefined,
  };
}

type Apply = (mode: number, isDirectory: boolean) => number;

function parseClause(clause: string, text: string): Apply {
  const parsed = CLAUSE.exec(clause);
  const [, who = '', actions = ''] = parsed ?? [];
  if (parsed === null) throw invalid(text);
  const classes = who === '' || who.includes('a') ? ['u', 'g', 'o'] : [...new Set(who)];
  const steps = [...actions.matchAll(ACTION)].map(([, operator = '', what = '']) =>
    step(classes, operator, what),
  );
  return (mode, isDirectory) => steps.reduce((changed, apply) => apply(changed, isDirectory), mode);
}

function step(classes: readonly string[], operator: string, what: string): Apply {
  return (mode, isDirectory) => {
    let bits = 0;
    let all = 0;
    for (const name of classes) {
      const shift = SHIFT[name] ?? 0;
      all |= 0o7 << shift;
      bits |= permissions(what, mode, isDirectory) << shift;
      if (name === 'u') all |= 0o4000;
      if (name === 'g') all |= 0o2000;
      if (what.includes('s') && name === 'u') bits |= 0o4000;
      if (what.includes('s') && name === 'g') bits |= 0o2000;
    }
    if (what.includes('t')) bits |= 0o1000;
    if (classes.length === 3) all |= 0o1000;
    if (operator === '+') return mode | bits;
    if (operator === '-') return mode & ~bits;
    return (mode & ~all) | bits;
  };
}

/** The three bits of a class. */
function permissions(what: string, mode: number, isDirectory: boolean): number {
  const copied = SHIFT[what];
  if (copied !== undefined) return (mode >> copied) & 0o7;
  let bits = 0;
  if (what.includes('r')) bits |= 0o4;
  if (what.includes('w')) bits |= 0o2;
  if (what.includes('x') || (what.includes('X') && (isDirectory || (mode & 0o111) !== 0))) bits |= 0o1;
  return bits;
}

function invalid(text: string): InvalidParameterError {
  return new InvalidParameterError(
    `invalid chmod parameter: '${text}'. it should be octal string and between 0 and 07777, or symbolic as u=rwX,go=rX`,
  );
}
