/** Values of `--secret`, read when a step asks for them, and looked for before. */
import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { GrpcError } from '../../../api/grpc/status.ts';
import { errnoCode } from '../../../base/errors.ts';
import { CliError } from '../../cli-error.ts';
import type { Io } from '../../io.ts';
import type { SecretFlag } from '../secret-flag.ts';

const MAX_BYTES = 500 * 1024;

type Place = { readonly env: string } | { readonly file: string };

export class SessionSecrets {
  readonly #places = new Map<string, Place>();
  readonly #env: Io['env'];

  /** Throws CliError for a file that is not there or too large. */
  constructor(flags: readonly SecretFlag[], io: Pick<Io, 'env' | 'cwd'>) {
    this.#env = io.env;
    for (const { id, env, file } of flags) {
      const variable = env ?? (file === undefined && io.env[id] !== undefined ? id : undefined);
      if (variable !== undefined) {
        this.#places.set(id, { env: variable });
        continue;
      }
      const path = resolve(io.cwd, file ?? id);
      requireFile(id, path);
      this.#places.set(id, { file: path });
    }
  }

  /** Throws GrpcError NotFound for what was not given. */
  read(id: string): Buffer {
    const place = this.#places.get(id);
    if (place === undefined) throw new GrpcError('NotFound', `secret ${id} not found`);
    if ('file' in place) return readFileSync(place.file);
    const value = this.#env[place.env];
    if (value === undefined) throw new GrpcError('NotFound', `secret ${id} not found`);
    return Buffer.from(value);
  }
}

function requireFile(id: string, path: string): void {
  try {
    const stats = statSync(path);
    if (stats.isDirectory()) throw new CliError(`cannot use secret ${id}: ${path} is a directory`);
    if (stats.size > MAX_BYTES) {
      throw new CliError(
        `cannot use secret ${id}: ${path} has ${stats.size} bytes, at most ${MAX_BYTES} are allowed`,
      );
    }
  } catch (error) {
    if (error instanceof CliError) throw error;
    const reason = errnoCode(error) === 'ENOENT' ? 'no such file or directory' : String(error);
    throw new CliError(`cannot use secret ${id}: stat ${path}: ${reason}`);
  }
}
