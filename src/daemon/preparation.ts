/**
 * What a daemon finds out before it opens its data root: the judgement over its configuration, and what the machine can
 * do. One that takes over does all of this beside the running one, which answers meanwhile.
 */
import { validateLogConfig, withLogDefaults } from '../container/log-options.ts';
import { remapMapping } from '../container/subordinate-ids.ts';
import type { ProbeResult } from '../image/layers/erofs/probe.ts';
import { probeStorage } from '../image/layers/storage-driver.ts';
import { parseMirror } from '../image/registry/mirrors.ts';
import type { ProxyEnvironment } from '../image/registry/proxy.ts';
import { CdiRegistry } from '../oci/cdi/registry.ts';
import type { CgroupSettings } from '../oci/cgroup-path.ts';
import type { SecurityDefaults } from '../oci/generate.ts';
import { type HostFacts, readHostFacts } from '../oci/host-facts.ts';
import type { UserMapping } from '../oci/user-mappings.ts';
import type { DaemonConfig } from './config.ts';
import { cgroupSettings, requireSystemd } from './limits-config.ts';
import { proxyEnvironment } from './proxies.ts';
import { cdiFolders, securityDefaults } from './security-config.ts';

export interface Preparation {
  /** Undefined: containers have the host's IDs. */
  readonly remap: UserMapping | undefined;
  readonly security: SecurityDefaults;
  readonly cgroups: CgroupSettings;
  readonly cdi: CdiRegistry;
  readonly proxies: ProxyEnvironment;
  readonly host: HostFacts;
  /** Undefined where the storage driver does not depend on it. */
  readonly storage: ProbeResult | undefined;
}

/** Changes nothing of a daemon that uses the same data root. Throws InvalidParameter, naming the directive. */
export function prepareDaemon(config: DaemonConfig): Preparation {
  validateLogConfig(withLogDefaults(undefined, config));
  for (const mirror of config.registryMirrors) parseMirror(mirror);
  const remap = config.usernsRemap === '' ? undefined : remapMapping(config.usernsRemap);
  const security = securityDefaults(config);
  const cgroups = cgroupSettings(config);
  requireSystemd(cgroups);
  return {
    remap,
    security,
    cgroups,
    cdi: new CdiRegistry(cdiFolders(config)),
    proxies: proxyEnvironment(config, process.env),
    host: readHostFacts(),
    storage: probeStorage({ ...config, driver: config.storageDriver }),
  };
}
