/**
 * A Compose project against mydockd: two networks, one of them internal and with fixed addresses, aliases, volumes, a
 * published port, health checks. Skipped where there is no Compose (fixtures/compose.ts).
 */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { composeProgram } from '../../fixtures/compose.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

const program = composeProgram();

const PROJECT = `
name: shop
services:
  web:
    image: busybox
    pull_policy: never
    command: sh -c 'wget -qO /pages/index.html http://database:8000/ && exec httpd -f -p 80 -h /pages'
    stop_signal: SIGKILL
    depends_on:
      db: {condition: service_healthy}
    ports: ["127.0.0.1:8085:80"]
    networks:
      front: {}
      back: {ipv4_address: 10.151.0.20, aliases: [frontend]}
    volumes: [pages:/pages]
  db:
    image: busybox
    pull_policy: never
    command: httpd -f -p 8000 -h /data
    stop_signal: SIGKILL
    healthcheck: {test: [CMD, wget, -qO-, "http://127.0.0.1:8000/"], interval: 100ms, timeout: 2s, retries: 20}
    networks:
      back:
        ipv4_address: 10.151.0.10
        aliases: [database]
    volumes: [./data:/data:ro]
  worker:
    image: busybox
    pull_policy: never
    command: sleep 100000
    stop_signal: SIGKILL
    networks: [back]
    volumes: [pages:/shared:ro]
networks:
  front:
    driver: bridge
    labels: {tier: front}
  back:
    internal: true
    ipam:
      config: [{subnet: 10.151.0.0/24, gateway: 10.151.0.1}]
volumes:
  pages: {}
`;

describe('Compose', { skip: program === undefined ? 'no Compose is installed' : false }, () => {
  let daemon: Daemon;
  let close: () => Promise<void>;
  let folder: string;

  before(async () => {
    ({ daemon, close } = await daemonWithBusybox());
    folder = join(daemon.folder, 'shop');
    mkdirSync(join(folder, 'data'), { recursive: true });
    writeFileSync(join(folder, 'compose.yaml'), PROJECT);
    writeFileSync(join(folder, 'data/index.html'), 'kept in the back\n');
  });
  after(async () => await close());

  const compose = async (...args: string[]): Promise<string> => {
    const words = ['--progress', 'quiet', '--project-directory', folder, ...args];
    const result = await daemon.docker(program ?? '', words, { timeoutMs: 60_000 });
    assert.equal(result.code, 0, `compose ${args.join(' ')}: ${result.stderr}${result.stdout}`);
    return result.stdout.trimEnd();
  };
  const names = async (...words: string[]): Promise<string[]> => {
    const text = await daemon.ok(...words, '--filter', 'label=com.docker.compose.project=shop');
    return text === '' ? [] : text.split('\n').toSorted();
  };

  test('up makes networks, volumes and containers, in the order that they need each other', async () => {
    await compose('up', '--detach');
    assert.deepEqual(await names('ps', '--format', '{{.Names}}'), [
      'shop-db-1',
      'shop-web-1',
      'shop-worker-1',
    ]);
    assert.deepEqual(await names('network', 'ls', '--format', '{{.Name}}'), ['shop_back', 'shop_front']);
    assert.deepEqual(await names('volume', 'ls', '-q'), ['shop_pages']);
    assert.match(
      await compose('ps', '--format', '{{.Service}} {{.State}} {{.Health}}'),
      /^db running healthy$/m,
    );
  });

  test('a page through the published port, made of what another service serves by its alias', async () => {
    const page = await fetch('http://127.0.0.1:8085/', { signal: AbortSignal.timeout(30_000) });
    assert.equal(await page.text(), 'kept in the back\n');
  });

  test('names, aliases and fixed addresses within; no way out of the internal network', async () => {
    const lookup = (service: string, name: string): Promise<string> =>
      compose('exec', '-T', service, 'ping', '-c', '1', '-W', '2', name);
    assert.match(await lookup('worker', 'frontend'), /10\.151\.0\.20/);
    assert.match(await lookup('worker', 'db'), /10\.151\.0\.10/);
    assert.equal(await compose('exec', '-T', 'worker', 'cat', '/shared/index.html'), 'kept in the back');
    assert.doesNotMatch(await compose('exec', '-T', 'worker', 'ip', 'route'), /default/);
    assert.match(await compose('exec', '-T', 'web', 'ip', 'route'), /default/);
    assert.equal(await compose('port', 'web', '80'), '127.0.0.1:8085');
  });

  test('scaling gives the service’s name several addresses', async () => {
    await compose('up', '--detach', '--scale', 'worker=3');
    const answer = await compose('exec', '-T', 'web', 'nslookup', '-type=a', 'worker');
    assert.equal(new Set(answer.match(/10\.151\.0\.\d+/g)).size, 3, answer);
    await compose('restart', '--timeout', '0', 'worker');
    assert.equal((await names('ps', '--format', '{{.Names}}')).length, 5);
  });

  test('a changed network is made anew; down takes everything away', async () => {
    writeFileSync(join(folder, 'compose.yaml'), PROJECT.replaceAll('10.151.0.', '10.152.0.'));
    await compose('down', '--timeout', '0');
    await compose('up', '--detach');
    assert.match(await compose('exec', '-T', 'worker', 'ping', '-c', '1', 'database'), /10\.152\.0\.10/);
    await compose('down', '--volumes', '--timeout', '0');
    assert.deepEqual(await names('ps', '-a', '--format', '{{.Names}}'), []);
    assert.deepEqual(await names('network', 'ls', '--format', '{{.Name}}'), []);
    assert.deepEqual(await names('volume', 'ls', '-q'), []);
  });
});
