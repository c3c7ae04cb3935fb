/** The version that the client reports, from the package's manifest. */
import manifest from '../../package.json' with { type: 'json' };

export const CLIENT_VERSION: string = manifest.version;
