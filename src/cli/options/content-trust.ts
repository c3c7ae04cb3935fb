/** `--disable-content-trust`: there are no signatures of Docker's Notary here, so that only "true" can be had. */
import { CliError } from '../cli-error.ts';
import { boolFlag } from '../flags/declare.ts';
import type { FlagTable } from '../flags/flag-table.ts';

export function contentTrustFlag(command: FlagTable): void {
  boolFlag(command, '--disable-content-trust', 'Accepted: content is checked by its digests', true);
}

/** Throws where signatures were asked for. */
export function requireNoContentTrust(disabled: boolean): void {
  if (disabled) return;
  throw new CliError(
    '--disable-content-trust=false: content trust is not supported: name the image by its digest instead',
  );
}
