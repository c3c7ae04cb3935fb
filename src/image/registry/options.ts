/** What the daemon's configuration says about registries, with defaults filled in. */
import { DEFAULT_CERTIFICATE_DIRECTORIES } from './certificates.ts';
import type { ProxyEnvironment } from './proxy.ts';

export interface RegistryOptions {
  /** `URL` for Docker Hub, `HOST=URL` for any registry, tried before it, in order (`--registry-mirror`). Default none. */
  mirrors?: readonly string[];
  /** `host[:port]` or CIDR ranges that may use plain HTTP or unknown certificates. Loopback always may. */
  insecureRegistries?: readonly string[];
  /** Layers downloaded at the same time, over all pulls. Default 3. */
  maxConcurrentDownloads?: number;
  /** A local copy counts as pulled while the registry is out of order, where a pull does not say. Default false. */
  pullStale?: boolean;
  /** Attempts in a row that bring nothing before a download fails. Default 5. */
  maxDownloadAttempts?: number;
  /** Bytes a second that all pulls together may download. Default 0: no limit. */
  maxDownloadBytesPerSec?: number;
  certificateDirectories?: readonly string[];
  /** Where the proxy variables are read. Default the process's environment. */
  env?: ProxyEnvironment;
  /** A connection that sends nothing for this long is given up. Default 30 000. */
  stallTimeoutMs?: number;
  /** First pause before a retry; it doubles with each. Default 500. */
  retryDelayMs?: number;
  /** Sent with every request. Default `mydock`. */
  userAgent?: string;
}

export type ResolvedRegistryOptions = Required<RegistryOptions>;

export function resolveRegistryOptions(options: RegistryOptions): ResolvedRegistryOptions {
  return {
    mirrors: options.mirrors ?? [],
    insecureRegistries: options.insecureRegistries ?? [],
    maxConcurrentDownloads: Math.max(1, options.maxConcurrentDownloads ?? 3),
    pullStale: options.pullStale ?? false,
    maxDownloadAttempts: Math.max(1, options.maxDownloadAttempts ?? 5),
    maxDownloadBytesPerSec: Math.max(0, options.maxDownloadBytesPerSec ?? 0),
    certificateDirectories: options.certificateDirectories ?? DEFAULT_CERTIFICATE_DIRECTORIES,
    env: options.env ?? process.env,
    stallTimeoutMs: options.stallTimeoutMs ?? 30_000,
    retryDelayMs: options.retryDelayMs ?? 500,
    userAgent: options.userAgent ?? 'mydock',
  };
}
