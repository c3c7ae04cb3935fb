/**
 * The instructions that change an image's configuration and nothing else. The text that names each in the image's
 * history is BuildKit's, Go's formats of lists and structs included.
 */
import { InvalidParameterError } from '../../base/errors.ts';
import { parseSignal } from '../../base/signals.ts';
import type { Healthcheck } from '../../image/image-config.ts';
import type { CommandLine, HealthcheckInstruction, Instruction, NameValue } from '../dockerfile/ast.ts';
import { formatDuration } from '../dockerfile/duration.ts';
import { type ExpandOptions, expandWord, expandWords } from '../dockerfile/expand.ts';
import type { ConfigState } from './config-state.ts';
import { parseExposedPorts } from './exposed-ports.ts';

/** What a step does to the configuration, and the text that names it in the history; undefined where it has none. */
export type Change = { step: string | undefined; apply(state: ConfigState): void };

export type ConfigInstruction = Exclude<
  Instruction,
  { kind: 'run' | 'copy' | 'add' | 'workdir' | 'arg' | 'from' }
>;

/** Throws InvalidParameter for values that cannot be. */
export function changeConfig(
  state: ConfigState,
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
        step: undefined,
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

export function labelChange(state: ConfigState, pairs: NameValue[]): Change {
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
export function argumentVector(state: ConfigState, command: CommandLine): string[] {
  if (command.form === 'exec' || command.words.length === 0) return command.words;
  return [...state.shell, ...command.words];
}

/** As Go prints lists of strings. */
function quoted(words: readonly string[]): string {
  return `[${words.map((word) => JSON.stringify(word)).join(' ')}]`;
}

function cmdChange(state: ConfigState, command: CommandLine): Change {
  const words = argumentVector(state, command);
  return {
    step: `CMD ${quoted(words)}`,
    apply: () => {
      state.config.Cmd = words;
      state.config.ArgsEscaped = true;
      if (words.length > 0) state.cmdSet = true;
    },
  };
}

/** A CMD of the base image was for its own entrypoint. */
function entrypointChange(state: ConfigState, command: CommandLine): Change {
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

function userChange(state: ConfigState, user: string): Change {
  return {
    step: `USER ${user}`,
    apply: () => {
      state.config.User = user;
    },
  };
}

function stopSignalChange(state: ConfigState, signal: string): Change {
  parseSignal(signal);
  return {
    step: `STOPSIGNAL ${signal}`,
    apply: () => {
      state.config.StopSignal = signal;
    },
  };
}

function exposeChange(state: ConfigState, ports: string[]): Change {
  const exposed = ports.flatMap(parseExposedPorts);
  return {
    step: `EXPOSE [${exposed.join(' ')}]`,
    apply: () => {
      if (exposed.length === 0) return;
      state.config.ExposedPorts = {
        ...(state.config.ExposedPorts ?? {}),
        ...Object.fromEntries(exposed.map((port) => [port, {}])),
      };
    },
  };
}

function volumeChange(state: ConfigState, paths: string[]): Change {
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

function healthcheckChange(state: ConfigState, instruction: HealthcheckInstruction): Change {
  const { type, command } = instruction;
  const form = command.form === 'exec' ? 'CMD' : 'CMD-SHELL';
  const health: Healthcheck = { Test: type === 'NONE' ? ['NONE'] : [form, ...command.words] };
  if (instruction.interval !== 0) health.Interval = instruction.interval;
  if (instruction.timeout !== 0) health.Timeout = instruction.timeout;
  if (instruction.startPeriod !== 0) health.StartPeriod = instruction.startPeriod;
  if (instruction.startInterval !== 0) health.StartInterval = instruction.startInterval;
  if (instruction.retries !== 0) health.Retries = instruction.retries;
  return {
    step: healthcheckText(health),
    apply: () => {
      state.config.Healthcheck = health;
    },
  };
}

/** As Go's `%q` prints the struct behind a pointer: durations as texts, the number of retries as a character. */
function healthcheckText(health: Healthcheck): string {
  const { Test = [], Interval = 0, Timeout = 0, StartPeriod = 0, StartInterval = 0, Retries = 0 } = health;
  const durations = [Interval, Timeout, StartPeriod, StartInterval].map((ns) => `"${formatDuration(ns)}"`);
  return `HEALTHCHECK &{${quoted(Test)} ${durations.join(' ')} ${quotedRune(Retries)}}`;
}

function quotedRune(code: number): string {
  if (code >= 0x20 && code < 0x7f) return `'${String.fromCharCode(code)}'`;
  const names: Readonly<Record<number, string>> = {
    7: 'a',
    8: 'b',
    9: 't',
    10: 'n',
    11: 'v',
    12: 'f',
    13: 'r',
  };
  const name = names[code];
  return name === undefined ? `'\\x${code.toString(16).padStart(2, '0')}'` : `'\\${name}'`;
}

/** `NAME=value` set in a list, in the place of an earlier one. */
function setEnv(env: readonly string[], name: string, value: string): string[] {
  const index = env.findIndex((entry) => entry.startsWith(`${name}=`) || entry === name);
  const text = `${name}=${value}`;
  return index < 0 ? [...env, text] : env.with(index, text);
}
