/**
 * Changing the limits of a container that runs. mydock-runtime writes them (native/runtime/launch/cgroup_update.c), as
 * it does when a container starts: in an order that the kernel takes, on v1, v2 and both, told to systemd where that
 * made the group, and all taken back where one is refused.
 */
import { spawn } from 'node:child_process';
import { errorMessage, InternalError } from '../../base/errors.ts';
import type { LinuxResources } from '../../oci/runtime-spec.ts';

/** systemd may be busy; the kernel may have memory to reclaim below a new limit. */
const TIMEOUT_MS = 120_000;
const ERROR_MAX_BYTES = 16 * 1024;

/** `cgroupsPath` as config.json has it. Throws Internal with the kernel's reason; everything is as it was then. */
export async function writeLimits(
  runtime: string,
  cgroupsPath: string,
  resources: LinuxResources,
): Promise<void> {
  const child = spawn(runtime, ['limit', cgroupsPath], {
    stdio: ['pipe', 'ignore', 'pipe'],
    env: {},
    timeout: TIMEOUT_MS,
    killSignal: 'SIGKILL',
  });
  let said = '';
  const ended = Promise.withResolvers<number | null>();
  child.once('error', (error) => ended.reject(error));
  child.once('close', (code) => ended.resolve(code));
  let code: number | null;
  // One that could not be started, as for want of descriptors, has no streams; what it says instead is its error.
  if (child.pid !== undefined) {
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      if (said.length < ERROR_MAX_BYTES) said += text;
    });
    // A child that is gone before it has read says why by its end.
    child.stdin.on('error', () => {});
    child.stdin.end(JSON.stringify(resources));
  }
  try {
    code = await ended.promise;
  } catch (error) {
    throw new InternalError(`cannot run ${runtime}: ${errorMessage(error)}`, error);
  }
  if (code !== 0) throw new InternalError(said.trim() || `${runtime} limit was killed`);
}
