/** The client's half of TLS for tcp:// hosts: which files, and whether the server's certificate is checked. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** As given by flags; undefined for a flag that was not given. */
export interface TlsFlags {
  tls?: boolean | undefined;
  tlsverify?: boolean | undefined;
  tlscacert?: string | undefined;
  tlscert?: string | undefined;
  tlskey?: string | undefined;
}

export interface TlsOptions {
  readonly ca: Buffer | undefined;
  readonly cert: Buffer | undefined;
  readonly key: Buffer | undefined;
  readonly verify: boolean;
}

/**
 * Undefined where the connection is to be plain. Files default to ca.pem, cert.pem and key.pem in
 * DOCKER_CERT_PATH, else `~/.docker`; a default that does not exist is left out, a named file must exist.
 * `--tlsverify` or a non-empty DOCKER_TLS_VERIFY turns verification on.
 */
export function tlsOptions(flags: TlsFlags, env: Record<string, string | undefined>): TlsOptions | undefined {
  const verify = flags.tlsverify ?? (env['DOCKER_TLS_VERIFY'] ?? '') !== '';
  const named = flags.tlscacert !== undefined || flags.tlscert !== undefined || flags.tlskey !== undefined;
  if (!verify && flags.tls !== true && !named && (env['DOCKER_TLS'] ?? '') === '') return undefined;
  const folder = env['DOCKER_CERT_PATH'] || join(env['HOME'] ?? '/root', '.docker');
  return {
    ca: readPem('CA certificate', flags.tlscacert, join(folder, 'ca.pem'), verify),
    cert: readPem('certificate', flags.tlscert, join(folder, 'cert.pem'), false),
    key: readPem('key', flags.tlskey, join(folder, 'key.pem'), false),
    verify,
  };
}

function readPem(
  what: string,
  named: string | undefined,
  byDefault: string,
  required: boolean,
): Buffer | undefined {
  const path = named ?? byDefault;
  try {
    return readFileSync(path);
  } catch (cause) {
    if (named === undefined && !required) return undefined;
    throw new Error(`could not read ${what} "${path}": ${cause instanceof Error ? cause.message : cause}`, {
      cause,
    });
  }
}
