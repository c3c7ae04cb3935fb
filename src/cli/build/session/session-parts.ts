/** What a build's session has to serve. Without any of it no session is opened, and none of its code is loaded. */
import type { OutputSink } from '../output-flag.ts';
import type { SecretFlag, SshFlag } from '../secret-flag.ts';

export interface SessionParts {
  readonly secrets: readonly SecretFlag[];
  readonly ssh: readonly SshFlag[];
  readonly sinks: ReadonlyMap<number, OutputSink>;
  /** Archives of folders that the daemon does not see, by the IDs under which it asks for them. */
  readonly uploads: ReadonlyMap<string, () => Promise<AsyncIterable<Uint8Array>>>;
  /** Folders of OCI layouts, by the names under which the daemon asks for their blobs. */
  readonly layouts: ReadonlyMap<string, string>;
}

export function needsSession({ secrets, ssh, sinks, uploads, layouts }: SessionParts): boolean {
  return secrets.length > 0 || ssh.length > 0 || sinks.size > 0 || uploads.size > 0 || layouts.size > 0;
}
