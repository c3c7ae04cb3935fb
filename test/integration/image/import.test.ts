/** `import`: from a file, a pipe, and an address; what `export` writes becomes an image again. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { busyboxTar } from '../../fixtures/catalog.ts';
import { digestOf } from '../../fixtures/image.ts';
import { dockerPrograms } from '../engine.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
let server: Server;
let address = '';
const folder = mkdtempSync(join(tmpdir(), 'import-'));
const file = (name: string): string => join(folder, name);

before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
  const tar = await busyboxTar();
  writeFileSync(file('root.tar'), tar);
  server = createServer((incoming, answer) => {
    switch (incoming.url) {
      case '/root.tar.gz':
        answer.end(gzipSync(tar));
        break;
      case '/moved':
        answer.writeHead(302, { location: '/root.tar.gz' }).end();
        break;
      case '/loop':
        answer.writeHead(302, { location: '/loop' }).end();
        break;
      case '/cut':
        answer.writeHead(200, { 'content-length': String(tar.length) });
        answer.write(tar.subarray(0, tar.length >> 1), () => answer.destroy());
        break;
      default:
        answer.writeHead(404).end('none');
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
after(async () => {
  server.close();
  await close();
});

test('a file with changes, a message and a name', async () => {
  const id = await daemon.ok(
    'import',
    '-m',
    'from a disk',
    '-c',
    'CMD ["echo", "imported"]',
    '-c',
    'ENV A=b\nWORKDIR /tmp',
    file('root.tar'),
    'imported:1',
  );
  assert.match(id, /^sha256:[0-9a-f]{64}$/);
  assert.equal(
    await daemon.inspect('imported:1', '{{.Id}} {{.Comment}} {{.Os}} {{len .RootFS.Layers}}'),
    `${id} from a disk linux 1`,
  );
  assert.equal(
    await daemon.inspect('imported:1', '{{index .RootFS.Layers 0}}'),
    digestOf(await busyboxTar()),
  );
  assert.equal(
    await daemon.inspect('imported:1', '{{.Config.Cmd}} {{.Config.Env}} {{.Config.WorkingDir}}'),
    '[echo imported] [A=b] /tmp',
  );
  assert.equal(await daemon.ok('run', '--rm', '--network', 'none', 'imported:1'), 'imported');
  await daemon.ok('rmi', 'imported:1');
});

test('export into import, gzip or not', async () => {
  await daemon.ok('run', '--name', 'source', '--network', 'none', 'busybox', 'sh', '-c', 'echo kept > /file');
  await daemon.ok('export', '-o', file('exported.tar'), 'source');
  for (const bytes of [undefined, gzipSync]) {
    const plain = readFileSync(file('exported.tar'));
    const result = await daemon.mydock(['import', '-', 'again'], { stdin: bytes?.(plain) ?? plain });
    assert.equal(result.code, 0, result.stderr);
    assert.equal(await daemon.inspect('again:latest', '{{.Comment}}'), 'Imported from -');
    assert.equal(await daemon.ok('run', '--rm', '--network', 'none', 'again', '/bin/cat', '/file'), 'kept');
  }
  await daemon.ok('rm', 'source');
  await daemon.ok('rmi', '-f', 'again');
});

test('an address, also behind a redirect', async () => {
  for (const path of ['/root.tar.gz', '/moved']) {
    const [first = '', id = ''] = (await daemon.ok('import', `${address}${path}`, 'fetched:1')).split('\n');
    assert.equal(first, `Downloading from ${address}${path}`);
    assert.equal(await daemon.inspect('fetched:1', '{{.Id}}'), id);
    assert.equal(await daemon.inspect('fetched:1', '{{.Comment}}'), `Imported from ${address}${path}`);
    await daemon.ok('rmi', 'fetched:1');
  }
});

test('what fails is told and makes nothing', async () => {
  await daemon.fails(1, /Got HTTP status code >= 400: 404/, 'import', `${address}/none`, 'bad:1');
  await daemon.fails(1, /stopped after 10 redirects/, 'import', `${address}/loop`, 'bad:1');
  await daemon.fails(1, /./, 'import', `${address}/cut`, 'bad:1');
  await daemon.fails(1, /open \/none: no such file or directory/, 'import', '/none', 'bad:1');
  await daemon.fails(
    1,
    /run is not a valid change command/,
    'import',
    '-c',
    'RUN true',
    file('root.tar'),
    'bad:1',
  );
  await daemon.fails(1, /repository name .* must be lowercase/, 'import', file('root.tar'), 'BAD:1');
  await daemon.fails(
    1,
    /"windows" is not supported/,
    'import',
    '--platform',
    'windows/amd64',
    file('root.tar'),
    'bad:1',
  );
  writeFileSync(file('text'), 'this is no tar\n');
  await daemon.fails(1, /tar at offset 0/, 'import', file('text'), 'bad:1');
  const empty = await daemon.mydock(['import', '-', 'bad:1'], { stdin: Buffer.alloc(0) });
  assert.match(empty.stderr, /no bytes came/);
  assert.equal((await daemon.api('GET', '/images/bad:1/json')).status, 404);
  assert.equal((await daemon.api('POST', '/images/create?fromSrc=file:///etc/passwd')).status, 400);
});

for (const program of dockerPrograms()) {
  test(`${program} import`, async () => {
    const result = await daemon.docker(program, [
      'import',
      '-c',
      'CMD ["echo","x"]',
      file('root.tar'),
      'docker:1',
    ]);
    assert.equal(result.code, 0, result.stderr);
    assert.equal(await daemon.inspect('docker:1', '{{.Id}}'), result.stdout.trim());
    await daemon.ok('rmi', 'docker:1');
  });
}
