/**
 * How a build goes on, as BuildKit's clients know it (`SolveStatus` of its Go client, which `--progress rawjson` prints
 * line by line): a graph of vertices, each a step, with its logs and the amounts of what it does.
 */

export interface BuildVertex {
  /** `sha256:<hex>`, the same in all messages about this step of this build. */
  digest: string;
  /** Digests of the steps that it waits for. */
  inputs?: string[];
  /** What people read: `[stage 2/5] RUN make`. */
  name: string;
  /** RFC 3339 with nanoseconds; absent until it begins. */
  started?: string;
  completed?: string;
  cached?: boolean;
  error?: string;
}

/** An amount that grows within a vertex: bytes of a download, files sent. */
export interface BuildVertexStatus {
  id: string;
  vertex: string;
  name?: string;
  /** 0 where it is not known. */
  total?: number;
  current: number;
  timestamp: string;
  started?: string;
  completed?: string;
}

export interface BuildVertexLog {
  vertex: string;
  /** 1 stdout, 2 stderr. */
  stream: number;
  /** Base64 of the bytes. */
  data: string;
  timestamp: string;
}

export interface BuildSourceRange {
  start: { line: number; character?: number };
  end: { line: number; character?: number };
}

export interface BuildVertexWarning {
  vertex: string;
  level: number;
  /** Base64 of one line. */
  short: string;
  /** Base64, a line each. */
  detail?: string[];
  url?: string;
  sourceInfo?: { filename: string; data: string };
  range?: BuildSourceRange[];
}

export interface BuildStatus {
  vertexes?: BuildVertex[];
  statuses?: BuildVertexStatus[];
  logs?: BuildVertexLog[];
  warnings?: BuildVertexWarning[];
}
