/** `GET /containers/{id}/stats`: figures of one moment. Which fields are there depends on the cgroup version. */

export interface BlkioStatEntry {
  major: number;
  minor: number;
  op: string;
  value: number;
}

export type BlkioStats = Record<
  | 'io_service_bytes_recursive'
  | 'io_serviced_recursive'
  | 'io_queue_recursive'
  | 'io_service_time_recursive'
  | 'io_wait_time_recursive'
  | 'io_merged_recursive'
  | 'io_time_recursive'
  | 'sectors_recursive',
  BlkioStatEntry[] | null
>;

/** Times are nanoseconds. */
export interface CpuStats {
  cpu_usage: {
    total_usage: number;
    /** v1 only. */
    percpu_usage?: number[];
    usage_in_kernelmode: number;
    usage_in_usermode: number;
  };
  /** Of the whole host, idle time included. */
  system_cpu_usage?: number;
  online_cpus?: number;
  throttling_data: { periods: number; throttled_periods: number; throttled_time: number };
}

/** Bytes. `max_usage` and `failcnt` are v1's; `stats` is memory.stat as the kernel spells it. */
export interface MemoryStats {
  usage?: number;
  max_usage?: number;
  stats?: Record<string, number>;
  failcnt?: number;
  /** The container's limit, or the host's memory where that is less. */
  limit?: number;
}

export interface InterfaceStats {
  rx_bytes: number;
  rx_packets: number;
  rx_errors: number;
  rx_dropped: number;
  tx_bytes: number;
  tx_packets: number;
  tx_errors: number;
  tx_dropped: number;
}

export interface ContainerStats {
  read: string;
  /** Time of `precpu_stats`, the sample before this one. */
  preread: string;
  pids_stats: { current?: number; limit?: number };
  blkio_stats: BlkioStats;
  num_procs: number;
  storage_stats: Record<string, never>;
  cpu_stats: CpuStats;
  precpu_stats: CpuStats;
  memory_stats: MemoryStats;
  name: string;
  id: string;
  networks?: Record<string, InterfaceStats>;
}
