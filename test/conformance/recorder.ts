/**
 * Drives operations of the API one situation at a time, holds every answer against the definition, and remembers what
 * was answered, from which the table of operations is made.
 */

import type { Definition, Operation } from './definition.ts';
import { isDeviation, isUntyped, mayAnswer } from './deviations.ts';
import { type Answer, type Exchange, exchange } from './exchange.ts';

export interface Situation {
  /** `GET /containers/{id}/json` */
  readonly operation: string;
  /** What is special: "a stopped container". */
  readonly what: string;
  /** The status that Docker answers with here. */
  readonly expect: number;
  /** Values of the path's `{…}`. */
  readonly path?: Record<string, string>;
  readonly query?: Record<string, string>;
  readonly headers?: Record<string, string>;
  readonly body?: unknown;
  readonly until?: Exchange['until'];
  /** The body is a sequence of JSON values, a line each; each is held against the definition. */
  readonly lines?: boolean;
  /** More about the answer that must be true; throws where it is not. */
  readonly verify?: (answer: Answer) => void;
}

export interface Outcome {
  readonly operation: Operation;
  /** Situations answered as Docker answers them. */
  readonly answered: readonly string[];
  /** Situations that the engine says it does not have (501, or 503 for swarm mode): situation and message. */
  readonly refused: readonly { what: string; message: string }[];
}

const STANDARD_HEADERS = ['api-version', 'docker-experimental', 'ostype', 'server'];

export class Recorder {
  readonly #definition: Definition;
  readonly #socket: string;
  readonly #answered = new Map<string, string[]>();
  readonly #refused = new Map<string, { what: string; message: string }[]>();
  #problems: string[] = [];

  constructor(definition: Definition, socket: string) {
    this.#definition = definition;
    this.#socket = socket;
  }

  /** Sends one request and judges the answer. What is wrong is kept for `takeProblems`. */
  async drive(situation: Situation): Promise<Answer> {
    const operation = this.#definition.operations.find(({ name }) => name === situation.operation);
    if (operation === undefined) throw new Error(`the definition has no ${situation.operation}`);
    const answer = await exchange(this.#socket, {
      method: operation.method,
      path: `/v1.51${fillPath(operation.path, situation)}`,
      ...(situation.headers === undefined ? {} : { headers: situation.headers }),
      ...(situation.body === undefined ? {} : { body: situation.body }),
      ...(situation.until === undefined ? {} : { until: situation.until }),
    });
    if (answer.status === 501 && situation.expect !== 501) {
      add(this.#refused, operation.name, { what: situation.what, message: messageOf(answer) });
      this.#note(situation, this.#errorProblems(answer));
      return answer;
    }
    const problems = this.#judge(operation, situation, answer);
    if (problems.length === 0) add(this.#answered, operation.name, situation.what);
    this.#note(situation, problems);
    return answer;
  }

  /** Asks for an operation that no situation drives: it has to say that it is not there. */
  async probe(operation: Operation): Promise<void> {
    if (this.#answered.has(operation.name) || this.#refused.has(operation.name)) return;
    const path = operation.path.replaceAll(/\{\w+\}/g, 'none');
    const body = operation.method === 'POST' || operation.method === 'PUT' ? { body: {} } : {};
    const answer = await exchange(this.#socket, { method: operation.method, path: `/v1.51${path}`, ...body });
    const what = 'any request';
    if (answer.status === 501 || (answer.status === 503 && operation.responses.has(503))) {
      add(this.#refused, operation.name, { what, message: messageOf(answer) });
      return;
    }
    const text = `${answer.status} ${messageOf(answer)}: neither "not implemented" nor driven by a situation`;
    this.#problems.push(`${operation.name}: ${text}`);
  }

  /** Everything that was wrong since the last call. */
  takeProblems(): string[] {
    const problems = this.#problems;
    this.#problems = [];
    return problems;
  }

  outcomes(): Outcome[] {
    return this.#definition.operations.map((operation) => ({
      operation,
      answered: this.#answered.get(operation.name) ?? [],
      refused: this.#refused.get(operation.name) ?? [],
    }));
  }

  #note(situation: Situation, problems: readonly string[]): void {
    for (const problem of problems)
      this.#problems.push(`${situation.operation}, ${situation.what}: ${problem}`);
  }

  #judge(operation: Operation, situation: Situation, answer: Answer): string[] {
    const { status } = answer;
    if (status !== situation.expect) {
      return [`${status} instead of ${situation.expect}: ${answer.text.slice(0, 300)}`];
    }
    const problems = isHijacked(operation, answer) ? [] : headerProblems(answer);
    if (!mayAnswer(operation.name, new Set(operation.responses.keys()), status)) {
      problems.push(`status ${status} is not documented`);
    }
    if (status >= 400) problems.push(...this.#errorProblems(answer));
    else problems.push(...this.#bodyProblems(operation, situation, answer));
    try {
      situation.verify?.(answer);
    } catch (error) {
      problems.push(error instanceof Error ? error.message : String(error));
    }
    return problems;
  }

  #errorProblems(answer: Answer): string[] {
    // HEAD has no body to hold a message.
    if (answer.body.length === 0 && answer.headers['content-length'] !== '0') return [];
    const type = answer.headers['content-type'];
    if (type !== 'application/json') return [`an error of type ${String(type)}`];
    return this.#definition.check(this.#definition.errorSchema, answer.json());
  }

  #bodyProblems(operation: Operation, situation: Situation, answer: Answer): string[] {
    const defined = operation.responses.get(answer.status);
    const missing = Object.keys(defined?.headers ?? {}).filter(
      (name) => !(name.toLowerCase() in answer.headers),
    );
    const problems = missing.map((name) => `no header ${name}`);
    if (answer.status === 204 || answer.status === 304) {
      return answer.body.length === 0 ? problems : [...problems, 'a body where there is none'];
    }
    const type = String(answer.headers['content-type'] ?? '').replace(/;.*/, '');
    const typed = answer.body.length > 0 && operation.produces.length > 0 && !isUntyped(operation.name);
    if (typed && !operation.produces.includes(type)) {
      problems.push(`type ${type}, not ${operation.produces.join(' or ')}`);
    }
    const schema = defined?.schema;
    if (schema === undefined || type !== 'application/json') return problems;
    const values = situation.lines ? jsonLines(answer.text) : [answer.json<unknown>()];
    for (const value of values) {
      const complaints = this.#definition.check(schema, value);
      problems.push(...complaints.filter((complaint) => !isDeviation(operation.name, complaint)));
    }
    return problems;
  }
}

function add<T>(map: Map<string, T[]>, key: string, value: T): void {
  map.set(key, [...(map.get(key) ?? []), value]);
}

function fillPath(path: string, { path: values = {}, query = {} }: Situation): string {
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`no value for {${name}} of ${path}`);
    // Names of images hold slashes, which clients send as they are.
    return value.split('/').map(encodeURIComponent).join('/');
  });
  const search = new URLSearchParams(query).toString();
  return search === '' ? filled : `${filled}?${search}`;
}

/** The head of a connection that leaves HTTP holds its type and nothing else. */
function isHijacked(operation: Operation, { status, headers }: Answer): boolean {
  if (status === 101) return true;
  return /\/(attach|start)$/.test(operation.name) && headers['content-type']?.includes('stream') === true;
}

function headerProblems(answer: Answer): string[] {
  return STANDARD_HEADERS.filter((name) => answer.headers[name] === undefined).map(
    (name) => `no header ${name}`,
  );
}

function messageOf(answer: Answer): string {
  try {
    return answer.json<{ message?: string }>().message ?? '';
  } catch {
    // What is no JSON is shown as it came.
    return answer.text.slice(0, 200);
  }
}

function jsonLines(text: string): unknown[] {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return lines.map((line) => JSON.parse(line) as unknown);
}
