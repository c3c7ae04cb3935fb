/** What an instruction comes to once its variables are expanded, with the text that the image's history has of it. */
import type { RunMountSpec } from '../run/mount-flag.ts';

export interface StepPlace {
  line: number;
  endLine: number;
  source: string;
  /** A trigger of the base image: the line is that of FROM. */
  trigger: boolean;
}

interface Common {
  place: StepPlace;
  /** `created_by`; undefined: the history does not mention it. */
  history: string | undefined;
  /** As the history has it from here on. */
  author: string;
}

export interface ConfigStep extends Common {
  kind: 'config';
}

export interface RunStepPlan extends Common {
  kind: 'run';
  args: string[];
  script?: { name: string; content: string };
  /** The image's variables and the declared arguments. */
  env: string[];
  /** Reach the program, and are no part of what the step is. */
  proxies: string[];
  cwd: string;
  user: string;
  mounts: RunMountSpec[];
  network: string;
  insecure: boolean;
}

export interface CopyStepPlan extends Common {
  kind: 'copy';
  instruction: 'COPY' | 'ADD';
  from: string;
  sources: string[];
  inline: { name: string; content: string }[];
  destination: string;
  workingDir: string;
  chown: string;
  chmod: string;
  link: boolean;
  parents: boolean;
  excludes: string[];
  checksum: string;
  keepGitDir: boolean;
  /** Undefined: as the instruction does by itself. */
  unpack: boolean | undefined;
}

export interface WorkdirStepPlan extends Common {
  kind: 'workdir';
  path: string;
  /** USER at that place, whose the folder is. */
  user: string;
}

export type PlannedStep = ConfigStep | RunStepPlan | CopyStepPlan | WorkdirStepPlan;
