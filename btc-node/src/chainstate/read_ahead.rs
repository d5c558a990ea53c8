//! Blocks read from disk, hashed and checked by themselves, while those before them are connected.

use std::collections::VecDeque;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use bitcoin::BlockHash;
use btc_consensus::params::ChainParams;
use btc_consensus::{HashedBlock, check_hashed_block};

use super::accept::CHECK_ALL;
use super::connect::ConnectError;
use crate::chain::record::FilePos;
use crate::store::block_reader::BlockReader;

/// Most blocks that are read ahead; what they take in memory is bounded by as many of the largest.
pub(super) const DEPTH: u32 = 4;

type Outcome = Result<HashedBlock, ConnectError>;

/// A block to be read, and where to put it.
struct Request {
    place: Place,
    reply: mpsc::SyncSender<Outcome>,
}

/// Which block, and where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) pos: FilePos,
    pub(super) hash: BlockHash,
}

/// Reads blocks and checks what can be checked of each alone.
#[derive(Clone)]
struct Source {
    reader: BlockReader,
    params: Arc<ChainParams>,
}

impl Source {
    fn read(&self, place: Place) -> Outcome {
        let block = self.reader.read_block(place.pos, &place.hash)?;
        let block = HashedBlock::new(Arc::new(block));
        check_hashed_block(&block, &CHECK_ALL, &self.params)?;
        Ok(block)
    }
}

/// A thread that reads the blocks which are about to be connected.
pub(super) struct ReadAhead {
    source: Source,
    requests: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
    /// What was asked for and not taken, in the order of asking.
    pending: VecDeque<(BlockHash, mpsc::Receiver<Outcome>)>,
}

impl ReadAhead {
    /// Starts the thread.
    pub(super) fn new(reader: BlockReader, params: ChainParams) -> std::io::Result<Self> {
        let source = Source {
            reader,
            params: Arc::new(params),
        };
        let (requests, received) = mpsc::channel::<Request>();
        let worker = source.clone();
        let thread = std::thread::Builder::new()
            .name("readahead".to_owned())
            .spawn(move || {
                for Request { place, reply } in received {
                    // Nobody waits any more if the chain went another way.
                    let _ = reply.try_send(worker.read(place));
                }
            })?;
        Ok(Self {
            source,
            requests: Some(requests),
            thread: Some(thread),
            pending: VecDeque::new(),
        })
    }

    /// Asks for blocks that will be taken soon, in that order.
    pub(super) fn request(&mut self, places: impl IntoIterator<Item = Place>) {
        for place in places {
            let asked = self.pending.iter().any(|(hash, _)| *hash == place.hash);
            if asked || self.pending.len() >= DEPTH as usize {
                continue;
            }
            let (reply, outcome) = mpsc::sync_channel(1);
            if let Some(requests) = &self.requests
                && requests.send(Request { place, reply }).is_ok()
            {
                self.pending.push_back((place.hash, outcome));
            }
        }
    }

    /// The block, whether it was asked for or not. What was asked for before it is forgotten.
    pub(super) fn take(&mut self, place: Place) -> Outcome {
        while let Some((hash, outcome)) = self.pending.pop_front() {
            if hash == place.hash
                && let Ok(outcome) = outcome.recv()
            {
                return outcome;
            }
        }
        self.source.read(place)
    }
}

impl Drop for ReadAhead {
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(thread) = self.thread.take() {
            // It ends with the channel; a panic there only cost the blocks that were to come.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::consensus::serialize;
    use btc_consensus::Chain;

    use super::*;
    use crate::store::block_files::{BlockFiles, BlockFilesOptions};

    /// A directory with the genesis block in it `count` times.
    fn stored(count: u32) -> (tempfile::TempDir, ReadAhead, Vec<Place>) {
        let dir = tempfile::tempdir().expect("a directory can be made");
        let params = ChainParams::new(Chain::Regtest);
        let options = BlockFilesOptions {
            magic: params.magic,
            xor: true,
            fast_prune: false,
        };
        let mut files = BlockFiles::open(dir.path(), &options).expect("opens");
        let bytes = serialize(&params.genesis);
        let places = (0..count)
            .map(|height| Place {
                pos: files.write_block(&bytes, height, 0).expect("writes"),
                hash: params.genesis_hash,
            })
            .collect();
        let ahead = ReadAhead::new(files.reader().clone(), params).expect("the thread starts");
        (dir, ahead, places)
    }

    #[test]
    fn blocks_come_whether_they_were_asked_for_or_not() {
        let (_dir, mut ahead, places) = stored(3);
        ahead.request(places.iter().copied());
        for place in places {
            let block = ahead.take(place).expect("it is a good block");
            assert_eq!(block.hash(), place.hash);
            assert_eq!(block.txids().len(), 1);
        }
    }

    #[test]
    fn a_block_that_is_another_is_found_out() {
        let (_dir, mut ahead, places) = stored(1);
        let other = Place {
            hash: BlockHash::from_raw_hash(bitcoin::hashes::Hash::all_zeros()),
            ..places[0]
        };
        ahead.request([other]);
        assert!(matches!(ahead.take(other), Err(ConnectError::Store(_))));
        assert!(ahead.take(places[0]).is_ok());
    }

    #[test]
    fn no_more_is_asked_for_than_memory_allows() {
        let (_dir, mut ahead, places) = stored(1);
        let distinct = (0..20).map(|n| Place {
            hash: BlockHash::from_raw_hash(bitcoin::hashes::Hash::hash(&[n])),
            ..places[0]
        });
        ahead.request(distinct);
        assert_eq!(ahead.pending.len(), DEPTH as usize);
        assert!(ahead.take(places[0]).is_ok());
        assert!(ahead.pending.is_empty());
    }
}
