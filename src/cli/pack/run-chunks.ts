/** Modules of the client, made of chunks when they are first asked for, as CommonJS. */
import { dirname } from 'node:path';
import { Script } from 'node:vm';
import type { Load } from './lazy-builtins.ts';
import type { Chunk } from './pack-file.ts';

type Body = (exports: object, require: Load, module: object, filename: string, folder: string) => void;

export interface ChunkHost {
  readonly chunk: (name: string) => Chunk;
  /** Modules of Node. */
  readonly builtin: Load;
  /** The program's file: chunks have its name in stack traces, and its folder as theirs. */
  readonly program: string;
  /** Told of every script, before it runs. */
  readonly onScript?: (name: string, script: Script) => void;
}

/** Begins and ends a chunk's text. */
export const WRAPPER = ['(function(exports,require,module,__filename,__dirname){', '\n})'] as const;

/** A `require` over chunks. One whose code V8 refuses is compiled from its text. */
export function chunkLoader(host: ChunkHost): Load {
  const { program } = host;
  const folder = dirname(program);
  const modules = new Map<string, { exports: object }>();
  const load: Load = (name) => {
    if (!name.startsWith('./')) return host.builtin(name);
    const known = modules.get(name);
    if (known !== undefined) return known.exports;
    const module = { exports: {} };
    modules.set(name, module);
    const { text, code } = host.chunk(name.slice(2));
    const script = new Script(text, {
      filename: `${program}/${name.slice(2)}`,
      ...(code === undefined ? {} : { cachedData: code }),
    });
    host.onScript?.(name.slice(2), script);
    (script.runInThisContext() as Body)(module.exports, load, module, program, folder);
    return module.exports;
  };
  return load;
}
