/**
 * The life of a daemon between its configuration and its end: the data root opened, the API served, and then a signal,
 * or a successor (takeover/). A successor that fails before it serves leaves everything to this process again.
 */
import { closeSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { holdDatabase } from '../base/database.ts';
import { ConflictError, errorMessage, UnavailableError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { rehearseMigration, restoreBeforeMigration } from '../base/migration.ts';
import { inSpan } from '../base/spans.ts';
import { dropInherited, duplicates, inherit } from '../native/bound-ports.ts';
import { composeDaemon, type Daemon } from './compose.ts';
import type { DaemonConfig } from './config.ts';
import { dataRootFree } from './data-root-lock.ts';
import { relayedConnections } from './hijack.ts';
import { inheritedAddresses, listenAddresses, wantsInherited } from './listen-address.ts';
import { DATABASE_FILE, MIGRATIONS } from './migrations.ts';
import { type Preparation, prepareDaemon } from './preparation.ts';
import { ApiServer, type ListenAddress, listenKey } from './server.ts';
import { listenOnPath, requireFreePath } from './socket-file.ts';
import { PredecessorGone } from './takeover/channel.ts';
import { Claim } from './takeover/claim.ts';
import { closeHanded, type HandedSockets, type Successor, TakeoverOffer } from './takeover/offer.ts';
import { withExitCodes } from './takeover/pending-waits.ts';

/** Requests that end by themselves get so long before a daemon ends. */
const GRACE_MS = 1000;
/** The same before a takeover: the API goes on meanwhile. */
const SETTLE_MS = 10_000;
/** The same from the moment on that nothing is accepted any more. */
const PAUSE_GRACE_MS = 250;
const SHORT_MAX_MS = 3000;
const SUCCESSOR_MAX_MS = 60_000;
/** For what was told to end, while the API goes on. */
const GIVE_UP_MS = 20_000;
/** The same once nothing is accepted any more. */
const LET_GO_MS = 5000;
const LULL_MAX_MS = 1000;
const LOCK_MAX_MS = 5000;
/** Times of events may differ so much from the clock. */
const CLOCK_MS = 5;
const LINGER_POLL_MS = 250;

const REPLACED = 'mydockd is being replaced by another one: try again';

interface Running {
  config: DaemonConfig;
  daemon: Daemon;
  server: ApiServer;
  offer: TakeoverOffer;
}

/** Returns when the process has nothing left to do. Throws where the daemon cannot be started. */
export async function serve(config: DaemonConfig, { takeover }: { takeover: boolean }): Promise<void> {
  let addresses = listenAddresses(config, { takeover });
  const claim = takeover ? await askForTakeover(config) : undefined;
  // Before anything of the machine is touched: the daemon could not serve there.
  for (const address of addresses) {
    if (address.kind !== 'unix' || claim?.listeners.includes(listenKey(address))) continue;
    await requireFreePath(address.path);
  }
  // Its log on disk stays while anybody has it open: a full disk has no room for another.
  let held = claim === undefined ? undefined : holdDatabase(join(config.dataRoot, DATABASE_FILE));
  const preparation = await inSpan('open', 'preparation', () => prepareDaemon(config));
  let handed = claim === undefined ? undefined : await inSpan('open', 'hand-over', () => take(claim, config));
  if (takeover && wantsInherited(config)) {
    addresses = [...addresses, ...inheritedAddresses(handed?.listen ?? new Map(), config)];
  }
  let successorOf: Claim | undefined = claim;
  const ended = untilSignal();
  for (;;) {
    const running = await inSpan('open', 'data root', () =>
      open(config, preparation, addresses, handed, successorOf),
    );
    held?.close();
    held = undefined;
    successorOf = undefined;
    const outcome = await untilEnd(running, ended);
    if (outcome === 'ended') return;
    if (outcome === 'handed over') return await linger(running.daemon, ended);
    await takeBack(config, outcome.atMs);
    handed = outcome.handed;
    // What was passed to this process was closed, and comes back with the rest.
    addresses = addresses.map((address) => (address.kind === 'fd' ? { ...address, isOpen: false } : address));
  }
}

/** Undefined where the daemon before this one has died while it handed over: then this one starts as after any crash. */
async function take(claim: Claim, config: DaemonConfig): Promise<HandedSockets | undefined> {
  try {
    return await claim.take();
  } catch (error) {
    if (!(error instanceof PredecessorGone)) throw error;
    await dataRootFree(config.dataRoot, LOCK_MAX_MS);
    log.warn('the mydockd before this one has died while it handed over');
    return undefined;
  }
}

/** Looks at what would keep this daemon from starting before the running one is asked. */
async function askForTakeover(config: DaemonConfig): Promise<Claim> {
  rehearseMigration(join(config.dataRoot, DATABASE_FILE), MIGRATIONS);
  const claim = await Claim.ask(config);
  if (wantsInherited(config) && !claim.listeners.some((key) => key.startsWith('fd:'))) {
    throw new UnavailableError(
      '--host fd://: no sockets were passed to this process (LISTEN_FDS), nor to the one that runs',
    );
  }
  return claim;
}

async function open(
  config: DaemonConfig,
  preparation: Preparation,
  addresses: readonly ListenAddress[],
  handed: HandedSockets | undefined,
  claim: Claim | undefined,
): Promise<Running> {
  if (claim !== undefined) await dataRootFree(config.dataRoot, LOCK_MAX_MS);
  inherit(handed?.port ?? new Map());
  const daemon = await composeDaemon(config, preparation, handed?.supervisor);
  const server = new ApiServer(daemon.router, handed?.listen);
  try {
    for (const address of addresses) await server.listen(address);
    await daemon.sockets.restore(server);
  } catch (error) {
    // What was handed over is its owner's again.
    server.stopAccepting({ keepFiles: handed !== undefined });
    await server.close();
    await daemon.close();
    throw error;
  }
  server.dropHanded();
  dropInherited();
  server.adopt(handed?.idle ?? new Map());
  daemon.continueWaits(handed?.wait ?? new Map());
  daemon.continueAttachments(handed?.attach ?? new Map());
  server.continueStreams(handed?.stream ?? new Map());
  writePidFile(config, handed !== undefined);
  const offer = await TakeoverOffer.open(
    { ...config, listeners: () => server.keys() },
    (takeoverServer, path) => listenOnPath(takeoverServer, path, { uid: 0, gid: 0, mode: 0o600 }),
  );
  server.continueBegun(handed?.begun ?? new Map());
  void claim?.serving().then((begun) => server.continueBegun(begun));
  log.info({ pid: process.pid, hosts: config.hosts, dataRoot: config.dataRoot }, 'mydockd serves the API');
  return { config, daemon, server, offer };
}

type Outcome =
  | 'ended'
  | 'handed over'
  /** The successor does not serve: what it was to get, and since when (Unix time) it could have the data root. */
  | { handed: HandedSockets; atMs: number };

async function untilEnd(running: Running, ended: Promise<string>): Promise<Outcome> {
  const { config, daemon, server, offer } = running;
  void daemon.startByPolicy();
  for (;;) {
    const end = await Promise.race([ended, offer.successor]);
    if (typeof end === 'string') {
      log.info({ signal: end }, 'mydockd ends; containers go on');
      offer.close();
      server.stopAccepting();
      await server.underWay.settle(GRACE_MS);
      await server.close();
      await daemon.close();
      rmSync(pidFileOf(config), { force: true });
      return 'ended';
    }
    const outcome = await handOver(running, end);
    if (outcome !== 'refused') return outcome;
    daemon.continueStops();
    offer.renew();
  }
}

async function handOver(running: Running, successor: Successor): Promise<Outcome | 'refused'> {
  const { daemon, server, offer } = running;
  log.info({ pid: successor.pid, version: successor.version }, 'another mydockd takes over');
  const reason = new UnavailableError(REPLACED);
  let listen: Map<string, number>;
  try {
    if (!(await server.underWay.settle(SETTLE_MS))) await giveUpLong(running, reason);
    listen = server.duplicates();
  } catch (error) {
    log.error({ error: errorMessage(error) }, 'nothing is handed over');
    successor.refuse(errorMessage(error));
    return 'refused';
  }
  await lull(running);
  const began = performance.now();
  offer.close();
  const passedNs = BigInt(Date.now() - CLOCK_MS) * 1_000_000n;
  const wait = new Map([...server.underWay.passWaits(), ...daemon.passWaits()]);
  const stream = successor.takes('stream') ? server.underWay.passStreams() : new Map<string, number>();
  const idle = server.passIdle();
  const between = successor.takes('begun') ? server.standIn(idle) : undefined;
  server.stopAccepting({ keepFiles: true });
  await server.underWay.settle(PAUSE_GRACE_MS);
  // Clients of short requests need not know of the takeover, however slow the machine is.
  await server.underWay.settleShort(SHORT_MAX_MS);
  for (const [key, fd] of server.passIdle()) idle.set(key, fd);
  if (between !== undefined) server.keepIdle(between, idle);
  daemon.giveUpStops(reason);
  const requests = await server.close(reason, LET_GO_MS);
  const settled = await daemon.settle(LET_GO_MS);
  const atMs = Date.now();
  const whole = settled && requests.length === 0;
  const handed: HandedSockets = {
    listen,
    port: duplicates(),
    idle,
    wait: withExitCodes(wait, daemon.exitCodes, passedNs),
    attach: successor.takes('attach') ? daemon.passAttachments() : new Map<string, number>(),
    stream,
    // A process that ends at once leaves nothing to a later moment.
    begun: whole ? new Map() : (between?.pass() ?? new Map()),
    supervisor: whole ? daemon.passSupervisors() : new Map<string, number>(),
  };
  if (whole) await daemon.close(true);
  else {
    daemon.storeEvents();
    log.error({ requests }, 'what is under way does not end: this process does, as one that was killed');
  }
  const closedMs = performance.now() - began;
  try {
    successor.give(handed);
  } catch (error) {
    log.error({ error: errorMessage(error) }, 'cannot hand over');
    successor.end();
    if (!whole) await daemon.close(true);
    return { handed: { ...handed, begun: new Map([...handed.begun, ...(between?.pass() ?? [])]) }, atMs };
  }
  // The lock of the data root goes with the process: two daemons must not work at the same things.
  if (!whole) return 'ended';
  const serves = await successor.serving(SUCCESSOR_MAX_MS);
  const begun = between?.pass() ?? new Map<string, number>();
  if (!serves) {
    successor.end();
    log.error({ pid: successor.pid }, 'the mydockd that took over does not serve: this one goes on');
    return { handed: { ...handed, begun }, atMs };
  }
  giveBegun(successor, begun);
  closeHanded(handed);
  log.info({ closedMs, servedMs: performance.now() - began }, 'handed over');
  return 'handed over';
}

/** It serves: nothing is taken back any more, whatever becomes of these. */
function giveBegun(successor: Successor, begun: ReadonlyMap<string, number>): void {
  try {
    if (successor.takes('begun')) successor.giveBegun(begun);
  } catch (error) {
    log.error({ connections: begun.size, error: errorMessage(error) }, 'cannot hand over connections');
  }
  for (const fd of begun.values()) closeSync(fd);
  successor.end();
}

/** Waits a little for a moment without work. Nothing is awaited between that moment and what follows. */
async function lull({ server }: Running): Promise<void> {
  const deadline = performance.now() + LULL_MAX_MS;
  while (performance.now() < deadline && server.underWay.busy) await sleep(1);
}

/** Ends what takes long while the API goes on. Throws Conflict, naming it, where it does not end: nothing has changed then. */
async function giveUpLong({ daemon, server }: Running, reason: Error): Promise<void> {
  daemon.giveUpStops(reason);
  const left = await server.underWay.giveUp(reason, GIVE_UP_MS);
  if (left.length === 0) return;
  throw new ConflictError(`${left.join(', ')} takes long and cannot be ended: try again, or restart mydockd`);
}

/**
 * The data root as it was when it was handed over: a newer build may have brought it to its own schema. Throws Unavailable where the successor
 * has it: it does not serve in time, and is alive, so that it is the one to go on.
 */
async function takeBack(config: DaemonConfig, handedAtMs: number): Promise<void> {
  await dataRootFree(config.dataRoot, LOCK_MAX_MS);
  restoreBeforeMigration(join(config.dataRoot, DATABASE_FILE), MIGRATIONS, handedAtMs);
}

/** This process carries connections that its successor cannot have: TLS, and ports that the kernel does not translate. */
async function linger(daemon: Daemon, ended: Promise<string>): Promise<void> {
  const left = (): number => daemon.carried() + relayedConnections();
  if (left() === 0) return;
  log.info({ sockets: left() }, 'stays until the connections that it carries have ended');
  let signalled = false;
  void ended.then(() => {
    signalled = true;
  });
  while (left() > 0 && !signalled) await sleep(LINGER_POLL_MS);
}

function pidFileOf(config: DaemonConfig): string {
  return config.pidFile === '' ? join(config.execRoot, 'mydockd.pid') : config.pidFile;
}

function writePidFile(config: DaemonConfig, handed: boolean): void {
  const pidFile = pidFileOf(config);
  if (!handed && existsSync(pidFile)) {
    const last = readFileSync(pidFile, 'utf8').trim();
    log.warn(
      { pid: last },
      'the last mydockd did not end by itself: it crashed or was killed; its containers went on',
    );
  }
  writeFileSync(pidFile, `${process.pid}\n`, { mode: 0o644 });
}

function untilSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve(signal));
    process.on('SIGHUP', () => log.info('SIGHUP ignored: the configuration is read at start only'));
  });
}
