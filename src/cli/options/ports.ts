/** `-p`/`--publish` and `--expose`: port specifications to `ExposedPorts` and `PortBindings`. */
import type { PortBinding, PortMap } from '../../api/networks.ts';
import { type PublishSpec, parsePortRange, parsePublishSpec, splitProtocol } from '../../api/port-spec.ts';

export interface PublishedPorts {
  readonly exposed: Record<string, Record<string, never>>;
  readonly bindings: PortMap;
}

/** Throws with Docker's messages for a specification that cannot be read. */
export function publishedPorts(publish: readonly string[], expose: readonly string[]): PublishedPorts {
  const bindings: Record<string, PortBinding[]> = {};
  for (const spec of publish) {
    for (const [port, binding] of publishSpec(shortForm(spec))) {
      bindings[port] = [...(bindings[port] ?? []), binding];
    }
  }
  const exposed: Record<string, Record<string, never>> = {};
  for (const port of Object.keys(bindings)) exposed[port] = {};
  for (const spec of expose) for (const port of exposeSpec(spec)) exposed[port] = {};
  return { exposed, bindings };
}

/** `published=8080,target=80,protocol=tcp` as `8080:80/tcp`; anything else unchanged. */
export function shortForm(spec: string): string {
  if (!spec.includes('=')) return spec;
  const fields = new Map(spec.split(',').map((field) => field.split('=', 2) as [string, string]));
  for (const [name, value] of fields) {
    if (!['published', 'target', 'protocol', 'mode'].includes(name) || !value) {
      throw new Error(`invalid field ${spec}`);
    }
  }
  const published = fields.get('published');
  const target = `${fields.get('target') ?? ''}/${fields.get('protocol') ?? 'tcp'}`;
  return published === undefined ? target : `${published}:${target}`;
}

function publishSpec(spec: string): [port: string, binding: PortBinding][] {
  return parsePublishSpec(spec).map((port) => [
    `${port.containerPort}/${port.protocol}`,
    { HostIp: port.hostIp, HostPort: hostPortText(port) },
  ]);
}

function hostPortText({ hostPort, hostPortEnd }: PublishSpec): string {
  if (hostPort === 0 && hostPortEnd === undefined) return '';
  return hostPortEnd === undefined ? String(hostPort) : `${hostPort}-${hostPortEnd}`;
}

function exposeSpec(spec: string): string[] {
  if (spec.includes(':')) throw new Error(`invalid port format for --expose: ${spec}`);
  const { ports, protocol } = splitProtocol(spec);
  const { first, last } = parsePortRange(ports, `invalid range format for --expose: ${spec}`);
  return Array.from({ length: last - first + 1 }, (_, index) => `${first + index}/${protocol}`);
}
