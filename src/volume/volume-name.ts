/** What a volume may be called, and by which driver it may be made. */
import { InvalidParameterError, NotFoundError } from '../base/errors.ts';

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

/** Throws InvalidParameter with Docker's texts for what cannot be a local volume's name. */
export function checkVolumeName(name: string): void {
  if (name.length === 1) {
    throw new InvalidParameterError(
      'volume name is too short, names should be at least two alphanumeric characters',
    );
  }
  if (!NAME.test(name)) {
    throw new InvalidParameterError(
      `"${name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`,
    );
  }
  if (name.length > 255)
    throw new InvalidParameterError(`volume name of ${name.length} characters is too long`);
}

/** No drivers can be installed: those that are asked for are missing. Throws NotFound with Docker's text. */
export function checkDriver(driver: string): void {
  if (driver === '' || driver === 'local') return;
  throw new NotFoundError(`error looking up volume plugin ${driver}: plugin "${driver}" not found`);
}
