/**
 * What a client serves on its session (BuildKit's FileSync, FileSend, Upload, Secrets, SSH and Auth, containerd's
 * Content), as builds ask for it. All that comes from there is the client's, and bounded; when the connection goes, everything that waits for it
 * rejects.
 */
import { Duplex, Readable } from 'node:stream';
import { Content } from '../../../api/buildkit/content_pb.ts';
import { PacketSchema } from '../../../api/buildkit/file-stat_pb.ts';
import { Auth, FileSend, FileSync } from '../../../api/buildkit/filesync_pb.ts';
import { Secrets } from '../../../api/buildkit/secrets_pb.ts';
import { SSH } from '../../../api/buildkit/sshforward_pb.ts';
import { Upload } from '../../../api/buildkit/upload_pb.ts';
import { encode } from '../../../api/grpc/call.ts';
import { type ClientCall, type GrpcChannel, type Metadata, pathOf } from '../../../api/grpc/channel.ts';
import { GrpcError } from '../../../api/grpc/status.ts';
import { InvalidParameterError, UnavailableError } from '../../../base/errors.ts';
import type { BuildSession, ClientStore, FolderRequest } from '../../../build/session.ts';
import type { RegistryAuth } from '../../../image/registry/credentials.ts';
import { ServedStore } from './client-store.ts';
import { type ReceiveOptions, receiveFolder } from './folder-receiver.ts';
import { sendFolder } from './folder-sender.ts';
import { headerValues } from './header-values.ts';

const SECRET_MAX_BYTES = 500 << 10;
const PIECE_MAX_BYTES = 1 << 20;
/** A client that does not answer a plain question is taken for gone. */
const ANSWER_MAX_MS = 60_000;
/** Under which clients keep the credentials of Docker Hub. */
const HUB = 'registry-1.docker.io';
const HUB_NAMES: ReadonlySet<string> = new Set(['docker.io', 'index.docker.io', HUB]);

export class ClientSession implements BuildSession {
  readonly id: string;
  readonly sharedKey: string;
  readonly #channel: GrpcChannel;
  readonly #methods: ReadonlySet<string>;

  /** `methods`: what the client says it serves, as `/package.Service/Method`. */
  constructor(id: string, sharedKey: string, methods: readonly string[], channel: GrpcChannel) {
    this.id = id;
    this.sharedKey = sharedKey;
    this.#channel = channel;
    this.#methods = new Set(methods.map((method) => method.toLowerCase()));
  }

  /** Fires when the client has gone. */
  get closed(): AbortSignal {
    return this.#channel.closed;
  }

  close(): void {
    this.#channel.close();
  }

  async syncFolder(
    { name, include, exclude, followPaths }: FolderRequest,
    directory: string,
    options: ReceiveOptions & { signal: AbortSignal },
  ): Promise<void> {
    const method = FileSync.method.diffCopy;
    if (!this.#serves(pathOf(method))) {
      throw new InvalidParameterError(`cannot read folder "${name}" of the client: it offers no folders`);
    }
    const metadata: Metadata = {
      ...headerValues('dir-name', [name]),
      ...headerValues('include-patterns', include),
      ...headerValues('exclude-patterns', exclude),
      ...headerValues('followpaths', followPaths),
    };
    const call = this.#channel.open(method, { metadata, signal: options.signal });
    await told(`cannot read folder "${name}" of the client`, options.signal, async () => {
      try {
        const send = (packet: Parameters<typeof call.write>[0]): Promise<void> => call.write(packet);
        await receiveFolder(call.messages(), send, directory, { ...options, end: () => call.end() });
      } finally {
        call.cancel();
      }
    });
  }

  async upload(id: string, signal: AbortSignal): Promise<Readable> {
    const method = Upload.method.pull;
    if (!this.#serves(pathOf(method))) {
      throw new InvalidParameterError(`cannot read upload "${id}" of the client: it offers none`);
    }
    const metadata = {
      ...headerValues('urlpath', [`/${id}`]),
      ...headerValues('urlhost', ['buildkit-session']),
    };
    const call = this.#channel.open(method, { metadata, signal });
    call.end();
    return Readable.from(contentOf(call), { objectMode: false });
  }

  async secret(id: string): Promise<Buffer | undefined> {
    if (!this.#serves(pathOf(Secrets.method.getSecret))) return undefined;
    try {
      const { data } = await this.#ask((signal) =>
        this.#channel.unary(Secrets.method.getSecret, { id }, { signal }),
      );
      if (data.length > SECRET_MAX_BYTES) {
        throw new InvalidParameterError(
          `invalid secret "${id}": it has ${data.length} bytes, at most ${SECRET_MAX_BYTES} are allowed`,
        );
      }
      return Buffer.from(data);
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw described(`cannot read secret "${id}" of the client`, error);
    }
  }

  async hasSshAgent(id: string): Promise<boolean> {
    if (!this.#serves(pathOf(SSH.method.checkAgent))) return false;
    try {
      await this.#ask((signal) => this.#channel.unary(SSH.method.checkAgent, { id }, { signal }));
      return true;
    } catch (error) {
      // The client's own answer for an agent that it does not forward has no code.
      if (error instanceof GrpcError && error.code !== 'Unavailable') return false;
      throw described(`cannot ask the client for ssh agent "${id}"`, error);
    }
  }

  async connectSshAgent(id: string): Promise<Duplex> {
    if (!this.#serves(pathOf(SSH.method.forwardAgent))) {
      throw new InvalidParameterError(`cannot connect to ssh agent "${id}": the client forwards none`);
    }
    return agentConnection(
      this.#channel.open(SSH.method.forwardAgent, { metadata: headerValues('buildkit.ssh.id', [id]) }),
    );
  }

  async credentials(host: string): Promise<RegistryAuth | undefined> {
    if (!this.#serves(pathOf(Auth.method.credentials))) return undefined;
    try {
      const { username, secret } = await this.#ask((signal) =>
        this.#channel.unary(Auth.method.credentials, { host: HUB_NAMES.has(host) ? HUB : host }, { signal }),
      );
      if (username !== '') return { username, password: secret };
      return secret === '' ? undefined : { identitytoken: secret };
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw described(`cannot ask the client for its credentials for ${host}`, error);
    }
  }

  async sendFile(exporter: number, content: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
    await this.#send(exporter, signal, async (call) => {
      for await (const chunk of content) {
        for (let at = 0; at < chunk.length; at += PIECE_MAX_BYTES) {
          await call.write({ data: chunk.subarray(at, at + PIECE_MAX_BYTES) });
        }
      }
      call.end();
      // Its end says that the client has written all of it.
      for await (const _ of call.messages());
    });
  }

  async sendFolder(exporter: number, directory: string, signal: AbortSignal): Promise<void> {
    await this.#send(exporter, signal, async (call) => {
      // The client that chose a folder speaks the other messages on the same method.
      const send = (packet: Parameters<typeof encode<typeof PacketSchema>>[1]): Promise<void> =>
        call.writeEncoded(encode(PacketSchema, packet));
      await sendFolder(call.messagesAs(PacketSchema), { send, end: () => call.end() }, directory);
    });
  }

  store(name: string): ClientStore {
    if (!this.#serves(pathOf(Content.method.read))) {
      throw new InvalidParameterError(`cannot use the store "${name}" of the client: it serves none`);
    }
    return new ServedStore(this.#channel, name);
  }

  async #send(
    exporter: number,
    signal: AbortSignal,
    use: (
      call: ClientCall<typeof FileSend.method.diffCopy.input, typeof FileSend.method.diffCopy.output>,
    ) => Promise<void>,
  ): Promise<void> {
    const method = FileSend.method.diffCopy;
    if (!this.#serves(pathOf(method))) {
      throw new InvalidParameterError(`cannot send output ${exporter} to the client: it takes none`);
    }
    const metadata = headerValues('buildkit-attachable-exporter-id', [String(exporter)]);
    const call = this.#channel.open(method, { metadata, signal });
    await told(`cannot send output ${exporter} to the client`, signal, async () => {
      try {
        await use(call);
      } finally {
        call.cancel();
      }
    });
  }

  #serves(method: string): boolean {
    return this.#methods.has(method.toLowerCase());
  }

  async #ask<T>(question: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const signal = AbortSignal.timeout(ANSWER_MAX_MS);
    try {
      return await question(signal);
    } catch (error) {
      if (signal.aborted && error === signal.reason) {
        throw new UnavailableError(`the client did not answer within ${ANSWER_MAX_MS / 1000} s`);
      }
      throw error;
    }
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof GrpcError && (error.code === 'NotFound' || error.code === 'Unimplemented');
}

function described(action: string, error: unknown): unknown {
  if (!(error instanceof GrpcError)) return error;
  const kind = error.code === 'Unavailable' ? UnavailableError : InvalidParameterError;
  return new kind(action, error);
}

/** Runs a transfer; what the client says of its failure is put behind `action`. */
async function told(action: string, signal: AbortSignal, transfer: () => Promise<void>): Promise<void> {
  try {
    await transfer();
  } catch (error) {
    throw signal.aborted ? signal.reason : described(action, error);
  }
}

async function* contentOf(
  call: ClientCall<typeof Upload.method.pull.input, typeof Upload.method.pull.output>,
): AsyncGenerator<Uint8Array> {
  for await (const { data } of call.messages()) if (data.length > 0) yield data;
}

function agentConnection(
  call: ClientCall<typeof SSH.method.forwardAgent.input, typeof SSH.method.forwardAgent.output>,
): Duplex {
  const messages = call.messages();
  return new Duplex({
    read() {
      messages.next().then(
        ({ value, done }) => {
          if (done === true) this.push(null);
          // An empty piece would end the stream's reading.
          else if (value.data.length === 0) this._read(0);
          else this.push(value.data);
        },
        (error: unknown) => this.destroy(asError(error)),
      );
    },
    write(chunk: Buffer, _encoding, done) {
      call.write({ data: chunk }).then(
        () => done(),
        (error: unknown) => done(asError(error)),
      );
    },
    final(done) {
      call.end();
      done();
    },
    destroy(error, done) {
      call.cancel();
      done(error);
    },
  });
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
