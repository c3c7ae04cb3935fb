/**
 * `docker compose build` and `up --build` against mydockd: several services at once over one session each, with targets,
 * arguments, secrets and named contexts. Skipped where there is no Compose (fixtures/compose.ts).
 */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { composeProgram } from '../../fixtures/compose.ts';
import type { Result } from '../command.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

const program = composeProgram();

const PROJECT = `
name: works
services:
  web:
    build:
      context: web
      target: final
      args: {GREETING: hello}
      secrets: [token]
      additional_contexts: {pages: ./pages}
      labels: {part: web}
    command: cat /said
  tool:
    image: works/tool:1
    build:
      context: .
      dockerfile_inline: |
        FROM busybox
        RUN echo inline > /inline
    command: cat /inline
secrets:
  token: {file: ./token}
`;

const DOCKERFILE = `FROM busybox AS first
ARG GREETING
RUN --mount=type=secret,id=token echo "$GREETING $(cat /run/secrets/token)" > /said
FROM first AS final
COPY --from=pages index /index
FROM first AS unused
RUN false
`;

describe('docker compose build', { skip: program === undefined ? 'no Compose is installed' : false }, () => {
  let daemon: Daemon;
  let close: () => Promise<void>;
  let folder: string;

  before(async () => {
    ({ daemon, close } = await daemonWithBusybox());
    folder = join(daemon.folder, 'works');
    mkdirSync(join(folder, 'web'), { recursive: true });
    mkdirSync(join(folder, 'pages'));
    writeFileSync(join(folder, 'compose.yaml'), PROJECT);
    writeFileSync(join(folder, 'token'), 'secret');
    writeFileSync(join(folder, 'web/Dockerfile'), DOCKERFILE);
    writeFileSync(join(folder, 'pages/index'), 'a page');
  });
  after(async () => await close());

  const compose = async (...args: string[]): Promise<Result> =>
    await daemon.docker(program ?? '', ['--progress', 'plain', '--project-directory', folder, ...args]);

  test('all services are built, each with its own target, arguments, secrets and contexts', async () => {
    const { code, stdout, stderr } = await compose('build');
    assert.equal(code, 0, stderr);
    assert.match(`${stdout}${stderr}`, /\[web final 2\/2\] COPY --from=pages/);
    assert.equal(
      await daemon.ok('run', '--rm', 'works-web', 'cat', '/said', '/index'),
      'hello secret\na page',
    );
    assert.equal(await daemon.ok('inspect', '--format', '{{.Config.Labels.part}}', 'works-web'), 'web');
    assert.equal(await daemon.ok('run', '--rm', 'works/tool:1', 'cat', '/inline'), 'inline');
  });

  test('up --build runs what it built, and makes nothing anew where nothing changed', async () => {
    const { code, stderr } = await compose('up', '--build', '--detach');
    assert.equal(code, 0, stderr);
    const containers = async (): Promise<string> => await daemon.ok('ps', '-aq', '--no-trunc');
    const before = await containers();
    assert.equal(before.split('\n').length, 2);
    const again = await compose('up', '--build', '--detach');
    assert.equal(again.code, 0, again.stderr);
    assert.equal(await containers(), before);
    const down = await compose('down', '--volumes');
    assert.equal(down.code, 0, down.stderr);
  });

  test('a build that fails names the service and the step', async () => {
    writeFileSync(join(folder, 'web/Dockerfile'), DOCKERFILE.replace('RUN --mount', 'RUN exit 3 # --mount'));
    const { code, stdout, stderr } = await compose('build', 'web');
    assert.notEqual(code, 0);
    assert.match(`${stdout}${stderr}`, />? ?\[web first 2\/2\] RUN exit 3(.*\n)+.*exit code: 3/);
  });
});
