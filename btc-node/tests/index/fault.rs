//! The disk fails at each call that changes it while indexes catch up and follow: they go on to what a fresh build gives.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use btc_node::index::Indexes;
use btc_node::notify::Event;

use crate::answers::{Indexed, all, answers, check_against_blocks};
use crate::gate::inject;
use crate::support::{Home, submit};

fn text(error: impl ToString) -> String {
    error.to_string()
}

#[test]
fn whatever_call_fails_the_indexes_equal_a_fresh_build() {
    // Indexes that end before the chain does, and blocks to come.
    let prepared = Home::regtest();
    let (more, expected) = {
        let indexed = Indexed::synced(&prepared);
        for _ in 0..103 {
            indexed.mine_spending();
        }
        indexed.close();
        let ahead = Home::regtest();
        prepared.copy_to(&ahead);
        let indexed = Indexed::synced(&ahead);
        let more: Vec<_> = (0..8).map(|_| indexed.mine_spending()).collect();
        indexed.settle();
        let expected = answers(&indexed);
        indexed.close();
        let node = prepared.open();
        for block in &more[..4] {
            submit(&node, block).expect("is valid");
        }
        node.close().expect("flushes");
        (more, expected)
    };
    inject(12, |gate| {
        let home = Home::regtest();
        prepared.copy_to(&home);
        let failed = Arc::new(AtomicBool::new(false));
        let attempt = || -> Result<(), String> {
            let disk = gate.disk();
            let chain = home.try_open_with(|options| options.disk = disk);
            let chain = Arc::new(chain.map_err(text)?);
            let seen = Arc::clone(&failed);
            let _guard = chain.notifier().register(Arc::new(move |event: &Event| {
                if let Event::Fatal { .. } = event {
                    seen.store(true, Ordering::Release);
                }
            }));
            let indexes = Indexes::open(&chain, home.dir.path(), all(), 16 << 20).map_err(text)?;
            indexes.start().map_err(text)?;
            let deadline = Instant::now() + Duration::from_secs(300);
            while !indexes.infos().iter().all(|info| info.synced) && !failed.load(Ordering::Acquire)
            {
                assert!(Instant::now() < deadline, "{:?}", indexes.infos());
                std::thread::yield_now();
            }
            for block in &more[4..] {
                submit(&chain, block).map_err(text)?;
            }
            chain.notifier().sync_with_queue();
            indexes.interrupt();
            let closed = chain.close().map_err(text);
            chain.notifier().close();
            indexes.stop();
            closed
        };
        let done = attempt();
        let noticed = done.is_err() || failed.load(Ordering::Acquire);
        gate.judge(noticed, &done);
        let indexed = Indexed::open_with(&home, |_| {}, all())
            .unwrap_or_else(|error| panic!("after {done:?}: {error}"));
        indexed.chain.recover_blocks().expect("recovers");
        indexed.indexes.start().expect("starts");
        for block in &more {
            let _ = submit(&indexed.chain, block);
        }
        indexed.wait();
        check_against_blocks(&indexed);
        assert!(
            answers(&indexed) == expected,
            "other answers after {done:?}"
        );
        indexed.close();
    });
}
