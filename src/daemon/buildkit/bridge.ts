/**
 * BuildKit's LLBBridge service, by which docker buildx steers its builds: it orders a result of the Dockerfile frontend,
 * and returns it for export. Results cannot be looked into or run from here; the client is told so by name, or sees it
 * from the list of what this daemon can.
 */
import { LLBBridge, type Result, type ReturnRequest } from '../../api/buildkit/gateway_pb.ts';
import type { GrpcServices, ServerCallContext } from '../../api/grpc/server.ts';
import { codeOf, GrpcError } from '../../api/grpc/status.ts';
import type { BuildJob } from './build-job.ts';
import { resultDefinition } from './build-results.ts';
import { type ControlParts, cacheSpec, inputResults, requireDockerfile } from './control.ts';
import { describedSubrequests, isSubrequest } from './frontend-attributes.ts';
import { resolveImageConfig, resolveSourceMeta } from './resolve-sources.ts';
import { readResultFile, readResultFolder, statResultFile } from './result-files.ts';
import { workerRecord } from './worker-record.ts';

/** Which build a call belongs to. */
const BUILD_HEADER = 'buildkit-controlapi-buildid';

/** What clients ask for before they use it (BuildKit's frontend/gateway/pb/caps.go). */
const FRONTEND_CAPABILITIES = [
  'solve.base',
  'solve.inlinereturn',
  'return',
  'returnmap',
  'protorefarray',
  'importcaches',
  'frontend.caps',
  'gateway.solve.metadata',
  'gateway.evaluate',
  'gateway.evaluate.solve',
  'gateway.warnings',
  'reference.output',
  'readfile',
  'readdir',
  'statfile',
  'resolveimage',
  'resolveimage.resolvemode',
  'source.metaresolver',
];

/** The same of what builds can (solver/pb/caps.go): what clients look at before they order it. */
const BUILD_CAPABILITIES = [
  'source.image',
  'source.local',
  'source.git',
  'source.http',
  'exec.meta.base',
  'exec.mount.bind',
  'exec.mount.cache',
  'exec.mount.cache.sharing',
  'exec.mount.tmpfs',
  'exec.mount.secret',
  'exec.mount.ssh',
  'exec.meta.network',
  'exec.meta.ulimit',
  'exec.meta.cgroup.parent',
  'file.base',
  'constraints',
  'platform',
  'meta.ignorecache',
  'meta.description',
  'exporter.multiple',
];

export function addBridge(services: GrpcServices, parts: ControlParts): void {
  const jobOf = async ({ headers, signal }: ServerCallContext): Promise<BuildJob> => {
    const [ref = ''] = [headers[BUILD_HEADER] ?? ''].flat();
    if (ref === '') throw new GrpcError('InvalidArgument', `a call without ${BUILD_HEADER}`);
    return await parts.jobs.get(ref, signal);
  };
  services
    .unary(LLBBridge.method.ping, async (_, call) => {
      await jobOf(call);
      return {
        frontendApiCaps: FRONTEND_CAPABILITIES.map((id) => ({ id, enabled: true })),
        llbCaps: BUILD_CAPABILITIES.map((id) => ({ id, enabled: true })),
        workers: [workerRecord(parts.backend)],
      };
    })
    .unary(LLBBridge.method.solve, async (request, call) => {
      const job = await jobOf(call);
      if ((request.definition?.def.length ?? 0) > 0) {
        throw new GrpcError(
          'Unimplemented',
          'not implemented: low-level build definitions (LLB); use a Dockerfile',
        );
      }
      if (request.sourcePolicies.length > 0) {
        throw new GrpcError('Unimplemented', 'not implemented: source policies');
      }
      // Some clients ask for an empty result, to have one.
      if (request.frontend === '') return { result: { result: { case: 'ref' as const, value: { id: '' } } } };
      requireDockerfile(request.frontend, request.frontendOpt);
      const asked = request.frontendOpt['requestid'] ?? '';
      if (asked === 'frontend.subrequests.describe') {
        return {
          result: { result: { case: 'ref' as const, value: { id: '' } }, metadata: describedSubrequests() },
        };
      }
      if (asked !== '' && !isSubrequest(asked)) {
        throw new GrpcError('Unimplemented', `not implemented: ${asked} of the Dockerfile frontend`);
      }
      const given = {
        cacheFrom: request.cacheImports.map(cacheSpec),
        results: inputResults(request.frontendInputs),
      };
      const id = await job.solve(request.frontendOpt, given, call.signal);
      const metadata = job.answer(id);
      if (metadata !== undefined) {
        // A client that gets a result with it looks into that.
        return { result: { result: { case: 'ref' as const, value: { id: '' } }, metadata } };
      }
      const value = { id, def: resultDefinition(id) };
      return { ref: id, result: { result: { case: 'ref' as const, value } } };
    })
    .unary(LLBBridge.method.resolveImageConfig, async (request, call) => {
      return await resolveImageConfig(await jobOf(call), request, call.signal);
    })
    .unary(LLBBridge.method.resolveSourceMeta, async (request, call) => {
      return await resolveSourceMeta(await jobOf(call), request, call.signal);
    })
    .unary(LLBBridge.method.evaluate, async ({ ref }, call) => {
      // A result is only there once all of it is done.
      requireResult(await jobOf(call), ref);
      return {};
    })
    .unary(LLBBridge.method.readFile, async ({ ref, filePath, range }, call) => {
      const root = await (await jobOf(call)).files(ref);
      return { data: readResultFile(root, filePath, offsetOf(range?.offset), offsetOf(range?.length)) };
    })
    .unary(LLBBridge.method.readDir, async ({ ref, dirPath, includePattern }, call) => {
      const root = await (await jobOf(call)).files(ref);
      return { entries: readResultFolder(root, dirPath, includePattern) };
    })
    .unary(LLBBridge.method.statFile, async ({ ref, path }, call) => {
      const root = await (await jobOf(call)).files(ref);
      return { stat: statResultFile(root, path) };
    })
    .unary(LLBBridge.method.inputs, async (_, call) => {
      await jobOf(call);
      return { definitions: {} };
    })
    .unary(LLBBridge.method.warn, async (_, call) => {
      await jobOf(call);
      return {};
    })
    .unary(LLBBridge.method.return, async (request, call) => {
      const job = await jobOf(call);
      settle(job, request);
      return {};
    });
}

function offsetOf(value: bigint | undefined): number {
  const bytes = Number(value ?? 0n);
  if (bytes < 0 || !Number.isSafeInteger(bytes))
    throw new GrpcError('InvalidArgument', `invalid range: ${value}`);
  return bytes;
}

function settle(job: BuildJob, { result, error }: ReturnRequest): void {
  if (error !== undefined) {
    const { code, message, details } = error;
    job.fail(new GrpcError(codeOf(code), message, details));
    return;
  }
  const [ref, ...others] = refsOf(result);
  if (others.length > 0) {
    throw new GrpcError(
      'Unimplemented',
      'not implemented: several results of one build, put together by the client',
    );
  }
  if (ref !== undefined) requireResult(job, ref);
  job.finish(ref);
}

function refsOf(result: Result | undefined): string[] {
  switch (result?.result.case) {
    case 'ref':
      return named([result.result.value.id]);
    case 'refs':
      return named(Object.values(result.result.value.refs).map(({ id }) => id));
    case 'refDeprecated':
      return named([result.result.value]);
    case 'refsDeprecated':
      return named(Object.values(result.result.value.refs));
    default:
      return [];
  }
}

function named(refs: string[]): string[] {
  return [...new Set(refs)].filter((ref) => ref !== '');
}

function requireResult(job: BuildJob, ref: string): void {
  if (ref !== '') job.result(ref);
}
