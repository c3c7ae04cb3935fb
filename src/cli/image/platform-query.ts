/** `--platform` of verbs whose request takes an OCI platform as JSON (save, load). */
import { CliError } from '../cli-error.ts';

/** Undefined where the flag is not given. What the words mean is the daemon's to say, so that both halves are needed. */
export function platformQuery(flag: string | undefined): string | undefined {
  if (flag === undefined || flag === '') return undefined;
  const [os = '', architecture = '', variant, ...rest] = flag.split('/');
  if (os === '' || architecture === '' || rest.length > 0) {
    throw new CliError(
      `invalid platform: "${flag}": expected os/architecture or os/architecture/variant, as linux/arm64`,
    );
  }
  return JSON.stringify({ architecture, os, ...(variant === undefined ? {} : { variant }) });
}
