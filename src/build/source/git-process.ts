/**
 * Runs the host's git as root on what strangers made: without configuration of the machine or of a user, hooks, prompts,
 * credential helpers and transports other than those asked for, in a process group of its own that ends with the build.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { InternalError, NotImplementedError, UnavailableError } from '../../base/errors.ts';
import type { ProxyEnvironment } from '../../image/registry/proxy.ts';

export interface GitPrograms {
  git?: string;
  ssh?: string;
}

export interface GitSetting {
  key: string;
  value: string;
}

export interface GitRun {
  args: readonly string[];
  cwd: string;
  /** Transports that may be used: `https:http:ssh:git`, or `file` between our own folders. Default none. */
  protocols?: string;
  /** Settings that must not stand on a command line, which all users of the machine can read. */
  secrets?: readonly GitSetting[];
  sshAgent?: string | undefined;
  knownHosts?: string;
  signal: AbortSignal;
  /** Lines of progress and complaint, as they come. */
  onOutput?: ((text: string) => void) | undefined;
}

/** git ended with a failure; `output` has what it said. */
export class GitError extends UnavailableError {
  readonly output: string;

  constructor(action: string, output: string) {
    super(`git ${action}: ${lastLines(output)}`);
    this.output = output;
  }
}

const PROXY_VARIABLES = ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'ALL_PROXY'];
const SEARCHED = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** A transport that says nothing for so long is given up. */
const SILENCE_MS = 5 * 60_000;
const STDOUT_MAX_BYTES = 64 * 1024 * 1024;
const STDERR_MAX_BYTES = 64 * 1024;
/** Between the request to end and the end. */
const GRACE_MS = 500;

/** Settings against what a repository could make git do. */
const SETTINGS = [
  'core.hooksPath=/dev/null',
  'core.fsmonitor=false',
  'core.pager=cat',
  'core.symlinks=true',
  'core.autocrlf=false',
  'core.attributesFile=/dev/null',
  'core.excludesFile=/dev/null',
  'credential.helper=',
  'gc.auto=0',
  'maintenance.auto=false',
  'http.lowSpeedLimit=1',
  'http.lowSpeedTime=60',
  'advice.detachedHead=false',
  'init.defaultBranch=master',
  'safe.bareRepository=all',
  'submodule.recurse=false',
];

export class GitProcess {
  readonly #programs: GitPrograms;
  readonly #environment: ProxyEnvironment;

  /** `environment`: where the proxies are read. */
  constructor(programs: GitPrograms, environment: ProxyEnvironment) {
    this.#programs = programs;
    this.#environment = environment;
  }

  /** The path of git. Throws NotImplemented where the machine has none. */
  #git(): string {
    const { git } = this.#programs;
    const path =
      git ??
      `${process.env['PATH'] ?? ''}:${SEARCHED}`
        .split(delimiter)
        .filter((folder) => folder.startsWith('/'))
        .map((folder) => join(folder, 'git'))
        .find((file) => existsSync(file));
    if (path !== undefined && existsSync(path)) return path;
    throw new NotImplementedError(
      "sources from git need the program git, which is not installed on the daemon's machine",
    );
  }

  /** What git wrote to its standard output. Throws GitError, or the signal's reason. */
  async run(run: GitRun): Promise<string> {
    run.signal.throwIfAborted();
    const git = this.#git();
    const settings = SETTINGS.flatMap((setting) => ['-c', setting]);
    // Files of a checkout have the modes of git's own index, whatever the daemon's umask is.
    const script = 'umask 022; exec "$0" "$@"';
    const child = spawn('/bin/sh', ['-c', script, git, ...settings, ...run.args], {
      cwd: run.cwd,
      env: this.#env(run),
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const end = (signal: NodeJS.Signals): void => {
      try {
        // The group: git's helpers for https and ssh are in it.
        if (child.pid !== undefined) process.kill(-child.pid, signal);
      } catch {
        // It has ended meanwhile.
      }
    };
    let killer: NodeJS.Timeout | undefined;
    let silent = false;
    const stop = (): void => {
      end('SIGTERM');
      killer ??= setTimeout(() => end('SIGKILL'), GRACE_MS);
    };
    const silence = setTimeout(() => {
      silent = true;
      stop();
    }, SILENCE_MS);
    run.signal.addEventListener('abort', stop, { once: true });
    const stdout: Buffer[] = [];
    let stdoutBytes = 0;
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => {
      silence.refresh();
      stdoutBytes += chunk.length;
      if (stdoutBytes <= STDOUT_MAX_BYTES) stdout.push(chunk);
      else stop();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      silence.refresh();
      const text = chunk.toString('utf8');
      stderr = (stderr + text).slice(-STDERR_MAX_BYTES);
      run.onOutput?.(text);
    });
    try {
      const code = await new Promise<number | null>((resolve, reject) => {
        child.once('error', reject);
        child.once('close', resolve);
      });
      run.signal.throwIfAborted();
      const action = run.args.find((word) => /^[a-z]/.test(word)) ?? '';
      if (silent) throw new GitError(action, `no data for ${SILENCE_MS / 1000} seconds`);
      if (stdoutBytes > STDOUT_MAX_BYTES) throw new InternalError(`git ${action}: its answer is too long`);
      if (code !== 0) throw new GitError(action, stderr === '' ? `exit code ${code}` : stderr);
      return Buffer.concat(stdout).toString('utf8');
    } finally {
      clearTimeout(silence);
      clearTimeout(killer);
      run.signal.removeEventListener('abort', stop);
      end('SIGKILL');
    }
  }

  #env({ protocols = '', secrets = [], sshAgent, knownHosts }: GitRun): Record<string, string> {
    const env: Record<string, string> = {
      PATH: process.env['PATH'] ?? SEARCHED,
      // Nothing of a user's is found there, and nothing can be made.
      HOME: '/dev/null',
      LC_ALL: 'C',
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_CONFIG_GLOBAL: '/dev/null',
      GIT_CONFIG_SYSTEM: '/dev/null',
      GIT_ATTR_NOSYSTEM: '1',
      GIT_TERMINAL_PROMPT: '0',
      GIT_ASKPASS: '/bin/false',
      SSH_ASKPASS: '/bin/false',
      SSH_ASKPASS_REQUIRE: 'never',
      GIT_ALLOW_PROTOCOL: protocols === '' ? 'none' : protocols,
      GIT_LFS_SKIP_SMUDGE: '1',
      GIT_SSH_COMMAND: this.#sshCommand(knownHosts),
      GIT_SSH_VARIANT: 'ssh',
      GIT_CONFIG_COUNT: String(secrets.length),
    };
    for (const [index, { key, value }] of secrets.entries()) {
      env[`GIT_CONFIG_KEY_${index}`] = key;
      env[`GIT_CONFIG_VALUE_${index}`] = value;
    }
    if (sshAgent !== undefined) env['SSH_AUTH_SOCK'] = sshAgent;
    for (const name of PROXY_VARIABLES) {
      for (const variable of [name, name.toLowerCase()]) {
        const value = this.#environment[variable];
        if (value !== undefined) env[variable] = value;
      }
    }
    return env;
  }

  /**
   * The keys of the machine's root are not the build's: an agent's alone are offered. A host's key is taken at first sight
   * and kept; one that has changed is refused.
   */
  #sshCommand(knownHosts = '/dev/null'): string {
    const options = [
      'BatchMode=yes',
      'IdentityFile=none',
      'StrictHostKeyChecking=accept-new',
      `UserKnownHostsFile=${knownHosts}`,
      'UpdateHostKeys=no',
      'PermitLocalCommand=no',
      'ClearAllForwardings=yes',
      'ConnectTimeout=30',
      'ServerAliveInterval=15',
      'ServerAliveCountMax=4',
    ];
    const words = [this.#programs.ssh ?? 'ssh', '-F', '/dev/null', ...options.flatMap((one) => ['-o', one])];
    return words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
  }
}

/** git's last words say what went wrong; progress before them is overwritten on terminals. */
function lastLines(output: string): string {
  const lines = output.split('\n').map((line) => line.slice(line.lastIndexOf('\r') + 1).trim());
  const said = lines.filter(
    (line) =>
      line !== '' &&
      !/^(?:remote: )?(?:Counting|Compressing|Receiving|Resolving|Enumerating|Total)/.test(line),
  );
  return said.slice(-4).join('; ').slice(0, 1000);
}
