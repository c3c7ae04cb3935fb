/**
 * The clients that build by the same daemon besides our own: `docker build` as classic builder and with BuildKit,
 * `docker buildx build` and `docker compose build`, in every version that is there. Each gets the same order; what one of
 * them cannot say is named here.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { newestBuildxProgram } from '../../fixtures/buildkit-peer.ts';
import { buildxProgram, composeProgram } from '../../fixtures/compose.ts';
import { dockerProgram } from '../../fixtures/packages.ts';
import { type Result, run } from '../command.ts';
import type { Daemon } from '../harness.ts';

export interface BuildOrder {
  folder: string;
  image: string;
  args: Readonly<Record<string, string>>;
  /** Folders by the names that `--from` has for them. */
  contexts: Readonly<Record<string, string>>;
  timeoutMs: number;
}

export interface WayIn {
  name: string;
  /** Its labels beside those of the order: Compose marks what it builds. */
  ownLabels: RegExp | undefined;
  /** What it cannot be told; undefined where it can be told all. */
  lacks(order: BuildOrder): string | undefined;
  build(daemon: Daemon, order: BuildOrder): Promise<void>;
}

/** Those that are installed; the classic one always is. */
export async function otherWaysIn(): Promise<WayIn[]> {
  const buildx = different([buildxProgram(), newestBuildxProgram()]);
  const docker = different([await dockerProgram(), ...DOCKER_PROGRAMS]);
  const compose = composeProgram();
  return [
    CLASSIC,
    ...(await Promise.all(docker.map(async (program) => await buildkitWay(program, buildx.at(-1))))),
    ...buildx.map(buildxWay),
    ...(compose === undefined ? [] : [composeWay(compose)]),
  ];
}

/** Those of distributions and of Docker's own packages: before version 23 it has BuildKit's client in itself. */
const DOCKER_PROGRAMS = ['/usr/bin/docker', '/usr/local/bin/docker'];

function different(programs: readonly (string | undefined)[]): string[] {
  const there = programs.filter((path) => path !== undefined).filter((path) => existsSync(path));
  return [...new Set(there.map((path) => realpathSync(path)))];
}

const CLASSIC: WayIn = {
  name: 'docker build',
  ownLabels: undefined,
  lacks: ({ contexts }) => (Object.keys(contexts).length > 0 ? 'it has no --build-context' : undefined),
  build: async (daemon, order) => {
    const words = ['build', ...flags(order), order.folder];
    const env = { DOCKER_BUILDKIT: '0' };
    succeeded(
      CLASSIC,
      await daemon.docker(await dockerProgram(), words, { env, timeoutMs: order.timeoutMs }),
    );
  },
};

/** From version 23 on it calls buildx for it. */
async function buildkitWay(program: string, buildx: string | undefined): Promise<WayIn> {
  const { stdout } = await run([program, '--version']);
  const isOld = Number(/version (\d+)/.exec(stdout)?.[1] ?? 0) < 23;
  const way: WayIn = {
    name: `${program} build with BuildKit`,
    ownLabels: undefined,
    lacks: ({ contexts }) => {
      if (!isOld) return buildx === undefined ? 'it needs buildx' : undefined;
      return Object.keys(contexts).length > 0 ? 'it has no --build-context' : undefined;
    },
    build: async (daemon, order) => {
      const config = join(daemon.folder, 'docker-config');
      const plugin = join(config, 'cli-plugins/docker-buildx');
      mkdirSync(join(config, 'cli-plugins'), { recursive: true });
      if (buildx !== undefined && !existsSync(plugin)) symlinkSync(buildx, plugin);
      const contexts = pairs(order.contexts).flatMap((pair) => ['--build-context', pair]);
      const words = ['build', '--progress', 'plain', ...flags(order), ...contexts, order.folder];
      const env = { DOCKER_BUILDKIT: '1', DOCKER_CONFIG: config };
      succeeded(way, await daemon.docker(program, words, { env, timeoutMs: order.timeoutMs }));
    },
  };
  return way;
}

function buildxWay(program: string): WayIn {
  const way: WayIn = {
    name: `${program} build`,
    ownLabels: undefined,
    lacks: () => undefined,
    build: async (daemon, order) => {
      const contexts = pairs(order.contexts).flatMap((pair) => ['--build-context', pair]);
      const words = ['build', '--progress', 'plain', ...flags(order), ...contexts, order.folder];
      succeeded(way, await daemon.docker(program, words, { timeoutMs: order.timeoutMs }));
    },
  };
  return way;
}

function composeWay(program: string): WayIn {
  const way: WayIn = {
    name: 'docker compose build',
    ownLabels: /^com\.docker\.compose\./,
    lacks: () => undefined,
    build: async (daemon, { folder, image, args, contexts, timeoutMs }) => {
      const file = join(daemon.folder, `${image}.compose.json`);
      // `$` begins a variable of Compose's own.
      const text = JSON.stringify({
        name: 'corpus',
        services: {
          [image]: {
            image,
            build: { context: folder, network: 'none', args, additional_contexts: contexts },
          },
        },
      }).replaceAll('$', '$$$$');
      writeFileSync(file, text);
      const words = ['--progress', 'plain', '--file', file, 'build'];
      succeeded(way, await daemon.docker(program, words, { timeoutMs }));
    },
  };
  return way;
}

function flags({ image, args }: BuildOrder): string[] {
  return ['--network', 'none', '-t', image, ...pairs(args).flatMap((pair) => ['--build-arg', pair])];
}

function pairs(values: Readonly<Record<string, string>>): string[] {
  return Object.entries(values).map(([name, value]) => `${name}=${value}`);
}

function succeeded({ name }: WayIn, { code, stdout, stderr }: Result): void {
  assert.equal(code, 0, `${name}: ${stderr}${stdout}`);
}
