/**
 * Which CDI devices there are: the specification files of some folders, of which a later one goes before an earlier
 * one. Files are read anew when they change. One that cannot be read, and devices that two files of one folder offer,
 * are problems that are told, and take nothing else along.
 */
import { readdirSync, readFileSync, type Stats, statSync } from 'node:fs';
import { join } from 'node:path';
import { errorMessage, InvalidParameterError } from '../../base/errors.ts';
import { parseQualifiedName } from './names.ts';
import { parseCdiSpec } from './parse-spec.ts';
import type { CdiDevice, CdiSpec, ContainerEdits } from './spec.ts';

export const DEFAULT_CDI_SPEC_DIRS: readonly string[] = ['/etc/cdi', '/var/run/cdi'];

const MAX_FILE_BYTES = 8 * 1024 * 1024;

export interface CdiListing {
  /** Qualified names, in order. */
  devices: string[];
  /** One sentence each. */
  problems: string[];
}

interface FoundDevice {
  spec: CdiSpec;
  device: CdiDevice;
  folder: number;
  path: string;
}

interface CachedFile {
  stamp: string;
  spec?: CdiSpec;
  problem?: string;
}

export class CdiRegistry {
  readonly #folders: readonly string[];
  readonly #files = new Map<string, CachedFile>();

  constructor(folders: readonly string[]) {
    this.#folders = folders;
  }

  get folders(): readonly string[] {
    return this.#folders;
  }

  async list(): Promise<CdiListing> {
    const { found, problems } = await this.#scan();
    return { devices: [...found.keys()].sort(), problems };
  }

  /**
   * What to change in a container that gets the devices, in their order; edits of a file as a whole come once, before
   * its first device. Throws InvalidParameter with Docker's text for devices that there are not.
   */
  async edits(names: readonly string[]): Promise<ContainerEdits[]> {
    const { found, problems } = await this.#scan();
    const missing = names.filter((name) => parseQualifiedName(name) === undefined || !found.has(name));
    if (missing.length > 0) {
      const why = problems.length === 0 ? '' : ` (${problems.join('; ')})`;
      throw new InvalidParameterError(
        `CDI device injection failed: unresolvable CDI devices ${missing.join(', ')}${why}`,
      );
    }
    const seen = new Set<CdiSpec>();
    return [...new Set(names)].flatMap((name) => {
      const { spec, device } = found.get(name) as FoundDevice;
      const global = seen.has(spec) ? [] : [spec.containerEdits ?? {}];
      seen.add(spec);
      return [...global, device.containerEdits];
    });
  }

  async #scan(): Promise<{ found: Map<string, FoundDevice>; problems: string[] }> {
    const found = new Map<string, FoundDevice>();
    const conflicts = new Map<string, number>();
    const problems: string[] = [];
    const present = new Set<string>();
    for (const [folder, directory] of this.#folders.entries()) {
      for (const path of specFiles(directory, problems)) {
        present.add(path);
        const file = await this.#read(path);
        if (file.problem !== undefined) problems.push(`CDI specification ${path}: ${file.problem}`);
        for (const device of file.spec?.devices ?? []) {
          const name = `${file.spec?.kind}=${device.name}`;
          const other = found.get(name);
          if (other?.folder === folder) {
            conflicts.set(name, folder);
            problems.push(`CDI device ${name} is in ${other.path} and in ${path}`);
          } else if (file.spec !== undefined) {
            found.set(name, { spec: file.spec, device, folder, path });
          }
        }
      }
    }
    // A folder that goes before has settled it.
    for (const [name, folder] of conflicts) if (found.get(name)?.folder === folder) found.delete(name);
    for (const path of this.#files.keys()) if (!present.has(path)) this.#files.delete(path);
    return { found, problems };
  }

  async #read(path: string): Promise<CachedFile> {
    let stamp = '';
    try {
      const status = statSync(path);
      stamp = stampOf(status);
      const cached = this.#files.get(path);
      if (cached?.stamp === stamp) return cached;
      if (!status.isFile()) throw new InvalidParameterError('is no regular file');
      if (status.size > MAX_FILE_BYTES)
        throw new InvalidParameterError(`is larger than ${MAX_FILE_BYTES} bytes`);
      const spec = await parseCdiSpec(readFileSync(path, 'utf8'), path.endsWith('.json') ? 'json' : 'yaml');
      return this.#keep(path, { stamp, spec });
    } catch (error) {
      return this.#keep(path, { stamp, problem: errorMessage(error) });
    }
  }

  #keep(path: string, file: CachedFile): CachedFile {
    this.#files.set(path, file);
    return file;
  }
}

function stampOf({ dev, ino, size, mtimeMs, ctimeMs }: Stats): string {
  return [dev, ino, size, mtimeMs, ctimeMs].join(' ');
}

/** In name order; a folder that is not there has none. */
function specFiles(directory: string, problems: string[]): string[] {
  try {
    return readdirSync(directory)
      .filter((name) => /\.(json|yaml)$/.test(name))
      .sort()
      .map((name) => join(directory, name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
      problems.push(`CDI folder ${directory}: ${errorMessage(error)}`);
    }
    return [];
  }
}
