/** Pulls from registries that break, lie, stall or flood. */
import assert from 'node:assert/strict';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { digestOf } from '../digest.ts';
import { type TestImage, type TestLayer, testImage, testLayer } from '../testing/image-builder.ts';
import { ImageServer, refuse } from '../testing/image-server.ts';
import { PullBench } from '../testing/pull-bench.ts';
import type { RegistryOptions } from './options.ts';

interface Scene extends AsyncDisposable {
  server: ImageServer;
  bench: PullBench;
  layer: TestLayer;
  image: TestImage;
  name: string;
  /** Answers blob requests for the layer; the count begins at 1. */
  onLayer(answer: (request: IncomingMessage, response: ServerResponse, count: number) => boolean): void;
}

async function scene(sizeBytes = 200_000, registry: RegistryOptions = {}, layer?: TestLayer): Promise<Scene> {
  const server = await ImageServer.start();
  const bench = new PullBench(registry);
  const used = layer ?? (await testLayer('data', { sizeBytes }));
  const image = testImage([used]);
  server.push('app', 'latest', image);
  let count = 0;
  return {
    server,
    bench,
    layer: used,
    image,
    name: `${server.host}/app`,
    onLayer: (answer) => {
      server.intercept = (request, response) => {
        if (!request.url?.endsWith(`/blobs/${used.digest}`)) return false;
        count += 1;
        return answer(request, response, count);
      };
    },
    [Symbol.asyncDispose]: async () => {
      bench[Symbol.dispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** Nothing of a failed pull is to be seen. */
function assertNothing({ bench, layer }: Scene): void {
  assert.deepEqual(bench.images.list(), []);
  assert.deepEqual(bench.snapshotter.layers(), []);
  assert.equal(bench.content.has(layer.digest), false);
}

test('a connection that breaks again and again is resumed where it broke', async () => {
  await using s = await scene(4 << 20);
  const ranges: (string | undefined)[] = [];
  s.onLayer((request, response, count) => {
    ranges.push(request.headers.range);
    if (count > 3) return false;
    const start = Number(/\d+/.exec(request.headers.range ?? '0')?.[0]);
    const total = s.layer.blob.length;
    const range = start === 0 ? {} : { 'content-range': `bytes ${start}-${total - 1}/${total}` };
    response.writeHead(start === 0 ? 200 : 206, { 'content-length': total - start, ...range });
    response.write(s.layer.blob.subarray(start, start + 500_000), () => response.destroy());
    return true;
  });
  await s.bench.pull(s.name);
  assert.deepEqual(s.bench.content.read(s.layer.digest, 8 << 20), s.layer.blob);
  assert.equal(ranges[0], undefined);
  assert.ok(
    ranges.slice(1).every((range) => range !== undefined),
    String(ranges),
  );
  assert.ok(s.bench.messages.some(({ status }) => status === 'Retrying in 1 second'));
});

test('a server that ignores ranges is read from the beginning', async () => {
  await using s = await scene(300_000);
  s.onLayer((_request, response, count) => {
    response.writeHead(200, { 'content-length': s.layer.blob.length });
    if (count === 1) response.write(s.layer.blob.subarray(0, 100_000), () => response.destroy());
    else response.end(s.layer.blob);
    return true;
  });
  await s.bench.pull(s.name);
  assert.deepEqual(s.bench.content.read(s.layer.digest, 1 << 20), s.layer.blob);
});

test('a server that answers with another range, or with 416, is read from the beginning', async () => {
  await using s = await scene(300_000);
  s.onLayer((request, response, count) => {
    const { blob } = s.layer;
    if (count === 1) {
      response.writeHead(200, { 'content-length': blob.length });
      response.write(blob.subarray(0, 100_000), () => response.destroy());
    } else if (count === 2) {
      response.writeHead(206, { 'content-range': `bytes 0-${blob.length - 1}/${blob.length}` });
      response.end(blob);
    } else if (request.headers.range !== undefined) {
      refuse(response, 416, 'RANGE_INVALID', 'no');
    } else return false;
    return true;
  });
  await s.bench.pull(s.name);
  assert.deepEqual(s.bench.content.read(s.layer.digest, 1 << 20), s.layer.blob);
});

test('leftovers with wrong bytes cost one more download, no more', async () => {
  await using s = await scene(300_000);
  const ingest = await s.bench.content.ingest(s.layer.digest);
  await ingest.append(Buffer.alloc(100_000, 'x'));
  await ingest.close();
  await s.bench.pull(s.name);
  assert.equal(s.server.blobRequests(s.layer.digest), 2);
});

test('a layer with the wrong bytes is refused', async () => {
  await using s = await scene();
  s.onLayer((_request, response) => {
    response.end(Buffer.alloc(s.layer.blob.length, 'x'));
    return true;
  });
  await assert.rejects(s.bench.pull(s.name), {
    kind: 'Internal',
    message: `filesystem layer verification failed for digest ${s.layer.digest}`,
  });
  assert.equal(s.server.blobRequests(s.layer.digest), 1);
  assertNothing(s);
});

test('a layer that is longer or shorter than stated is refused before it is read', async () => {
  for (const size of [10, 1_000_000]) {
    await using s = await scene();
    s.onLayer((_request, response) => {
      response.end(Buffer.alloc(size));
      return true;
    });
    await assert.rejects(s.bench.pull(s.name), { kind: 'Internal', message: /according to its manifest/ });
    assertNothing(s);
  }
});

test('a layer without a stated length that never ends is cut off', async () => {
  await using s = await scene(50_000);
  let sent = 0;
  s.onLayer((_request, response) => {
    const feed = (): void => {
      while (!response.destroyed && sent < 1 << 30) {
        sent += 65536;
        if (!response.write(Buffer.alloc(65536))) {
          response.once('drain', feed);
          return;
        }
      }
    };
    feed();
    return true;
  });
  await assert.rejects(s.bench.pull(s.name), /the registry sends more/);
  assert.ok(sent < 64 << 20, `${sent} bytes sent`);
  assertNothing(s);
});

test('a server that falls silent is given up and asked again', async () => {
  await using s = await scene(300_000, { stallTimeoutMs: 1000 });
  s.onLayer((_request, response, count) => {
    if (count === 1) return true;
    if (count > 2) return false;
    response.writeHead(200, { 'content-length': s.layer.blob.length });
    response.write(s.layer.blob.subarray(0, 100_000));
    return true;
  });
  await s.bench.pull(s.name);
  assert.equal(s.server.blobRequests(s.layer.digest), 3);
});

test('a server that is silent for ever ends in one clear error', async () => {
  await using s = await scene(1000, { stallTimeoutMs: 60, maxDownloadAttempts: 2 });
  s.onLayer(() => true);
  await assert.rejects(s.bench.pull(s.name), { kind: 'Unavailable', message: /no data for 0.06 seconds/ });
  assertNothing(s);
});

test('a drop of bytes now and then is not silence', async () => {
  await using s = await scene(1000, { stallTimeoutMs: 1000, maxDownloadAttempts: 1 });
  s.onLayer((_request, response) => {
    response.writeHead(200, { 'content-length': s.layer.blob.length });
    const send = (offset: number): void => {
      if (offset >= s.layer.blob.length) response.end();
      else {
        response.write(s.layer.blob.subarray(offset, offset + 30));
        setTimeout(send, 40, offset + 30);
      }
    };
    send(0);
    return true;
  });
  await s.bench.pull(s.name);
});

test('5xx and 429 pass; Retry-After is waited for', async () => {
  await using s = await scene();
  const times: number[] = [];
  s.onLayer((_request, response, count) => {
    times.push(performance.now());
    if (count === 1) refuse(response, 503, 'UNAVAILABLE', 'later');
    else if (count === 2) {
      response.writeHead(429, { 'retry-after': '1' });
      response.end();
    } else return false;
    return true;
  });
  await s.bench.pull(s.name);
  assert.ok((times[2] ?? 0) - (times[1] ?? 0) >= 950);
});

test('a rate limit for hours is told at once', async () => {
  await using s = await scene();
  s.server.intercept = (_request, response) => {
    response.writeHead(429, { 'retry-after': '21600', 'content-type': 'application/json' });
    response.end(
      JSON.stringify({
        errors: [{ code: 'TOOMANYREQUESTS', message: 'You have reached your pull rate limit.' }],
      }),
    );
    return true;
  };
  await assert.rejects(s.bench.pull(s.name), {
    kind: 'Unavailable',
    message: `toomanyrequests: You have reached your pull rate limit. (GET "http://${s.server.host}/v2/app/manifests/latest")`,
  });
});

test('a missing layer is not asked for again', async () => {
  await using s = await scene();
  s.server.blobs.delete(s.layer.digest);
  await assert.rejects(s.bench.pull(s.name), { kind: 'NotFound', message: /blob unknown/ });
  assert.equal(s.server.blobRequests(s.layer.digest), 1);
});

test('redirects are followed without credentials, and loops end', async () => {
  await using s = await scene();
  await using other = await ImageServer.start();
  other.push('app', 'latest', s.image);
  s.server.intercept = (request, response) => {
    if (request.headers.authorization === undefined) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' });
      response.end();
      return true;
    }
    if (!request.url?.includes('/blobs/')) return false;
    response.writeHead(307, { location: `http://${other.host}${request.url}` });
    response.end();
    return true;
  };
  await s.bench.pull(s.name, { auth: { username: 'joe', password: 'secret' } });
  assert.equal(other.blobRequests(s.layer.digest), 1);
  assert.ok(other.authorizations.every((value) => value === undefined));
  await using t = await scene();
  t.onLayer((request, response) => {
    response.writeHead(302, { location: request.url ?? '' });
    response.end();
    return true;
  });
  await assert.rejects(t.bench.pull(t.name), { kind: 'Unavailable', message: /stopped after 10 redirects/ });
  t.onLayer((_request, response) => {
    response.writeHead(302, { location: 'file:///etc/passwd' });
    response.end();
    return true;
  });
  await assert.rejects(t.bench.pull(t.name), { kind: 'Unavailable', message: /redirect to a file: URL/ });
});

test('foreign URLs of a layer are not visited', async () => {
  await using s = await scene();
  await using elsewhere = await ImageServer.start();
  const image = testImage([s.layer], { firstLayer: { urls: [`http://${elsewhere.host}/layer`] } });
  s.server.push('app', 'foreign', image);
  await s.bench.pull(`${s.name}:foreign`);
  assert.deepEqual(elsewhere.requests, []);
});

test('broken gzip, and a layer that unpacks to something else, are refused and leave nothing', async () => {
  const whole = await testLayer('x', { sizeBytes: 5000 });
  const broken = whole.blob.subarray(0, whole.blob.length - 100);
  const lying = gzipSync(Buffer.alloc(2048));
  for (const blob of [broken, lying]) {
    await using s = await scene(0, {}, { ...whole, blob, digest: digestOf(blob) });
    await assert.rejects(s.bench.pull(s.name), {
      kind: 'InvalidParameter',
      message: /^failed to register layer: /,
    });
    assertNothing(s);
    assert.deepEqual(s.bench.content.unfinished(), []);
  }
});

test('manifests and configurations that are not what they are called', async () => {
  await using s = await scene();
  const reject = async (kind: string, message: RegExp | string): Promise<void> => {
    await assert.rejects(s.bench.pull(s.name), { kind, message });
    assertNothing(s);
  };
  const replace = (part: string, answer: (response: ServerResponse) => void): void => {
    s.server.intercept = (request, response) => {
      if (!request.url?.includes(part)) return false;
      answer(response);
      return true;
    };
  };
  replace('/manifests/', (response) => {
    response.setHeader('docker-content-digest', digestOf('other'));
    response.end(s.image.manifest);
  });
  await reject('Internal', `manifest verification failed for digest ${digestOf('other')}`);
  replace('/manifests/', (response) => response.end(Buffer.alloc(5 << 20, ' ')));
  await reject('InvalidParameter', /image manifest is larger than 4194304 bytes/);
  replace('/manifests/', (response) => response.end('<html>'));
  await reject('InvalidParameter', /not valid JSON/);
  replace('/manifests/', (response) => {
    response.setHeader('content-type', 'application/vnd.docker.distribution.manifest.v1+prettyjws');
    response.end('{"schemaVersion":1}');
  });
  await reject('InvalidParameter', /schema 1 support has been removed/);
  replace(s.image.configDigest, (response) => response.end(Buffer.alloc(s.image.config.length, ' ')));
  await reject('Internal', `image config verification failed for digest ${s.image.configDigest}`);
  replace(s.image.configDigest, (response) => response.end(Buffer.alloc(s.image.config.length + 1, ' ')));
  await reject('InvalidParameter', /image config is larger/);
});

test('media types that are no images are refused by name', async () => {
  await using s = await scene();
  const odd = testImage([{ ...s.layer, mediaType: 'application/vnd.odd.layer' }]);
  s.server.push('app', 'odd', odd);
  await assert.rejects(s.bench.pull(`${s.name}:odd`), {
    kind: 'InvalidParameter',
    message: 'unsupported media type application/vnd.odd.layer',
  });
  const config = { mediaType: 'application/vnd.oci.empty.v1+json', size: 2, digest: digestOf('{}') };
  s.server.push('app', 'artifact', testImage([s.layer], { manifest: { config } }));
  await assert.rejects(s.bench.pull(`${s.name}:artifact`), {
    kind: 'InvalidParameter',
    message: 'Encountered remote "application/vnd.oci.empty.v1+json"(unknown) when fetching',
  });
  const huge = { mediaType: odd.mediaType, size: 9 << 20, digest: s.image.configDigest };
  s.server.push('app', 'huge', testImage([s.layer], { manifest: { config: { ...huge, mediaType: '' } } }));
  await assert.rejects(s.bench.pull(`${s.name}:huge`), {
    kind: 'InvalidParameter',
    message: /more than the 8388608/,
  });
});

test('more layers in the manifest than in the configuration are refused before any download', async () => {
  await using s = await scene();
  const image = testImage([s.layer, s.layer], {
    config: { rootfs: { type: 'layers', diff_ids: [s.layer.diffId] } },
  });
  s.server.push('app', 'more', image);
  await assert.rejects(s.bench.pull(`${s.name}:more`), { kind: 'InvalidParameter', message: /don't match/ });
  assert.equal(s.server.blobRequests(s.layer.digest), 0);
});

test('one failing layer stops the others', async () => {
  await using server = await ImageServer.start();
  using bench = new PullBench();
  const layers = [await testLayer('slow', { sizeBytes: 1000 }), await testLayer('bad', { sizeBytes: 1000 })];
  server.push('app', 'latest', testImage(layers));
  server.intercept = (request, response) => {
    if (request.url?.endsWith(layers[0]?.digest ?? '')) return true;
    if (!request.url?.endsWith(layers[1]?.digest ?? '')) return false;
    response.end(Buffer.alloc(layers[1]?.blob.length ?? 0));
    return true;
  };
  const begun = performance.now();
  await assert.rejects(bench.pull(`${server.host}/app`), /verification failed/);
  assert.ok(performance.now() - begun < 60_000);
  assert.deepEqual(bench.images.list(), []);
});
