/**
 * Archives of a container with a user namespace: they have the IDs that the container sees, and the files that are read
 * and written here have the host's.
 */
import { InsideOwners } from '../../image/layers/inside-owners.ts';
import { asOwner } from '../../image/layers/mapped-mounts.ts';
import { rootOf, type UserMapping } from '../../oci/user-mappings.ts';
import type { Container } from '../container.ts';
import type { ArchiveSink } from './read-archive.ts';

/** Undefined for a container that has the host's user namespace. */
export function archiveOwners({ record }: Pick<Container, 'record'>): InsideOwners | undefined {
  return record.userNamespace === undefined ? undefined : new InsideOwners(record.userNamespace);
}

/** Files that the sink makes belong to the container's root at first; others could not be made on its root. */
export function asContainerRoot(mapping: UserMapping | undefined, sink: ArchiveSink): ArchiveSink {
  if (mapping === undefined) return sink;
  const root = rootOf(mapping);
  return {
    entry: (...entry) => asOwner(root, () => sink.entry(...entry)),
    data: (...data) => asOwner(root, () => sink.data(...data)),
    end: () => asOwner(root, () => sink.end()),
    finish: () => asOwner(root, () => sink.finish()),
  };
}
