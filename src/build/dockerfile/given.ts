/** What the reader of an instruction is given, and what readers refuse alike. */
import { InvalidParameterError } from '../../base/errors.ts';
import type { EscapeCharacter, Heredoc, Instruction } from './ast.ts';
import { Flags } from './flags.ts';

/** One instruction behind its name: flags, the rest of its line, and what heredocs say. */
export interface Given {
  common: Pick<Instruction, 'line' | 'endLine' | 'source' | 'keyword' | 'comments'>;
  name: string;
  rest: string;
  flags: string[];
  heredocs: Heredoc[];
  escapeChar: EscapeCharacter;
  /** Reads an instruction that stands in this one. */
  parse(text: string): Instruction;
}

/** Throws InvalidParameter. */
export type Reader = (given: Given) => Instruction;

export function refuse(problem: string): never {
  throw new InvalidParameterError(problem);
}

export function noFlags({ flags }: Given): void {
  new Flags(flags, {});
}

export function oneArgument(given: Given): string {
  noFlags(given);
  return given.rest === '' ? refuse(`${given.name} requires exactly one argument`) : given.rest;
}

/** Throws where there is none. */
export function atLeastOne(given: Given, words: string[]): string[] {
  return words.length === 0 ? refuse(`${given.name} requires at least one argument`) : words;
}
