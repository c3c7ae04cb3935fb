/** `--storage-opt` of a container: judged as Docker does. */
import type { HostConfig } from '../api/host-config.ts';
import { InvalidParameterError } from '../base/errors.ts';
import { checkSizeOption, sizeLimitObstacle } from '../volume/quota.ts';

/**
 * Throws InvalidParameter for an unknown option, a wrong size, and where the file system of the data root could not
 * hold an overlay to a limit: ext4 lets whoever mounted it, the daemon, write past any quota.
 */
export function checkStorageOptions(options: HostConfig['StorageOpt'], dataRoot: string): void {
  for (const [name, value] of Object.entries(options ?? {})) {
    if (name.toLowerCase() !== 'size') throw new InvalidParameterError(`unknown option ${name}`);
    checkSizeOption(value);
    const obstacle = sizeLimitObstacle(dataRoot);
    if (obstacle !== undefined) {
      throw new InvalidParameterError(
        `--storage-opt is supported only for overlay over xfs with 'pquota' mount option: ${obstacle}`,
      );
    }
  }
}
