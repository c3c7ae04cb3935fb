/** Giving a container another name. */

import { EngineError, errorMessage, InvalidParameterError } from '../base/errors.ts';
import { stepSync } from '../base/steps.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './engine-context.ts';
import { parseName } from './names.ts';

/** The caller holds the mutex. Throws InvalidParameter or Conflict with Docker's texts. */
export function renameContainer(engine: EngineContext, container: Container, wanted: string): void {
  if (wanted === '') throw new InvalidParameterError('Neither old nor new names may be empty');
  const old = container.record.name;
  if (wanted.replace(/^\//, '') === old) {
    throw new InvalidParameterError('Renaming a container with the same name as its current name');
  }
  try {
    const name = parseName(wanted);
    stepSync('rename/record', container.id, () => engine.containers.rename(container, name));
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    throw new EngineError(error.kind, `Error when allocating new name: ${errorMessage(error)}`);
  }
  if (container.running) {
    stepSync('rename/network', container.id, () =>
      engine.networks.rename(container.id, container.record.name),
    );
  }
  engine.events.container(container, 'rename', { oldName: `/${old}` });
}
