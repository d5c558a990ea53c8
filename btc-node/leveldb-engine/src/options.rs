//! What can be set when a database is opened.

/// Settings of a database. None of them changes what another engine needs to read the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether to create the database if it is not there.
    pub create_if_missing: bool,
    /// Bytes collected in memory before they become a table. Up to two such buffers exist at a time.
    pub write_buffer_size: usize,
    /// Bytes of table blocks kept in memory.
    pub block_cache_size: usize,
    /// Bytes after which a table is closed and another begun.
    pub max_file_size: usize,
    /// Bytes after which a block of a table is closed and another begun.
    pub block_size: usize,
    /// Entries of a block that share prefixes before one is written whole.
    pub restart_interval: usize,
    /// Bits of bloom filter for each key; 0 for no filter.
    pub bloom_bits: usize,
    /// How many tables are kept open.
    pub max_open_files: usize,
}

impl Default for Options {
    /// LevelDB's defaults, with the filter that Bitcoin's databases have and no compression.
    fn default() -> Self {
        Self {
            create_if_missing: true,
            write_buffer_size: 4 << 20,
            block_cache_size: 8 << 20,
            max_file_size: 2 << 20,
            block_size: 4 << 10,
            restart_interval: 16,
            bloom_bits: 10,
            max_open_files: 1000,
        }
    }
}

impl Options {
    /// The settings for a budget of `bytes` of memory: half for the block cache, a quarter for each of two write
    /// buffers.
    pub fn with_budget(bytes: usize) -> Self {
        Self {
            write_buffer_size: bytes / 4,
            block_cache_size: bytes / 2,
            ..Self::default()
        }
    }

    /// The settings with what makes no sense brought into LevelDB's ranges.
    pub(crate) fn sanitized(mut self) -> Self {
        self.write_buffer_size = self.write_buffer_size.clamp(64 << 10, 1 << 30);
        self.max_file_size = self.max_file_size.clamp(1 << 20, 1 << 30);
        self.block_size = self.block_size.clamp(1 << 10, 4 << 20);
        self.restart_interval = self.restart_interval.max(1);
        self.bloom_bits = self.bloom_bits.min(64);
        self.max_open_files = self.max_open_files.clamp(64, 50_000);
        self
    }
}
