/**
 * What a build may ask for on a scoped socket, whichever way it came in (`POST /build`, BuildKit's protocol): RUN steps are
 * containers as every other, on the default bridge, on none, or on a network that may be joined; images are named by the
 * socket's patterns; nothing of the host is given away.
 */

import type { ContextSpec, OutputSpec, SolveRequest } from '../../build/solve-request.ts';
import { isUserDefined } from '../../container/network-mode.ts';
import { excessOfHostConfig } from './create-policy.ts';
import { beyond, requireOperation } from './guard.ts';
import type { VisibleObjects } from './visible.ts';

/** The request as it may be done. Throws Forbidden for what goes beyond the socket's limits. */
export function limitBuild(request: SolveRequest, visible: VisibleObjects): SolveRequest {
  const { scope } = visible;
  const [entitlement] = request.entitlements.filter((name) => name !== '');
  if (entitlement !== undefined) throw beyond(scope, `building with the entitlement ${entitlement}`);
  if (request.cgroupParent !== '') throw beyond(scope, 'building below a cgroup parent');
  if (request.keepFailed) throw beyond(scope, 'keeping failed steps');
  const excess = excessOfHostConfig({ Ulimits: [...request.ulimits] });
  if (excess !== undefined) throw beyond(scope, `building with ${excess}`);
  for (const context of [request.context, ...Object.values(request.namedContexts)]) {
    requireContext(context, visible);
  }
  for (const output of request.outputs) requireOutput(output, visible);
  for (const { type } of [...request.cacheFrom, ...request.cacheTo]) {
    if (type === 'local') throw beyond(scope, 'a build cache in a folder of the host');
  }
  for (const { type, attributes } of request.cacheFrom) {
    // What the client serves itself is named by nothing.
    if (type !== 'session') visible.requireImage(attributes['ref'] ?? '');
  }
  for (const { type, attributes } of request.cacheTo) {
    if (type !== 'registry') continue;
    requireOperation(scope, { name: 'images.push', kind: 'write' });
    visible.requireImageName(attributes['ref'] ?? '');
  }
  return {
    ...request,
    networkMode: networkMode(request.networkMode, visible),
    requireImage: (name: string) => visible.requireImage(name),
  };
}

function networkMode(mode: string, visible: VisibleObjects): string {
  if (mode === 'host' || mode === 'container' || mode.startsWith('container:')) {
    throw beyond(visible.scope, `building with the network "${mode}"`);
  }
  const { Name, Id } = visible.networkToJoin(mode === '' || mode === 'default' ? 'bridge' : mode);
  // By the time of a RUN the name may be another's.
  return isUserDefined(Name) ? Id : Name;
}

function requireContext(context: ContextSpec, visible: VisibleObjects): void {
  if (context.kind === 'folder') throw beyond(visible.scope, 'building a folder of the host');
  if (context.kind === 'image') visible.requireImage(context.reference);
}

function requireOutput(output: OutputSpec, visible: VisibleObjects): void {
  if (output.type === 'cacheonly') return;
  for (const name of output.names) visible.requireImageName(name);
  if (output.type === 'image' && output.push) {
    requireOperation(visible.scope, { name: 'images.push', kind: 'write' });
  }
}
