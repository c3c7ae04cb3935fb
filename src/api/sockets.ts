/**
 * Scoped sockets: Unix sockets beside the daemon's own that can do a part of the API, on a part of its objects.
 * Docker has nothing like them. What the fields mean in full stands in docs/security.md.
 */

/** Body of `POST /sockets/create`. */
export interface SocketCreateRequest {
  /** Empty: the last part of `Path` without `.sock`. */
  Name?: string;
  /** Absolute; its folder exists and only root can write to it. */
  Path: string;
  /** Every operation of class `read` is allowed. */
  ReadOnly?: boolean;
  /** `containers.list`, `containers.*`, … */
  Allow?: string[] | null;
  /** `KEY` or `KEY=VALUE`: only objects with all of them exist on this socket. */
  Labels?: string[] | null;
  /** Host folders of which parts may be mounted. */
  MountRoots?: string[] | null;
  /** Patterns (path.Match) of the images that may be named; none: all. */
  Images?: string[] | null;
  /** Networks that containers may join beside those with the socket's labels; none: the default bridge as well. */
  Networks?: string[] | null;
  /** Permission bits as an octal text; default `0660`. */
  Mode?: string;
  /** Owner of the socket file. */
  Uid?: number;
  /** Group of the socket file: name or number; default root's. */
  Group?: string;
}

/** A scoped socket as it is listed and inspected. */
export interface ScopedSocket {
  Name: string;
  Path: string;
  /** RFC 3339. */
  Created: string;
  ReadOnly: boolean;
  Allow: string[];
  Labels: string[];
  MountRoots: string[];
  Images: string[];
  Networks: string[];
  Mode: string;
  Uid: number;
  Gid: number;
  /** What `ReadOnly` and `Allow` come to, operation by operation. */
  Operations: string[];
  /** Why it is not served; empty where it is. */
  Error: string;
}

export interface SocketCreateResponse {
  Name: string;
  Path: string;
  Warnings: string[];
}
