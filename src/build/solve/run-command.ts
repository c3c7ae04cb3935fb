/** What RUN executes, and how: its command or heredoc, and the values of its flags once they are expanded. */
import { InvalidParameterError } from '../../base/errors.ts';
import type { RunInstruction } from '../dockerfile/ast.ts';
import { heredocContent, parseHeredocWord } from '../dockerfile/heredoc.ts';
import { argumentVector } from './config-changes.ts';
import type { ConfigState } from './config-state.ts';

/**
 * A heredoc alone is a script for the shell, or with `#!` a program; behind a command it is what the shell makes of
 * it.
 */
export function runCommand(
  state: ConfigState,
  { command, heredocs }: RunInstruction,
): { args: string[]; script?: { name: string; content: string } } {
  const [text = ''] = command.words;
  const [first] = heredocs;
  if (command.form === 'exec' || first === undefined) {
    const args = argumentVector(state, command);
    if (args.length === 0) throw new InvalidParameterError('RUN has no command');
    return { args };
  }
  if (heredocs.length === 1 && parseHeredocWord(text) !== undefined) {
    const content = heredocContent(first);
    if (!content.startsWith('#!')) return { args: [...state.shell, content] };
    return { args: [`/dev/pipes/${first.name}`], script: { name: first.name, content } };
  }
  const bodies = heredocs.map(({ content, name }) => `\n${content}${name}`).join('');
  return { args: [...state.shell, `${text}${bodies}`] };
}

export function networkOf(text: string): string {
  if (['', 'default', 'none', 'host'].includes(text)) return text === 'default' ? '' : text;
  throw new InvalidParameterError(
    `unsupported network mode ${JSON.stringify(text)} of RUN --network: expected default, none or host`,
  );
}

export function insecureOf(text: string): boolean {
  if (['', 'sandbox', 'insecure'].includes(text)) return text === 'insecure';
  throw new InvalidParameterError(
    `unsupported security mode ${JSON.stringify(text)} of RUN --security: expected sandbox or insecure`,
  );
}
