/** dist/mydock.cjs: loads the client from dist/mydock.pack. All that Node compiles by itself, so it is kept short. */
import './default-flags.ts';
import { lazyBuiltins } from './lazy-builtins.ts';
import { openPack } from './pack-file.ts';
import { chunkLoader } from './run-chunks.ts';

declare const require: (name: string) => unknown;

const program = `${import.meta.dirname}/mydock.pack`;
let chunk: ReturnType<typeof openPack> | undefined;
try {
  chunk = openPack(program);
} catch (error) {
  console.error(`mydock: the installation is incomplete: ${(error as Error).message}`);
  process.exitCode = 125;
}
if (chunk !== undefined) chunkLoader({ chunk, builtin: lazyBuiltins(require), program })('./main.js');
