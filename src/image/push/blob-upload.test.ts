/** Uploads through registries that break off, forget, refuse, redirect and lie. */
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { log } from '../../base/log.ts';
import { type Digest, digestOf } from '../digest.ts';
import { RateLimit } from '../rate-limit.ts';
import { RepositoryClient } from '../registry/client.ts';
import type { RegistryAuth } from '../registry/credentials.ts';
import { resolveRegistryOptions } from '../registry/options.ts';
import { Transport } from '../registry/transport.ts';
import { refuse } from '../testing/image-server.ts';
import { UploadServer } from '../testing/upload-server.ts';
import { type BlobContent, bytesContent } from './blob-content.ts';
import { type BlobUploadRequest, uploadBlob } from './blob-upload.ts';

log.level = 'fatal';
const MIB = 1 << 20;
const bytes = Buffer.alloc(8 * MIB, 'some content that is long enough to be cut. ');
const digest = digestOf(bytes);
const content = bytesContent(digest, bytes);

function clientOf(server: UploadServer, auth: RegistryAuth = {}): RepositoryClient {
  const registry = resolveRegistryOptions({
    env: {},
    certificateDirectories: [],
    retryDelayMs: 5,
    stallTimeoutMs: 2000,
  });
  const endpoint = { baseUrl: `http://${server.host}`, mirror: false, insecure: true };
  const transport = new Transport(registry);
  return new RepositoryClient({ endpoint, path: 'app', auth, transport, registry, actions: 'pull,push' });
}

async function upload(server: UploadServer, options: Partial<BlobUploadRequest> = {}): Promise<number[]> {
  const retries: number[] = [];
  await uploadBlob({
    client: clientOf(server),
    content,
    sources: [],
    attempts: 5,
    retryDelayMs: 5,
    chunkBytes: 2 * MIB,
    commitTimeoutMs: 20_000,
    onBytes: () => {},
    onRetry: (seconds) => retries.push(seconds),
    signal: AbortSignal.timeout(120_000),
    ...options,
  });
  return retries;
}

const stored = (server: UploadServer): boolean => server.blobs.get(`app ${digest}`)?.equals(bytes) === true;

const sentBytes = (server: UploadServer): number =>
  server.requests.reduce((sum, { bodyBytes }) => sum + bodyBytes, 0);

const ranges = (server: UploadServer): (string | undefined)[] =>
  server.requests.filter(({ method }) => method === 'PATCH').map(({ headers }) => headers['content-range']);

test('in chunks, with their ranges', async () => {
  await using server = await UploadServer.start();
  await upload(server);
  assert.ok(stored(server));
  assert.deepEqual(
    ranges(server),
    [0, 2, 4, 6].map((at) => `${at * MIB}-${(at + 2) * MIB - 1}`),
  );
  assert.deepEqual(server.methods(/./), ['POST', 'PATCH', 'PATCH', 'PATCH', 'PATCH', 'PUT']);
});

test('connections that break are resumed where the registry stands', async () => {
  await using server = await UploadServer.start();
  server.cut = { afterBytes: 3 * MIB, times: 2 };
  const retries = await upload(server, { chunkBytes: 8 * MIB });
  assert.ok(stored(server));
  assert.equal(retries.length, 2);
  assert.deepEqual(server.methods(/./), ['POST', 'PATCH', 'GET', 'PATCH', 'GET', 'PATCH', 'PUT']);
  assert.ok(sentBytes(server) === bytes.length, `${sentBytes(server)} bytes were received`);
});

test('an upload that makes progress outlives any number of breaks, one that makes none does not', async () => {
  await using server = await UploadServer.start();
  server.cut = { afterBytes: MIB, times: 7 };
  await upload(server, { chunkBytes: 8 * MIB, attempts: 2 });
  assert.ok(stored(server));
  server.intercept = (request) => {
    if (request.method === 'PATCH') request.socket.destroy();
    return request.method === 'PATCH';
  };
  await assert.rejects(upload(server, { attempts: 3 }), { name: 'TransportError' });
});

test('breaks at a registry that forgets each time are counted once', async () => {
  await using server = await UploadServer.start();
  server.cut = { afterBytes: MIB / 2, times: 3 };
  server.intercept = (request, response) => {
    if (request.method !== 'GET') return false;
    refuse(response, 404, 'BLOB_UPLOAD_UNKNOWN', 'blob upload unknown to registry');
    return true;
  };
  assert.equal((await upload(server, { attempts: 4 })).length, 3);
  assert.ok(stored(server));
  server.cut.times = 4;
  await assert.rejects(upload(server, { attempts: 4 }), (error: Error) => {
    assert.match(
      error.message,
      /^PATCH "http:\/\/[\d.:]+\/v2\/app\/blobs\/uploads\/upload-\d+": (write|read|socket)/,
    );
    return true;
  });
});

test('one that the registry forgot begins anew', async () => {
  await using server = await UploadServer.start();
  server.cut = { afterBytes: MIB, times: 1 };
  let forgotten = false;
  server.intercept = (request) => {
    if (request.method === 'GET' && !forgotten) {
      forgotten = true;
      server.uploads.clear();
    }
    return false;
  };
  await upload(server, { chunkBytes: 4 * MIB });
  assert.ok(forgotten && stored(server));
  assert.equal(server.methods(/./).filter((method) => method === 'POST').length, 2);
});

for (const status of [405, 416]) {
  test(`a registry that answers ${status} to PATCH gets it in one piece`, async () => {
    await using server = await UploadServer.start();
    server.intercept = (request, response) => {
      if (request.method !== 'PATCH') return false;
      request.resume().once('end', () => refuse(response, status, 'UNSUPPORTED', 'no chunks'));
      return true;
    };
    await upload(server);
    assert.ok(stored(server));
    assert.deepEqual(server.methods(/./), ['POST', 'PATCH', 'POST', 'PUT']);
  });
}

test('a registry that takes one chunk only gets it in one piece', async () => {
  await using server = await UploadServer.start();
  server.intercept = (request, response) => {
    if (request.method !== 'PATCH' || request.headers['content-range']?.startsWith('0-') === true)
      return false;
    request.resume().once('end', () => refuse(response, 400, 'BLOB_UPLOAD_INVALID', 'no'));
    return true;
  };
  await upload(server);
  assert.ok(stored(server));
  assert.equal(server.methods(/./).at(-1), 'PUT');
});

test('a proxy that takes small bodies only gets small chunks', async () => {
  await using server = await UploadServer.start();
  server.intercept = (request, response) => {
    if (Number(request.headers['content-length'] ?? 0) <= 3 * MIB) return false;
    response.writeHead(413, { connection: 'close' }).end('too large');
    return true;
  };
  await upload(server, { chunkBytes: 64 * MIB });
  assert.ok(stored(server));
  // The registry may ask for large ones instead.
  await using picky = await UploadServer.start();
  picky.intercept = (request, response) => {
    if (request.method === 'POST') response.setHeader('oci-chunk-min-length', String(4 * MIB));
    return false;
  };
  await upload(picky, { chunkBytes: MIB });
  assert.deepEqual(ranges(picky), [`0-${4 * MIB - 1}`, `${4 * MIB}-${8 * MIB - 1}`]);
});

test('429, 503 and a stall pass', async () => {
  await using server = await UploadServer.start();
  const statuses = [429, 503, 0];
  server.intercept = (request, response) => {
    if (request.method === 'GET') return false;
    const status = statuses.shift();
    if (status === undefined) return false;
    // 0 never answers.
    if (status > 0)
      request.resume().once('end', () => response.writeHead(status, { 'retry-after': '0' }).end());
    return true;
  };
  const retries = await upload(server);
  assert.equal(retries.length, 3);
  assert.ok(stored(server));
});

test('a registry that takes nothing is given up', async () => {
  await using server = await UploadServer.start();
  server.intercept = (request) => request.method === 'PATCH';
  const request = { attempts: 2, chunkBytes: 8 * MIB };
  await assert.rejects(upload(server, request), { code: 'STALLED', message: /no data for 2 seconds$/ });
});

test('a blob that was stored although the answer got lost is not sent again', async () => {
  await using server = await UploadServer.start();
  server.intercept = (request) => {
    if (request.method !== 'PUT') return false;
    server.blobs.set(`app ${digest}`, bytes);
    request.socket.destroy();
    return true;
  };
  await upload(server);
  assert.equal(sentBytes(server), bytes.length);
});

/** Bearer tokens from `/token`; the newest is the only good one. */
function withTokens(server: UploadServer): { asked: URLSearchParams[]; expire(): void } {
  let valid = 0;
  const asked: URLSearchParams[] = [];
  server.intercept = (request: IncomingMessage, response: ServerResponse) => {
    const url = new URL(request.url ?? '', `http://${server.host}`);
    if (url.pathname === '/token') {
      asked.push(url.searchParams);
      valid += 1;
      response.end(JSON.stringify({ token: `T${valid}` }));
      return true;
    }
    if (valid > 0 && request.headers.authorization === `Bearer T${valid}`) return false;
    response.writeHead(401, {
      'www-authenticate': `Bearer realm="http://${server.host}/token",service="s"`,
      connection: 'close',
    });
    response.end();
    return true;
  };
  return {
    asked,
    expire: () => {
      valid += 1;
    },
  };
}

test('a token that ends in the middle is renewed, and the upload goes on', async () => {
  await using server = await UploadServer.start();
  const tokens = withTokens(server);
  let expired = false;
  await upload(server, {
    onBytes: (sent) => {
      if (expired || sent < 3 * MIB) return;
      expired = true;
      tokens.expire();
    },
  });
  assert.ok(stored(server));
  assert.ok(tokens.asked.length >= 2);
  assert.deepEqual(tokens.asked[0]?.getAll('scope'), ['repository:app:pull,push']);
});

test('a mount asks for a token for both repositories; refused, the blob is sent', async () => {
  await using server = await UploadServer.start();
  const tokens = withTokens(server);
  server.blobs.set(`team/base ${digest}`, bytes);
  const client = clientOf(server);
  const from = await uploadBlob({
    client,
    content,
    sources: ['other', 'team/base'],
    attempts: 2,
    retryDelayMs: 5,
    onBytes: () => {},
    onRetry: () => {},
    signal: AbortSignal.timeout(120_000),
  });
  assert.equal(from, 'team/base');
  assert.equal(sentBytes(server), 0);
  assert.deepEqual(tokens.asked.at(-1)?.getAll('scope'), [
    'repository:app:pull,push',
    'repository:team/base:pull',
  ]);
  await using denying = await UploadServer.start();
  denying.intercept = (request, response) => {
    if (!request.url?.includes('mount=')) return false;
    refuse(response, 403, 'DENIED', 'not yours');
    return true;
  };
  await upload(denying, { sources: ['other', 'team/base'] });
  assert.ok(stored(denying));
});

/** Another host; records what credentials it got. */
async function elsewhere(
  handle: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<{ origin: string; authorizations: (string | undefined)[] } & AsyncDisposable> {
  const authorizations: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    authorizations.push(request.headers.authorization);
    handle(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    authorizations,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

test('a Location on another host is followed without credentials', async () => {
  await using server = await UploadServer.start();
  const received: Buffer[] = [];
  await using storage = await elsewhere(async (request, response) => {
    received.push(...((await request.toArray()) as Buffer[]));
    response.writeHead(request.method === 'PUT' ? 201 : 202).end();
  });
  server.locationBase = storage.origin.replace('http://', 'http://user:word@');
  const authorization = `Basic ${Buffer.from('joe:pw').toString('base64')}`;
  server.intercept = (request, response) => {
    if (request.headers.authorization === authorization) return false;
    response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
    return true;
  };
  await upload(server, { client: clientOf(server, { username: 'joe', password: 'pw' }) });
  assert.ok(Buffer.concat(received).equals(bytes));
  assert.deepEqual(new Set(storage.authorizations), new Set([undefined]));
  assert.equal(server.requests.at(-1)?.headers.authorization, authorization);
});

test('307 leads the content elsewhere, without credentials; endless redirects and nonsense end', async () => {
  await using server = await UploadServer.start();
  let received = 0;
  await using storage = await elsewhere(async (request, response) => {
    for await (const chunk of request as AsyncIterable<Buffer>) received += chunk.length;
    response.writeHead(202).end();
  });
  server.intercept = (request, response) => {
    if (request.method !== 'PATCH') return false;
    request.resume();
    response.writeHead(307, { location: `${storage.origin}/x` }).end();
    return true;
  };
  // The registry itself has got nothing, and says so at the end: once in chunks, then whole.
  await upload(server, { client: clientOf(server, { registrytoken: 'secret' }) });
  assert.ok(received >= bytes.length);
  assert.deepEqual(new Set(storage.authorizations), new Set([undefined]));
  for (const location of ['/v2/app/blobs/uploads/round', 'ftp://x/y', 'http://[', '']) {
    server.intercept = (request, response) => {
      request.resume();
      response
        .writeHead(request.method === 'POST' && location.startsWith('/') ? 308 : 202, { location })
        .end();
      return true;
    };
    await assert.rejects(upload(server), /redirect|does not say where|ftp: URL/);
  }
});

test('a registry that lies is told so', async () => {
  await using server = await UploadServer.start();
  const wrong = `sha256:${'0'.repeat(64)}`;
  const answer = (method: string, status: number, headers: Record<string, string>): void => {
    server.intercept = (request, response) => {
      if (request.method !== method) return false;
      request.resume().once('end', () => response.writeHead(status, headers).end());
      return true;
    };
  };
  answer('PUT', 201, { 'docker-content-digest': wrong });
  await assert.rejects(upload(server), { kind: 'Internal', message: /stored blob sha256:.* as sha256:0000/ });
  for (const range of ['0-0', `0-${99 * MIB}`, 'nonsense']) {
    answer('PATCH', 202, { range });
    await assert.rejects(
      upload(server, { attempts: 2 }),
      /the registry has \d+ bytes of|416|invalid content range/,
    );
  }
  answer('POST', 500, {});
  await assert.rejects(upload(server), { name: 'RegistryError', status: 500 });
  assert.equal(server.blobs.size, 0);
});

test('content that is damaged here is named as such', async () => {
  await using server = await UploadServer.start();
  const damaged: BlobContent = { ...content, digest: digestOf('other') as Digest, intact: async () => false };
  await assert.rejects(upload(server, { content: damaged }), {
    kind: 'Internal',
    message: /damaged on this machine/,
  });
  const short: BlobContent = {
    ...content,
    async *read() {
      yield bytes.subarray(0, 10);
      throw new Error('disk on fire');
    },
  };
  await assert.rejects(upload(server, { content: short }), /disk on fire/);
});

test('the limit on speed holds, and slow is not stalled', async () => {
  await using server = await UploadServer.start();
  const limiter = new RateLimit(8 * MIB);
  // The saved second goes first.
  await limiter.take(8 * MIB, AbortSignal.timeout(5000));
  const before = performance.now();
  await upload(server, { limiter });
  assert.ok(performance.now() - before > 800);
});
