/** `GET /containers/{id}/security` (mydock's own): what a container can and cannot do, finding by finding. */

export type SecurityLevel = 'info' | 'weak' | 'dangerous';

export interface SecurityFinding {
  /** `capabilities`, `mounts`, `seccomp`, … */
  Topic: string;
  Level: SecurityLevel;
  /** What is so. */
  Finding: string;
  /** Why it matters, in one sentence. */
  Reason: string;
}

export interface ContainerSecurity {
  Id: string;
  /** Without the leading slash. */
  Name: string;
  Running: boolean;
  /** `config.json`: what the runtime was given for this run; `record`: what the next run will be asked for. */
  Source: 'config.json' | 'record';
  /** The highest level among the findings. */
  Level: SecurityLevel;
  Findings: SecurityFinding[];
}
