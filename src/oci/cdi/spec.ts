/**
 * A CDI specification file: which devices a vendor offers, and what each of them changes in a container
 * (container-device-interface SPEC.md, versions 0.3.0 to 1.1.0).
 */
import type { Hooks } from '../runtime-spec.ts';

export interface CdiSpec {
  cdiVersion: string;
  /** `vendor/class`. */
  kind: string;
  annotations?: Record<string, string>;
  devices: CdiDevice[];
  /** For every container that gets one of the devices, once. */
  containerEdits?: ContainerEdits;
}

export interface CdiDevice {
  name: string;
  annotations?: Record<string, string>;
  containerEdits: ContainerEdits;
}

/** What stands in a container's config.json because of a device. */
export interface ContainerEdits {
  /** `NAME=value`. */
  env?: string[];
  deviceNodes?: DeviceNode[];
  mounts?: CdiMount[];
  hooks?: CdiHook[];
  additionalGids?: number[];
}

export interface DeviceNode {
  /** In the container. */
  path: string;
  /** On the host; `path` where left out. What is not given below is taken from the node there. */
  hostPath?: string;
  type?: 'b' | 'c' | 'u' | 'p';
  major?: number;
  minor?: number;
  /** Permission bits as a number. */
  fileMode?: number;
  /** Of `r`, `w`, `m`; `rwm` where left out. */
  permissions?: string;
  uid?: number;
  gid?: number;
}

export interface CdiMount {
  hostPath: string;
  containerPath: string;
  options?: string[];
  type?: string;
}

export interface CdiHook {
  hookName: keyof Hooks;
  path: string;
  args?: string[];
  env?: string[];
  /** Seconds. */
  timeout?: number;
}
