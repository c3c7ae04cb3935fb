/** What registries have under a name: `GET /distribution/{name}/json`, and the manifests themselves, which are ours. */
import type { OCIDescriptor, OCIPlatform } from './images.ts';

/** `GET /distribution/{name}/json`. */
export interface DistributionInspect {
  Descriptor: OCIDescriptor;
  Platforms: OCIPlatform[];
}

export interface RemoteManifestBody {
  Descriptor: OCIDescriptor;
  /** base64 of the bytes, as the registry has them. */
  Raw: string;
}

/** `GET /distribution/{name}/manifests?details=1&insecure=1`. */
export interface DistributionManifests extends RemoteManifestBody {
  /** Those of an index, in its order, with `details`; else null. */
  Manifests: RemoteManifestBody[] | null;
}

/** One entry of `GET /images/search`. */
export interface SearchResultItem {
  star_count: number;
  is_official: boolean;
  name: string;
  is_automated: boolean;
  description: string;
}
