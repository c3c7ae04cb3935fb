/**
 * `write-pack.ts FOLDER FILE`, a step of the build: packs the chunks of FOLDER (CommonJS, as esbuild has split them),
 * with the code that V8 has of each after the rehearsal. The file comes to its place whole.
 */
import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { Script } from 'node:vm';
import { errorMessage } from '../../base/errors.ts';
import type { Io } from '../io.ts';
import { type CompiledChunk, encodePack } from './encode-pack.ts';
import { lazyBuiltins } from './lazy-builtins.ts';
import { rehearse } from './rehearsal.ts';
import { chunkLoader, WRAPPER } from './run-chunks.ts';

/** The chunks' texts as they are compiled. Other characters than ASCII would take two bytes each in V8. */
function readChunks(folder: string): Map<string, string> {
  const texts = new Map<string, string>();
  for (const name of readdirSync(folder)) {
    const text = readFileSync(join(folder, name), 'utf8');
    const foreign = /[^\0-\x7f]/.exec(text)?.[0];
    if (foreign !== undefined) throw new Error(`${name} has "${foreign}": write it as an escape`);
    texts.set(name, WRAPPER.join(text));
  }
  return texts;
}

/** Chunks in the order in which the rehearsal asks for them, then the others. */
async function compile(
  texts: ReadonlyMap<string, string>,
  program: string,
): Promise<[CompiledChunk[], number]> {
  const scripts = new Map<string, Script>();
  const load = chunkLoader({
    chunk: (name) => ({ text: texts.get(name) ?? '', code: undefined }),
    builtin: lazyBuiltins(createRequire(import.meta.url)),
    program,
    onScript: (name, script) => scripts.set(name, script),
  });
  const { runProgram } = load('./program.js') as typeof import('../program.ts');
  const { processIo, readerGone } = load('./io.js') as typeof import('../io.ts');
  const io: Io = Object.create(processIo, { env: { value: {} } }) as Io;
  // Without it the client starts more slowly, and is the same otherwise.
  await rehearse((words) => runProgram(words, io, readerGone)).catch((error: unknown) => {
    console.error(`${program}: less of the client's code is compiled ahead: ${errorMessage(error)}`);
  });
  scripts.set('main.js', new Script(texts.get('main.js') ?? '', { filename: `${program}/main.js` }));
  const common = scripts.size;
  for (const [name, text] of texts) {
    if (!scripts.has(name)) scripts.set(name, new Script(text, { filename: `${program}/${name}` }));
  }
  const compiled = [...scripts].map(([name, script]) => ({
    name,
    text: Buffer.from(texts.get(name) ?? '', 'latin1'),
    code: script.createCachedData(),
  }));
  return [compiled, common];
}

const [folder = '', target = ''] = process.argv.slice(2);
const [chunks, common] = await compile(readChunks(folder), resolve(target));
writeFileSync(`${target}.new`, encodePack(chunks, common));
renameSync(`${target}.new`, target);
