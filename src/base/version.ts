/** The version of client and daemon, from the package's manifest. */
import manifest from '../../package.json' with { type: 'json' };

export const MYDOCK_VERSION: string = manifest.version;
