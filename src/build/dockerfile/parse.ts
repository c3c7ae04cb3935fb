/**
 * The Dockerfile parser: text to instructions, grouped in stages. It follows the language of BuildKit's stable
 * frontend; what a builder cannot do is that builder's to refuse.
 */
import { InvalidParameterError } from '../../base/errors.ts';
import type { Dockerfile, EscapeCharacter, Instruction, Stage } from './ast.ts';
import { checkOptions, detectSyntax, linesOf } from './directives.ts';
import { DockerfileError, parseError } from './errors.ts';
import { type LogicalLine, splitLines } from './lines.ts';
import { READERS } from './readers.ts';
import { didYouMean } from './suggest.ts';
import { splitFlags } from './words.ts';

/**
 * Throws DockerfileError: `dockerfile parse error on line 3: unknown instruction: FOO`. `seen` gets the instructions, also
 * those in front of the one that is wrong.
 */
export function parseDockerfile(text: string, filename = 'Dockerfile', seen: Instruction[] = []): Dockerfile {
  const syntax = detectSyntax(text);
  try {
    const file = { name: filename, content: text };
    return { ...parseText(text, seen), file, syntax, checkOptions: checkOptions(linesOf(text)) };
  } catch (error) {
    if (!(error instanceof DockerfileError)) throw error;
    const placed = error.inFile(filename, text);
    if (syntax === undefined || isDockerfileFrontend(syntax)) throw placed;
    const hint = `the file asks for the frontend ${syntax}, but all files are read as Dockerfiles`;
    throw new DockerfileError(`${placed.message} (${hint})`, placed);
  }
}

function isDockerfileFrontend(syntax: string): boolean {
  return /^(?:docker\.io\/)?docker\/dockerfile(?:-upstream)?(?:[:@]|$)/.test(syntax);
}

function parseText(text: string, seen: Instruction[]): Omit<Dockerfile, 'file' | 'syntax' | 'checkOptions'> {
  const { escapeChar, directives, lines, emptyContinuations } = splitLines(text);
  const globalArgs: Dockerfile['globalArgs'] = [];
  const stages: Stage[] = [];
  for (const line of lines) {
    const instruction = parseLine(line, escapeChar);
    seen.push(instruction);
    const stage = stages.at(-1);
    if (instruction.kind === 'from') stages.push({ from: instruction, instructions: [] });
    else if (stage !== undefined) stage.instructions.push(instruction);
    else if (instruction.kind === 'arg') globalArgs.push(instruction);
    else
      throw parseError(
        line.line,
        'no build stage in current context: expected FROM before any other instruction',
        line.endLine,
      );
  }
  const last = linesOf(text).length;
  if (lines.length === 0) throw parseError(last, 'file with no instructions');
  if (stages.length === 0) {
    throw parseError(last, 'dockerfile contains no stages to build: expected FROM after ARG');
  }
  return { escapeChar, directives, globalArgs, stages, emptyContinuations };
}

/** One instruction on its own: an ONBUILD trigger, or a change for commit. */
export function parseInstruction(text: string, escapeChar: EscapeCharacter = '\\'): Instruction {
  const { lines } = splitLines(text);
  const [line] = lines;
  if (line === undefined || lines.length > 1) {
    throw new InvalidParameterError(`expected one instruction, found ${lines.length}: ${text}`);
  }
  return parseLine(line, escapeChar);
}

function parseLine(line: LogicalLine, escapeChar: EscapeCharacter): Instruction {
  const match = /^(\S+)(?:[\t\v\f\r ]+(.*))?$/s.exec(line.text);
  const word = match?.[1] ?? '';
  const known = word.toLowerCase();
  const reader = Object.hasOwn(READERS, known) ? READERS[known] : undefined;
  if (reader === undefined) {
    throw parseError(line.line, `unknown instruction: ${word}${suggestion(word)}`, line.endLine);
  }
  try {
    const { flags, rest } = splitFlags(match?.[2] ?? '', escapeChar);
    return reader({
      common: {
        line: line.line,
        endLine: line.endLine,
        source: line.text,
        keyword: word,
        comments: line.comments,
      },
      name: word.toUpperCase(),
      rest,
      flags,
      heredocs: line.heredocs,
      escapeChar,
      parse: (text) => parseInstruction(text, escapeChar),
    });
  } catch (error) {
    if (!(error instanceof InvalidParameterError) || error instanceof DockerfileError) throw error;
    throw parseError(line.line, error.message, line.endLine);
  }
}

/** In the case in which the word is written. */
function suggestion(word: string): string {
  const names = Object.keys(READERS);
  if (word === word.toLowerCase()) return didYouMean(word, names);
  const upper = names.map((name) => name.toUpperCase());
  return didYouMean(word.toUpperCase(), upper);
}
