/**
 * What is to be true of one container, and what each state allows: the statuses that Docker's clients know. A program is
 * one of two: `sleeper` lives until it is told to end (7 on SIGTERM), `short` ends by itself.
 */
import assert from 'node:assert/strict';

export type State = 'created' | 'running' | 'paused' | 'exited';
export type Program = 'sleeper' | 'short';

export interface ContainerModel {
  name: string;
  readonly id: string;
  readonly program: Program;
  /** What `short` ends with. */
  readonly code: number;
  state: State;
  exitCode: number;
  /** Lines of its log. */
  lines: number;
  cpuShares: number;
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
/** The exit code of a container that could not be started. */
export const NOT_STARTED = 128;

export function command(program: Program, code: number): string[] {
  const script =
    program === 'short'
      ? `echo ${READY}; exit ${code}`
      : `trap 'exit 7' TERM; echo ${READY}; while :; do sleep 100000 & wait; done`;
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
  readonly State: {
    readonly Status: string;
    readonly ExitCode: number;
    readonly Running: boolean;
    readonly Paused: boolean;
  };
  readonly HostConfig: { readonly CpuShares: number };
  readonly NetworkSettings: { readonly Networks: Readonly<Record<string, unknown>> };
}

/** What an inspection must show, in the same words. */
export function expected(model: ContainerModel): object {
  const up = model.state === 'running' || model.state === 'paused';
  return {
    id: model.id,
    name: `/${model.name}`,
    status: model.state,
    exitCode: up ? 0 : model.exitCode,
    cpuShares: model.cpuShares,
    networks: [...model.networks].sort(),
  };
}

export function found(inspected: Inspected): object {
  return {
    id: inspected.Id,
    name: inspected.Name,
    status: inspected.State.Status,
    exitCode: inspected.State.ExitCode,
    cpuShares: inspected.HostConfig.CpuShares,
    networks: Object.keys(inspected.NetworkSettings.Networks)
      .filter((name) => name !== 'bridge' && name !== 'none')
      .sort(),
  };
}
