/** The table of operations as Markdown: docs/compatibility.md, made by `make compatibility`. */
import type { Outcome } from './recorder.ts';

export type Degree = 'implemented' | 'partly implemented' | 'not implemented';

/** Partly: some situations are answered, others with "not implemented". */
export function degree({ answered, refused }: Outcome): Degree {
  if (answered.length === 0) return 'not implemented';
  return refused.length > 0 ? 'partly implemented' : 'implemented';
}

/** The groups that the engine is there for come first, the rest in the definition's order. */
const GROUPS = ['Container', 'Exec', 'System', 'Image', 'Volume', 'Network'];

const HEAD = `# Compatibility with the Engine API v1.51

Made by \`make compatibility\` from what the daemon answers; the conformance test fails where it is out of date. The test
sends real requests to every operation that the API's definition has and holds the answers against it: types, required
fields, status codes, content types and headers.

* implemented: every situation that is tried is answered as the definition says.
* partly implemented: what is named behind it is refused with an error (501).
* not implemented: the operation answers with 501, or as a node that is no swarm manager does.
`;

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

function note(outcome: Outcome): string {
  if (degree(outcome) !== 'partly implemented') return '';
  const refusals = outcome.refused.map(({ what, message }) => `${what} ("${message}")`);
  return `; refused: ${[...new Set(refusals)].join(', ')}`;
}

export function compatibilityTable(outcomes: readonly Outcome[]): string {
  const others = [...new Set(outcomes.map(({ operation }) => operation.group))].filter(
    (group) => !GROUPS.includes(group),
  );
  const count = (wanted: Degree, list = outcomes): number =>
    list.filter((outcome) => degree(outcome) === wanted).length;
  const total = `${count('implemented')} operations are implemented, ${count('partly implemented')} partly, ${count('not implemented')} not.`;
  const sections = [...GROUPS, ...others].map((group) => {
    const rows = outcomes
      .filter(({ operation }) => operation.group === group)
      .map(
        (outcome) =>
          `| \`${outcome.operation.name}\` | ${cell(outcome.operation.summary)} | ${degree(outcome)}${cell(note(outcome))} |`,
      );
    return [`## ${group}`, '', '| operation | what it does | state |', '|---|---|---|', ...rows, ''].join(
      '\n',
    );
  });
  return `${HEAD}\n${total}\n\n${sections.join('\n')}`;
}

/** One line an operation, for a terminal. */
export function plainTable(outcomes: readonly Outcome[]): string {
  const mark = { implemented: 'yes    ', 'partly implemented': 'partly ', 'not implemented': 'no     ' };
  return outcomes
    .map((outcome) => `${mark[degree(outcome)]}${outcome.operation.name}${note(outcome)}`)
    .join('\n');
}
