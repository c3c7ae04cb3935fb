/**
 * What a check of the stores is: it looks at one concept's records and files, reports what is wrong, and mends it where
 * it was asked to and can. Each concept brings its own; src/daemon/system-check.ts runs them.
 */
import { errorMessage } from './errors.ts';

export interface Finding {
  /** `layer sha256:…`, `image busybox:latest`. */
  object: string;
  problem: string;
  /** What a repair does, or what the user can do where no repair can. */
  remedy: string;
  repaired: boolean;
}

/** How a check goes about it. */
export interface CheckRun {
  repair: boolean;
  /** Contents are not read: what only a digest would tell stays unknown. */
  quick: boolean;
  signal: AbortSignal;
  report(finding: Finding): void;
}

/**
 * Reports a finding, mended first by `mend` where repairs are wanted. A repair that fails is part of the report; without
 * `mend` there is none, and `remedy` says what is left to the user.
 */
export async function found(
  run: CheckRun,
  finding: Omit<Finding, 'repaired'>,
  mend?: () => Promise<void> | void,
): Promise<void> {
  if (!run.repair || mend === undefined) {
    run.report({ ...finding, repaired: false });
    return;
  }
  try {
    await mend();
    run.report({ ...finding, repaired: true });
  } catch (error) {
    run.signal.throwIfAborted();
    const remedy = `${finding.remedy}; the repair failed: ${errorMessage(error)}`;
    run.report({ ...finding, remedy, repaired: false });
  }
}
