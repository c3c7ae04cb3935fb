/**
 * What a Dockerfile says, instruction by instruction, with nothing expanded or resolved: the parser's result, and the
 * input of everything that builds.
 */

import type { Directive } from './directives.ts';

/** `\` unless the `escape` directive says otherwise. */
export type EscapeCharacter = '\\' | '`';

export interface Heredoc {
  /** The terminating word, which is also the file's name for COPY and ADD. */
  name: string;
  /** Variables in it are expanded: the word was not quoted. */
  expand: boolean;
  /** `<<-`: leading tabs are to be taken away (`heredocContent`). */
  chomp: boolean;
  /** As it stands in the file. */
  content: string;
}

interface Common {
  /** First and last line, counted from 1. */
  line: number;
  endLine: number;
  /** The instruction as one line: continuations joined, comments gone. */
  source: string;
  /** The instruction's name as it is written: `Run`. */
  keyword: string;
  /** Those right above it, without `#`: they may describe a stage or an argument, and set checks aside. */
  comments: readonly string[];
}

/** Shell form: `words` is one text for the shell. Exec form: the argument vector, exactly. */
export interface CommandLine {
  form: 'shell' | 'exec';
  words: string[];
}

export interface NameValue {
  name: string;
  value: string;
}

export interface FromInstruction extends Common {
  kind: 'from';
  base: string;
  /** Lower case; empty for none. */
  name: string;
  /** `AS` and the name as they are written; empty for none. */
  asKeyword: string;
  writtenName: string;
  /** From the comment above: `# name what it is`. */
  description: string;
  platform: string;
}

export interface Argument {
  name: string;
  value?: string;
  /** From the comment above: `# NAME what it is`. */
  description: string;
}

export interface ArgInstruction extends Common {
  kind: 'arg';
  args: Argument[];
}

export interface RunInstruction extends Common {
  kind: 'run';
  command: CommandLine;
  heredocs: Heredoc[];
  /** Values of `--mount`, as they are. */
  mounts: string[];
  network: string;
  security: string;
}

export interface CopyInstruction extends Common {
  kind: 'copy' | 'add';
  sources: string[];
  /** With the content that the files get, but for variables. */
  inline: Heredoc[];
  destination: string;
  from: string;
  chown: string;
  chmod: string;
  link: boolean;
  parents: boolean;
  excludes: string[];
  checksum: string;
  keepGitDir?: boolean;
  unpack?: boolean;
}

export interface HealthcheckInstruction extends Common {
  kind: 'healthcheck';
  /** `NONE`, or `CMD` with a command. */
  type: 'NONE' | 'CMD';
  command: CommandLine;
  /** Nanoseconds; 0 for the default. */
  interval: number;
  timeout: number;
  startPeriod: number;
  startInterval: number;
  retries: number;
}

export interface OnbuildInstruction extends Common {
  kind: 'onbuild';
  /** The trigger as text, heredocs included: it is kept in the image and parsed again by the build that uses it. */
  trigger: string;
}

export type Instruction =
  | FromInstruction
  | ArgInstruction
  | RunInstruction
  | CopyInstruction
  | HealthcheckInstruction
  | OnbuildInstruction
  /** `legacy`: `ENV name value`. */
  | (Common & { kind: 'env' | 'label'; pairs: NameValue[]; legacy: boolean })
  | (Common & { kind: 'cmd' | 'entrypoint'; command: CommandLine })
  | (Common & { kind: 'workdir'; value: string })
  | (Common & { kind: 'user' | 'stopsignal' | 'maintainer'; value: string })
  | (Common & { kind: 'expose' | 'volume'; values: string[] })
  | (Common & { kind: 'shell'; words: string[] });

export interface Stage {
  from: FromInstruction;
  instructions: Instruction[];
}

export interface Dockerfile {
  /** What it was read from. */
  file: { name: string; content: string };
  escapeChar: EscapeCharacter;
  directives: readonly Directive[];
  /** What `# check=` says; empty for nothing. */
  checkOptions: string;
  /** The frontend that the file asks for (`# syntax=`); this one reads it all the same. */
  syntax: string | undefined;
  /** ARGs in front of the first FROM. */
  globalArgs: ArgInstruction[];
  stages: Stage[];
  /** Lines where instructions end that have empty lines between their continued ones. */
  emptyContinuations: readonly number[];
}
