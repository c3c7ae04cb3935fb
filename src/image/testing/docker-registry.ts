/**
 * The real registry server of Debian's `docker-registry` package, for tests: on a loopback port and a temporary folder
 * of its own, with TLS and htpasswd where wanted, filled through its own push API.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { digestOf } from '../digest.ts';
import type { TestImage, TestIndex } from './image-builder.ts';

export interface DockerRegistryOptions {
  tls?: { certificate: string; key: string };
  /** Lines of an htpasswd file, bcrypt. */
  htpasswd?: string;
}

/** Why tests with the real server cannot run; false where they can. */
export function dockerRegistryMissing(): string | false {
  const probe = spawnSync('docker-registry', ['--version']);
  return probe.error === undefined ? false : 'docker-registry is not installed';
}

export class DockerRegistry implements AsyncDisposable {
  readonly host: string;
  readonly #process: ChildProcess;
  readonly #directory: string;
  readonly #headers: Record<string, string>;

  private constructor(host: string, child: ChildProcess, directory: string, headers: Record<string, string>) {
    this.host = host;
    this.#process = child;
    this.#directory = directory;
    this.#headers = headers;
  }

  /** `credentials` (`user:password`) are what pushes are made with. TLS registries cannot be pushed to. */
  static async start(
    options: DockerRegistryOptions = {},
    credentials?: string,
    storage?: string,
  ): Promise<DockerRegistry> {
    const directory = mkdtempSync(join(tmpdir(), 'mydock-registry-'));
    const port = await freePort();
    const config = {
      version: 0.1,
      log: { level: 'error', accesslog: { disabled: true } },
      storage: { filesystem: { rootdirectory: storage ?? join(directory, 'data') } },
      http: { addr: `127.0.0.1:${port}`, ...(options.tls === undefined ? {} : { tls: options.tls }) },
      ...(options.htpasswd === undefined
        ? {}
        : { auth: { htpasswd: { realm: 'test', path: join(directory, 'htpasswd') } } }),
    };
    if (options.htpasswd !== undefined) writeFileSync(join(directory, 'htpasswd'), options.htpasswd);
    writeFileSync(join(directory, 'config.yml'), JSON.stringify(config));
    const child = spawn('docker-registry', ['serve', join(directory, 'config.yml')], { stdio: 'ignore' });
    const headers: Record<string, string> =
      credentials === undefined
        ? {}
        : { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` };
    const registry = new DockerRegistry(`127.0.0.1:${port}`, child, directory, headers);
    await registry.#ready(options.tls === undefined);
    return registry;
  }

  /** Where the registry keeps its content, for another one over the same. */
  get storage(): string {
    return join(this.#directory, 'data');
  }

  async #ready(plain: boolean): Promise<void> {
    for (let attempt = 0; attempt < 200; attempt += 1) {
      if (this.#process.exitCode !== null)
        throw new Error(`docker-registry ended with ${this.#process.exitCode}`);
      try {
        await fetch(`http://${this.host}/v2/`, { headers: this.#headers });
        return;
      } catch (error) {
        // Plain HTTP at a TLS port is answered, or cut off, once the port is open.
        if (!plain && !String((error as Error).cause).includes('ECONNREFUSED')) return;
        await pause(25);
      }
    }
    throw new Error('docker-registry does not answer');
  }

  async #send(method: string, path: string, body: Buffer | undefined, type: string): Promise<Response> {
    const url = new URL(path, `http://${this.host}`);
    const headers = { ...this.#headers, 'content-type': type };
    const response = await fetch(url, {
      method,
      headers,
      ...(body === undefined ? {} : { body: new Uint8Array(body) }),
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response;
  }

  async #pushBlob(repository: string, blob: Buffer): Promise<void> {
    const started = await this.#send(
      'POST',
      `/v2/${repository}/blobs/uploads/`,
      undefined,
      'application/octet-stream',
    );
    const location = new URL(started.headers.get('location') ?? '', `http://${this.host}`);
    location.searchParams.set('digest', digestOf(blob));
    await this.#send('PUT', location.pathname + location.search, blob, 'application/octet-stream');
  }

  async push(repository: string, tag: string, image: TestImage): Promise<void> {
    for (const blob of [image.config, ...image.layers.map((layer) => layer.blob)])
      await this.#pushBlob(repository, blob);
    await this.#send('PUT', `/v2/${repository}/manifests/${tag}`, image.manifest, image.mediaType);
  }

  async pushIndex(repository: string, tag: string, index: TestIndex, images: TestImage[]): Promise<void> {
    for (const image of images) await this.push(repository, image.digest, image);
    await this.#send('PUT', `/v2/${repository}/manifests/${tag}`, index.bytes, index.mediaType);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode === null) {
      const ended = new Promise((resolve) => this.#process.once('exit', resolve));
      this.#process.kill('SIGKILL');
      await ended;
    }
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
