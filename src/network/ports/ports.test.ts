import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import type { AddressInfo, Server } from 'node:net';
import { createConnection, createServer } from 'node:net';
import { after, afterEach, before, describe, it } from 'node:test';
import { log } from '../../base/log.ts';
import type { PortMapping } from '../model.ts';
import { portBudgets } from './descriptor-budget.ts';
import type { ForwardAddresses } from './ports.ts';
import { Ports, validatePorts } from './ports.ts';

const LOOPBACK: ForwardAddresses = { ipv4: '127.0.0.1' };

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

  it('refuses more ports than the process has descriptors for before it binds any', () => {
    const few = new Ports(portBudgets(8));
    try {
      few.bind([mapping(), mapping()], LOOPBACK);
      const three = [mapping({ hostPort: 65_533 }), mapping(), mapping()];
      assert.throws(() => few.bind(three, LOOPBACK), /they take 3 more sockets, and of the 4 .* 2 are free$/);
      const last = few.bind([mapping({ hostPort: 65_533 }), mapping()], LOOPBACK);
      assert.throws(() => few.bind([mapping()], LOOPBACK), /0 are free$/);
      few.release(last);
      assert.throws(() => few.bind([mapping({ hostPort: 65_533 }), mapping({ hostPort: 65_533 })], LOOPBACK));
      few.release(few.bind([mapping(), mapping()], LOOPBACK));
    } finally {
      few.close();
    }
  });

  it('carries no more connections on than the process has descriptors for', async () => {
    const few = new Ports(portBudgets(16));
    const [bound] = few.bind([mapping()], LOOPBACK);
    const connect = () => createConnection({ host: '127.0.0.1', port: bound?.hostPort ?? 0 });
    const clients = [connect(), connect(), connect()];
    try {
      const errors = await Promise.all(
        clients.map(async (client, index) => {
          if (index < 2) return once(client, 'connect').then(() => '');
          return once(client.resume(), 'close').then(
            () => 'closed',
            (error: unknown) => String(Reflect.get(Object(error), 'code')),
          );
        }),
      );
      assert.deepEqual(errors, ['', '', 'ECONNRESET']);
      const [first] = clients;
      first?.destroy();
      let text = '';
      for (const deadline = Date.now() + 30_000; text === '' && Date.now() < deadline; ) {
        const again = connect();
        again
          .on('error', () => undefined)
          .on('data', (data) => {
            text += String(data);
          });
        again.end('x');
        await new Promise((resolve) => again.once('close', resolve));
      }
      assert.equal(text, 'got x');
    } finally {
      for (const client of clients) client.destroy();
      few.close();
    }
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

  it('binds canonical addresses', () => {
    const [bound] = ports.bind([mapping({ hostIp: '0:0:0:0:0:0:0:1' })], LOOPBACK);
    assert.equal(bound?.hostIp, '::1');
  });

  it('holds nothing in routed networks', () => {
    const routed = { ...LOOPBACK, routed: { ipv4: true, ipv6: false } };
    const wanted = mapping({ hostIp: '', hostPort: 0, containerPort: 80 });
    const bound = ports.bind([wanted], routed);
    assert.deepEqual(
      bound.map(({ hostIp, hostPort }) => `${hostIp} ${hostPort === 0}`),
      [':: false', '0.0.0.0 true'],
    );
    ports.release(bound);
  });

  it('gives SCTP only the families that the container has', () => {
    const bound = ports.bind([mapping({ hostIp: '', protocol: 'sctp' })], LOOPBACK);
    assert.deepEqual(
      bound.map(({ hostIp }) => hostIp),
      ['0.0.0.0'],
    );
    ports.release(bound);
    assert.throws(
      () => ports.bind([mapping({ hostIp: '::1', protocol: 'sctp' })], LOOPBACK),
      /the container has no IPv6 address/,
    );
  });

  it('sends to the new address after the container has moved', async () => {
    const [bound] = ports.bind([mapping({ containerPort: target })], { ipv4: '127.9.9.9' });
    assert.ok(bound);
    ports.retarget([bound], LOOPBACK);
    const socket = createConnection({ host: '127.0.0.1', port: bound.hostPort, allowHalfOpen: true });
    socket.end('moved');
    assert.equal(String((await once(socket, 'data'))[0]), 'got moved');
  });

  it('takes a thousand ports of both families in seconds', () => {
    const range = Array.from({ length: 1000 }, (_, i) =>
      mapping({ hostIp: '', hostPort: 20_000 + i, containerPort: 20_000 + i }),
    );
    const start = performance.now();
    const bound = ports.bind(range, LOOPBACK);
    ports.release(bound);
    assert.equal(bound.length, 2000);
    assert.ok(performance.now() - start < 60_000);
  });

  it('refuses what no host can publish', () => {
    const wrong = [{ hostIp: 'fe80::1%eth0' }, { hostIp: 'x' }, { containerPort: 0 }, { hostPort: 65536 }];
    for (const more of wrong) {
      assert.throws(() => validatePorts([mapping(more)]), { kind: 'InvalidParameter' });
    }
    validatePorts([mapping({ protocol: 'sctp' })]);
  });
});
