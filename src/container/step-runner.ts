/**
 * Runs one RUN of a build: a supervised process like a container's, over a root filesystem that the build has
 * mounted, with nothing stored and nothing left. What the runtime had to make in the root to mount on (`/proc`,
 * `/etc/hosts`) is taken away again, so that it does not become part of a layer.
 */
import { closeSync, rmSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import type { HostConfig } from '../api/host-config.ts';
import { FrameDecoder, STREAM_STDERR } from '../api/stream.ts';
import { errorMessage, InternalError, InvalidParameterError, NotFoundError } from '../base/errors.ts';
import { keepReading } from '../base/keep-reading.ts';
import { log } from '../base/log.ts';
import { makeDirectory } from '../base/make-directory.ts';
import type { RunStep, StepEnd, StepRunner, StepTerminal } from '../build/run/step-runner.ts';
import type { MountOwners } from '../image/layers/mapped-mounts.ts';
import { removeTreeSync } from '../image/layers/native-archive.ts';
import { addon } from '../native/addon.ts';
import type { SupervisorConfig } from '../native/supervisor-protocol.ts';
import { buildHosts } from '../network/hosts-files.ts';
import type { Sandbox } from '../network/model.ts';
import { generateSpec, type NamespaceChoice, type SpecInput } from '../oci/generate.ts';
import type { Spec } from '../oci/runtime-spec.ts';
import { rootOf } from '../oci/user-mappings.ts';
import { makeBaseMountPoints } from './base-mount-points.ts';
import type { EngineContext } from './engine-context.ts';
import { type LimitDefaults, withDefaultUlimits } from './limit-defaults.ts';
import { MountStubs } from './mount-stubs.ts';
import { namespaceOf, sharedWith } from './namespaces.ts';
import { dnsSettings } from './network.ts';
import { hostGateway, resolvConfOf, sandboxHostLines } from './network-files.ts';
import { networkKind } from './network-mode.ts';
import { seccompCacheDirectory, socketsDirectory } from './paths.ts';
import { makeRootDirectory, readRootFile } from './root-file.ts';
import { Supervisor } from './supervisor.ts';
import { asRootOf, type EnteredUserNamespace, ownersOf } from './user-namespace.ts';
import { enterForStep } from './user-namespace-choice.ts';

interface StepNetwork {
  choice: NamespaceChoice;
  /** Null where the step shares somebody else's network. */
  sandbox: Sandbox | null;
}

/** BuildKit's, and the same for all steps: what a program writes down of it is no difference between two builds. */
const STEP_HOSTNAME = 'buildkitsandbox';

export class EngineStepRunner implements StepRunner {
  readonly #engine: EngineContext;
  readonly #entered = new Map<string, EnteredUserNamespace>();

  constructor(engine: EngineContext) {
    this.#engine = engine;
  }

  async withOwners<T>(
    step: Pick<RunStep, 'id' | 'network'>,
    use: (owners: MountOwners | undefined) => Promise<T>,
  ): Promise<T> {
    const entered = await enterForStep(this.#engine, step.id, networkMode(step));
    if (entered === undefined) return await use(undefined);
    this.#entered.set(step.id, entered.namespace);
    try {
      return await use(ownersOf(entered.namespace));
    } finally {
      this.#entered.delete(step.id);
      entered.leave();
    }
  }

  async run(step: RunStep): Promise<StepEnd> {
    step.signal.throwIfAborted();
    if (step.insecure === true && this.#entered.has(step.id)) {
      throw new InvalidParameterError(
        'a step with --security=insecure cannot run in a user namespace, which --userns-remap gives it',
      );
    }
    const bundle = join(this.#engine.settings.execRoot, 'containers', step.id);
    makeDirectory(bundle, 0o700);
    try {
      const network = await this.#connect(step);
      const apparmor = await this.#engine.apparmor.forRun({ Privileged: step.insecure === true });
      const spec = this.#spec(step, bundle, network, apparmor);
      const stubs = new MountStubs(
        step.rootfs,
        (spec.mounts ?? []).map(({ destination }) => destination),
      );
      try {
        const userNamespace = this.#entered.get(step.id);
        // Made here, they leave the root's time as it is, which the step can see.
        await makeBaseMountPoints(step.rootfs, userNamespace && rootOf(userNamespace));
        asRootOf(userNamespace, () => makeRootDirectory(step.rootfs, step.cwd));
        this.#writeBundle(step, bundle, spec);
        const end = await this.#execute(step, bundle);
        return { ...end, untouched: stubs.remove() };
      } catch (error) {
        stubs.remove();
        throw error;
      }
    } finally {
      await this.#disconnect(step);
      removeTreeSync(bundle);
      rmSync(join(socketsDirectory(this.#engine.settings.execRoot), step.id), { force: true });
    }
  }

  async #connect(step: RunStep): Promise<StepNetwork> {
    const mode = networkMode(step);
    switch (networkKind(mode)) {
      case 'host':
        return { choice: 'host', sandbox: null };
      case 'container': {
        const other = sharedWith(this.#engine, mode);
        if (other === undefined) throw new InternalError(`no container for network "${mode}"`);
        return { choice: { path: namespaceOf(other, 'net') }, sandbox: null };
      }
      case 'own': {
        const sandbox = await this.#attach(step, mode);
        return { choice: { path: sandbox.netnsPath }, sandbox };
      }
    }
  }

  async #attach(step: RunStep, mode: string): Promise<Sandbox> {
    const userNamespace = this.#entered.get(step.id)?.path;
    try {
      return await this.#engine.networks.attach({
        containerId: step.id,
        containerName: step.id.slice(0, 12),
        hostname: STEP_HOSTNAME,
        networks: mode === 'none' ? [] : [{ network: mode, settings: {} }],
        ports: [],
        dns: dnsSettings(this.#engine, { hostConfig: {} }),
        egress: null,
        ...(userNamespace === undefined ? {} : { userNamespace }),
      });
    } catch (error) {
      // NotFound is for images in a build.
      throw error instanceof NotFoundError ? new InvalidParameterError(error.message) : error;
    }
  }

  async #disconnect(step: RunStep): Promise<void> {
    if (networkKind(networkMode(step)) === 'own') await this.#engine.networks.detach(step.id);
  }

  #spec(
    step: RunStep,
    bundle: string,
    network: StepNetwork,
    apparmor: Pick<SpecInput, 'apparmorDefault'>,
  ): Spec {
    const { settings, host } = this.#engine;
    const hostname = STEP_HOSTNAME;
    const userNamespace = this.#entered.get(step.id);
    const files = {
      hosts: join(bundle, 'hosts'),
      hostname: join(bundle, 'hostname'),
      resolvConf: join(bundle, 'resolv.conf'),
    };
    writeFileSync(files.hostname, `${hostname}\n`, { mode: 0o644 });
    writeFileSync(
      files.hosts,
      buildHosts({
        extraHosts: [...step.extraHosts],
        hostGateway: hostGateway(this.#engine, network.sandbox),
        own: sandboxHostLines({ config: { Hostname: hostname } }, network.sandbox),
      }),
      { mode: 0o644 },
    );
    writeFileSync(
      files.resolvConf,
      resolvConfOf(
        dnsSettings(this.#engine, { hostConfig: {} }),
        network.choice === 'host',
        network.sandbox?.dns === true,
      ),
      { mode: 0o644 },
    );
    return generateSpec({
      id: step.id,
      cgroups: this.#engine.settings.cgroups,
      config: {
        Entrypoint: step.args,
        // A bare name takes the variable out: BuildKit's steps have none of the host's name.
        Env: ['HOSTNAME', ...step.env],
        WorkingDir: step.cwd,
        User: step.user,
        Tty: step.terminal?.tty === true,
      },
      hostConfig: withDefaultUlimits(hostConfigOf(step, settings.limits), settings.limits),
      hostname,
      rootfs: step.rootfs,
      mounts: [
        ...step.files.map(({ source, destination }) => ({
          type: 'bind' as const,
          source,
          destination,
          readOnly: true,
          ownersInside: true,
        })),
        ...(step.mounts ?? []),
      ],
      files,
      ...(userNamespace === undefined ? {} : { userNamespace }),
      namespaces: { network: network.choice },
      initBinary: settings.initPath,
      accounts: {
        passwd: readRootFile(step.rootfs, '/etc/passwd'),
        group: readRootFile(step.rootfs, '/etc/group'),
      },
      host,
      securityDefaults: settings.security,
      ...apparmor,
    });
  }

  #writeBundle(step: RunStep, bundle: string, spec: Spec): void {
    const supervisor: SupervisorConfig = {
      id: step.id,
      socket: join(socketsDirectory(this.#engine.settings.execRoot), step.id),
      exitRecord: join(bundle, 'exit.json'),
      log: null,
      stdin: step.terminal !== undefined,
      stdinOnce: step.terminal !== undefined,
      seccompCache: seccompCacheDirectory(this.#engine.settings.execRoot),
      ...(this.#engine.settings.cgroups.driver === 'systemd' ? { systemdCgroup: true } : {}),
    };
    writeFileSync(join(bundle, 'config.json'), JSON.stringify(spec), { mode: 0o600 });
    writeFileSync(join(bundle, 'supervisor.json'), JSON.stringify(supervisor), { mode: 0o600 });
  }

  /** Resolves when the process has ended and all its output was passed on. */
  async #execute(step: RunStep, bundle: string): Promise<Omit<StepEnd, 'untouched'>> {
    const ended = Promise.withResolvers<Omit<StepEnd, 'untouched'>>();
    ended.promise.catch(() => undefined);
    const closed = Promise.withResolvers<void>();
    const supervisor = await Supervisor.spawn(this.#engine.settings.runtimePath, bundle, {
      onEvent: (message) => {
        if (message.event === 'started') announceResize(supervisor, step.terminal);
        if (message.event === 'exited') ended.resolve({ exitCode: message.payload.exitCode });
        if (message.event !== 'failed') return;
        const { exitCode, message: failure } = message.payload;
        // 125: the container could not be made, which is not the program's fault.
        if (exitCode === 125) ended.reject(new InternalError(failure));
        else ended.resolve({ exitCode, failure });
      },
      onClose: () => {
        ended.reject(new InternalError('the supervisor of a build step ended without a word'));
        closed.resolve();
      },
    });
    const cancel = (): void => {
      try {
        if (supervisor.open) supervisor.send('kill', { process: '', signal: 9, all: true });
      } catch (error) {
        // It has just ended by itself.
        log.debug({ step: step.id, reason: errorMessage(error) }, 'a build step is gone before it is killed');
      }
    };
    step.signal.addEventListener('abort', cancel, { once: true });
    try {
      const output = attachStep(supervisor, step);
      if (step.signal.aborted) cancel();
      supervisor.send('start', {});
      const result = await ended.promise;
      await output;
      step.signal.throwIfAborted();
      if (result.failure !== undefined) step.onOutput(Buffer.from(`${result.failure}\n`), 'stderr');
      return result;
    } catch (error) {
      cancel();
      await closed.promise;
      // A supervisor that was gone before it could be spoken to has said why.
      const told = await ended.promise.catch((failure: unknown) => failure);
      throw told instanceof Error ? told : error;
    } finally {
      step.signal.removeEventListener('abort', cancel);
      // The supervisor leaves by itself; its cgroups are gone when it has closed the connection.
      await closed.promise;
    }
  }
}

/** Passes output on, and input of a terminal in; resolves when there is no more of it. */
function attachStep(supervisor: Supervisor, step: RunStep): Promise<void> {
  const [near, far] = addon().socketPair();
  const done = Promise.withResolvers<void>();
  const { terminal } = step;
  const framed = terminal?.tty !== true;
  const decoder = new FrameDecoder((code, payload) => {
    step.onOutput(payload, code === STREAM_STDERR ? 'stderr' : 'stdout');
  });
  const socket = keepReading(new Socket({ fd: near, readable: true, writable: true, allowHalfOpen: true }));
  socket.on('data', (chunk: Buffer) => (framed ? decoder.push(chunk) : step.onOutput(chunk, 'stdout')));
  socket.on('error', () => socket.destroy());
  socket.on('end', () => socket.destroy());
  socket.on('close', () => {
    terminal?.stdin.unpipe(socket);
    done.resolve();
  });
  const streams = { stdin: terminal !== undefined, stdout: true, stderr: true, framed };
  try {
    supervisor.send('attach', { process: '', attachment: 1, ...streams, detachKeys: [], head: '' }, [far]);
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    closeSync(far);
  }
  terminal?.stdin.pipe(socket);
  return done.promise;
}

function announceResize(supervisor: Supervisor, terminal: StepTerminal | undefined): void {
  terminal?.onStart?.(({ rows, columns }) => {
    if (supervisor.open) supervisor.send('resize', { process: '', rows, cols: columns });
  });
}

function networkMode({ network }: Pick<RunStep, 'network'>): string {
  return network === '' || network === 'default' ? 'bridge' : network;
}

function hostConfigOf(step: RunStep, defaults: LimitDefaults): HostConfig {
  const { limits, terminal } = step;
  return {
    NetworkMode: networkMode(step),
    IpcMode: 'private',
    CgroupnsMode: 'private',
    Privileged: step.insecure === true,
    CgroupParent: step.cgroupParent ?? '',
    Ulimits: [...(step.ulimits ?? [])],
    Memory: limits.memory,
    MemorySwap: limits.memorySwap,
    CpuShares: limits.cpuShares,
    CpuPeriod: limits.cpuPeriod,
    CpuQuota: limits.cpuQuota,
    CpusetCpus: limits.cpusetCpus,
    CpusetMems: limits.cpusetMems,
    ShmSize: limits.shmSize || defaults.shmSize,
    ...(terminal?.size === undefined ? {} : { ConsoleSize: [terminal.size.rows, terminal.size.columns] }),
  };
}
