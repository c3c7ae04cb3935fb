/** Requests that ask about a Dockerfile instead of building it (`docker buildx build --call`). Nothing is pulled for them. */
import type { SubrequestAnswer } from '../dockerfile/answers/answer.ts';
import { lintAnswer } from '../dockerfile/answers/lint-answer.ts';
import { outlineAnswer } from '../dockerfile/answers/outline-answer.ts';
import { targetsAnswer } from '../dockerfile/answers/targets-answer.ts';
import type { Dockerfile } from '../dockerfile/ast.ts';
import { DockerfileError } from '../dockerfile/errors.ts';
import type { BuildWarning } from '../progress.ts';
import type { Subrequest } from '../solve-request.ts';
import { BuildError } from './build-error.ts';
import { type BuildLint, type ImageLookup, isBuildProblem } from './build-lint.ts';
import type { StageGraph } from './stage-graph.ts';

export interface QuestionedBuild {
  file: () => { name: string; content: string };
  /** Throws what the build would. */
  read: () => Promise<Dockerfile>;
  /** Found before `read` failed. */
  early: () => readonly BuildWarning[];
  graph: (dockerfile: Dockerfile) => StageGraph;
  lint: (graph: StageGraph) => BuildLint;
  /** What the build would fail with is a part of the answer about the linter, and thrown otherwise. */
  answersErrors: boolean;
  /** A target was asked for: only what it needs counts. */
  hasTarget: boolean;
  /** Knows the images that are here. */
  image: ImageLookup;
}

export async function answerAbout(question: Subrequest, build: QuestionedBuild): Promise<SubrequestAnswer> {
  if (question === 'frontend.lint') return await lintOf(build);
  const dockerfile = await build.read();
  const { content } = build.file();
  if (question === 'frontend.targets') return targetsAnswer(dockerfile, content);
  const graph = build.graph(dockerfile);
  const lint = build.lint(graph);
  const needed = graph.needed();
  await lint.ahead(needed, build.image);
  return outlineAnswer({
    lint: lint.dockerfile,
    target: graph.target.stage.from,
    stages: needed.map(({ index }) => index).reverse(),
    content,
  });
}

async function lintOf(build: QuestionedBuild): Promise<SubrequestAnswer> {
  let lint: BuildLint | undefined;
  try {
    const dockerfile = await build.read();
    const graph = build.graph(dockerfile);
    lint = build.lint(graph);
    await lint.ahead(build.hasTarget ? graph.needed() : graph.stages, build.image);
    lint.dockerfile.check();
    return lintAnswer({ file: build.file(), warnings: lint.warnings });
  } catch (error) {
    const file = build.file();
    // Without a file there is nothing to answer about.
    if (!build.answersErrors || !isBuildProblem(error) || file.content === '') throw error;
    const source =
      error instanceof BuildError ? error.source : error instanceof DockerfileError ? error : undefined;
    const warnings: readonly BuildWarning[] = lint?.warnings ?? build.early();
    return lintAnswer({ file, warnings, error: { message: error.message, source } });
  }
}
