import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import type { AddressInfo, Server } from 'node:net';
import { createConnection, createServer } from 'node:net';
import { after, afterEach, before, describe, it } from 'node:test';
import { log } from '../base/log.ts';
import { parseIPv4 } from './address.ts';
import type { PortMapping } from './ports.ts';
import { Ports, translatedPorts } from './ports.ts';

const LOOPBACK = parseIPv4('127.0.0.1');

describe('Ports', () => {
  const ports = new Ports();
  let server: Server;
  let target = 0;

  before(async () => {
    log.level = 'fatal';
    server = createServer({ allowHalfOpen: true }, (socket) => {
      let text = '';
      socket.on('data', (data) => {
        text += String(data);
      });
      // Answers only once the client has ended its side.
      socket.on('end', () => socket.end(`got ${text}`));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    target = (server.address() as AddressInfo).port;
  });
  after(() => server.close());
  afterEach(() => ports.close());

  const mapping = (more: Partial<PortMapping> = {}): PortMapping => ({
    containerPort: target,
    protocol: 'tcp',
    hostIp: '127.0.0.1',
    hostPort: 0,
    ...more,
  });

  it('carries connections on, half-closed ones too', async () => {
    const [bound] = ports.bind([mapping()], LOOPBACK);
    const socket = createConnection({ host: '127.0.0.1', port: bound?.hostPort ?? 0, allowHalfOpen: true });
    const chunks: Buffer[] = [];
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.end('x'.repeat(1_000_000));
    await once(socket, 'end');
    assert.equal(Buffer.concat(chunks).length, 1_000_004);
  });

  it('resets a connection where nothing listens behind it', async () => {
    const [bound] = ports.bind([mapping({ containerPort: 1 })], LOOPBACK);
    const socket = createConnection({ host: '127.0.0.1', port: bound?.hostPort ?? 0 });
    socket.resume();
    const [error] = await once(socket, 'error').catch((thrown: unknown) => [thrown]);
    assert.equal(Reflect.get(Object(error), 'code'), 'ECONNRESET');
  });

  it('carries datagrams of several clients, each answer to its own', async () => {
    const echo = createSocket('udp4');
    echo.on('message', (data, from) => echo.send(`to ${data}`, from.port, from.address));
    echo.bind(0, '127.0.0.1');
    await once(echo, 'listening');
    const [bound] = ports.bind([mapping({ protocol: 'udp', containerPort: echo.address().port })], LOOPBACK);
    for (const name of ['a', 'b', 'c']) {
      const client = createSocket('udp4');
      const answer = once(client, 'message');
      client.send(name, bound?.hostPort ?? 0, '127.0.0.1');
      assert.equal(String((await answer)[0]), `to ${name}`);
      client.close();
    }
    echo.close();
  });

  it('gives all or none', () => {
    const [taken] = ports.bind([mapping()], LOOPBACK);
    const [free] = ports.bind([mapping()], LOOPBACK);
    ports.release(free === undefined ? [] : [free]);
    const wanted = [mapping({ hostPort: free?.hostPort ?? 0 }), mapping({ hostPort: taken?.hostPort ?? 0 })];
    assert.throws(() => ports.bind(wanted, LOOPBACK), {
      message: `Bind for 127.0.0.1:${taken?.hostPort} failed: port is already allocated`,
    });
    assert.equal(ports.bind(wanted.slice(0, 1), LOOPBACK)[0]?.hostPort, free?.hostPort);
  });

  it('keeps one that another program took as its own after a restart', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    ports.restore([{ ...mapping(), hostPort: port }], LOOPBACK);
    assert.throws(() => ports.bind([mapping({ hostPort: port })], LOOPBACK), /already allocated/);
    other.close();
  });

  it('lists what the kernel translates', () => {
    const bound = { containerPort: 80, protocol: 'tcp', hostPort: 8080 } as const;
    const hostIps = ['0.0.0.0', '::', '127.0.0.1', '::1'];
    const translated = translatedPorts(
      hostIps.map((hostIp) => ({ ...bound, hostIp })),
      LOOPBACK,
    );
    assert.deepEqual(
      translated.map(({ hostIp }) => hostIp),
      ['', '127.0.0.1'],
    );
  });
});
