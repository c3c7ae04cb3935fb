/**
 * The instructions that change an image's configuration and nothing else. Docker's history texts name the step.
 */
import { InvalidParameterError } from '../base/errors.ts';
import { parseSignal } from '../base/signals.ts';
import type { Healthcheck } from '../image/image-config.ts';
import type { CommandLine, HealthcheckInstruction, Instruction, NameValue } from './dockerfile/ast.ts';
import { type ExpandOptions, expandWord, expandWords } from './dockerfile/expand.ts';
import { parseExposedPorts } from './exposed-ports.ts';
import { setEnv } from './image-layout.ts';
import type { StageState } from './stage-state.ts';

/** What a step does to the configuration, and the text that names it in cache and history. */
export type Change = { step: string; apply(state: StageState): void };

export type ConfigInstruction = Exclude<
  Instruction,
  { kind: 'run' | 'copy' | 'add' | 'workdir' | 'arg' | 'from' }
>;

/** Throws InvalidParameter for values that cannot be. */
export function changeConfig(
  state: StageState,
  instruction: ConfigInstruction,
  options: ExpandOptions,
): Change {
  const expand = (text: string) => expandWord(text, options);
  switch (instruction.kind) {
    case 'env': {
      const pairs = expandPairs(instruction.pairs, options);
      return {
        step: `ENV ${pairs.map(({ name, value }) => `${name}=${value}`).join(' ')}`,
        apply: () => {
          for (const { name, value } of pairs) state.config.Env = setEnv(state.env, name, value);
        },
      };
    }
    case 'label':
      return labelChange(state, expandPairs(instruction.pairs, options));
    case 'cmd':
      return cmdChange(state, instruction.command);
    case 'entrypoint':
      return entrypointChange(state, instruction.command);
    case 'user':
      return userChange(state, expand(instruction.value));
    case 'stopsignal':
      return stopSignalChange(state, expand(instruction.value));
    case 'maintainer':
      return {
        step: `MAINTAINER ${instruction.value}`,
        apply: () => {
          state.author = instruction.value;
        },
      };
    case 'expose':
      return exposeChange(
        state,
        instruction.values.flatMap((value) => expandWords(value, options)),
      );
    case 'volume':
      return volumeChange(state, instruction.values.map(expand));
    case 'shell':
      return {
        step: `SHELL [${instruction.words.join(' ')}]`,
        apply: () => {
          state.config.Shell = instruction.words;
        },
      };
    case 'healthcheck':
      return healthcheckChange(state, instruction);
    case 'onbuild':
      return {
        step: `ONBUILD ${instruction.trigger}`,
        apply: () => {
          state.config.OnBuild = [...(state.config.OnBuild ?? []), instruction.trigger];
        },
      };
  }
}

/** All values see the variables as they were before the instruction. */
function expandPairs(pairs: readonly NameValue[], options: ExpandOptions): NameValue[] {
  return pairs.map(({ name, value }) => ({
    name: expandWord(name, options),
    value: expandWord(value, options),
  }));
}

export function labelChange(state: StageState, pairs: NameValue[]): Change {
  return {
    step: `LABEL ${pairs.map(({ name, value }) => `${name}=${value}`).join(' ')}`,
    apply: () => {
      state.config.Labels = {
        ...(state.config.Labels ?? {}),
        ...Object.fromEntries(pairs.map(({ name, value }) => [name, value])),
      };
    },
  };
}

/** The shell form is the shell's to read. */
export function argumentVector(state: StageState, command: CommandLine): string[] {
  if (command.form === 'exec' || command.words.length === 0) return command.words;
  return [...state.shell, ...command.words];
}

/** As Go prints lists of strings. */
function quoted(words: readonly string[]): string {
  return `[${words.map((word) => JSON.stringify(word)).join(' ')}]`;
}

function cmdChange(state: StageState, command: CommandLine): Change {
  const words = argumentVector(state, command);
  return {
    step: `CMD ${quoted(words)}`,
    apply: () => {
      state.config.Cmd = words;
      if (words.length > 0) state.cmdSet = true;
    },
  };
}

/** A CMD of the base image was for its own entrypoint. */
function entrypointChange(state: StageState, command: CommandLine): Change {
  const words = argumentVector(state, command);
  const keepsCmd = state.cmdSet;
  return {
    step: `ENTRYPOINT ${quoted(words)}`,
    apply: () => {
      state.config.Entrypoint = words;
      if (!keepsCmd) delete state.config.Cmd;
    },
  };
}

function userChange(state: StageState, user: string): Change {
  if (user === '') throw new InvalidParameterError('USER is empty after its variables were expanded');
  return {
    step: `USER ${user}`,
    apply: () => {
      state.config.User = user;
    },
  };
}

function stopSignalChange(state: StageState, signal: string): Change {
  parseSignal(signal);
  return {
    step: `STOPSIGNAL ${signal}`,
    apply: () => {
      state.config.StopSignal = signal;
    },
  };
}

function exposeChange(state: StageState, ports: string[]): Change {
  const exposed = ports.flatMap(parseExposedPorts);
  return {
    step: `EXPOSE ${ports.join(' ')}`,
    apply: () => {
      state.config.ExposedPorts = {
        ...(state.config.ExposedPorts ?? {}),
        ...Object.fromEntries(exposed.map((port) => [port, {}])),
      };
    },
  };
}

function volumeChange(state: StageState, paths: string[]): Change {
  if (paths.includes('')) throw new InvalidParameterError('VOLUME specified can not be an empty string');
  return {
    step: `VOLUME [${paths.join(' ')}]`,
    apply: () => {
      state.config.Volumes = {
        ...(state.config.Volumes ?? {}),
        ...Object.fromEntries(paths.map((path) => [path, {}])),
      };
    },
  };
}

function healthcheckChange(state: StageState, instruction: HealthcheckInstruction): Change {
  const { type, command } = instruction;
  const form = command.form === 'exec' ? 'CMD' : 'CMD-SHELL';
  const health: Healthcheck = { Test: type === 'NONE' ? ['NONE'] : [form, ...command.words] };
  if (instruction.interval !== 0) health.Interval = instruction.interval;
  if (instruction.timeout !== 0) health.Timeout = instruction.timeout;
  if (instruction.startPeriod !== 0) health.StartPeriod = instruction.startPeriod;
  if (instruction.startInterval !== 0) health.StartInterval = instruction.startInterval;
  if (instruction.retries !== 0) health.Retries = instruction.retries;
  return {
    step: `HEALTHCHECK ${JSON.stringify(health)}`,
    apply: () => {
      state.config.Healthcheck = health;
    },
  };
}
