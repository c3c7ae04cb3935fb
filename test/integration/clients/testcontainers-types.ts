/** The part of testcontainers 12 that the tests use. */
import type { Readable } from 'node:stream';

export interface WaitStrategy {
  withStartupTimeout(ms: number): WaitStrategy;
}

export interface StartedContainer {
  getHost(): string;
  getMappedPort(port: number): number;
  getId(): string;
  getName(): string;
  exec(
    command: string | string[],
    options?: object,
  ): Promise<{ output: string; stdout: string; stderr: string; exitCode: number }>;
  copyContentToContainer(contents: { content: string; target: string }[]): Promise<void>;
  copyArchiveFromContainer(path: string): Promise<Readable>;
  logs(options?: object): Promise<Readable>;
  restart(): Promise<void>;
  stop(options?: object): Promise<unknown>;
}

export interface StartedNetwork {
  getName(): string;
  stop(): Promise<unknown>;
}

export interface GenericContainer {
  withCommand(command: string[]): this;
  withExposedPorts(...ports: number[]): this;
  withWaitStrategy(strategy: WaitStrategy): this;
  withEnvironment(environment: Record<string, string>): this;
  withCopyContentToContainer(contents: { content: string; target: string }[]): this;
  withLabels(labels: Record<string, string>): this;
  withTmpFs(mounts: Record<string, string>): this;
  withHealthCheck(check: { test: string[]; interval: number; timeout: number; retries: number }): this;
  withNetwork(network: StartedNetwork): this;
  withNetworkAliases(...aliases: string[]): this;
  start(): Promise<StartedContainer>;
}

export interface Testcontainers {
  GenericContainer: (new (
    image: string,
  ) => GenericContainer) & {
    fromDockerfile(context: string): { build(name?: string): Promise<GenericContainer> };
  };
  Network: new () => { start(): Promise<StartedNetwork> };
  Wait: {
    forLogMessage(message: string | RegExp, times?: number): WaitStrategy;
    forListeningPorts(): WaitStrategy;
    forHttp(path: string, port: number): WaitStrategy;
    forHealthCheck(): WaitStrategy;
    forSuccessfulCommand(command: string): WaitStrategy;
    forOneShotStartup(): WaitStrategy;
  };
}
