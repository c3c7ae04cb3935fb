/** The schemas of all that a data root's database holds. */
import type { Migrations } from '../base/database.ts';
import { BUILD_MIGRATIONS } from '../build/cache/cache-schema.ts';
import { CONTAINER_MIGRATIONS } from '../container/record.ts';
import { IMAGE_MIGRATIONS } from '../image/store/image-store.ts';
import { NETWORK_MIGRATIONS } from '../network/network-manager.ts';
import { VOLUME_MIGRATIONS } from '../volume/volume-table.ts';
import { SOCKET_MIGRATIONS } from './access/socket-table.ts';

/** The database below the data root. */
export const DATABASE_FILE = 'mydock.db';

export const MIGRATIONS: readonly Migrations[] = [
  IMAGE_MIGRATIONS,
  CONTAINER_MIGRATIONS,
  NETWORK_MIGRATIONS,
  VOLUME_MIGRATIONS,
  BUILD_MIGRATIONS,
  SOCKET_MIGRATIONS,
];
