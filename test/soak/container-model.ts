/**
 * What is to be true of one container, and what each state allows: the statuses that Docker's clients know. A program is
 * one of three: `sleeper` lives until it is told to end (7 on SIGTERM), `short` ends by itself, `failing` does so with an
 * error, and its restart policy starts it again a few times.
 */
import assert from 'node:assert/strict';

export type State = 'created' | 'running' | 'paused' | 'exited';
export type Program = 'sleeper' | 'short' | 'failing';
export type Policy = 'no' | 'unless-stopped' | 'on-failure';

export interface Limits {
  readonly cpuShares: number;
  /** 0 for none. */
  readonly memoryBytes: number;
  readonly pids: number;
}

export interface ContainerModel {
  name: string;
  readonly id: string;
  readonly program: Program;
  /** What `short` and `failing` end with. */
  readonly code: number;
  readonly network: 'none' | 'bridge';
  /** Whether it has a health check: its health is whether /healthy is there. */
  readonly hasHealth: boolean;
  /** How often `failing` is started again. */
  readonly retries: number;
  policy: Policy;
  state: State;
  exitCode: number;
  /** Lines of its log. */
  lines: number;
  limits: Limits;
  readonly image: string;
  /** Files that were copied in, or were in its image: path to content. */
  readonly files: Map<string, string>;
  /** Names of networks besides the one that it was made on. */
  readonly networks: Set<string>;
  /** Those of them that were removed meanwhile: it cannot start until it is taken off them. */
  readonly goneNetworks: Set<string>;
  readonly volume: string | undefined;
}

export const READY = 'ready';
export const HEALTHY_FILE = '/healthy';
/** The exit code of a container that could not be started. */
export const NOT_STARTED = 128;
/** Of a sleeper on SIGTERM. */
export const TERMINATED = 7;
export const NO_LIMITS: Limits = { cpuShares: 0, memoryBytes: 0, pids: 0 };

export function isUp({ state }: ContainerModel): boolean {
  return state === 'running' || state === 'paused';
}

export function command(program: Program, code: number): string[] {
  const script =
    program === 'sleeper'
      ? `trap 'exit ${TERMINATED}' TERM; echo ${READY}; while :; do sleep 100000 & wait; done`
      : `echo ${READY}; exit ${code}`;
  return ['sh', '-c', script];
}

/** What an operation answers in each state. */
export const ANSWERS: Readonly<Record<string, Readonly<Record<State, number>>>> = {
  start: { created: 204, running: 304, paused: 409, exited: 204 },
  stop: { created: 304, running: 204, paused: 204, exited: 304 },
  kill: { created: 409, running: 204, paused: 204, exited: 409 },
  pause: { created: 409, running: 204, paused: 409, exited: 409 },
  unpause: { created: 409, running: 409, paused: 204, exited: 409 },
  exec: { created: 409, running: 201, paused: 409, exited: 409 },
  remove: { created: 204, running: 409, paused: 409, exited: 204 },
};

export function answerOf(operation: string, state: State): number {
  const status = ANSWERS[operation]?.[state];
  assert.ok(status !== undefined, operation);
  return status;
}

export interface Inspected {
  readonly Id: string;
  readonly Name: string;
  readonly RestartCount: number;
  readonly State: {
    readonly Status: string;
    readonly ExitCode: number;
    readonly Running: boolean;
    readonly Paused: boolean;
    readonly StartedAt: string;
    readonly Health?: { readonly Status: string };
  };
  readonly HostConfig: {
    readonly CpuShares: number;
    readonly Memory: number;
    readonly PidsLimit: number | null;
    readonly RestartPolicy: { readonly Name: string; readonly MaximumRetryCount: number };
  };
  readonly NetworkSettings: { readonly Networks: Readonly<Record<string, unknown>> };
}

/** What an inspection must show, in the same words. */
export function expected(model: ContainerModel): object {
  return {
    id: model.id,
    name: `/${model.name}`,
    status: model.state,
    exitCode: isUp(model) ? 0 : model.exitCode,
    policy: `${model.policy}:${model.retries}`,
    limits: [model.limits.cpuShares, model.limits.memoryBytes, model.limits.pids],
    networks: [...model.networks].sort(),
  };
}

export function found(inspected: Inspected): object {
  const { CpuShares, Memory, PidsLimit, RestartPolicy } = inspected.HostConfig;
  return {
    id: inspected.Id,
    name: inspected.Name,
    status: inspected.State.Status,
    exitCode: inspected.State.ExitCode,
    policy: `${RestartPolicy.Name || 'no'}:${RestartPolicy.MaximumRetryCount}`,
    limits: [CpuShares, Memory, PidsLimit ?? 0],
    networks: Object.keys(inspected.NetworkSettings.Networks)
      .filter((name) => name !== 'bridge' && name !== 'none')
      .sort(),
  };
}
