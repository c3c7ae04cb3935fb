/**
 * Those of Node's modules that few commands need are loaded when they are first used. Together they take as long as
 * the rest of a short command (node:crypto alone is thirty files).
 */
const RARE: readonly string[] = [
  'node:child_process',
  'node:crypto',
  'node:fs/promises',
  'node:net',
  'node:stream',
  'node:stream/promises',
  'node:string_decoder',
  'node:timers/promises',
];

/** What a module is asked for by its name. */
export type Load = (name: string) => unknown;

/** `load`, with a stand-in for each module that is rare. Chunks read single properties of them, at every use. */
export function lazyBuiltins(load: Load): Load {
  return (name) => (RARE.includes(name) ? standIn(() => load(name) as object) : load(name));
}

function standIn(load: () => object): object {
  let found: object | undefined;
  return new Proxy(Object.create(null) as object, {
    get: (_, key) => {
      found ??= load();
      return Reflect.get(found, key);
    },
  });
}
