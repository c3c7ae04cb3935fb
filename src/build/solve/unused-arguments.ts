/** The warning about build arguments that the Dockerfile does not know. */
import type { Dockerfile, Instruction } from '../dockerfile/ast.ts';
import type { ProgressVertex } from '../progress.ts';
import { type GivenArguments, unusedArguments } from './arguments.ts';

export function warnUnused(dockerfile: Dockerfile, given: GivenArguments, vertex: ProgressVertex): void {
  const all = [...dockerfile.globalArgs, ...dockerfile.stages.flatMap(({ instructions }) => instructions)];
  const unused = unusedArguments(given, new Set(declaredNames(all)));
  if (unused.length === 0) return;
  vertex.warn({
    rule: '',
    message: `[Warning] One or more build-args [${unused.join(' ')}] were not consumed`,
  });
}

/** The names that ARGs declare. */
function declaredNames(instructions: readonly Instruction[]): string[] {
  return instructions.flatMap((one) => (one.kind === 'arg' ? one.args.map(({ name }) => name) : []));
}
