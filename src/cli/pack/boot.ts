/** dist/mydock.cjs: loads the client from dist/mydock.pack. All that Node compiles by itself, so it is kept short. */
import './default-flags.ts';
import { lazyBuiltins } from './lazy-builtins.ts';
import { openPack } from './pack-file.ts';
import { chunkLoader } from './run-chunks.ts';

declare const require: (name: string) => unknown;

const program = `${import.meta.dirname}/mydock.pack`;
chunkLoader({ chunk: openPack(program), builtin: lazyBuiltins(require), program })('./main.js');
