/** `frontend.targets` (`--call targets`): the stages that can be asked for. */
import type { Dockerfile, FromInstruction } from '../ast.ts';
import { answerOf, columns, locationOf, type SubrequestAnswer } from './answer.ts';

export function targetsAnswer(dockerfile: Dockerfile, content: string): SubrequestAnswer {
  const last = dockerfile.stages.at(-1);
  const targets = dockerfile.stages.map((stage) => ({ from: stage.from, isDefault: stage === last }));
  const json = {
    targets: targets.map(jsonOf),
    sources: [Buffer.from(content).toString('base64')],
  };
  const rows = targets.map(({ from, isDefault }) => [shownName(from.name, isDefault), from.description]);
  return answerOf(json, columns([['TARGET', 'DESCRIPTION'], ...rows], 3));
}

function jsonOf({ from, isDefault }: { from: FromInstruction; isDefault: boolean }): unknown {
  const { name, description, base, platform, line, endLine } = from;
  return {
    ...(name === '' ? {} : { name }),
    ...(isDefault ? { default: true } : {}),
    ...(description === '' ? {} : { description }),
    ...(base === '' ? {} : { base }),
    ...(platform === '' ? {} : { platform }),
    location: locationOf({ start: { line }, end: { line: endLine } }),
  };
}

function shownName(name: string, isDefault: boolean): string {
  if (!isDefault) return name;
  return name === '' ? '(default)' : `${name} (default)`;
}
