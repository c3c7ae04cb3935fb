/**
 * The client's session of a build (`POST /session`): a second connection, on which the daemon asks for what only the
 * client has. What does not exist is found out before the build begins.
 */
import { randomUUID } from 'node:crypto';
import type { DescMethod } from '@bufbuild/protobuf';
import { Content } from '../../../api/buildkit/content_pb.ts';
import { Auth, FileSend } from '../../../api/buildkit/filesync_pb.ts';
import { Health, HealthCheckResponse_ServingStatus } from '../../../api/buildkit/health_pb.ts';
import { Secrets } from '../../../api/buildkit/secrets_pb.ts';
import { SSH } from '../../../api/buildkit/sshforward_pb.ts';
import { Upload } from '../../../api/buildkit/upload_pb.ts';
import { pathOf } from '../../../api/grpc/channel.ts';
import { GrpcServices } from '../../../api/grpc/server.ts';
import type { Client } from '../../../client/client.ts';
import type { Io } from '../../io.ts';
import { credentialsFor } from './session-credentials.ts';
import { layoutBlobSize, readLayoutBlob } from './session-layouts.ts';
import { receiveOutput } from './session-outputs.ts';
import type { SessionParts } from './session-parts.ts';
import { SessionSecrets } from './session-secrets.ts';
import { SessionSsh } from './session-ssh.ts';
import { sendUpload } from './session-uploads.ts';

export interface OpenSession {
  readonly id: string;
  close(): void;
}

/** Throws CliError for secrets, sockets and keys that cannot be used. */
export async function openSession(client: Client, io: Io, parts: SessionParts): Promise<OpenSession> {
  const secrets = new SessionSecrets(parts.secrets, io);
  const ssh = new SessionSsh(parts.ssh, io);
  const methods: DescMethod[] = [];
  const services = new GrpcServices();
  services.unary(Health.method.check, async () => ({ status: HealthCheckResponse_ServingStatus.SERVING }));
  services.unary(Auth.method.credentials, async ({ host }) => await credentialsFor(host, io));
  services.unary(Secrets.method.getSecret, async ({ id }) => ({ data: secrets.read(id) }));
  methods.push(Auth.method.credentials, Secrets.method.getSecret);
  if (parts.ssh.length > 0) {
    services.unary(SSH.method.checkAgent, async ({ id }) => {
      ssh.require(id);
      return {};
    });
    services.stream(SSH.method.forwardAgent, (requests, call) => ssh.forward(requests, call));
    methods.push(SSH.method.checkAgent, SSH.method.forwardAgent);
  }
  if (parts.sinks.size > 0) {
    services.stream(FileSend.method.diffCopy, (requests, call) =>
      receiveOutput(parts.sinks, requests, call, io),
    );
    methods.push(FileSend.method.diffCopy);
  }
  if (parts.uploads.size > 0) {
    services.stream(Upload.method.pull, (_, call) => sendUpload(parts.uploads, call));
    methods.push(Upload.method.pull);
  }
  if (parts.layouts.size > 0) {
    services.unary(Content.method.info, async ({ digest }, call) => {
      const size = BigInt(await layoutBlobSize(parts.layouts, digest, call));
      return { info: { digest, size } };
    });
    services.stream(Content.method.read, async function* (requests, call) {
      for await (const request of requests) {
        yield* readLayoutBlob(parts.layouts, request, call);
        return;
      }
    });
    methods.push(Content.method.info, Content.method.read);
  }
  const id = randomUUID().replaceAll('-', '');
  const connection = await client.upgrade('/session', 'h2c', {
    headers: {
      'x-docker-expose-session-uuid': id,
      'x-docker-expose-session-name': 'mydock',
      'x-docker-expose-session-grpc-method': methods.map(pathOf),
    },
  });
  services.serve(connection);
  return { id, close: () => connection.destroy() };
}
