/** Every verb's name, help line and module. A module is loaded only when its verb runs. */
import type { Verb } from './verb.ts';

export interface VerbEntry {
  readonly summary: string;
  load(): Promise<Verb<never>>;
}

export interface VerbGroup {
  readonly summary: string;
  readonly verbs: Readonly<Record<string, VerbEntry>>;
}

function entry(summary: string, load: () => Promise<unknown>): VerbEntry {
  return { summary, load: load as () => Promise<Verb<never>> };
}

const attach = entry(
  'Attach to a running container',
  async () => (await import('./container/attach.ts')).attach,
);
const completion = entry(
  'Print the completion script for a shell',
  async () => (await import('./completion/script.ts')).completion,
);
const cp = entry(
  'Copy files between a container and this machine',
  async () => (await import('./container/cp.ts')).cp,
);
const create = entry('Create a container', async () => (await import('./container/create.ts')).create);
const exec = entry(
  'Run a command in a running container',
  async () => (await import('./container/exec.ts')).exec,
);
const kill = entry('Send a signal to containers', async () => (await import('./container/kill.ts')).kill);
const logs = entry("Show a container's output", async () => (await import('./container/logs.ts')).logs);
const ps = entry('List containers', async () => (await import('./container/ps.ts')).ps);
const restart = entry('Restart containers', async () => (await import('./container/restart.ts')).restart);
const rm = entry('Remove containers', async () => (await import('./container/rm.ts')).rm);
const run = entry(
  'Create and start a container from an image',
  async () => (await import('./container/run.ts')).run,
);
const start = entry('Start stopped containers', async () => (await import('./container/start.ts')).start);
const stop = entry('Stop running containers', async () => (await import('./container/stop.ts')).stop);
const wait = entry('Wait for containers to stop', async () => (await import('./container/wait.ts')).wait);
const commit = entry(
  "Make an image of a container's changes",
  async () => (await import('./container/commit.ts')).commit,
);
const diff = entry(
  'Show what a container has changed in its files',
  async () => (await import('./container/diff.ts')).diff,
);
const exportContainer = entry(
  "Write a container's file system as a tar archive",
  async () => (await import('./container/export.ts')).exportContainer,
);
const pause = entry(
  'Freeze all processes of containers',
  async () => (await import('./container/pause.ts')).pause,
);
const port = entry(
  "Show where a container's ports are published",
  async () => (await import('./container/port.ts')).port,
);
const rename = entry(
  'Give a container another name',
  async () => (await import('./container/rename.ts')).rename,
);
const stats = entry(
  'Show what running containers use',
  async () => (await import('./container/stats.ts')).stats,
);
const top = entry("Show a container's processes", async () => (await import('./container/top.ts')).top);
const unpause = entry(
  'Let paused containers go on',
  async () => (await import('./container/unpause.ts')).unpause,
);
const update = entry(
  'Change limits, restart policy and ports of containers',
  async () => (await import('./container/update.ts')).update,
);

const build = entry('Build an image from a Dockerfile', async () => (await import('./image/build.ts')).build);
const imageDiff = entry(
  'Show what is different between two images or containers',
  async () => (await import('./image/diff.ts')).imageDiff,
);
const history = entry(
  'Show the history of an image',
  async () => (await import('./image/history.ts')).history,
);
const images = entry('List images', async () => (await import('./image/ls.ts')).images);
const importImage = entry(
  'Make an image of a tar of a file system',
  async () => (await import('./image/import.ts')).importImage,
);
const load = entry(
  'Load images from a tar archive or stdin',
  async () => (await import('./image/load.ts')).load,
);
const pull = entry('Pull an image from a registry', async () => (await import('./image/pull.ts')).pull);
const push = entry('Push an image to a registry', async () => (await import('./image/push.ts')).push);
const rmi = entry('Remove images', async () => (await import('./image/rm.ts')).rmi);
const save = entry('Write images to a tar archive', async () => (await import('./image/save.ts')).save);
const tag = entry('Give an image another name', async () => (await import('./image/tag.ts')).tag);

const login = entry('Log in to a registry', async () => (await import('./registry/login.ts')).login);
const logout = entry('Log out from a registry', async () => (await import('./registry/logout.ts')).logout);
const search = entry(
  'Search Docker Hub for images',
  async () => (await import('./registry/search.ts')).search,
);

const events = entry(
  'Show events of the daemon as they happen',
  async () => (await import('./system/events.ts')).events,
);
const info = entry('Show information about the system', async () => (await import('./system/info.ts')).info);
const inspect = entry('Show all about objects', async () => (await import('./system/inspect.ts')).inspect);
const version = entry('Show the versions', async () => (await import('./system/version.ts')).version);

/** `mydock VERB`. */
export const TOP_VERBS: Readonly<Record<string, VerbEntry>> = {
  attach,
  build,
  commit,
  completion,
  cp,
  create,
  diff,
  events,
  exec,
  export: exportContainer,
  history,
  images,
  import: importImage,
  info,
  inspect,
  kill,
  load,
  login,
  logout,
  logs,
  pause,
  port,
  ps,
  pull,
  push,
  rename,
  restart,
  rm,
  rmi,
  run,
  save,
  search,
  start,
  stats,
  stop,
  tag,
  top,
  unpause,
  update,
  version,
  wait,
};

const inspectContainers = entry(
  'Show all about containers',
  async () => (await import('./system/inspect.ts')).inspectContainers,
);
const inspectImages = entry(
  'Show all about images',
  async () => (await import('./system/inspect.ts')).inspectImages,
);

function manifestVerb(name: 'annotate' | 'create' | 'push' | 'rm'): VerbEntry {
  const load = async () => (await import('./manifest/not-implemented.ts')).notImplemented(name);
  return entry('Not implemented by mydock', load);
}

const builderVerbs = {
  build,
  du: entry('Show the build cache', async () => (await import('./builder/du.ts')).du),
  prune: entry('Remove build cache', async () => (await import('./builder/prune.ts')).prune),
};

/** `mydock GROUP VERB`. */
export const VERB_GROUPS: Readonly<Record<string, VerbGroup>> = {
  builder: { summary: 'Manage builds', verbs: builderVerbs },
  buildx: {
    summary: 'Manage builds, by the names that scripts know',
    verbs: {
      ...builderVerbs,
      inspect: entry('Show a builder', async () => (await import('./builder/builders.ts')).inspect),
      ls: entry('List builders', async () => (await import('./builder/builders.ts')).ls),
      version: entry('Show the version', async () => (await import('./builder/builders.ts')).version),
    },
  },
  container: {
    summary: 'Manage containers',
    verbs: {
      attach,
      commit,
      cp,
      create,
      diff,
      exec,
      export: exportContainer,
      inspect: inspectContainers,
      kill,
      list: ps,
      logs,
      ls: ps,
      pause,
      port,
      prune: entry('Remove all stopped containers', async () => (await import('./container/prune.ts')).prune),
      ps,
      remove: rm,
      rename,
      restart,
      rm,
      run,
      start,
      stats,
      stop,
      top,
      unpause,
      update,
      wait,
    },
  },
  socket: {
    summary: 'Manage sockets that can do a part of the API',
    verbs: {
      create: entry(
        'Serve a second socket that can do a part of the API, on a part of its objects',
        async () => (await import('./socket/create.ts')).create,
      ),
      inspect: entry(
        'Show what scoped sockets can do',
        async () => (await import('./socket/inspect.ts')).inspect,
      ),
      list: entry('List scoped sockets', async () => (await import('./socket/ls.ts')).ls),
      ls: entry('List scoped sockets', async () => (await import('./socket/ls.ts')).ls),
      remove: entry(
        'Stop serving scoped sockets and remove them',
        async () => (await import('./socket/rm.ts')).rm,
      ),
      rm: entry(
        'Stop serving scoped sockets and remove them',
        async () => (await import('./socket/rm.ts')).rm,
      ),
    },
  },
  debug: {
    summary: 'Find out what is wrong',
    verbs: {
      bundle: entry(
        'Write an archive for a report: states, logs and settings, without secrets',
        async () => (await import('./debug/bundle.ts')).bundle,
      ),
    },
  },
  daemon: {
    summary: 'Manage the daemon on this machine',
    verbs: {
      start: entry('Start the daemon', async () => (await import('./daemon/start.ts')).start),
      status: entry('Tell whether the daemon runs', async () => (await import('./daemon/status.ts')).status),
      stop: entry('Stop the daemon', async () => (await import('./daemon/stop.ts')).stop),
    },
  },
  image: {
    summary: 'Manage images',
    verbs: {
      build,
      diff: imageDiff,
      history,
      import: importImage,
      inspect: inspectImages,
      list: images,
      load,
      ls: images,
      prune: entry('Remove unused images', async () => (await import('./image/prune.ts')).prune),
      pull,
      push,
      remove: rmi,
      rm: rmi,
      save,
      tag,
    },
  },
  manifest: {
    summary: 'Look at manifests in registries',
    verbs: {
      annotate: manifestVerb('annotate'),
      create: manifestVerb('create'),
      inspect: entry(
        'Show the manifest or manifest list of an image in a registry',
        async () => (await import('./manifest/inspect.ts')).inspect,
      ),
      push: manifestVerb('push'),
      rm: manifestVerb('rm'),
    },
  },
  network: {
    summary: 'Manage networks',
    verbs: {
      connect: entry(
        'Connect a container to a network',
        async () => (await import('./network/connect.ts')).connect,
      ),
      create: entry('Create a network', async () => (await import('./network/create.ts')).create),
      disconnect: entry(
        'Disconnect a container from a network',
        async () => (await import('./network/disconnect.ts')).disconnect,
      ),
      inspect: entry(
        'Show all about networks',
        async () => (await import('./system/inspect.ts')).inspectNetworks,
      ),
      list: entry('List networks', async () => (await import('./network/ls.ts')).ls),
      ls: entry('List networks', async () => (await import('./network/ls.ts')).ls),
      prune: entry('Remove all unused networks', async () => (await import('./network/prune.ts')).prune),
      remove: entry('Remove networks', async () => (await import('./network/rm.ts')).rm),
      rm: entry('Remove networks', async () => (await import('./network/rm.ts')).rm),
    },
  },
  system: {
    summary: 'Manage the system',
    verbs: {
      check: entry(
        'Verify images, layers, containers, volumes and the database',
        async () => (await import('./system/check.ts')).check,
      ),
      df: entry('Show disk usage', async () => (await import('./system/df.ts')).df),
      'dial-stdio': entry(
        "Join stdin and stdout with the daemon's socket",
        async () => (await import('./system/dial-stdio.ts')).dialStdio,
      ),
      events,
      info,
      prune: entry(
        'Remove everything that nothing uses',
        async () => (await import('./system/prune.ts')).prune,
      ),
    },
  },
  volume: {
    summary: 'Manage volumes',
    verbs: {
      clone: entry('Copy a volume', async () => (await import('./volume/clone.ts')).clone),
      create: entry('Create a volume', async () => (await import('./volume/create.ts')).create),
      export: entry(
        'Write a volume as a tar archive',
        async () => (await import('./volume/export.ts')).exportVolume,
      ),
      import: entry(
        'Unpack a tar archive into a volume',
        async () => (await import('./volume/import.ts')).importVolume,
      ),
      inspect: entry(
        'Show all about volumes',
        async () => (await import('./system/inspect.ts')).inspectVolumes,
      ),
      list: entry('List volumes', async () => (await import('./volume/ls.ts')).ls),
      ls: entry('List volumes', async () => (await import('./volume/ls.ts')).ls),
      prune: entry('Remove unused volumes', async () => (await import('./volume/prune.ts')).prune),
      remove: entry('Remove volumes', async () => (await import('./volume/rm.ts')).rm),
      rm: entry('Remove volumes', async () => (await import('./volume/rm.ts')).rm),
      snapshot: entry(
        'Manage snapshots of a volume',
        async () => (await import('./volume/snapshot.ts')).snapshot,
      ),
      update: entry('Update a cluster volume', async () => (await import('./volume/update.ts')).update),
    },
  },
};
