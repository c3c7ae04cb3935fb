/**
 * What a build may ask of the client that ordered it, while it runs: its folders, its secrets, its ssh agent, its
 * credentials, and places for what comes out. Behind it stands BuildKit's session protocol (`POST /session`).
 */
import type { Duplex, Readable } from 'node:stream';
import type { Digest } from '../image/digest.ts';
import type { RegistryAuth } from '../image/registry/credentials.ts';

export interface FolderRequest {
  /** The client's name of the folder: `context`, `dockerfile`, or a named context's. */
  name: string;
  /** Patterns in the language of .dockerignore: what alone is wanted, and what is not. */
  include?: readonly string[];
  exclude?: readonly string[];
  /** Paths whose links are followed, and their targets sent as well. */
  followPaths?: readonly string[];
}

export interface StoredBlob {
  digest: Digest;
  sizeBytes: number;
}

/** Blobs by their digests, kept by the client: an OCI layout, a cache, the place of an output. */
export interface ClientStore {
  /** Undefined where it has none of that digest. Rejects with InvalidParameter where there is no such store. */
  size(digest: Digest, signal: AbortSignal): Promise<number | undefined>;
  /** That many bytes, in pieces as they come, or an error; whoever reads checks the digest. */
  read(blob: StoredBlob, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** Resolves once the client has all of it; nothing is sent of what it has already. */
  write(blob: StoredBlob, content: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void>;
}

export interface BuildSession {
  readonly id: string;

  /** The last part of the key of the folder store: what the client says stays the same between its builds. */
  readonly sharedKey: string;

  /**
   * Makes `directory` the same as the client's folder (fsutil's protocol): what is there already with the same size, mode and
   * time is not sent again, what the client no longer has is removed. Rejects with InvalidParameter where the client has no such folder.
   * `onProgress` has the bytes and files received so far.
   */
  syncFolder(
    request: FolderRequest,
    directory: string,
    options: { signal: AbortSignal; onProgress?: (received: { bytes: number; files: number }) => void },
  ): Promise<void>;

  /** A body that the client streams into the build (a context from its stdin). `id` is the last part of its address. */
  upload(id: string, signal: AbortSignal): Promise<Readable>;

  /** Undefined where the client has none of that name. At most 500 KiB. */
  secret(id: string): Promise<Buffer | undefined>;

  /** Whether the client forwards an agent by that name (`default`). */
  hasSshAgent(id: string): Promise<boolean>;

  /** One connection to the agent. */
  connectSshAgent(id: string): Promise<Duplex>;

  /** Undefined where the client has none for that registry host. */
  credentials(host: string): Promise<RegistryAuth | undefined>;

  /** One file for `--output` of types that are one file (`tar`, `oci`, `docker`). `exporter`: which output, from 0. */
  sendFile(exporter: number, content: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void>;

  /** All that is below `directory`, for `--output type=local`. */
  sendFolder(exporter: number, directory: string, signal: AbortSignal): Promise<void>;

  /** The client's store of that name. Throws InvalidParameter where it serves none at all. */
  store(name: string): ClientStore;
}
