/**
 * The history of builds as clients of BuildKit's Control service see it, and the content that its records name, by
 * containerd's content service.
 */
import { Content } from '../../api/buildkit/content_pb.ts';
import { Control } from '../../api/buildkit/control_pb.ts';
import type { GrpcServices } from '../../api/grpc/server.ts';
import { GrpcError } from '../../api/grpc/status.ts';
import type { BuildHistory } from './build-history.ts';

export function addHistory(services: GrpcServices, history: BuildHistory): void {
  services
    .stream(Control.method.listenBuildHistory, async function* (requests, { signal }) {
      for await (const request of requests) {
        yield* history.listen(request, signal);
        return;
      }
    })
    .unary(Control.method.updateBuildHistory, async ({ ref, ...change }) => {
      history.update(ref, change);
      return {};
    })
    .unary(Content.method.info, async ({ digest }) => {
      return { info: { digest, size: BigInt(history.blob(digest).length) } };
    })
    .stream(Content.method.read, async function* (requests) {
      for await (const { digest, offset, size } of requests) {
        const bytes = history.blob(digest);
        const [begin, length] = [Number(offset), Number(size)];
        if (begin < 0 || length < 0 || begin > bytes.length) {
          throw new GrpcError('OutOfRange', `no byte ${offset} of ${digest}`);
        }
        yield { offset, data: bytes.subarray(begin, length === 0 ? bytes.length : begin + length) };
        return;
      }
    });
}
