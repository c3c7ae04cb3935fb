/** What the network routes need of the engine. Errors are EngineErrors with Docker's texts. */
import type { Filters } from '../../../api/filters.ts';
import type {
  EndpointSettings,
  Network,
  NetworkCreateRequest,
  NetworkCreateResponse,
  NetworkPruneResponse,
} from '../../../api/networks.ts';

export interface NetworksBackend {
  create(request: NetworkCreateRequest): Promise<NetworkCreateResponse>;
  /** Without containers. */
  list(): Network[];
  /** With its containers. By name, ID, or unique start of an ID. */
  inspect(reference: string): Network;
  remove(reference: string): Promise<void>;
  /** Removes user-defined networks that no running container is on. */
  prune(filters: Filters, signal: AbortSignal): Promise<NetworkPruneResponse>;
  /** `container` by name or ID; running or not. */
  connect(container: string, network: string, settings: EndpointSettings): Promise<void>;
  disconnect(container: string, network: string, force: boolean): Promise<void>;
}
