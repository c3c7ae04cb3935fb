/** The graphs of a Dockerfile's stages, as a request asks for them. */
import type { Platform } from '../../image/platform.ts';
import type { Dockerfile } from '../dockerfile/ast.ts';
import type { SolveRequest } from '../solve-request.ts';
import type { PlatformGraph } from './all-stages.ts';
import { NamedContexts } from './named-contexts.ts';
import { buildPlatform } from './platform-args.ts';
import { StageGraph } from './stage-graph.ts';

type GraphRequest = Pick<SolveRequest, 'target' | 'buildArgs' | 'namedContexts'>;

/** One for each platform. Throws as StageGraph. */
export function requestedGraphs(
  request: GraphRequest,
  dockerfile: Dockerfile,
  platforms: readonly Platform[],
): PlatformGraph[] {
  return platforms.map((platform) => ({ platform, graph: requestedGraph(request, dockerfile, platform) }));
}

/** Throws as StageGraph. */
export function requestedGraph(
  { target, buildArgs, namedContexts }: GraphRequest,
  dockerfile: Dockerfile,
  targetPlatform: Platform,
): StageGraph {
  const contexts = new NamedContexts(namedContexts);
  return new StageGraph({
    dockerfile,
    target,
    buildPlatform: buildPlatform(),
    targetPlatform,
    given: buildArgs,
    namedContext: (name, platform) => contexts.find(name, platform),
  });
}
