import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Script } from 'node:vm';
import { encodePack } from './encode-pack.ts';
import { lazyBuiltins } from './lazy-builtins.ts';
import { openPack, THIS_NODE } from './pack-file.ts';
import { chunkLoader, WRAPPER } from './run-chunks.ts';

const CHUNKS: Record<string, string> = {
  'main.js':
    "exports.sum = require('./other.js').two + require('node:path').sep.length; exports.file = __filename;",
  'other.js': 'exports.two = 2; exports.main = require("./main.js");',
};

function packOf(change: (code: Buffer) => Buffer = (code) => code): Buffer {
  const chunks = Object.entries(CHUNKS).map(([name, body]) => {
    const text = WRAPPER.join(body);
    return { name, text: Buffer.from(text, 'latin1'), code: change(new Script(text).createCachedData()) };
  });
  return encodePack(chunks, 1);
}

/** What its main.js exports, and for each chunk whether its code was taken. */
function runPack(t: { after(work: () => void): void }, bytes: Buffer) {
  const folder = mkdtempSync(join(tmpdir(), 'mydock-pack-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const program = join(folder, 'p.pack');
  writeFileSync(program, bytes);
  const taken: Record<string, boolean> = {};
  const load = chunkLoader({
    chunk: openPack(program),
    builtin: createRequire(import.meta.url),
    program,
    onScript: (name, script) => {
      taken[name] = script.cachedDataRejected === false;
    },
  });
  const exports = load('./main.js') as { sum: number; file: string };
  return { program, taken, exports, load };
}

test('chunks run with their code, also those behind what is read at once', (t) => {
  const { exports, taken, program } = runPack(t, packOf());
  assert.deepEqual({ ...exports }, { sum: 3, file: program });
  assert.deepEqual(taken, { 'main.js': true, 'other.js': true });
});

test('broken code is refused, and the chunk runs from its text', (t) => {
  const broken = packOf((code) => {
    code.fill(0x5a, 0, 32);
    return code;
  });
  const { exports, taken } = runPack(t, broken);
  assert.equal(exports.sum, 3);
  assert.deepEqual(taken, { 'main.js': false, 'other.js': false });
});

test('the code of another Node is not looked at', (t) => {
  const bytes = packOf();
  const at = bytes.indexOf(THIS_NODE, 0, 'latin1');
  bytes.write('v00.0.0', at, 'latin1');
  const { exports, taken } = runPack(t, bytes);
  assert.equal(exports.sum, 3);
  assert.deepEqual(taken, { 'main.js': false, 'other.js': false });
});

test('what is no pack, or is cut short, is an error that names the file', (t) => {
  assert.throws(() => runPack(t, Buffer.alloc(64)), /p\.pack is not a program of mydock/);
  const folder = mkdtempSync(join(tmpdir(), 'mydock-pack-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'short.pack');
  const whole = packOf();
  writeFileSync(path, whole);
  const chunk = openPack(path);
  truncateSync(path, whole.length - 64);
  assert.throws(() => chunk('other.js'), /short\.pack is cut short/);
  assert.throws(() => chunk('none.js'), /short\.pack has no none\.js/);
});

test('a rare module is loaded at the first use of something in it', () => {
  const asked: string[] = [];
  const load = lazyBuiltins((name) => {
    asked.push(name);
    return { value: name };
  });
  const rare = load('node:crypto') as { value: string };
  load('node:fs');
  assert.deepEqual(asked, ['node:fs']);
  assert.equal(rare.value, 'node:crypto');
  assert.equal(rare.value, 'node:crypto');
  assert.deepEqual(asked, ['node:fs', 'node:crypto']);
});

test('a rare module is loaded by the first look at it, and shows all that it has', () => {
  const loaded: string[] = [];
  const require = createRequire(import.meta.url);
  const builtin = lazyBuiltins((name) => {
    loaded.push(name);
    return require(name);
  });
  const net = builtin('node:net') as typeof import('node:net');
  assert.deepEqual(loaded, []);
  // As a module that is imported late is copied.
  const copied = Object.fromEntries(
    Object.getOwnPropertyNames(net).map((name) => [name, Reflect.get(net, name)]),
  );
  assert.equal(copied['isIP'], require('node:net').isIP);
  assert.equal('connect' in net, true);
  assert.equal(Object.getOwnPropertyDescriptor(net, 'missing'), undefined);
  assert.deepEqual(loaded, ['node:net']);
});
