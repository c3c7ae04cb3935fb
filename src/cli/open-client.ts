/**
 * The client for one run: which host, how to reach it, and starting the local daemon where none was named and systemd
 * does not do that.
 */
import { Client } from '../client/client.ts';
import { ConnectionError } from '../client/client-error.ts';
import { dialer } from '../client/dial.ts';
import { chooseHost } from '../client/host.ts';
import { nativePart } from '../client/native-part.ts';
import { CliError } from './cli-error.ts';
import type { GlobalOptions } from './global-flags.ts';
import type { Io } from './io.ts';

/** Opens no connection yet; a local daemon is started only with `mayStart` (the default). Throws where the host or its certificates cannot be read. */
export async function openClient(options: GlobalOptions, io: Io, { mayStart = true } = {}): Promise<Client> {
  requireContext(options);
  const { host, configured } = chooseHost(options.host, io.env);
  const tls = host.kind === 'tcp' ? await tlsFor(options, io) : undefined;
  const dial = await dialer(host, tls);
  const starts = mayStart && !configured && process.getuid?.() === 0 && host.kind === 'unix';
  return new Client(host, dial, {
    version: io.env['DOCKER_API_VERSION'] || undefined,
    native: nativePart(import.meta.dirname),
    ...(starts ? { beforeFirst: () => ensureDaemon(host.path) } : {}),
  });
}

/** Contexts of other clients are not read: whoever names one means a certain daemon, and must not reach another. */
function requireContext({ context, host }: GlobalOptions): void {
  if (!context) return;
  if (host) throw new CliError('conflicting options: cannot specify both --host and --context');
  if (context !== 'default') {
    throw new CliError(
      `context "${context}": only "default" is known: name the daemon with -H or DOCKER_HOST`,
    );
  }
}

async function tlsFor(options: GlobalOptions, io: Io) {
  const { tlsOptions } = await import('../client/tls-options.ts');
  return tlsOptions(options, io.env);
}

async function ensureDaemon(socket: string): Promise<void> {
  const { answers, DEFAULT_LOG, launchDaemon } = await import('../client/daemon-process.ts');
  const listener = { path: socket };
  if (await answers(listener)) return;
  const { serviceIsInstalled, serviceState, whyServiceIsSilent } = await import(
    '../client/systemd-service.ts'
  );
  if (serviceIsInstalled()) {
    const why = whyServiceIsSilent(await serviceState());
    throw new ConnectionError(`Cannot connect to the mydock daemon at unix://${socket}: ${why}`);
  }
  await launchDaemon({ listener, args: [], log: DEFAULT_LOG });
}
