/**
 * Testcontainers for Node: a generic container with each wait strategy, exec, copies, logs, an image from a
 * Dockerfile, and networks. Its reaper is switched off: the image that it needs is on Docker Hub only.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, afterEach, before, describe, test } from 'node:test';
import { clientsMissing, loadClient } from '../../fixtures/clients.ts';
import { eventually } from '../command.ts';
import { type Daemon, daemonWithRegistry } from '../harness.ts';
import type { GenericContainer, Testcontainers, WaitStrategy } from './testcontainers-types.ts';

const SERVE = ['httpd', '-f', '-p', '80', '-h', '/var/www'];
const STARTUP_MS = 20_000;

describe('Testcontainers', { skip: clientsMissing() }, () => {
  let daemon: Daemon;
  let close: () => Promise<void>;
  let reference: string;
  let library: Testcontainers;

  before(async () => {
    const made = await daemonWithRegistry();
    ({ daemon, close } = made);
    reference = `${made.registry.host}/busybox:latest`;
    // The library reads its settings once, when it is loaded.
    Object.assign(process.env, {
      DOCKER_HOST: `unix://${daemon.socket}`,
      HOME: daemon.home,
      TESTCONTAINERS_RYUK_DISABLED: 'true',
    });
    library = loadClient<Testcontainers>('testcontainers');
  });
  after(async () => await close());
  afterEach(async () => await daemon.removeContainers());

  const generic = (wait: WaitStrategy, command: string[] = SERVE): GenericContainer =>
    new library.GenericContainer('busybox')
      .withCommand(command)
      .withWaitStrategy(wait.withStartupTimeout(STARTUP_MS));

  test('listening ports; a page through the mapped port', async () => {
    const started = await generic(library.Wait.forListeningPorts()).withExposedPorts(80).start();
    const address = `http://${started.getHost()}:${started.getMappedPort(80)}/`;
    assert.equal(await (await fetch(address)).text(), 'served by mydock\n');
    await started.restart();
    await eventually('the server is there again', async () => {
      const again = `http://${started.getHost()}:${started.getMappedPort(80)}/`;
      return (await fetch(again).catch(() => undefined))?.ok === true;
    });
    await started.stop();
  });

  test('HTTP', async () => {
    const started = await generic(library.Wait.forHttp('/', 80)).withExposedPorts(80).start();
    await started.stop();
  });

  test('a line of the log, several times; the log as a stream', async () => {
    const command = ['sh', '-c', 'for i in 1 2 3; do sleep 0.2; echo ready $i; done; sleep 100000'];
    const started = await generic(library.Wait.forLogMessage(/ready \d/, 3), command).start();
    const stream = await started.logs({ tail: 3 });
    const line = await eventually(
      'a line is there',
      () => (stream.read() as Buffer | string | null) ?? undefined,
    );
    assert.match(String(line), /ready/);
    stream.destroy();
    await started.stop();
  });

  test('a command that succeeds', async () => {
    const command = ['sh', '-c', 'sleep 0.5; touch /ready; sleep 100000'];
    const started = await generic(library.Wait.forSuccessfulCommand('test -e /ready'), command).start();
    await started.stop();
  });

  test('a one-shot container', async () => {
    await generic(library.Wait.forOneShotStartup(), ['true']).start();
  });

  test('a health check', async () => {
    const command = ['sh', '-c', 'sleep 0.5; touch /healthy; sleep 100000'];
    const started = await generic(library.Wait.forHealthCheck(), command)
      .withHealthCheck({ test: ['CMD-SHELL', 'test -e /healthy'], interval: 200, timeout: 1000, retries: 50 })
      .start();
    await started.stop();
  });

  test('a container that ends before it is ready fails the start', async () => {
    await assert.rejects(generic(library.Wait.forLogMessage('never'), ['false']).start());
  });

  test('an image that has to be pulled', async () => {
    await daemon.ok('rmi', reference);
    const started = await new library.GenericContainer(reference).withCommand(SERVE).start();
    assert.equal(await daemon.inspect(started.getId(), '{{.Config.Image}}'), reference);
    await started.stop();
  });

  test('exec: output, exit code, user, environment', async () => {
    const started = await generic(library.Wait.forListeningPorts()).withEnvironment({ A: 'b' }).start();
    const result = await started.exec(['sh', '-c', 'echo $A; echo problem >&2; exit 3']);
    assert.deepEqual([result.exitCode, result.stdout, result.stderr], [3, 'b\n', 'problem\n']);
    const options = { user: 'alice', workingDir: '/tmp', env: { C: 'd' } };
    const other = await started.exec(['sh', '-c', 'id -un; pwd; echo $C'], options);
    assert.equal(other.output, 'alice\n/tmp\nd\n');
    await started.stop();
  });

  test('copies before and after the start, and out of the container', async () => {
    const started = await generic(library.Wait.forListeningPorts())
      .withCopyContentToContainer([{ content: 'early\n', target: '/tmp/early' }])
      .withTmpFs({ '/scratch': 'rw' })
      .withLabels({ made: 'by test' })
      .start();
    await started.copyContentToContainer([{ content: 'late\n', target: '/tmp/late' }]);
    assert.equal((await started.exec(['cat', '/tmp/early', '/tmp/late'])).output, 'early\nlate\n');
    const archive = await text(await started.copyArchiveFromContainer('/tmp/late'));
    assert.match(archive, /^late\0[\s\S]*late\n/);
    await started.stop();
  });

  test('an image from a Dockerfile', async () => {
    const context = mkdtempSync(join(tmpdir(), 'context-'));
    writeFileSync(
      join(context, 'Dockerfile'),
      'FROM busybox\nRUN echo built > /built\nCMD ["sleep", "100000"]\n',
    );
    const image = await library.GenericContainer.fromDockerfile(context).build('by-testcontainers');
    const started = await image.start();
    assert.equal((await started.exec(['cat', '/built'])).output, 'built\n');
    await started.stop();
  });

  test('two containers on a network of their own', async () => {
    const network = await new library.Network().start();
    const server = await generic(library.Wait.forListeningPorts())
      .withNetwork(network)
      .withNetworkAliases('web')
      .start();
    const client = await generic(library.Wait.forListeningPorts()).withNetwork(network).start();
    assert.equal((await client.exec(['wget', '-qO-', 'http://web/'])).output, 'served by mydock\n');
    await client.stop();
    await server.stop();
    await network.stop();
  });
});
