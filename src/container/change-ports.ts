/** Publishing and withdrawing ports of a container that exists, running or not; what Docker cannot do. */

import {
  PortSpecError,
  type PublishSpec,
  parsePublishedSelector,
  parsePublishSpec,
} from '../api/port-spec.ts';
import { ConflictError, InvalidParameterError } from '../base/errors.ts';
import { step, stepSync } from '../base/steps.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './engine-context.ts';
import { networkKind } from './network-mode.ts';
import { type PortChange, planPortChange, portKey, portRequests } from './port-bindings.ts';

export interface PortsRequest {
  /** As `-p` takes them. */
  add: readonly string[];
  /** `8080`, `53/udp`, `[ip:]8080:80[/tcp]`: a port alone is the host's. */
  remove: readonly string[];
}

/**
 * The caller holds the mutex. All or nothing; what is changed is stored, so that later runs have it. Throws
 * InvalidParameter, NotFound for what is not published, Conflict or Internal where a port is taken.
 */
export async function changePorts(
  engine: EngineContext,
  container: Container,
  request: PortsRequest,
): Promise<void> {
  const { record } = container;
  if (record.state.status === 'removing') {
    throw new ConflictError(`Container ${container.id} is marked for removal and cannot be "update"`);
  }
  if (networkKind(record.hostConfig.NetworkMode) !== 'own') {
    throw new InvalidParameterError(
      `conflicting options: port publishing and the network mode "${record.hostConfig.NetworkMode}"`,
    );
  }
  const change = plan(container, request);
  engine.networks.validatePorts(change.add);
  if (container.running && record.sandbox !== null) {
    let restore = (): void => undefined;
    const kept = {
      store: () => {
        restore = store(container, change);
      },
      restore: () => restore(),
    };
    record.sandbox = await step('update/ports', container.id, () =>
      engine.networks.changePorts(container.id, { ...change, kept }),
    );
  } else store(container, change);
  engine.events.container(container, 'update');
}

function plan({ running, record }: Container, request: PortsRequest): PortChange {
  const { config, hostConfig, sandbox } = record;
  const read = <T>(specs: readonly string[], parse: (spec: string) => T[]): T[] =>
    specs.flatMap((spec) => {
      try {
        return parse(spec);
      } catch (error) {
        if (!(error instanceof PortSpecError)) throw error;
        throw new InvalidParameterError(`invalid port specification "${spec}": ${error.message}`);
      }
    });
  return planPortChange(
    portRequests(hostConfig, config.ExposedPorts),
    running ? (sandbox?.ports ?? []) : null,
    {
      add: read<PublishSpec>(request.add, parsePublishSpec),
      remove: read(request.remove, parsePublishedSelector),
    },
  );
}

/** Returns what stores the ports of before. Where it throws, nothing has changed. */
function store(container: Container, change: PortChange): () => void {
  const { config, hostConfig } = container.record;
  const before = { config: { ...config }, hostConfig: { ...hostConfig } };
  const restore = (): void => {
    Object.assign(config, before.config);
    Object.assign(hostConfig, before.hostConfig);
  };
  hostConfig.PortBindings = change.bindings;
  hostConfig.PublishAllPorts = change.publishAll;
  config.ExposedPorts = {
    ...config.ExposedPorts,
    ...Object.fromEntries(change.add.map((port) => [portKey(port), {}])),
  };
  try {
    stepSync('update/ports-record', container.id, () => container.save());
  } catch (error) {
    restore();
    throw error;
  }
  return () => {
    restore();
    container.save();
  };
}
