/**
 * Whether containers get the default AppArmor profile, and that the kernel has it: loaded when the daemon starts, so
 * that a newer text replaces an older one, and again where something has removed it since. Without AppArmor or its
 * parser containers run without; where the parser fails, they do not start. All as with Docker.
 */
import { execFile } from 'node:child_process';
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { HostConfig } from '../api/host-config.ts';
import { errorMessage, InternalError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { apparmorProfileText, DEFAULT_APPARMOR_PROFILE } from '../oci/apparmor-profile.ts';
import { namesApparmor, type SpecInput } from '../oci/generate.ts';

/** What is asked of the host; replaced in tests. */
export interface ApparmorHost {
  /** Path of apparmor_parser; undefined where it is not installed. */
  readonly parser: string | undefined;
  /** Lines `name (mode)`. Throws where the kernel does not tell. */
  loadedProfiles(): string;
  /** Gives the profile to the parser. Rejects with what that says. */
  load(parser: string): Promise<void>;
}

export class DefaultApparmor {
  readonly #host: ApparmorHost | undefined;
  #loading: Promise<unknown> = Promise.resolve();
  /** Of all starts that miss it at once. */
  #again: Promise<void> | undefined;
  #problem: string | undefined;

  /** `host` is undefined where the kernel has no AppArmor. Begins to load the profile; nothing waits for that here. */
  constructor(host: ApparmorHost | undefined) {
    this.#host = host;
    if (host === undefined) return;
    if (host.parser === undefined) {
      this.#problem =
        'AppArmor is enabled, but apparmor_parser is not installed: containers run without a profile';
      log.warn(this.#problem);
      return;
    }
    this.#loading = this.#load(host, host.parser).catch((error: unknown) =>
      log.error({ reason: errorMessage(error) }, 'the default AppArmor profile is not loaded'),
    );
  }

  /** What containers get who ask for nothing; undefined: none. */
  get profile(): string | undefined {
    return this.#host?.parser === undefined ? undefined : DEFAULT_APPARMOR_PROFILE;
  }

  /** Why containers lack the profile, or do not start. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** For `generateSpec`. Throws Internal, with Docker's text, where the container needs the profile and cannot have it. */
  async forRun(hostConfig: HostConfig): Promise<Pick<SpecInput, 'apparmorDefault'>> {
    if (this.profile === undefined || namesApparmor(hostConfig)) return {};
    await this.require();
    return { apparmorDefault: this.profile };
  }

  /** Sees to it that the kernel has the profile. Throws as `forRun`. */
  async require(): Promise<void> {
    if (this.#host?.parser === undefined) return;
    await this.#loading;
    if (isLoaded(this.#host)) return;
    this.#again ??= this.#load(this.#host, this.#host.parser).finally(() => {
      this.#again = undefined;
    });
    await this.#again;
  }

  async #load(host: ApparmorHost, parser: string): Promise<void> {
    try {
      await host.load(parser);
      this.#problem = undefined;
    } catch (error) {
      this.#problem =
        `AppArmor enabled on system but the ${DEFAULT_APPARMOR_PROFILE} profile could not be loaded: ` +
        `${errorMessage(error)}`;
      throw new InternalError(this.#problem);
    }
  }
}

function isLoaded(host: ApparmorHost): boolean {
  try {
    return `\n${host.loadedProfiles()}`.includes(`\n${DEFAULT_APPARMOR_PROFILE} (`);
  } catch (error) {
    throw new InternalError(
      `Could not check if ${DEFAULT_APPARMOR_PROFILE} AppArmor profile was loaded: ${errorMessage(error)}`,
    );
  }
}

const POLICIES = '/etc/apparmor.d';
const LOADED_PROFILES = '/sys/kernel/security/apparmor/profiles';
const LOAD_LIMIT_MS = 60_000;

/** The machine that the daemon runs on. */
export function apparmorHost(): ApparmorHost {
  return {
    parser: findParser(),
    loadedProfiles: () => readFileSync(LOADED_PROFILES, 'utf8'),
    load: runParser,
  };
}

function findParser(): string | undefined {
  const folders = ['/usr/sbin', '/sbin', ...(process.env['PATH'] ?? '').split(':')];
  return folders
    .filter((folder) => folder.startsWith('/'))
    .map((folder) => join(folder, 'apparmor_parser'))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        // Not in this folder.
        return false;
      }
    });
}

/** Replaces what is loaded, and leaves the parser's cache of compiled policies alone. */
function runParser(parser: string): Promise<void> {
  const text = apparmorProfileText({
    daemonLabel: ownLabel(),
    hasFile: (name) => existsSync(join(POLICIES, name)),
  });
  return new Promise((resolve, reject) => {
    const child = execFile(
      parser,
      ['-Kr'],
      { timeout: LOAD_LIMIT_MS, env: { ...process.env, LC_ALL: 'C' } },
      (error, stdout, stderr) => {
        if (error === null) return resolve();
        const output = `${stdout}${stderr}`.trim();
        const end =
          error.killed === true ? `no end after ${LOAD_LIMIT_MS / 1000} s` : `exit status ${error.code}`;
        reject(new InternalError(`running '${parser} -Kr' failed with output: ${output}\nerror: ${end}`));
      },
    );
    // A parser that ends before it has read all says why itself.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(text);
  });
}

/** The file of its own is Linux 5.8's; the other may be another security module's. */
function ownLabel(): string {
  for (const path of ['/proc/self/attr/apparmor/current', '/proc/self/attr/current']) {
    try {
      return readFileSync(path, 'utf8').replaceAll('\0', '').trim();
    } catch {
      // Older kernels have the second alone.
    }
  }
  return '';
}
