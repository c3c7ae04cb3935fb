/**
 * The last part of a start: a supervisor is spawned over a bundle, makes the init, and lets it execute its program once the
 * container's network is there. Where that fails, nothing lives on.
 */
import { EngineError, errorMessage, InternalError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { step, stepSync } from '../base/steps.ts';
import { configPlatform } from '../image/image-config.ts';
import { whyNotExecuted } from '../image/runnable-platforms.ts';
import { handOverPending } from './attach.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './engine-context.ts';
import { watchHealth } from './health-monitor.ts';
import { FOREIGN_STEP } from './runtimes.ts';
import { Supervisor } from './supervisor.ts';
import { superviseHandlers } from './watch.ts';

const SIGKILL = 9;

/** A start that failed in the container's program, not in the engine: 126 and 127 are the user's, 125 is ours. */
export class StartFailure extends EngineError {
  readonly exitCode: number;

  constructor(exitCode: number, message: string) {
    super(exitCode === 125 ? 'Internal' : 'InvalidParameter', message);
    this.exitCode = exitCode;
  }
}

/**
 * Spawns the supervisor, and lets the init run when its network is there; connections that wait get its output from the
 * first byte.
 */
export async function launch(
  engine: EngineContext,
  container: Container,
  bundle: string,
  network: Promise<void>,
): Promise<void> {
  const begun = Promise.withResolvers<void>();
  const handlers = superviseHandlers(engine, container, {
    started: ({ pid, startedAt }) => {
      try {
        stepSync('start/record', container.id, () => container.transition({ to: 'running', pid, startedAt }));
        // Now and not when the promise is heard: the end of a short run may be the next message.
        watchHealth(engine, container);
        engine.events.container(container, 'start');
        begun.resolve();
      } catch (error) {
        begun.reject(error);
      }
    },
    failed: ({ exitCode, step, message }) =>
      begun.reject(new StartFailure(exitCode, startErrorText(step, explained(engine, container, message)))),
    lost: () =>
      begun.reject(new InternalError(`supervisor of container ${container.id} ended before the start`)),
  });
  const supervisor = await step('start/spawn', container.id, () =>
    Supervisor.spawn(engine.settings.runtimePath, bundle, handlers),
  );
  container.supervisor = supervisor;
  // It may fail while the network is waited for.
  begun.promise.catch(() => undefined);
  try {
    await network;
  } catch (error) {
    await endUnstarted(container, supervisor, begun.promise);
    throw error;
  }
  try {
    stepSync('start/attach', container.id, () => handOverPending(container, supervisor));
    stepSync('start/command', container.id, () => supervisor.send('start', {}));
  } catch (error) {
    // It has left: why is in what it has sent before, or it is lost. Either ends the start.
    log.debug({ container: container.id, error: errorMessage(error) }, 'the supervisor takes no command');
  }
  await begun.promise;
}

/** Ends an init that waits in front of its program; its supervisor gives back what it has made, and says so. */
async function endUnstarted(
  { id }: Container,
  supervisor: Supervisor,
  begun: Promise<unknown>,
): Promise<void> {
  try {
    supervisor.send('kill', { process: '', signal: SIGKILL, all: true });
  } catch (error) {
    log.debug({ container: id, error: errorMessage(error) }, 'the supervisor takes no command');
  }
  await Promise.allSettled([begun]);
}

/** With what keeps this machine from executing programs of the image's platform, where it was that. */
function explained({ images }: EngineContext, { record }: Container, message: string): string {
  const image = images.get(record.imageId);
  const foreign = image && whyNotExecuted(message, configPlatform(image.config));
  return foreign === undefined ? message : `${message}: ${foreign}`;
}

/** Docker's frame around the runtime's message: scripts match on it. */
function startErrorText(step: string, message: string): string {
  const frame = 'failed to create task for container: failed to create shim task: OCI runtime';
  const foreign = FOREIGN_STEP.exec(step)?.[1];
  if (foreign !== undefined) return `${frame} ${foreign} failed: ${message}`;
  return `${frame} create failed: unable to start container process: ${message}`;
}

/** Ends whatever a start that failed has brought to life, and lets go of it. */
export function abandon(container: Container): void {
  const { supervisor } = container;
  container.supervisor = undefined;
  if (supervisor === undefined) return;
  try {
    if (supervisor.open) supervisor.send('kill', { process: '', signal: SIGKILL, all: true });
  } catch (error) {
    log.debug({ container: container.id, error: errorMessage(error) }, 'the supervisor has left already');
  }
  supervisor.disconnect();
}
