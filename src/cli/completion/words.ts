/** Which words a verb takes, for completion: by the verb's path, what stands behind it and behind its flags. */

/** Kinds of words. `files` is left to the shell. */
export type WordKind =
  | 'container'
  | 'running'
  | 'paused'
  | 'stopped'
  | 'container-path'
  | 'image'
  | 'network'
  | 'socket'
  | 'volume'
  | 'shell'
  | 'any-object'
  | 'files';

export interface VerbWords {
  /** The kinds of the words in their order. */
  readonly kinds: readonly WordKind[];
  /** The last kind goes on for all that follow. */
  readonly repeats?: boolean;
}

const many = (kind: WordKind): VerbWords => ({ kinds: [kind], repeats: true });
const one = (kind: WordKind): VerbWords => ({ kinds: [kind] });

const CONTAINER_VERBS: Readonly<Record<string, VerbWords>> = {
  attach: one('running'),
  commit: { kinds: ['container', 'image'] },
  cp: many('container-path'),
  create: one('image'),
  diff: one('container'),
  exec: one('running'),
  export: one('container'),
  kill: many('running'),
  logs: one('container'),
  pause: many('running'),
  port: one('container'),
  remove: many('container'),
  rename: one('container'),
  restart: many('container'),
  rm: many('container'),
  run: one('image'),
  start: many('stopped'),
  stats: many('running'),
  stop: many('running'),
  top: one('running'),
  unpause: many('paused'),
  update: many('container'),
  wait: many('container'),
};

const IMAGE_VERBS: Readonly<Record<string, VerbWords>> = {
  build: one('files'),
  pull: one('image'),
  push: one('image'),
  tag: { kinds: ['image', 'image'] },
};

const BY_PATH: Readonly<Record<string, VerbWords>> = {
  ...CONTAINER_VERBS,
  ...IMAGE_VERBS,
  ...prefixed('container', { ...CONTAINER_VERBS, inspect: many('container') }),
  ...prefixed('builder', { build: one('files') }),
  ...prefixed('buildx', { build: one('files') }),
  ...prefixed('image', {
    ...IMAGE_VERBS,
    diff: many('any-object'),
    inspect: many('image'),
    remove: many('image'),
    rm: many('image'),
  }),
  ...prefixed('network', {
    connect: { kinds: ['network', 'container'] },
    disconnect: { kinds: ['network', 'container'] },
    inspect: many('network'),
    remove: many('network'),
    rm: many('network'),
  }),
  ...prefixed('volume', {
    clone: one('volume'),
    export: one('volume'),
    import: { kinds: ['volume', 'files'] },
    inspect: many('volume'),
    rm: many('volume'),
    remove: many('volume'),
    update: one('volume'),
  }),
  ...prefixed('socket', {
    create: one('files'),
    inspect: many('socket'),
    remove: many('socket'),
    rm: many('socket'),
  }),
  completion: one('shell'),
  inspect: many('any-object'),
  rmi: many('image'),
};

function prefixed(group: string, verbs: Readonly<Record<string, VerbWords>>): Record<string, VerbWords> {
  return Object.fromEntries(Object.entries(verbs).map(([name, words]) => [`${group} ${name}`, words]));
}

/** The kind of the word number `index` (from 0) behind the verb; undefined where nothing is known of it. */
export function wordKind(path: string, index: number): WordKind | undefined {
  const words = Object.hasOwn(BY_PATH, path) ? BY_PATH[path] : undefined;
  if (words === undefined) return undefined;
  return words.kinds[index] ?? (words.repeats ? words.kinds.at(-1) : undefined);
}

/** Values of flags that have only these, or that name objects; by the flag's name. */
export const FLAG_VALUES: Readonly<Record<string, readonly string[] | WordKind>> = {
  '--allow': ['network.host', 'security.insecure'],
  '--attach': ['stdin', 'stdout', 'stderr'],
  '--call': ['build', 'check', 'outline', 'targets'],
  '--cgroupns': ['host', 'private'],
  '--config-from': 'network',
  '--egress': ['none', 'allow='],
  '--env-file': 'files',
  '--ipc': ['none', 'private', 'shareable', 'host'],
  '--label-file': 'files',
  '--log-driver': ['json-file', 'local', 'none', 'journald', 'syslog'],
  '--network': 'network',
  '--on-error': ['shell'],
  '--progress': ['auto', 'plain', 'tty', 'rawjson', 'quiet'],
  '--pull': ['always', 'missing', 'never'],
  '--restart': ['no', 'always', 'unless-stopped', 'on-failure'],
  '--signal': ['HUP', 'INT', 'QUIT', 'KILL', 'USR1', 'USR2', 'TERM', 'STOP', 'CONT'],
  '--type': ['container', 'image', 'network', 'volume'],
  '--volumes-from': 'container',
};
