/** What a download is called: a server's Content-Disposition (RFC 6266), or the last part of its address. */
import { posix } from 'node:path';

const NAME_MAX_BYTES = 255;
const FALLBACK = 'download';

/** A name that can stand in a folder. The empty `disposition` says nothing. */
export function fileNameOf(url: URL, disposition: string): string {
  const told = dispositionName(disposition);
  const fromHeader = told === undefined || told.endsWith('/') ? '' : posix.basename(told);
  return safeName(fromHeader) ?? safeName(posix.basename(decoded(url.pathname))) ?? FALLBACK;
}

/** `filename*=UTF-8''…` goes before `filename="…"`. */
function dispositionName(disposition: string): string | undefined {
  const extended = /;\s*filename\*\s*=\s*utf-8'[^']*'([^;\s]+)/i.exec(disposition)?.[1];
  if (extended !== undefined) return decoded(extended);
  const quoted = /;\s*filename\s*=\s*"((?:[^"\\]|\\.)*)"/i.exec(disposition)?.[1];
  if (quoted !== undefined) return quoted.replace(/\\(.)/g, '$1');
  return /;\s*filename\s*=\s*([^;"\s]+)/i.exec(disposition)?.[1];
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // Percent signs that encode nothing stand for themselves.
    return text;
  }
}

function safeName(name: string): string | undefined {
  if (name === '' || name === '.' || name === '..' || /[/\u0000]/.test(name)) return undefined;
  return Buffer.byteLength(name) > NAME_MAX_BYTES ? undefined : name;
}
