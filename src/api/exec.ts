/** Commands run inside a running container. */

export interface ExecCreateRequest {
  AttachStdin?: boolean;
  AttachStdout?: boolean;
  AttachStderr?: boolean;
  /** Height and width in cells. */
  ConsoleSize?: [number, number] | null;
  DetachKeys?: string;
  Tty?: boolean;
  Env?: string[] | null;
  Cmd?: string[] | null;
  Privileged?: boolean;
  User?: string;
  WorkingDir?: string;
  Detach?: boolean;
}

export interface ExecCreateResponse {
  Id: string;
}

export interface ExecStartRequest {
  Detach?: boolean;
  Tty?: boolean;
  /** Height and width in cells; only with `Tty`. */
  ConsoleSize?: [number, number] | null;
}

export interface ExecProcessConfig {
  tty: boolean;
  entrypoint: string;
  arguments: string[];
  privileged: boolean;
  user?: string;
}

export interface ExecInspectResponse {
  ID: string;
  Running: boolean;
  /** Null until the process has ended. */
  ExitCode: number | null;
  ProcessConfig: ExecProcessConfig;
  OpenStdin: boolean;
  OpenStderr: boolean;
  OpenStdout: boolean;
  CanRemove: boolean;
  ContainerID: string;
  DetachKeys: string;
  /** 0 before the process was started. */
  Pid: number;
}
