/**
 * The clients that build by the same daemon besides our own: `docker build` as classic builder, `docker buildx build` and
 * `docker compose build`. Each gets the same order; what one of them cannot say is named here.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildxProgram, composeProgram } from '../../fixtures/compose.ts';
import { dockerProgram } from '../../fixtures/packages.ts';
import type { Result } from '../command.ts';
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
export function otherWaysIn(): WayIn[] {
  const buildx = buildxProgram();
  const compose = composeProgram();
  return [
    CLASSIC,
    ...(buildx === undefined ? [] : [buildxWay(buildx)]),
    ...(compose === undefined ? [] : [composeWay(compose)]),
  ];
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

function buildxWay(program: string): WayIn {
  const way: WayIn = {
    name: 'docker buildx build',
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
