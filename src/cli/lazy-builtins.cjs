'use strict';
// In front of the client's bundle: those of Node's modules that few commands need are loaded when they are first used.
// Together they take as long as the rest of a short command (node:crypto alone is thirty files).
// biome-ignore lint/suspicious/noGlobalAssign: within the bundle's function it is a parameter.
require = ((load) => {
  const rare = [
    'child_process',
    'crypto',
    'fs/promises',
    'stream/promises',
    'string_decoder',
    'timers/promises',
  ];
  const later = (name) => {
    let found;
    return new Proxy(Object.create(null), {
      get: (_, key) => {
        found ??= load(name);
        return found[key];
      },
    });
  };
  return (name) => (name.startsWith('node:') && rare.includes(name.slice(5)) ? later(name) : load(name));
})(require);
