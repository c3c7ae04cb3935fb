/** What a supervisor's events mean for its container. */
import { existsSync, readFileSync } from 'node:fs';
import { errorMessage } from '../base/errors.ts';
import { log } from '../base/log.ts';
import type { Events, ExitRecord } from '../native/supervisor-protocol.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './engine-context.ts';
import { handleExit, lostRun } from './exit.ts';
import { containerPaths } from './paths.ts';
import { tellRuntimeSteps } from './runtime-steps.ts';
import { type SupervisorHandlers, tellVersion } from './supervisor.ts';

export interface StartOutcome {
  started(event: Events['started']): void;
  failed(event: Events['failed']): void;
  /** The supervisor went away before either. */
  lost(): void;
}

/** Killed by SIGKILL: with its supervisor gone, the kernel ends the init so (PR_SET_PDEATHSIG). */
const EXIT_CODE_LOST = 137;

/** Handlers for a supervisor that is being started (`outcome` hears how that goes) or was found running (no outcome). */
export function superviseHandlers(
  engine: EngineContext,
  container: Container,
  outcome?: StartOutcome,
): SupervisorHandlers {
  let starting = outcome;
  let ended = false;
  return {
    onEvent: (message) => {
      switch (message.event) {
        case 'status':
          tellVersion(message.payload);
          break;
        case 'started':
          if (message.payload.process === '') {
            starting?.started(message.payload);
            starting = undefined;
          } else container.execs.get(message.payload.process)?.started(message.payload.pid);
          break;
        case 'failed':
          if (message.payload.process === '') {
            ended = true;
            starting?.failed(message.payload);
            starting = undefined;
          } else container.execs.get(message.payload.process)?.failed(message.payload);
          break;
        case 'exited':
          if (message.payload.process === '') {
            ended = true;
            handleExit(
              engine,
              container,
              readExitRecord(engine, container) ?? fromEvent(container, message.payload),
            );
          } else container.execs.get(message.payload.process)?.exited(message.payload.exitCode);
          break;
        case 'steps':
          tellRuntimeSteps(container.id, message.payload);
          break;
        case 'oom':
          container.oomKilled = true;
          engine.events.container(container, 'oom');
          break;
        case 'detached':
          if (message.payload.reason === 'detached') {
            const { process } = message.payload;
            if (process === '') engine.events.container(container, 'detach');
            else engine.events.container(container, 'exec_detach', { execID: process });
          }
          break;
      }
    },
    onClose: () => {
      if (ended) return;
      ended = true;
      if (starting !== undefined) {
        starting.lost();
        return;
      }
      if (container.supervisor === undefined || !container.running) return;
      log.warn({ container: container.id }, 'the supervisor ended without a word');
      const record = readExitRecord(engine, container);
      handleExit(
        engine,
        container,
        record ?? lostRun(container, EXIT_CODE_LOST, 'the supervisor of the container was killed'),
      );
    },
  };
}

/** The exit record that a supervisor has left; undefined where there is none. */
export function readExitRecord(engine: EngineContext, container: Container): ExitRecord | undefined {
  const { exitRecord } = containerPaths(engine.settings.dataRoot, engine.settings.execRoot, container.id);
  if (!existsSync(exitRecord)) return undefined;
  try {
    return JSON.parse(readFileSync(exitRecord, 'utf8')) as ExitRecord;
  } catch (error) {
    log.error({ container: container.id, error: errorMessage(error) }, 'cannot read the exit record');
    return undefined;
  }
}

function fromEvent(container: Container, event: Events['exited']): ExitRecord {
  const state = container.record.state;
  return {
    exitCode: event.exitCode,
    signal: event.signal,
    oomKilled: event.oomKilled,
    startedAt: state.startedAt,
    exitedAt: event.exitedAt,
    error: '',
  };
}
