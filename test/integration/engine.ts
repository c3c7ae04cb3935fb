/**
 * Which engine the integration tests drive: mydockd with the mydock command, or, with MYDOCK_TEST_ENGINE=docker in
 * the environment, an installed dockerd with its own command, which shows that a test asks for what Docker does.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { CACHE } from '../fixtures/packages.ts';

const ROOT = resolve(import.meta.dirname, '../..');

export const TESTING_DOCKER = process.env['MYDOCK_TEST_ENGINE'] === 'docker';

/** The client under test; MYDOCK_TEST_CLIENT=docker puts another program in its place. */
export const CLIENT =
  process.env['MYDOCK_TEST_CLIENT'] ?? (TESTING_DOCKER ? 'docker' : join(ROOT, 'bin/mydock'));

export interface EnginePlace {
  readonly dataRoot: string;
  readonly execRoot: string;
  readonly socket: string;
}

/** The daemon's command line. */
export function daemonCommand(place: EnginePlace, args: readonly string[]): string[] {
  const common = [
    '--data-root',
    place.dataRoot,
    '--exec-root',
    place.execRoot,
    '--host',
    `unix://${place.socket}`,
  ];
  if (TESTING_DOCKER) {
    return ['dockerd', ...common, '--pidfile', `${place.socket}.pid`, '--group', 'root', ...args];
  }
  return [join(ROOT, 'bin/mydockd'), ...common, '--group', 'root', ...args];
}

/** Those of `dockerPrograms` whose output is that of version 28 or newer. */
export function recentDockerPrograms(): string[] {
  return dockerPrograms().filter((program) => {
    const { stdout } = spawnSync(program, ['--version'], { encoding: 'utf8', timeout: 10_000 });
    return Number(/version (\d+)/.exec(stdout)?.[1] ?? 0) >= 28;
  });
}

/** Every `docker` program on the PATH: several versions may be installed. Where none is, Debian's from the cache. */
export function dockerPrograms(): string[] {
  const folders = [...(process.env['PATH'] ?? '').split(':'), join(CACHE, 'package-docker.io/usr/bin')];
  const paths = folders.map((folder) => join(folder, 'docker')).filter((path) => existsSync(path));
  return [...new Set(paths.map((path) => realpathSync(path)))];
}
