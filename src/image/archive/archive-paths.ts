/**
 * Names inside an archive. They are keys of a map and never paths of the host, but one that would lead out of the
 * archive says that the archive is not what it claims to be, so it is refused by name.
 */
import { InvalidParameterError } from '../../base/errors.ts';

const MAX_NAME_LENGTH = 4096;

/** The name without `.` parts and slashes at its end; '' for the root itself. Throws for one that leads out. */
export function archivePath(name: string): string {
  if (name.length > MAX_NAME_LENGTH) {
    throw new InvalidParameterError(`image archive: a name of ${name.length} bytes is too long`);
  }
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (name.startsWith('/') || parts.includes('..')) throw leadsOut(name);
  return parts.join('/');
}

/** What a symbolic link at `from` means, by names alone. */
export function symlinkTarget(from: string, target: string): string {
  if (target.length > MAX_NAME_LENGTH || target.startsWith('/')) throw linkLeadsOut(from, target);
  const parts = from.split('/').slice(0, -1);
  for (const part of target.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') parts.push(part);
    else if (parts.pop() === undefined) throw linkLeadsOut(from, target);
  }
  return parts.join('/');
}

function leadsOut(name: string): InvalidParameterError {
  return new InvalidParameterError(`image archive: entry ${JSON.stringify(name)} leads out of the archive`);
}

function linkLeadsOut(from: string, target: string): InvalidParameterError {
  const shown = JSON.stringify(target.slice(0, 256));
  return new InvalidParameterError(
    `image archive: link ${JSON.stringify(from)} to ${shown} leads out of the archive`,
  );
}
