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
  const whole = (): object => {
    found ??= load();
    return found;
  };
  return new Proxy(Object.create(null) as object, {
    get: (_, key) => Reflect.get(whole(), key),
    has: (_, key) => Reflect.has(whole(), key),
    // A module that is imported when it is needed, or whole, is asked for all that it has.
    ownKeys: () => Reflect.ownKeys(whole()),
    getOwnPropertyDescriptor: (_, key) => {
      const property = Reflect.getOwnPropertyDescriptor(whole(), key);
      // What the stand-in does not have itself may only be shown as changeable.
      return property === undefined ? undefined : { ...property, configurable: true };
    },
  });
}
