/**
 * LLBBridge's ResolveImageConfig and ResolveSourceMeta: what a source stands for, asked by clients that steer their builds
 * themselves, before they order one. Sources are named as in BuildKit's definitions (`docker-image://…`, `git://…`, `https://…`).
 */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  ResolveImageConfigRequest,
  ResolveImageConfigResponseSchema,
  ResolveSourceMetaRequest,
  ResolveSourceMetaResponseSchema,
} from '../../api/buildkit/gateway_pb.ts';
import type { Platform as PlatformMessage, SourceOp } from '../../api/buildkit/types_pb.ts';
import { GrpcError } from '../../api/grpc/status.ts';
import { InvalidParameterError } from '../../base/errors.ts';
import type { SourceQuestion } from '../../build/solve/resolve-source.ts';
import { parseGitUrl } from '../../build/source/git-url.ts';
import { type Platform, parsePlatform } from '../../image/platform.ts';
import type { BuildJob } from './build-job.ts';
import { timestamp } from './build-record.ts';

/** Of `resolver_type`: an OCI layout of the client. */
const LAYOUT_RESOLVER = 1;

export async function resolveImageConfig(
  job: BuildJob,
  { ref, platform, resolveMode, resolverType, sourcePolicies }: ResolveImageConfigRequest,
  signal: AbortSignal,
): Promise<MessageInitShape<typeof ResolveImageConfigResponseSchema>> {
  refusePolicies(sourcePolicies);
  if (resolverType === LAYOUT_RESOLVER)
    throw new GrpcError('Unimplemented', `not implemented: configuration of the OCI layout ${ref}`);
  const { pin, configBytes } = await job.resolve(imageQuestion(ref, platform, resolveMode), signal);
  return { digest: pin, config: configBytes ?? new Uint8Array(), ref };
}

export async function resolveSourceMeta(
  job: BuildJob,
  { source, platform, resolveMode, sourcePolicies }: ResolveSourceMetaRequest,
  signal: AbortSignal,
): Promise<MessageInitShape<typeof ResolveSourceMetaResponseSchema>> {
  refusePolicies(sourcePolicies);
  const question = sourceQuestion(source, platform, resolveMode);
  const { pin, configBytes, name = '', epochSeconds } = await job.resolve(question, signal);
  const answer = { source: { identifier: source?.identifier ?? '', attrs: source?.attrs ?? {} } };
  switch (question.kind) {
    case 'image':
      return { ...answer, image: { digest: pin, config: configBytes ?? new Uint8Array() } };
    case 'git':
      return { ...answer, git: { checksum: pin, ref: parseGitUrl(question.url)?.ref ?? '' } };
    default: {
      const modified = epochSeconds === undefined ? {} : { lastModified: timestamp(epochSeconds * 1000) };
      return { ...answer, http: { checksum: pin, filename: name, ...modified } };
    }
  }
}

function refusePolicies(policies: readonly unknown[]): void {
  if (policies.length > 0) throw new GrpcError('Unimplemented', 'not implemented: source policies');
}

/** Throws InvalidParameter for what is no source, Unimplemented for those that have no metadata here. */
export function sourceQuestion(
  source: Pick<SourceOp, 'identifier' | 'attrs'> | undefined,
  platform: PlatformMessage | undefined,
  mode: string,
): SourceQuestion {
  const { identifier = '', attrs = {} } = source ?? {};
  const [, scheme = '', rest = ''] = /^([a-z-]+):\/\/(.+)$/s.exec(identifier) ?? [];
  switch (scheme) {
    case 'docker-image':
      return imageQuestion(rest, platform, mode || (attrs['image.resolvemode'] ?? ''));
    case 'http':
    case 'https':
      return { kind: 'http', url: identifier };
    case 'git': {
      // The identifier has lost the address's own scheme.
      const [, ref = ''] = /#(.*)$/s.exec(identifier) ?? [];
      const full = attrs['git.fullurl'] ?? `https://${rest.replace(/#.*$/s, '')}`;
      return { kind: 'git', url: ref === '' || full.includes('#') ? full : `${full}#${ref}` };
    }
    case '':
      throw new InvalidParameterError(`invalid source "${identifier}"`);
    default:
      throw new GrpcError('Unimplemented', `not implemented: metadata of the source ${identifier}`);
  }
}

function imageQuestion(
  reference: string,
  platform: PlatformMessage | undefined,
  mode: string,
): SourceQuestion {
  return {
    kind: 'image',
    reference: reference.replace(/^docker-image:\/\//, ''),
    platform: platform === undefined ? undefined : platformOf(platform),
    pull: mode === 'pull' || mode === 'forcepull',
  };
}

function platformOf({ os, architecture, variant }: PlatformMessage): Platform {
  return parsePlatform([os, architecture, variant].filter((part) => part !== '').join('/'));
}
