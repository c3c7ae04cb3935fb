/**
 * How gRPC calls end: codes, the error that carries one, and the trailers that tell it ("gRPC over HTTP2": grpc-status,
 * grpc-message, grpc-status-details-bin).
 */

import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http2';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { EngineError, errorMessage } from '../../base/errors.ts';
import { type Detail, StatusSchema } from '../buildkit/rpc-status_pb.ts';

const CODES = [
  'OK',
  'Canceled',
  'Unknown',
  'InvalidArgument',
  'DeadlineExceeded',
  'NotFound',
  'AlreadyExists',
  'PermissionDenied',
  'ResourceExhausted',
  'FailedPrecondition',
  'Aborted',
  'OutOfRange',
  'Unimplemented',
  'Internal',
  'Unavailable',
  'DataLoss',
  'Unauthenticated',
] as const;

export type GrpcCode = (typeof CODES)[number];

/** What a detail is and its bytes; BuildKit's own are JSON. */
export type StatusDetail = Pick<Detail, 'typeUrl' | 'value'>;

export class GrpcError extends Error {
  readonly code: GrpcCode;
  readonly details: readonly StatusDetail[];

  constructor(code: GrpcCode, message: string, details: readonly StatusDetail[] = [], cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'GrpcError';
    this.code = code;
    this.details = details;
  }
}

/** Unknown is the one code that clients show without its name. */
export function codeNumber(code: GrpcCode): number {
  return CODES.indexOf(code);
}

export function codeOf(value: number): GrpcCode {
  return CODES[value] ?? 'Unknown';
}

/** Anything thrown, as a call's end. */
export function asGrpcError(error: unknown): GrpcError {
  if (error instanceof GrpcError) return error;
  const kind = error instanceof EngineError ? error.kind : undefined;
  const code =
    kind === 'NotImplemented' ? 'Unimplemented' : kind === 'Forbidden' ? 'PermissionDenied' : 'Unknown';
  return new GrpcError(code, errorMessage(error), [], error);
}

/** The trailers of a call that ends so; undefined ends it well. */
export function trailers(error: GrpcError | undefined): OutgoingHttpHeaders {
  if (error === undefined) return { 'grpc-status': '0' };
  const message = error.message.slice(0, MESSAGE_MAX_LENGTH);
  const fields: OutgoingHttpHeaders = {
    'grpc-status': String(codeNumber(error.code)),
    'grpc-message': encodeMessage(message),
  };
  if (error.details.length > 0) {
    const details = error.details.map(({ typeUrl, value }) => ({ typeUrl, value }));
    const status = create(StatusSchema, { code: codeNumber(error.code), message, details });
    const bytes = Buffer.from(toBinary(StatusSchema, status));
    if (bytes.length <= DETAILS_MAX_BYTES) fields['grpc-status-details-bin'] = bytes.toString('base64');
  }
  return fields;
}

/** Clients refuse header lists of more than some 16 kB (percent-encoding may treble the message), or of 10 MB with Go. */
const MESSAGE_MAX_LENGTH = 16 << 10;
const DETAILS_MAX_BYTES = 256 << 10;

/** The error that a peer's headers or trailers tell; undefined where the call went well or has not ended. */
export function errorFromTrailers(headers: IncomingHttpHeaders): GrpcError | undefined {
  const status = headers['grpc-status'];
  if (status === undefined || status === '0') return undefined;
  const code = codeOf(Number(status));
  const text = headers['grpc-message'];
  const message = typeof text === 'string' && text !== '' ? decodeMessage(text) : code;
  const details = headers['grpc-status-details-bin'];
  return new GrpcError(code, message, typeof details === 'string' ? readDetails(details) : []);
}

function readDetails(text: string): StatusDetail[] {
  try {
    return fromBinary(StatusSchema, Buffer.from(text, 'base64')).details;
  } catch {
    // The code and the message stand by themselves.
    return [];
  }
}

/** Percent-encoding of everything but printable ASCII, as the header's grammar wants it. */
function encodeMessage(text: string): string {
  return Buffer.from(text, 'utf8')
    .toString('latin1')
    .replace(/[^\x20-\x24\x26-\x7e]/g, (byte) => {
      return `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
    });
}

function decodeMessage(text: string): string {
  const bytes = text.replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(bytes, 'latin1').toString('utf8');
}
