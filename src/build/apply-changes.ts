/**
 * `--change` of commit and import: the Dockerfile instructions that change a configuration and need no build.
 */
import { InvalidParameterError } from '../base/errors.ts';
import type { RunConfig } from '../image/image-config.ts';
import { parseInstruction } from './dockerfile/parse.ts';
import { changeConfig } from './solve/config-changes.ts';
import { ConfigState } from './solve/config-state.ts';

const CHANGES = new Set([
  'cmd',
  'entrypoint',
  'env',
  'expose',
  'healthcheck',
  'label',
  'onbuild',
  'stopsignal',
  'user',
  'volume',
  'workdir',
]);

/** Applies them in order to `state.config`. Throws InvalidParameter with Docker's text for other instructions. */
export function applyChanges(state: ConfigState, changes: readonly string[]): void {
  for (const text of changes.flatMap((change) => splitChanges(change))) {
    const [word = ''] = text.trim().split(/\s/, 1);
    if (!CHANGES.has(word.toLowerCase())) {
      throw new InvalidParameterError(`${word.toLowerCase()} is not a valid change command`);
    }
    applyChange(state, text);
  }
}

/** The configuration that they make of an empty one, as import does. */
export function configOfChanges(changes: readonly string[]): RunConfig {
  const state = new ConfigState(undefined);
  state.config = {};
  state.cmdSet = true;
  applyChanges(state, changes);
  return state.config;
}

/** One instruction a line; a backslash at a line's end joins it with the next. */
function splitChanges(text: string): string[] {
  return text
    .replace(/\\\n/g, ' ')
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.trim().startsWith('#'));
}

function applyChange(state: ConfigState, text: string): void {
  const instruction = parseInstruction(text);
  const options = { escapeChar: '\\' as const, lookup: (name: string) => state.variable(name) };
  switch (instruction.kind) {
    case 'workdir':
      state.config.WorkingDir = instruction.value.startsWith('/')
        ? instruction.value
        : `${(state.config.WorkingDir ?? '').replace(/\/$/, '')}/${instruction.value}`;
      return;
    case 'run':
    case 'copy':
    case 'add':
    case 'arg':
    case 'from':
      throw new InvalidParameterError(`${instruction.kind} is not a valid change command`);
    default:
      changeConfig(state, instruction, options).apply(state);
  }
}
