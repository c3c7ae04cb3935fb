/**
 * Random sequences of making networks, volumes and containers, connecting, publishing, killing (containers, supervisors,
 * the daemon) and removing: what inspect tells is there, and in the end nothing is left of them. MYDOCK_SEQUENCES
 * gives their number, MYDOCK_SEED repeats a run.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ContainerInspectResponse } from '../../../src/api/containers.ts';
import type { Registry } from '../../fixtures/registry.ts';
import type { ApiAnswer } from '../api-request.ts';
import { eventually } from '../command.ts';
import { type Daemon, daemonWithRegistry } from '../harness.ts';

const SEQUENCES = Number(process.env['MYDOCK_SEQUENCES'] ?? 25);
const SEED = Number(process.env['MYDOCK_SEED'] ?? 4242);
const STEPS = 8;

let daemon: Daemon;
let registry: Registry;
let close: () => Promise<void>;
let hasMacvlan = false;

before(async () => {
  ({ daemon, registry, close } = await daemonWithRegistry());
  assert.ok(registry.host);
  hasMacvlan = (await daemon.mydock(['network', 'create', '-d', 'macvlan', 'probe'])).code === 0;
  if (hasMacvlan) await daemon.ok('network', 'rm', 'probe');
});
after(() => close());

/** mulberry32: the same numbers for the same seed. */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

/** What a machine has of an engine's networks and volumes when the engine has none of its own making. */
function machineState(): Record<string, string[]> {
  const lines = (...command: string[]): string[] =>
    execFileSync(command[0] ?? '', command.slice(1), { encoding: 'utf8' }).split('\n');
  const folder = (name: string): string[] => {
    const path = join(daemon.dataRoot, name);
    return existsSync(path) ? readdirSync(path) : [];
  };
  return {
    interfaces: readdirSync('/sys/class/net').sort(),
    addresses: lines('ip', '-o', 'addr').map((line) => line.replace(/ {2,}valid_lft.*/, '')),
    routes: [
      ...lines('ip', 'route', 'show', 'table', 'all'),
      ...lines('ip', '-6', 'route', 'show', 'table', 'all'),
    ]
      .map((line) => line.replace(/ expires \d+sec/, ''))
      .sort(),
    rules: lines('nft', '--stateless', 'list', 'ruleset'),
    volumes: folder('volumes'),
    containers: folder('containers'),
  };
}

interface World {
  random: (below: number) => number;
  networks: string[];
  volumes: string[];
  containers: string[];
  names: number;
}

const pick = <T>(world: World, list: readonly T[]): T | undefined => list[world.random(list.length)];

/** The engine may refuse (a name is taken, a container is gone), but it must not fail. */
async function call(method: string, path: string, body?: unknown): Promise<ApiAnswer> {
  const answer = await daemon.api(method, path, body);
  assert.ok(answer.status !== 501, `${method} ${path}: ${answer.status} ${answer.text}`);
  return answer;
}

async function createNetwork(world: World): Promise<void> {
  const name = `n${world.names++}`;
  const options = [
    {},
    { EnableIPv6: true },
    { EnableIPv4: false, EnableIPv6: true },
    { Internal: true },
    { Options: { 'mydock.egress': 'none' } },
    { Options: { 'mydock.egress': 'allow=192.0.2.0/24,example.com' } },
    ...(hasMacvlan ? [{ Driver: 'macvlan', EnableIPv6: true }] : []),
  ];
  const { status, text } = await call('POST', '/networks/create', { Name: name, ...pick(world, options) });
  assert.equal(status, 201, text);
  world.networks.push(name);
}

async function createContainer(world: World): Promise<void> {
  const name = `c${world.names++}`;
  const networks = world.networks.filter(() => world.random(2) === 0).slice(0, 3);
  const volume = pick(world, world.volumes);
  const port = 20_000 + world.random(50);
  const egress = networks.length === 0 ? undefined : pick(world, [undefined, 'none', 'allow=example.com']);
  const { status, text } = await call('POST', `/containers/create?name=${name}`, {
    Image: 'busybox',
    Cmd: ['sleep', '1000'],
    ExposedPorts: { '80/tcp': {} },
    HostConfig: {
      NetworkMode: networks[0] ?? pick(world, ['bridge', 'none', 'host']),
      Mounts: volume === undefined ? [] : [{ Type: 'volume', Source: volume, Target: '/data' }],
      Binds: ['/anonymous'],
      AutoRemove: world.random(4) === 0,
      ...(egress === undefined ? {} : { Annotations: { 'mydock.egress': egress } }),
      PortBindings: world.random(3) === 0 ? { '80/tcp': [{ HostPort: String(port) }] } : {},
    },
    NetworkingConfig: {
      EndpointsConfig: Object.fromEntries(networks.map((network) => [network, { Aliases: ['svc'] }])),
    },
  });
  assert.equal(status, 201, text);
  world.containers.push(name);
  if (world.random(5) > 0) await call('POST', `/containers/${name}/start`);
}

/** What inspect tells of running containers is what they have. */
async function assertConnected(when: string): Promise<void> {
  const listed = (await daemon.api('GET', '/containers/json')).json<{ Id: string }[]>();
  for (const { Id } of listed) {
    const { status, json } = await daemon.api('GET', `/containers/${Id}/json`);
    if (status !== 200) continue;
    const { State, HostConfig, NetworkSettings } = json<ContainerInspectResponse>();
    if (!State.Running || ['host', 'none'].includes(HostConfig.NetworkMode ?? '')) continue;
    const command = ['-t', String(State.Pid), '-n', 'ip', '-o', 'addr', 'show', 'scope', 'global'];
    const { status: code, stdout } = spawnSync('nsenter', command, { encoding: 'utf8' });
    // It has ended meanwhile.
    if (code !== 0) continue;
    const told = Object.values(NetworkSettings.Networks).flatMap((endpoint) => [
      endpoint.IPAddress ?? '',
      endpoint.GlobalIPv6Address ?? '',
    ]);
    assert.deepEqual(
      [...stdout.matchAll(/inet6? ([^/]+)/g)].map((match) => match[1]).sort(),
      told.filter((address) => address !== '').sort(),
      `addresses of ${Id} ${when}`,
    );
  }
}

async function connect(world: World): Promise<void> {
  const network = pick(world, world.networks);
  const container = pick(world, world.containers);
  if (network === undefined || container === undefined) return;
  await call('POST', `/networks/${network}/connect`, { Container: container });
}

async function disconnect(world: World): Promise<void> {
  const network = pick(world, world.networks);
  const container = pick(world, world.containers);
  if (network === undefined || container === undefined) return;
  const Force = world.random(2) === 0;
  await call('POST', `/networks/${network}/disconnect`, { Container: container, Force });
}

async function publish(world: World): Promise<void> {
  const container = pick(world, world.containers);
  if (container === undefined) return;
  const protocol = world.random(2) === 0 ? 'tcp' : 'udp';
  const PublishAdd = [`${20_100 + world.random(50)}:81/${protocol}`];
  await call('POST', `/containers/${container}/update`, { PublishAdd });
}

const STEPS_OF_A_SEQUENCE: readonly ((world: World) => Promise<unknown>)[] = [
  createNetwork,
  createContainer,
  createContainer,
  connect,
  disconnect,
  publish,
  async (world) => {
    const name = `v${world.names++}`;
    await call('POST', '/volumes/create', { Name: name });
    world.volumes.push(name);
  },
  async (world) => {
    const container = pick(world, world.containers);
    if (container !== undefined) await call('POST', `/containers/${container}/restart?t=0`);
  },
  async (world) => {
    const container = pick(world, world.containers);
    if (container !== undefined) await call('POST', `/containers/${container}/kill`);
  },
  async (world) => {
    const container = pick(world, world.containers);
    if (container !== undefined) await call('DELETE', `/containers/${container}?force=1&v=1`);
  },
  // The daemon dies in the middle of something.
  async (world) => {
    const deeds = [createNetwork, createContainer, connect, disconnect, publish];
    const under = deeds.map((step) => step(world).catch(() => undefined));
    await sleep(world.random(40));
    await daemon.stop('SIGKILL');
    await Promise.all(under);
    await daemon.launch();
    await assertConnected('after a kill');
  },
  // A supervisor dies.
  async (world) => {
    const container = pick(world, world.containers);
    if (container === undefined) return;
    const { status, json } = await call('GET', `/containers/${container}/json`);
    if (status !== 200) return;
    const { Id, State } = json<{ Id: string; State: { Pid: number } }>();
    if (State.Pid === 0) return;
    // None where another step has just ended the container.
    const { stdout } = spawnSync('pgrep', ['-f', `mydock-runtime supervise .*${Id}`], { encoding: 'utf8' });
    for (const pid of stdout.split('\n').filter((line) => line !== '')) {
      spawnSync('kill', ['-KILL', pid]);
    }
  },
];

async function removeEverything(): Promise<void> {
  await daemon.removeContainers();
  for (const path of ['networks', 'volumes']) {
    const filters = path === 'volumes' ? `?filters=${encodeURIComponent('{"all":["true"]}')}` : '';
    const { status, text } = await call('POST', `/${path}/prune${filters}`);
    assert.equal(status, 200, text);
  }
}

test(`${SEQUENCES} random sequences leave nothing (seed ${SEED})`, async () => {
  const random = randomNumbers(SEED);
  const clean = machineState();
  for (let sequence = 0; sequence < SEQUENCES; sequence++) {
    const world: World = { random, networks: [], volumes: [], containers: [], names: 0 };
    await createNetwork(world);
    for (let step = 0; step < STEPS; step++) await pick(world, STEPS_OF_A_SEQUENCE)?.(world);
    await removeEverything();
    await eventually(
      'the machine is as it was',
      () => JSON.stringify(machineState()) === JSON.stringify(clean),
      5000,
    ).catch(() => assert.deepEqual(machineState(), clean, `after sequence ${sequence} of seed ${SEED}`));
  }
  await daemon.ok('system', 'check');
});
