/** `<Dockerfile>.lock`: read before a build, written after it, whole or not at all. */
import { randomBytes } from 'node:crypto';
import { readFileSync, realpathSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { errnoCode } from '../../base/errors.ts';
import { CliError } from '../cli-error.ts';
import type { BuildContext } from './build-context.ts';
import type { BuildOptions } from './build-options.ts';
import type { LockOrder } from './order-build.ts';

const LOCK_ENDING = '.lock';

export class LockFile {
  readonly path: string;
  readonly order: LockOrder;

  private constructor(path: string, order: LockOrder) {
    this.path = path;
    this.order = order;
  }

  /** Undefined without `--lock` and `--locked`. Throws CliError where the Dockerfile is no file here. */
  static open({ lock, locked }: BuildOptions, { dockerfile }: BuildContext): LockFile | undefined {
    if (!lock && !locked) return undefined;
    if (dockerfile === undefined) {
      throw new CliError(
        `${lock ? '--lock' : '--locked'} keeps a file beside the Dockerfile, which has to be a file of this machine`,
      );
    }
    const path = `${realpathSync(dockerfile)}${LOCK_ENDING}`;
    const content = read(path);
    if (locked && content === undefined) {
      throw new CliError(`${path} does not exist: --lock writes it`);
    }
    return new LockFile(path, { mode: lock ? 'update' : 'frozen', content: content ?? '' });
  }

  /** Keeps what the build says that the file is to be. */
  write(content: string | undefined): void {
    if (this.order.mode !== 'update' || content === undefined || content === this.order.content) return;
    const draft = `${this.path}.${randomBytes(6).toString('hex')}`;
    try {
      writeFileSync(draft, content, { flag: 'wx', flush: true });
      // An image is as new as the newest file of its context: the lock must not make it newer.
      const { mtimeMs } = statSync(this.path.slice(0, -LOCK_ENDING.length));
      const seconds = Math.floor(mtimeMs / 1000);
      utimesSync(draft, seconds, seconds);
      renameSync(draft, this.path);
    } catch (error) {
      rmSync(draft, { force: true });
      throw error;
    }
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
