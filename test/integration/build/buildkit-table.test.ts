/**
 * Small builds of every kind, held against what BuildKit made of the same: roots, configurations, histories and errors.
 * What it made stands in buildkit/facts.json. With MYDOCK_BUILDKIT=record in the environment a real one
 * (fixtures/buildkit-peer.ts) builds the table beside ours, with =missing what facts.json does not have; MYDOCK_BUILDKIT_ONLY=text
 * picks cases. The facts are then in buildkit-facts.json in the cache of fixtures, to be copied here.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { BuildkitPeer } from '../../fixtures/buildkit-peer.ts';
import { busyboxImage } from '../../fixtures/catalog.ts';
import { CACHE } from '../../fixtures/packages.ts';
import { type Registry, startRegistry } from '../../fixtures/registry.ts';
import { Daemon } from '../harness.ts';
import { tableBase } from './buildkit/base-image.ts';
import type { BuildFacts } from './buildkit/build-case.ts';
import { OwnBuilder, PeerBuilder, type TableBuilder } from './buildkit/builders.ts';
import { CASES } from './buildkit/cases.ts';
import { DEVIATIONS } from './buildkit/deviations.ts';

const FACTS = join(import.meta.dirname, 'buildkit/facts.json');
/** Of the folders that a sandbox may write to, the one that outlives it. */
const OWN_FACTS = join(import.meta.dirname, 'buildkit/own-facts.json');
const OWN_RECORDED = join(CACHE, 'buildkit-own-facts.json');
const RECORDED = join(CACHE, 'buildkit-facts.json');
const MODE = process.env['MYDOCK_BUILDKIT'] ?? '';
const RECORDING = MODE === 'record' || MODE === 'missing';
const ONLY = process.env['MYDOCK_BUILDKIT_ONLY'] ?? '';

let registry: Registry;
let daemon: Daemon;
let own: TableBuilder;
let peer: { engine: BuildkitPeer; builder: TableBuilder } | undefined;
const facts: Record<string, BuildFacts> = existsSync(FACTS)
  ? (JSON.parse(readFileSync(FACTS, 'utf8')) as Record<string, BuildFacts>)
  : {};

const ownFacts: Record<string, BuildFacts> = existsSync(OWN_FACTS)
  ? (JSON.parse(readFileSync(OWN_FACTS, 'utf8')) as Record<string, BuildFacts>)
  : {};

async function addBases(builder: TableBuilder): Promise<void> {
  await builder.addBase(await registry.push('busybox', 'latest', await busyboxImage()), 'busybox');
  await builder.addBase(await registry.push('base', 'latest', await tableBase()), 'base');
}

before(async () => {
  registry = await startRegistry();
  daemon = await Daemon.start();
  own = new OwnBuilder(daemon);
  await addBases(own);
  if (!RECORDING) return;
  const engine = await BuildkitPeer.start();
  peer = { engine, builder: new PeerBuilder(engine) };
  await addBases(peer.builder);
});

after(async () => {
  await peer?.engine.stop();
  await daemon?.close();
  await registry?.stop();
});

function recordOwn(name: string, built: BuildFacts): void {
  ownFacts[name] = built;
  writeFileSync(OWN_RECORDED, `${JSON.stringify(ownFacts, null, 1)}\n`);
}

function record(name: string, built: BuildFacts): void {
  facts[name] = built;
  const known = CASES.flatMap((one) => (facts[one.name] === undefined ? [] : [[one.name, facts[one.name]]]));
  writeFileSync(RECORDED, `${JSON.stringify(Object.fromEntries(known), null, 1)}\n`);
}

/** Files that a runtime makes in roots that do not have them, and that stay in BuildKit's layers. */
const MOUNT_POINTS = new Set(['/dev', '/proc', '/sys'].map((path) => `d 0755 0:0 ${path}`));

/** What is otherwise here, for the reason that deviations.ts gives, stands in own-facts.json. */
function expected(name: string, recorded: BuildFacts): BuildFacts {
  if (DEVIATIONS[name] === undefined) return recorded;
  const own = ownFacts[name];
  assert.ok(own !== undefined, `own-facts.json has nothing of "${name}"`);
  return own;
}

function comparable(facts: BuildFacts): BuildFacts {
  const { error, root = [], config = {}, history = [] } = facts;
  if (error !== undefined) return { error: error.replace(/^dockerfile parse error on line \d+: /, '') };
  const said = Object.entries(config).filter(([, value]) => !Array.isArray(value) || value.length > 0);
  return { root: root.filter((line) => !MOUNT_POINTS.has(line)), config: Object.fromEntries(said), history };
}

/** Ours may say more than BuildKit, behind what it says. */
function assertSame(built: BuildFacts, expected: BuildFacts): void {
  const [own, theirs] = [comparable(built), comparable(expected)];
  if (theirs.error !== undefined && own.error?.startsWith(theirs.error) === true) return;
  assert.deepEqual(own, theirs);
}

describe('the table of builds', { concurrency: 4 }, () => {
  for (const one of CASES.filter(({ name }) => name.includes(ONLY))) {
    test(one.name, async () => {
      if (peer !== undefined && (MODE === 'record' || facts[one.name] === undefined))
        record(one.name, await peer.builder.build(one));
      const recorded = facts[one.name];
      assert.ok(recorded !== undefined, `facts.json has nothing of "${one.name}"`);
      const built = await own.build(one);
      try {
        assertSame(built, expected(one.name, recorded));
      } catch (error) {
        if (RECORDING) recordOwn(one.name, built);
        throw error;
      }
    });
  }
  test('every fact and every deviation is of a case', { skip: ONLY !== '' }, () => {
    const names = new Set(CASES.map(({ name }) => name));
    assert.equal(names.size, CASES.length);
    assert.deepEqual(
      [...Object.keys(facts), ...Object.keys(ownFacts), ...Object.keys(DEVIATIONS)].filter(
        (name) => !names.has(name),
      ),
      [],
    );
  });
});
