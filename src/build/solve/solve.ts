/**
 * A build as whoever asked for it sees it: tried, and tried again where an imported cache told of layers that it cannot
 * bring. What tries have in common stands here; each is a Solver of its own.
 */
import { log } from '../../base/log.ts';
import type { BuildIo } from '../builder.ts';
import { releaseAll } from '../release-all.ts';
import type { SolveRequest } from '../solve-request.ts';
import type { SolvedBuild } from './solved.ts';
import { Solver, type SolverOptions, type Tries } from './solver.ts';

/**
 * Throws as Builder.solve. A build that needs a layer which an imported cache cannot bring is tried again without that
 * cache; results of steps that were done meanwhile are found in this machine's.
 */
export async function solve(
  options: SolverOptions,
  request: SolveRequest,
  io: BuildIo,
): Promise<SolvedBuild> {
  const main = options.parts.sources.main(request.context, request.dockerfile);
  const tries: Tries = { main, over: new AbortController(), again: false };
  const { imports } = options;
  try {
    for (;;) {
      const usable = imports.filter(({ broken }) => broken !== true);
      try {
        const solved = await new Solver({ ...options, imports: usable }, request, io, tries).run();
        const held = [solved, main, ...imports];
        return { ...solved, release: () => releaseAll(held.map((one) => () => one.release?.())) };
      } catch (error) {
        if (io.signal.aborted || !usable.some(({ broken }) => broken === true)) throw error;
        tries.again = true;
        io.progress.again();
      }
    }
  } catch (error) {
    tries.over.abort(error);
    await main
      .release()
      .catch((failure: unknown) =>
        log.warn(
          { err: failure, build: io.id },
          'the context of a failed build remains until the next start',
        ),
      );
    throw error;
  }
}
