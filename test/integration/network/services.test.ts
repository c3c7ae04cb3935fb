/**
 * Real services that find each other by name: nginx in front of several applications, redis, and clients that ask for
 * names all the time, also while the daemon is killed and comes back.
 */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { hasServicesImage, servicesImage } from '../../fixtures/catalog.ts';
import { type Registry, startRegistry } from '../../fixtures/registry.ts';
import { eventually } from '../command.ts';
import { Daemon } from '../harness.ts';

const skip = hasServicesImage() ? false : 'the image of services could not be made';

const NGINX = `
daemon off;
user root;
error_log stderr;
events {}
http {
  access_log off;
  resolver 127.0.0.11 valid=1s;
  upstream replicas { zone replicas 64k; server app:8080; }
  server {
    listen 80;
    listen [::]:80;
    location /static { return 200 "from nginx\\n"; }
    location /replicas/ { proxy_pass http://replicas/; }
    location /named/ { set $target $arg_to; proxy_pass http://$target:8080/name; }
  }
}
`;

describe('services by name', { skip }, () => {
  let daemon: Daemon;
  let registry: Registry;
  const inside = (name: string, ...command: string[]): Promise<string> => daemon.ok('exec', name, ...command);

  before(async () => {
    registry = await startRegistry();
    const reference = await registry.push('services', 'latest', await servicesImage());
    daemon = await Daemon.start();
    await daemon.ok('pull', '-q', reference);
    await daemon.ok('tag', reference, 'services');
    await daemon.ok('network', 'create', '--ipv6', 'front');
    await daemon.ok('network', 'create', '--internal', 'back');
    const folder = join(daemon.folder, 'nginx');
    mkdirSync(folder);
    writeFileSync(join(folder, 'nginx.conf'), NGINX);
    for (const name of ['one', 'two']) {
      const serve = `mkdir -p /www && echo ${name} > /www/name && echo ${name} > /www/index.html && exec httpd -f -p 8080 -h /www`;
      const networks = ['--network', 'name=back,alias=app'];
      await daemon.ok('run', '-d', '--name', name, ...networks, 'services', 'sh', '-c', serve);
    }
    const redis = ['redis-server', '--protected-mode', 'no', '--save', ''];
    await daemon.ok('run', '-d', '--name', 'cache', '--network', 'back', 'services', ...redis);
    await daemon.ok(
      ...['create', '--name', 'web', '--network', 'front', '--network', 'back', '-p', '8080:80'],
      ...['-v', `${folder}/nginx.conf:/etc/nginx/nginx.conf:ro`, 'services'],
      ...['sh', '-c', 'mkdir -p /var/log/nginx /var/lib/nginx /run && exec nginx'],
    );
    await daemon.ok('start', 'web');
    await daemon.ok('run', '-d', '--name', 'client', '--network', 'front', 'services', 'sleep', '1000');
  });

  after(async () => {
    try {
      if (daemon !== undefined) {
        await daemon.removeContainers();
        await daemon.ok('network', 'rm', 'front', 'back');
      }
    } finally {
      await daemon?.close();
      await registry?.stop();
    }
  });

  test('nginx serves its network over both families, and the host', async () => {
    await eventually('nginx serves', async () => {
      const { stdout } = await daemon.mydock(['exec', 'client', 'curl', '-s', 'http://web/static']);
      return stdout === 'from nginx\n';
    });
    for (const family of ['-4', '-6']) {
      assert.equal(await inside('client', 'curl', '-sS', family, 'http://web/static'), 'from nginx');
    }
    const answer = await fetch('http://127.0.0.1:8080/static');
    assert.equal(await answer.text(), 'from nginx\n');
  });

  test('a name of several containers leads to each of them', async () => {
    const seen = new Set<string>();
    await eventually('both answered', async () => {
      seen.add(await inside('client', 'curl', '-sS', 'http://web/replicas/name'));
      return seen.size === 2;
    });
    assert.deepEqual([...seen].sort(), ['one', 'two']);
    // nginx asks the resolver itself here.
    for (const name of ['one', 'two']) {
      assert.equal(await inside('client', 'curl', '-sS', `http://web/named/?to=${name}`), name);
    }
  });

  test('networks keep apart what they do not share', async () => {
    const lost = await daemon.mydock(['exec', 'client', 'curl', '-sS', '-m', '3', 'http://app:8080/']);
    assert.match(lost.stderr, /Could not resolve host/);
    const address = await daemon.inspect('one', '{{.NetworkSettings.Networks.back.IPAddress}}');
    const direct = await daemon.mydock([
      'exec',
      'client',
      'curl',
      '-sS',
      '-m',
      '2',
      `http://${address}:8080/`,
    ]);
    assert.notEqual(direct.code, 0, direct.stdout);
  });

  test('redis by name, with large values', async () => {
    await eventually('redis answers', async () => {
      const { stdout } = await daemon.mydock(['exec', 'web', 'redis-cli', '-h', 'cache', 'ping']);
      return stdout === 'PONG\n';
    });
    const pipe = 'head -c 20000000 /dev/urandom | tee /tmp/value | redis-cli -h cache -x set large';
    assert.match(await inside('web', 'sh', '-c', pipe), /OK/);
    const check = 'redis-cli -h cache get large | head -c 20000000 | cmp - /tmp/value && echo same';
    assert.equal(await inside('web', 'sh', '-c', check), 'same');
  });

  test('every kind of question', async () => {
    const dig = (...args: string[]): Promise<string> => inside('web', 'dig', '+short', '+tries=3', ...args);
    const address = await daemon.inspect('cache', '{{.NetworkSettings.Networks.back.IPAddress}}');
    const id = (await daemon.inspect('cache', '{{.Id}}')).slice(0, 12);
    for (const name of ['cache', 'CACHE', 'cache.back', id]) {
      assert.equal(await dig(name, 'A'), address, name);
      assert.equal(await dig('+tcp', name, 'A'), address, `${name} over TCP`);
    }
    assert.equal((await dig('app', 'A')).split('\n').length, 2);
    assert.match(await dig('-x', address), /^cache\./);
    assert.match(await dig('web', 'AAAA'), /^fd/);
    assert.equal(await dig('cache', 'AAAA'), '');
    assert.match(
      await inside('web', 'dig', '+bufsize=4096', 'cache'),
      /status: NOERROR[\s\S]*EDNS: version: 0/,
    );
    assert.match(await inside('web', 'dig', 'no-such-name'), /status: (NXDOMAIN|SERVFAIL|REFUSED)/);
  });

  test('a container may have a server of its own on port 53', async () => {
    await daemon.ok('run', '-d', '--name', 'own', '--network', 'front', 'services', 'udp-echo', '53');
    const address = await daemon.inspect('own', '{{.NetworkSettings.Networks.front.IPAddress}}');
    const socket = createSocket('udp4');
    const answer = new Promise<string>((resolve) => socket.once('message', (data) => resolve(String(data))));
    try {
      await eventually('it answers', async () => {
        socket.send('hello', 53, address);
        return await Promise.race([answer, sleep(100, false as const)]);
      });
    } finally {
      socket.close();
    }
    assert.notEqual(await inside('own', 'dig', '+short', 'web'), '');
    await daemon.ok('rm', '-f', 'own');
  });

  test('names are found while the daemon is killed and comes back', async () => {
    const count = 150;
    const loop = `echo begun; i=0; bad=0; while [ $i -lt ${count} ]; do i=$((i+1));
      dig +short +tries=60 +time=1 cache | grep -q . || bad=$((bad+1)); done; echo failed: $bad`;
    const live = daemon.live(['exec', 'web', 'sh', '-c', loop]);
    // The client's connection does not end with the daemon: it is the supervisor's by then.
    await eventually('the loop has begun', () => live.stdout.includes('begun'));
    await daemon.stop('SIGKILL');
    await daemon.launch();
    await eventually('the loop ends', () => /failed: \d+/.test(live.stdout));
    assert.match(live.stdout, /failed: 0\b/);
    await live.ended;
    assert.equal(await inside('client', 'curl', '-sS', 'http://web/static'), 'from nginx');
  });
});
