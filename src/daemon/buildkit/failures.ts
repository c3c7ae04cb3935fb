/**
 * What clients are told of a build that failed. The place in the Dockerfile travels as details of the error, in the way
 * of BuildKit's `errdefs` (JSON behind a type URL), and clients print the lines themselves.
 */

import { asGrpcError, GrpcError, type StatusDetail } from '../../api/grpc/status.ts';
import { BuildError } from '../../build/solve/build-error.ts';
import { sourceRange } from './status-messages.ts';

export function buildFailure(error: unknown): GrpcError {
  const plain = asGrpcError(error);
  const details = detailsOf(error);
  return details.length === 0 ? plain : new GrpcError(plain.code, plain.message, details, error);
}

function detailsOf(error: unknown): StatusDetail[] {
  if (!(error instanceof BuildError)) return [];
  const { vertex, source } = error;
  const details: StatusDetail[] = [];
  if (vertex !== undefined) details.push(detail('Vertex', { digest: vertex }));
  if (source !== undefined) {
    const { filename, content, range } = source;
    const data = Buffer.from(content).toString('base64');
    const info = { filename, data, language: 'Dockerfile' };
    details.push(detail('Source', { info, ranges: [sourceRange(range)] }));
  }
  return details;
}

function detail(type: string, value: unknown): StatusDetail {
  return {
    typeUrl: `github.com/moby/buildkit/errdefs.${type}+json`,
    value: Buffer.from(JSON.stringify(value)),
  };
}
