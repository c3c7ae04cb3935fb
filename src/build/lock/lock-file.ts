/**
 * `Dockerfile.lock`: what the names of a Dockerfile that lead outside stood for when it was locked. One line an entry,
 * sorted, so that a change of one shows as one line of a diff:
 *
 *   version 1
 *   git https://example.com/tool.git#main 40 or 64 hex digits
 *   http https://example.com/tool.tar.gz sha256:…
 *   image docker.io/library/debian:12 sha256:…
 *   image docker.io/library/debian:12 linux/arm64 sha256:…
 *   local base:latest sha256:…
 *
 * An image's digest is that of the index where the registry has one, and then good for every platform; lines for one
 * platform stand where the same name led to several. `local` is an image that no registry knows, by its ID. Spaces,
 * control characters and `%` of names are written as `%XX`. Lines that begin with `#` are for people.
 */
import { InvalidParameterError } from '../../base/errors.ts';
import type { BuildMaterial } from '../solve/solved.ts';

const MAX_BYTES = 1 << 20;
const VERSION = 'version 1';
const SHA256 = /^sha256:[0-9a-f]{64}$/;
const COMMIT = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;
const PLATFORM = /^[a-z0-9]+\/[a-z0-9_]+(?:\/[a-z0-9.]+)?$/;
const PINS: Readonly<Record<BuildMaterial['kind'], RegExp>> = {
  git: COMMIT,
  http: SHA256,
  image: SHA256,
  local: SHA256,
};

export interface LockEntry extends BuildMaterial {
  /** In the file, from 1; undefined for one that is new. */
  line?: number;
}

/** Throws InvalidParameter, naming line and value, for what is no lock file. An empty text has no entries. */
export function parseLock(content: string): LockEntry[] {
  if (Buffer.byteLength(content) > MAX_BYTES) {
    throw new InvalidParameterError(`Dockerfile.lock has more than ${MAX_BYTES} bytes`);
  }
  const entries = new Map<string, LockEntry>();
  let version: string | undefined;
  for (const [index, raw] of content.split('\n').entries()) {
    const text = raw.trim();
    const line = index + 1;
    if (text === '' || text.startsWith('#')) continue;
    if (version === undefined) {
      if (text !== VERSION) throw wrong(line, text, `"${VERSION}"`);
      version = text;
      continue;
    }
    const entry = parseEntry(text, line);
    const before = entries.get(entryKey(entry));
    if (before !== undefined) {
      throw new InvalidParameterError(
        `Dockerfile.lock line ${line}: ${entry.name} is locked on line ${before.line} already`,
      );
    }
    entries.set(entryKey(entry), entry);
  }
  return [...entries.values()];
}

/** Sorted, one line each; the same entries give the same text. */
export function formatLock(entries: readonly BuildMaterial[]): string {
  const lines = entries.map((entry) => formatEntry(entry)).sort();
  return `${[VERSION, ...new Set(lines)].join('\n')}\n`;
}

/** As its line has it. */
export function formatEntry({ kind, name, platform, pin }: BuildMaterial): string {
  return [kind, encodeName(name), ...(platform === undefined ? [] : [platform]), pin].join(' ');
}

export function entryKey({ kind, name, platform = '' }: Omit<BuildMaterial, 'pin'>): string {
  return `${kind} ${platform} ${name}`;
}

function parseEntry(text: string, line: number): LockEntry {
  const words = text.split(/\s+/);
  const [kind = '', name = ''] = words;
  if (!isKind(kind)) throw wrong(line, kind, 'git, http, image or local');
  const platform = kind === 'image' && words.length === 4 ? words[2] : undefined;
  const pin = words.at(-1) ?? '';
  if (words.length !== (platform === undefined ? 3 : 4)) {
    throw wrong(line, text, `"${kind} NAME ${kind === 'git' ? 'COMMIT' : 'sha256:DIGEST'}"`);
  }
  if (platform !== undefined && !PLATFORM.test(platform)) {
    throw wrong(line, platform, 'a platform as os/architecture[/variant]');
  }
  if (!PINS[kind].test(pin)) {
    throw wrong(line, pin, kind === 'git' ? 'a full git commit' : 'sha256: and 64 hex digits');
  }
  return { kind, name: decodeName(name, line), pin, line, ...(platform === undefined ? {} : { platform }) };
}

function isKind(text: string): text is BuildMaterial['kind'] {
  return Object.hasOwn(PINS, text);
}

function encodeName(name: string): string {
  return name.replace(/[\s%\p{Cc}]/gu, (char) => encodeURIComponent(char));
}

function decodeName(text: string, line: number): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw wrong(line, text, 'a name whose % signs are written as %25');
  }
}

function wrong(line: number, value: string, expected: string): InvalidParameterError {
  const shown = value.length > 200 ? `${value.slice(0, 200)}…` : value;
  return new InvalidParameterError(
    `Dockerfile.lock line ${line}: invalid value ${JSON.stringify(shown)}: expected ${expected}`,
  );
}
