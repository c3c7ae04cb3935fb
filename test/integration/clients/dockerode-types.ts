/** The part of dockerode 5 that the tests use. */
import type { Duplex, Readable, Writable } from 'node:stream';

export type Options = Record<string, unknown>;
/** An inspect answer: the tests read the fields they ask for. */
export type Fields = { readonly [name: string]: unknown };

export interface Exec {
  readonly id: string;
  start(options: Options): Promise<Duplex>;
  inspect(): Promise<Fields>;
  resize(options: Options): Promise<unknown>;
}

export interface Container {
  readonly id: string;
  start(): Promise<unknown>;
  stop(options?: Options): Promise<unknown>;
  restart(options?: Options): Promise<unknown>;
  kill(options?: Options): Promise<unknown>;
  pause(): Promise<unknown>;
  unpause(): Promise<unknown>;
  rename(options: Options): Promise<unknown>;
  update(options: Options): Promise<unknown>;
  remove(options?: Options): Promise<unknown>;
  wait(options?: Options): Promise<{ StatusCode: number }>;
  inspect(): Promise<Fields & { State: Fields; Config: Fields; Name: string; Id: string }>;
  top(options?: Options): Promise<{ Titles: string[]; Processes: string[][] }>;
  changes(): Promise<{ Path: string; Kind: number }[]>;
  stats(options: { stream: false }): Promise<Fields & { memory_stats: Fields }>;
  export(): Promise<Readable>;
  commit(options: Options): Promise<{ Id: string }>;
  attach(options: Options): Promise<Duplex>;
  logs(options: Options & { follow: true }): Promise<Readable>;
  logs(options: Options): Promise<Buffer>;
  exec(options: Options): Promise<Exec>;
  putArchive(file: Buffer, options: Options): Promise<unknown>;
  getArchive(options: Options): Promise<Readable>;
}

export interface Image {
  inspect(): Promise<Fields & { Id: string; RepoTags: string[] }>;
  tag(options: Options): Promise<unknown>;
  history(): Promise<Fields[]>;
  remove(options?: Options): Promise<unknown>;
}

export interface Network {
  readonly id: string;
  inspect(): Promise<Fields & { Name: string; Containers: Record<string, { IPv4Address: string }> }>;
  connect(options: Options): Promise<unknown>;
  disconnect(options: Options): Promise<unknown>;
  remove(): Promise<unknown>;
}

export interface Docker {
  readonly modem: {
    demuxStream(stream: Readable, stdout: Writable, stderr: Writable): void;
    followProgress(stream: Readable, finished: (error: Error | null, messages: Fields[]) => void): void;
  };
  ping(): Promise<Buffer>;
  version(): Promise<Fields>;
  info(): Promise<Fields>;
  df(): Promise<Fields>;
  createContainer(options: Options): Promise<Container>;
  getContainer(id: string): Container;
  getImage(name: string): Image;
  listContainers(options?: Options): Promise<(Fields & { Id: string; Names: string[]; State: string })[]>;
  listImages(options?: Options): Promise<(Fields & { RepoTags: string[] })[]>;
  createNetwork(options: Options): Promise<Network>;
  getNetwork(id: string): Network;
  listNetworks(options?: Options): Promise<(Fields & { Id: string; Name: string })[]>;
  pruneNetworks(options?: Options): Promise<{ NetworksDeleted: string[] | null }>;
  pruneContainers(options?: Options): Promise<{ ContainersDeleted: string[] | null }>;
  run(
    image: string,
    command: string[],
    output: Writable | Writable[],
    options?: Options,
  ): Promise<[{ StatusCode: number }, Container]>;
  pull(reference: string): Promise<Readable>;
  buildImage(context: Readable, options: Options): Promise<Readable>;
  getEvents(options: Options): Promise<Readable>;
}

export type Dockerode = new (options: { socketPath: string; version?: string }) => Docker;
