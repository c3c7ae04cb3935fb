/** `mydock stats`: what containers use, drawn anew as the figures come. */
import type { ContainerSummary } from '../../api/containers.ts';
import type { ContainerStats } from '../../api/stats.ts';
import type { EventMessage } from '../../api/system.ts';
import type { Client } from '../../client/client.ts';
import { isNotFound } from '../../client/client-error.ts';
import { jsonLines } from '../../client/json-lines.ts';
import { boolFlag } from '../flags/declare.ts';
import { rowFormatFlag } from '../flags/list-flags.ts';
import { rowsText } from '../format/rows.ts';
import { type StatsRow, statsKind } from '../format/stats.ts';
import { shortId } from '../format/text.ts';
import type { Io } from '../io.ts';
import { filterQuery } from '../options/filter.ts';
import { Screen } from '../terminal/screen.ts';
import { defineVerb } from '../verb.ts';
import { containerPath } from './lookup.ts';

export interface StatsOptions {
  all: boolean;
  format?: string;
  /** False with `--no-stream`. */
  stream: boolean;
  /** False with `--no-trunc`. */
  trunc: boolean;
}

export const stats = defineVerb<StatsOptions>({
  usage: '[OPTIONS] [CONTAINER...]',
  summary: 'Show what running containers use of CPU, memory, network and disk',
  args: { min: 0 },
  flags(command) {
    boolFlag(command, '-a, --all', 'Show stopped containers too');
    rowFormatFlag(command);
    boolFlag(command, '--no-stream', 'Show the figures once');
    boolFlag(command, '--no-trunc', 'Do not shorten the output');
  },
  run: ({ client, io }, names, options) => runStats(client, io, names, options),
});

const TABLE =
  'table {{.ID}}\\t{{.Name}}\\t{{.CPUPerc}}\\t{{.MemUsage}}\\t{{.MemPerc}}\\t{{.NetIO}}\\t{{.BlockIO}}\\t{{.PIDs}}';
const REDRAW_MS = 500;

/** Without names all containers, also those that come later. Ends when none of the named ones is left. */
export async function runStats(
  client: Client,
  io: Io,
  names: readonly string[],
  options: StatsOptions,
): Promise<number> {
  const kind = statsKind(options.trunc);
  const text = (rows: readonly StatsRow[]): string => rowsText(kind, rows, options.format, TABLE);
  // A template that cannot be read is told before anything is asked for.
  text([]);
  if (!options.stream) {
    io.stdout.write(text(await statsOnce(client, names, options.all)));
    return 0;
  }
  const board = new StatsBoard(client);
  const screen = io.stdout.isTTY === true ? new Screen(io.stdout) : undefined;
  const draw = (): void => {
    const drawn = text(board.rows);
    if (screen === undefined) io.stdout.write(drawn);
    else screen.draw(drawn);
  };
  let timer: NodeJS.Timeout | undefined;
  board.onChange = () => {
    timer ??= setTimeout(() => {
      timer = undefined;
      draw();
    }, REDRAW_MS);
  };
  try {
    if (names.length === 0) {
      if (screen !== undefined) draw();
      await followAll(client, board, options.all);
    } else await Promise.all(names.map((name) => board.follow(name, name)));
  } finally {
    clearTimeout(timer);
  }
  return 0;
}

async function statsOnce(client: Client, names: readonly string[], all: boolean): Promise<StatsRow[]> {
  const listed = names.length === 0;
  const wanted = listed ? await listContainers(client, all) : names;
  const rows = wanted.map(async (name): Promise<StatsRow | undefined> => {
    try {
      const path = containerPath(name, '/stats');
      const answer = await client.json<ContainerStats>('GET', path, { query: { stream: false } });
      return { container: listed ? shortId(name) : name, stats: answer };
    } catch (error) {
      // One that was listed a moment ago may be gone by now.
      if (listed && isNotFound(error)) return undefined;
      throw error;
    }
  });
  return (await Promise.all(rows)).filter((row) => row !== undefined);
}

async function listContainers(client: Client, all: boolean): Promise<string[]> {
  const query = { all: all ? true : undefined };
  const containers = await client.json<ContainerSummary[]>('GET', '/containers/json', { query });
  return containers.map(({ Id }) => Id);
}

/** The events are listened to first, so that no container falls between the list and them. Never ends by itself. */
async function followAll(client: Client, board: StatsBoard, all: boolean): Promise<void> {
  const begins = all ? 'create' : 'start';
  const filters = filterQuery(['type=container', `event=${begins}`]);
  const events = await client.stream('GET', '/events', { query: { filters } });
  const follow = (id: string): void => {
    board.follow(id, shortId(id), !all).catch(() => board.remove(id));
  };
  for (const id of await listContainers(client, all)) follow(id);
  for await (const { Actor } of jsonLines<EventMessage>(events)) follow(Actor.ID);
}

/** The containers that are followed, and their latest figures. */
class StatsBoard {
  readonly #client: Client;
  readonly #rows = new Map<string, StatsRow>();
  onChange: () => void = () => {};

  constructor(client: Client) {
    this.#client = client;
  }

  /** Those that have figures, in the order in which they came. */
  get rows(): StatsRow[] {
    return [...this.#rows.values()].filter(({ stats }) => stats !== undefined);
  }

  /**
   * Reads a container's figures until they end. With `leaves` its row goes when it has stopped, which its figures
   * tell by having no process.
   */
  async follow(key: string, label: string, leaves = false): Promise<void> {
    if (this.#rows.has(key)) return;
    const row: StatsRow = { container: label, stats: undefined };
    this.#rows.set(key, row);
    const path = containerPath(key, '/stats');
    const stream = await this.#client.stream('GET', path, { query: { stream: true } });
    for await (const figures of jsonLines<ContainerStats>(stream)) {
      if (leaves && hasStopped(figures)) break;
      row.stats = figures;
      this.onChange();
    }
    stream.destroy();
    this.remove(key);
  }

  remove(key: string): void {
    this.#rows.delete(key);
    this.onChange();
  }
}

/** The daemon sends figures of stopped containers too: empty ones. */
function hasStopped({ pids_stats, memory_stats }: ContainerStats): boolean {
  return !pids_stats.current && memory_stats.usage === undefined;
}
