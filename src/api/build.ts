/** `POST /build`: the query of the classic builder, and its messages. */
import type { JSONMessage } from './images.ts';

/** Query parameters as they travel: everything is a string; lists and maps are JSON inside. */
export interface BuildQuery {
  /** Path inside the context; default `Dockerfile`. */
  dockerfile?: string;
  /** Repeated for several tags. */
  t?: string | string[];
  extrahosts?: string;
  /** A Git or HTTP(S) address of the context; the body is empty then. */
  remote?: string;
  q?: string;
  nocache?: string;
  cachefrom?: string;
  pull?: string;
  rm?: string;
  forcerm?: string;
  memory?: string;
  memswap?: string;
  cpushares?: string;
  cpusetcpus?: string;
  cpusetmems?: string;
  isolation?: string;
  /** A list in JSON. */
  securityopt?: string;
  cpuperiod?: string;
  cpuquota?: string;
  /** JSON object; a null value takes the variable from the Dockerfile's default. */
  buildargs?: string;
  shmsize?: string;
  squash?: string;
  labels?: string;
  networkmode?: string;
  platform?: string;
  target?: string;
  outputs?: string;
  /** `1` classic builder, `2` BuildKit over `/session`, `mydock` our own client. */
  version?: string;
}

/** `aux` of a classic build: the image's ID, sent once it is complete. */
export interface BuildResult {
  ID: string;
}

export type BuildMessage = JSONMessage<BuildResult>;
