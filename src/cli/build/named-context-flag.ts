/** `--build-context name=value`: a folder, or an address of an image, a layout, a stage, a repository or a tar. */

import { type LayoutAddress, parseLayout } from './oci-layout.ts';

export interface NamedContext {
  readonly name: string;
  readonly value: string;
}

/** What the daemon is told of a context that is no folder of this machine. */
export type RemoteContext =
  | { kind: 'image'; reference: string }
  /** Looked up and served here. */
  | ({ kind: 'oci-layout' } & LayoutAddress)
  | { kind: 'stage'; name: string }
  | { kind: 'git'; url: string }
  | { kind: 'http'; url: string };

export function parseNamedContext(text: string): NamedContext {
  const equals = text.indexOf('=');
  const name = text.slice(0, Math.max(equals, 0)).trim();
  const value = text.slice(equals + 1);
  if (name === '' || value === '') throw new Error('it must be name=value');
  // What is wrong with it is told of the flag.
  remoteContext(value);
  return { name, value };
}

/** Undefined for a folder. */
export function remoteContext(value: string): RemoteContext | undefined {
  const after = (prefix: string): string | undefined =>
    value.startsWith(prefix) ? value.slice(prefix.length) : undefined;
  const image = after('docker-image://');
  if (image !== undefined) return { kind: 'image', reference: image };
  const stage = after('target:');
  if (stage !== undefined) return { kind: 'stage', name: stage };
  const layout = after('oci-layout://');
  if (layout !== undefined) return { kind: 'oci-layout', ...parseLayout(layout) };
  if (isGitAddress(value)) return { kind: 'git', url: value };
  return /^https?:\/\//.test(value) ? { kind: 'http', url: value } : undefined;
}

/** Whether an argument of `build` is an address, which the daemon fetches. */
export function isAddress(text: string): boolean {
  return /^https?:\/\//.test(text) || isGitAddress(text);
}

function isGitAddress(text: string): boolean {
  if (/^(git|ssh):\/\/|^git@|^github\.com\//.test(text)) return true;
  return /^https?:\/\/[^#?]*\.git([#?]|$)/.test(text);
}
