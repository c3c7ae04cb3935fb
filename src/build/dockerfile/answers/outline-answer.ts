/** `frontend.outline` (`--call outline`): the arguments, secrets and agents that a target takes. */
import type { FromInstruction } from '../ast.ts';
import type { DockerfileLint } from '../lint/dockerfile-lint.ts';
import type { KnownArgument } from '../lint/from-rules.ts';
import type { AskedMount } from '../lint/stage-lint.ts';
import { answerOf, columns, locationOf, type SubrequestAnswer } from './answer.ts';

export interface OutlineInput {
  /** All stages that the target needs have been looked at. */
  lint: DockerfileLint;
  target: FromInstruction;
  /** The target first, then what each stage needs. */
  stages: readonly number[];
  content: string;
}

interface Outline {
  arguments: KnownArgument[];
  secrets: AskedMount[];
  agents: AskedMount[];
}

export function outlineAnswer(input: OutlineInput): SubrequestAnswer {
  const { name, description } = input.target;
  const outline = collect(input);
  const json = {
    ...(name === '' ? {} : { name }),
    ...(description === '' ? {} : { description }),
    ...filled('args', outline.arguments.map(argumentJson)),
    ...filled('secrets', outline.secrets.map(mountJson)),
    ...filled('ssh', outline.agents.map(mountJson)),
    sources: [Buffer.from(input.content).toString('base64')],
  };
  return answerOf(json, textOf(name, description, outline));
}

function collect({ lint, stages }: OutlineInput): Outline {
  const found = new Map<string, KnownArgument>();
  const [secrets, agents] = [new Map<string, AskedMount>(), new Map<string, AskedMount>()];
  const global = lint.globals?.arguments ?? new Map<string, KnownArgument>();
  for (const index of stages) {
    const noted = lint.noted(index);
    if (noted === undefined) continue;
    const { stage, used } = noted;
    const open = [...used, ...stage.usedArguments];
    for (let name = open.shift(); name !== undefined; name = open.shift()) {
      const argument = stage.arguments.get(name) ?? global.get(name);
      if (argument === undefined || found.has(name)) continue;
      found.set(name, argument);
      open.push(...argument.needs);
    }
    for (const [id, secret] of stage.secrets) if (!secrets.has(id)) secrets.set(id, secret);
    for (const [id, agent] of stage.agents) if (!agents.has(id)) agents.set(id, agent);
  }
  return { arguments: byLine(found), secrets: byLine(secrets), agents: byLine(agents) };
}

function byLine<T extends { line: number }>(found: ReadonlyMap<string, T>): T[] {
  return [...found.values()].sort((a, b) => a.line - b.line);
}

function filled(name: string, list: readonly unknown[]): Record<string, unknown> {
  return list.length === 0 ? {} : { [name]: list };
}

function argumentJson({ name, description, value, line, endLine }: KnownArgument): unknown {
  return {
    name,
    ...(description === '' ? {} : { description }),
    ...(value === '' ? {} : { value }),
    location: locationOf({ start: { line }, end: { line: endLine } }),
  };
}

function mountJson({ id, required, line, endLine }: AskedMount): unknown {
  return {
    name: id,
    ...(required ? { required } : {}),
    location: locationOf({ start: { line }, end: { line: endLine } }),
  };
}

function textOf(name: string, description: string, outline: Outline): string {
  const blocks: string[] = [];
  if (name !== '' || description !== '') {
    const rows = [['TARGET:', name === '' ? '(default)' : name]];
    if (description !== '') rows.push(['DESCRIPTION:', description]);
    blocks.push(columns(rows, 1));
  }
  if (outline.arguments.length > 0) {
    const rows = outline.arguments.map((one) => [one.name, one.value, one.description]);
    blocks.push(columns([['BUILD ARG', 'VALUE', 'DESCRIPTION'], ...rows], 3));
  }
  for (const [title, mounts] of [
    ['SECRET', outline.secrets],
    ['SSH', outline.agents],
  ] as const) {
    if (mounts.length === 0) continue;
    const rows = mounts.map(({ id, required }) => [id, required ? 'true' : '']);
    blocks.push(columns([[title, 'REQUIRED'], ...rows], 3));
  }
  return blocks.map((block) => `${block}\n`).join('');
}
