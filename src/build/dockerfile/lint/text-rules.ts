/** Checks that need nothing but the Dockerfile: letters, names, comments, what is out of date. */
import type { Dockerfile, FromInstruction, Instruction } from '../ast.ts';
import type { Linter } from './linter.ts';

/** Words that mean something else in FROM and `--from`. */
const RESERVED_NAMES: ReadonlySet<string> = new Set(['context', 'scratch']);

export function lintText(dockerfile: Dockerfile, linter: Linter): void {
  for (const line of dockerfile.emptyContinuations) {
    linter.run('NoEmptyContinuation', { line, endLine: line }, 'Empty continuation line');
  }
  const stages = dockerfile.stages.flatMap(({ from, instructions }) => [from, ...instructions]);
  for (const instruction of [...dockerfile.globalArgs, ...stages]) lintInstruction(instruction, linter);
  lintStageNames(
    dockerfile.stages.map(({ from }) => from),
    linter,
  );
  lintKeywords(stages, linter);
}

export function lintInstruction(instruction: Instruction, global: Linter): void {
  const linter = global.within(instruction.comments);
  switch (instruction.kind) {
    case 'maintainer':
      linter.run(
        'MaintainerDeprecated',
        instruction,
        'Maintainer instruction is deprecated in favor of using label',
      );
      break;
    case 'from':
      lintFromLetters(instruction, linter);
      if (instruction.name !== '') lintDescription(instruction, 'FROM', [instruction.name], linter);
      break;
    case 'arg':
      lintDescription(
        instruction,
        'ARG',
        instruction.args.map(({ name }) => name),
        linter,
      );
      break;
  }
}

function lintFromLetters(from: FromInstruction, linter: Linter): void {
  const { writtenName, asKeyword, keyword } = from;
  if (writtenName !== writtenName.toLowerCase()) {
    linter.run('StageNameCasing', from, `Stage name '${writtenName}' should be lowercase`);
  }
  // A keyword in mixed letters is another rule's matter.
  const matches = isLower(keyword) ? isLower(asKeyword) : !isUpper(keyword) || isUpper(asKeyword);
  if (!matches) {
    linter.run('FromAsCasing', from, `'${asKeyword}' and '${keyword}' keywords' casing do not match`);
  }
}

function lintDescription(
  instruction: Instruction,
  name: 'FROM' | 'ARG',
  defined: readonly string[],
  linter: Linter,
): void {
  const [word] = instruction.comments.at(-1)?.split(' ', 1) ?? [];
  if (word === undefined || defined.includes(word)) return;
  const example = defined.length === 1 ? defined[0] : '<arg_key>';
  linter.run(
    'InvalidDefinitionDescription',
    instruction,
    `Comment for ${name} should follow the format: \`# ${example} <description>\``,
  );
}

function lintStageNames(stages: readonly FromInstruction[], linter: Linter): void {
  const seen = new Set<string>();
  for (const from of stages) {
    const { name } = from;
    if (name === '') continue;
    if (RESERVED_NAMES.has(name)) {
      const message = `Stage name should not use the same name as reserved stage ${JSON.stringify(name)}`;
      linter.run('ReservedStageName', from, message);
    }
    if (seen.has(name)) {
      const message = `Duplicate stage name ${JSON.stringify(name)}, stage names should be unique`;
      linter.run('DuplicateStageName', from, message);
    }
    seen.add(name);
  }
}

/** Upper case, unless more of them are lower case. */
function lintKeywords(instructions: readonly Instruction[], linter: Linter): void {
  const lower = instructions.filter(({ keyword }) => isLower(keyword)).length;
  const upper = instructions.filter(({ keyword }) => isUpper(keyword)).length;
  const wantsLower = lower > upper;
  for (const instruction of instructions) {
    const { keyword } = instruction;
    if (wantsLower ? isLower(keyword) : isUpper(keyword)) continue;
    linter.run(
      'ConsistentInstructionCasing',
      instruction,
      `Command '${keyword}' should match the case of the command majority (${wantsLower ? 'lowercase' : 'uppercase'})`,
    );
  }
}

function isLower(text: string): boolean {
  return text === text.toLowerCase();
}

function isUpper(text: string): boolean {
  return text === text.toUpperCase();
}
