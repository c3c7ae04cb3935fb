/**
 * The answer of `GET /images/difference`: what one file tree (an image, or a container's) has that another has not.
 * Docker has no such operation. Paths are absolute and UTF-8; where a name is not, `PathBytes` has its bytes.
 */

/** One of the two sides. */
export interface DifferenceSide {
  Kind: 'image' | 'container';
  /** As it was asked for; an image that stands for its container's own has its ID here. */
  Name: string;
  ImageID: string;
  /** Only of containers. */
  ContainerID?: string;
  /** RFC 3339; empty where an image does not say. */
  Created: string;
}

export type PackageManager = 'dpkg' | 'apk' | 'rpm' | 'npm' | 'pip';

/** `changed`: another version that the manager's rules do not put in order, or another architecture. */
export type PackageChangeKind = 'added' | 'removed' | 'upgraded' | 'downgraded' | 'changed';

/** Files that a package explains. */
export interface ExplainedFiles {
  Added: number;
  Removed: number;
  Changed: number;
  /** By how much the files of the package have grown. */
  SizeChange: number;
}

export interface PackageChange {
  Manager: PackageManager;
  Name: string;
  Kind: PackageChangeKind;
  /** Empty where it was not there. */
  FromVersion: string;
  ToVersion: string;
  FromArchitecture?: string;
  ToArchitecture?: string;
  /** Where it is installed: npm and pip have the same name at several places. */
  Path?: string;
  Files: ExplainedFiles;
}

export interface PackageDifference {
  Changes: PackageChange[];
  /** How many packages of each manager the two sides have; npm's and pip's are not counted, only compared. */
  Counts: { Manager: PackageManager; From: number; To: number }[];
}

export type FileType = 'file' | 'directory' | 'symlink' | 'character' | 'block' | 'fifo' | 'socket';

export interface FileState {
  Type: FileType;
  /** Permission bits with set-ID and sticky. */
  Mode: number;
  Uid: number;
  Gid: number;
  /** Bytes of a regular file; 0 for all else. */
  Size: number;
  /** RFC 3339 with nanoseconds. */
  ModTime: string;
  /** Target of a symbolic link. */
  Link?: string;
  /** `major:minor` of a device. */
  Device?: string;
  /** Names of the extended attributes, where there are any. */
  Xattrs?: string[];
}

/** What of a file is different. `capabilities` are the xattr security.capability. */
export type FileAspect =
  | 'type'
  | 'content'
  | 'mode'
  | 'owner'
  | 'link'
  | 'device'
  | 'capabilities'
  | 'xattrs'
  | 'time';

export interface FileChange {
  Path: string;
  /** Base64; only where the path is not valid UTF-8. */
  PathBytes?: string;
  Kind: 'added' | 'removed' | 'changed';
  /** Only of changed files. */
  Aspects?: FileAspect[];
  From?: FileState;
  To?: FileState;
  /** The package that has this file and is in the list of changed packages: `dpkg:libc6`. */
  Package?: string;
}

export interface DirectoryTotal {
  Path: string;
  Added: number;
  Removed: number;
  Changed: number;
  SizeChange: number;
}

export interface FileDifference {
  /** Sorted by path. */
  Changes: FileChange[];
  Added: number;
  Removed: number;
  Changed: number;
  /** Files of which only the modification time is different: not among the changes unless that was asked for. */
  TimesOnly: number;
  SizeChange: number;
  /** By the first component of the path. */
  Directories: DirectoryTotal[];
  /** More changes than are kept were found: `Changes` ends early, the numbers count all. */
  Cut: boolean;
}

export interface ConfigChange {
  /** `Env`, `Cmd`, … as the image configuration has them. */
  Field: string;
  /** The variable, label, port, volume; empty for fields that are one value. */
  Key: string;
  /** Undefined where it was not there. */
  From?: unknown;
  To?: unknown;
}

export interface ImageDifference {
  From: DifferenceSide;
  To: DifferenceSide;
  /** The same image ID: nothing else was looked at. */
  Identical: boolean;
  /** Nothing that was compared is different (creation times, history and modification times do not count). */
  Equal: boolean;
  /** Only of what was asked for. */
  Packages?: PackageDifference;
  Files?: FileDifference;
  Config?: ConfigChange[];
  /** What could not be read or compared, and what else is worth knowing. */
  Notes: string[];
}
