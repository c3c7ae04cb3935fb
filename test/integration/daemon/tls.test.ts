/** TCP: only with TLS of both sides, with certificates of a CA that each test makes. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import { freePort } from '../../fixtures/registry.ts';
import { eventually } from '../command.ts';
import { daemonCommand, TESTING_DOCKER } from '../engine.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let folder: string;

function openssl(...args: string[]): void {
  const { status, stderr } = spawnSync('openssl', args, { encoding: 'utf8', timeout: 60_000, cwd: folder });
  assert.equal(status, 0, `openssl ${args.join(' ')}: ${stderr}`);
}

function authority(name: string): void {
  openssl(
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-days',
    '2',
    '-subj',
    `/CN=${name}`,
    '-keyout',
    `${name}.key`,
    '-out',
    `${name}.pem`,
  );
}

/** A certificate `<name>.pem` with its key, signed by `ca`. */
function certificate(name: string, ca: string, usage: string, ...validity: string[]): void {
  const extensions = `subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=${usage}\n`;
  writeFileSync(join(folder, `${name}.ext`), extensions);
  openssl(
    'req',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-subj',
    `/O=tests/CN=${name}`,
    '-keyout',
    `${name}.key`,
    '-out',
    `${name}.csr`,
  );
  openssl(
    'x509',
    '-req',
    '-in',
    `${name}.csr`,
    '-CA',
    `${ca}.pem`,
    '-CAkey',
    `${ca}.key`,
    '-CAcreateserial',
    '-extfile',
    `${name}.ext`,
    '-out',
    `${name}.pem`,
    ...(validity.length === 0 ? ['-days', '2'] : validity),
  );
}

function pem(name: string): Buffer {
  return readFileSync(join(folder, name));
}

describe('TLS', { skip: TESTING_DOCKER && 'about mydockd' }, () => {
  let daemon: Daemon;
  let close: () => Promise<void>;
  let port: number;
  const tls = (): string[] => [
    '--tlsverify',
    '--tlscacert',
    join(folder, 'ca.pem'),
    '--tlscert',
    join(folder, 'server.pem'),
    '--tlskey',
    join(folder, 'server.key'),
  ];

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'tls-'));
    authority('ca');
    authority('other');
    certificate('server', 'ca', 'serverAuth');
    certificate('client', 'ca', 'clientAuth');
    certificate('expired', 'ca', 'clientAuth', '-days', '-1');
    certificate('stranger', 'other', 'clientAuth');
    certificate('serveronly', 'ca', 'serverAuth');
    port = await freePort();
    ({ daemon, close } = await daemonWithBusybox(['--host', `tcp://127.0.0.1:${port}`, ...tls()]));
  });
  after(async () => {
    await close();
    rmSync(folder, { recursive: true, force: true });
  });

  const ask = async (
    client: { cert?: Buffer; key?: Buffer; maxVersion?: 'TLSv1.1' },
    method = 'GET',
    path = '/_ping',
  ): Promise<string> =>
    await new Promise((resolve, reject) => {
      const outgoing = request(
        {
          host: '127.0.0.1',
          port,
          path,
          method,
          ca: pem('ca.pem'),
          agent: false,
          timeout: 30_000,
          ...client,
        },
        (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (part: string) => {
            text += part;
          });
          response.once('end', () => resolve(text));
          response.once('error', reject);
        },
      );
      outgoing.once('error', reject);
      outgoing.once('timeout', () => outgoing.destroy(new Error('no answer')));
      outgoing.end();
    });
  const identity = (name: string): { cert: Buffer; key: Buffer } => ({
    cert: pem(`${name}.pem`),
    key: pem(`${name}.key`),
  });

  const clientEnv = (): NodeJS.ProcessEnv => ({ MYDOCK_HOST: `tcp://127.0.0.1:${port}`, DOCKER_HOST: '' });
  const clientFlags = (): string[] => [
    '--tlsverify',
    '--tlscacert',
    join(folder, 'ca.pem'),
    '--tlscert',
    join(folder, 'client.pem'),
    '--tlskey',
    join(folder, 'client.key'),
  ];

  test('a client with a certificate of the CA is served, and named in the audit log', async () => {
    assert.equal(await ask(identity('client')), 'OK');
    await ask(identity('client'), 'POST', '/volumes/prune');
    const line = daemon.log.split('\n').find((one) => one.includes('"operation":"volumes.prune"'));
    assert.match(line ?? daemon.log, /"subject":"O=tests,CN=client"/);
    assert.match(line ?? '', /"address":"127\.0\.0\.1:\d+"/);
    await daemon.ends(0, [...clientFlags(), 'ps', '-q'], { env: clientEnv() });
  });

  test('streams: all of the output, also where more is sent than the command reads', async () => {
    const over = async (...args: string[]): Promise<string> =>
      (await daemon.ends(6, [...clientFlags(), ...args], { stdin: 'x'.repeat(4_000_000), env: clientEnv() }))
        .stdout;
    const script = 'head -c 5; seq 200000; exit 6';
    const expected = `xxxxx${Array.from({ length: 200_000 }, (_, index) => `${index + 1}\n`).join('')}`;
    const all = 'wc -c; seq 200000; exit 6';
    assert.equal(
      await over('run', '--rm', '-i', 'busybox', 'sh', '-c', all),
      expected.replace('xxxxx', '4000000\n'),
    );
    await daemon.ok('run', '-d', '--name', 'box', 'busybox', 'sleep', '1000');
    assert.equal(await over('exec', '-i', 'box', 'sh', '-c', all), expected.replace('xxxxx', '4000000\n'));
    assert.equal(await over('run', '--rm', '-i', 'busybox', 'sh', '-c', script), expected);
    assert.equal(await over('exec', '-i', 'box', 'sh', '-c', script), expected);
  });

  test('no other client gets an answer', async () => {
    await assert.rejects(ask({}), 'without a certificate');
    await assert.rejects(ask(identity('expired')), 'expired');
    await assert.rejects(ask(identity('stranger')), 'signed by another CA');
    await assert.rejects(ask(identity('serveronly')), 'a certificate for servers');
    // The CA's own certificate is self-signed and known, but is no client's: its key is not the client's business.
    await assert.rejects(ask(identity('other')), 'self-signed');
    assert.match(daemon.log, /a TLS client was refused/);
  });

  test('nothing older than TLS 1.2', async () => {
    const outcome = await new Promise<string>((resolve) => {
      const ciphers = 'DEFAULT:@SECLEVEL=0';
      const socket = connect({
        host: '127.0.0.1',
        port,
        ca: pem('ca.pem'),
        ...identity('client'),
        minVersion: 'TLSv1',
        maxVersion: 'TLSv1.1',
        ciphers,
      });
      socket.once('secureConnect', () => resolve(`connected with ${socket.getProtocol()}`));
      socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    });
    assert.match(outcome, /ALERT|UNSUPPORTED|ECONNRESET|EPROTO/);
  });

  test('TCP without TLS that knows its clients keeps the daemon from starting', () => {
    const start = (...args: string[]): string => {
      const place = {
        dataRoot: join(folder, 'data'),
        execRoot: '/run/mydock-tls',
        socket: '/run/mydock-tls.sock',
      };
      const [file = '', ...common] = daemonCommand(place, ['--host', 'tcp://127.0.0.1:1', ...args]);
      const { status, stderr } = spawnSync(file, common, { encoding: 'utf8', timeout: 60_000 });
      assert.equal(status, 1, stderr);
      return stderr;
    };
    const wanted = /the API is served over TCP only with TLS that verifies its clients/;
    assert.match(start(), wanted);
    assert.match(
      start('--tls', '--tlscert', join(folder, 'server.pem'), '--tlskey', join(folder, 'server.key')),
      wanted,
    );
    assert.match(start('--tlsverify', '--tlscacert', join(folder, 'none.pem')), /cannot read --tlscacert/);
    const mixed = [...tls().slice(0, -1), join(folder, 'client.key')];
    assert.match(start(...mixed), /cannot be used together/);
    const noCa = tls().with(2, join(folder, 'server.key'));
    assert.match(start(...noCa), /--tlscacert .* holds no certificate/);
  });

  test('what a client listens to goes on under a daemon that takes over', async () => {
    const id = await daemon.ok('create', 'busybox', 'sh', '-c', 'echo said; exit 3');
    const open = (head: string): { socket: TLSSocket; text(): string } => {
      const client = { ca: pem('ca.pem'), cert: pem('client.pem'), key: pem('client.key') };
      const socket = connect({ host: '127.0.0.1', port, ...client });
      let heard = '';
      socket.on('error', () => undefined);
      socket.on('data', (piece: Buffer) => {
        heard += piece.toString('latin1');
      });
      socket.write(`${head} HTTP/1.1\r\nHost: x\r\n\r\n`);
      return { socket, text: () => heard };
    };
    const attach = open(`POST /containers/${id}/attach?stream=1&stdout=1`);
    const wait = open(`POST /containers/${id}/wait?condition=next-exit`);
    const events = open('GET /events');
    await eventually('they are answered', () =>
      [attach, wait, events].every(({ text }) => text().includes('\r\n\r\n')),
    );
    await daemon.takeOverWhile(async () => {
      assert.equal(await ask({ cert: pem('client.pem'), key: pem('client.key') }), 'OK');
      await daemon.ok('start', id);
      await eventually('the output ends', () => attach.socket.closed && attach.text().includes('said\n'));
      await eventually('the exit code is told', () => wait.text().includes('"StatusCode":3'));
      await eventually('its end is told', () => events.text().includes('"Action":"die"'));
      for (const { socket } of [wait, events]) socket.destroy();
    });
    await daemon.ok('rm', id);
  });
});
