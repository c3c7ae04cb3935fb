/**
 * What a Dockerfile says, instruction by instruction, with nothing expanded or resolved: the parser's result, and the
 * input of everything that builds.
 */

/** `\` unless the `escape` directive says otherwise. */
export type EscapeCharacter = '\\' | '`';

export interface Heredoc {
  /** The terminating word, which is also the file's name for COPY and ADD. */
  name: string;
  /** Variables in it are expanded: the word was not quoted. */
  expand: boolean;
  /** `<<-`: leading tabs are taken away. */
  chomp: boolean;
  content: string;
}

interface Common {
  /** First and last line, counted from 1. */
  line: number;
  endLine: number;
  /** The instruction as one line: continuations joined, comments gone. */
  source: string;
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
  platform: string;
}

export interface ArgInstruction extends Common {
  kind: 'arg';
  args: { name: string; value?: string }[];
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
  | (Common & { kind: 'env' | 'label'; pairs: NameValue[] })
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
  escapeChar: EscapeCharacter;
  /** Values of the parser directives, by name. */
  directives: Readonly<Record<string, string>>;
  /** ARGs in front of the first FROM. */
  globalArgs: ArgInstruction[];
  stages: Stage[];
  /** For people. */
  warnings: string[];
}
