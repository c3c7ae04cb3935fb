/** The Dockerfile of one build: read from its context, parsed, and what the linter says of one that cannot be. */
import { step } from '../../base/steps.ts';
import type { Dockerfile, Instruction } from '../dockerfile/ast.ts';
import { DockerfileError } from '../dockerfile/errors.ts';
import { lintSeen } from '../dockerfile/lint/dockerfile-lint.ts';
import { parseDockerfile } from '../dockerfile/parse.ts';
import type { BuildWarning, Progress, ProgressVertex } from '../progress.ts';
import type { SourceIo } from '../source/build-sources.ts';
import type { MainContext } from '../source/main-context.ts';
import { placed } from './solve-context.ts';

export interface DockerfileReaderOptions {
  main: MainContext;
  progress: Progress;
  sourceIo(vertex: ProgressVertex): SourceIo;
  signal: AbortSignal;
  /** Findings are told on the vertex as well. */
  warns: boolean;
}

export class DockerfileReader {
  readonly #options: DockerfileReaderOptions;
  #file = { name: 'Dockerfile', content: '' };
  #warnings: readonly BuildWarning[] = [];

  constructor(options: DockerfileReaderOptions) {
    this.#options = options;
  }

  /** Empty as long as it is not read. */
  get file(): { name: string; content: string } {
    return this.#file;
  }

  /** Of the instructions in front of one that cannot be read. */
  get earlyWarnings(): readonly BuildWarning[] {
    return this.#warnings;
  }

  /** Throws what the context does, and BuildError for what cannot be parsed. */
  async read(): Promise<{ dockerfile: Dockerfile; vertex: ProgressVertex }> {
    const { main, progress, sourceIo } = this.#options;
    const vertex = progress.vertex(`[internal] load build definition from ${main.dockerfileName}`);
    this.#file = await progress.during(vertex, () =>
      step('build/read-dockerfile', main.dockerfileName, () => main.readDockerfile(sourceIo(vertex))),
    );
    const seen: Instruction[] = [];
    try {
      const dockerfile = parseDockerfile(this.#file.content, this.#file.name, seen);
      if (dockerfile.syntax !== undefined) {
        vertex.log(`syntax ${dockerfile.syntax}: not fetched, Dockerfiles are read by the daemon itself\n`);
      }
      return { dockerfile, vertex };
    } catch (error) {
      if (!(error instanceof DockerfileError)) throw error;
      this.#warnings = lintSeen(seen, this.#file);
      if (this.#options.warns) for (const warning of this.#warnings) vertex.warn(warning);
      const { start, end } = error.range;
      const lines = { line: start.line, endLine: end.line };
      throw placed({ file: this.#file, signal: this.#options.signal }, lines, error);
    }
  }
}
