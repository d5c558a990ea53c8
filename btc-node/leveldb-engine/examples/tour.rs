//! What the engine does, on a directory of the disk: `cargo run --example tour [DIRECTORY]`.

use std::path::PathBuf;
use std::sync::Arc;

use leveldb_engine::{Batch, Db, Durability, Options, RealFs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (path, ours) = match std::env::args_os().nth(1) {
        Some(path) => (PathBuf::from(path), false),
        None => {
            let name = format!("leveldb-engine-tour-{}", std::process::id());
            (std::env::temp_dir().join(name), true)
        }
    };
    let options = Options {
        max_file_size: 32 << 20,
        ..Options::with_budget(16 << 20)
    };
    let db = Db::open(Arc::new(RealFs), &path, options)?;

    // Changes take effect together. This returns once the disk has them.
    let mut batch = Batch::new();
    for n in 0..1000u32 {
        batch.put(&n.to_be_bytes(), format!("value {n}").as_bytes());
    }
    db.write(&batch, Durability::Durable)?;

    // A snapshot keeps what is deleted later.
    let snapshot = db.snapshot();
    batch.clear();
    (0..500u32).for_each(|n| batch.delete(&n.to_be_bytes()));
    db.write(&batch, Durability::Lazy)?;
    assert_eq!(db.get(&7u32.to_be_bytes())?, None);
    let then = snapshot.get(&7u32.to_be_bytes())?;
    assert_eq!(then.as_deref(), Some(&b"value 7"[..]));
    drop(snapshot);

    // Entries come in the order of their keys.
    let mut iter = db.iter()?;
    iter.seek(&998u32.to_be_bytes())?;
    while let Some((key, value)) = iter.entry() {
        println!("{key:?}: {}", String::from_utf8_lossy(value));
        iter.advance()?;
    }
    drop(iter);

    // This happens by itself; asked for, it is done at once and for all keys.
    db.compact(None, None)?;
    println!("tables of each level: {:?}", db.tables_per_level());
    drop(db);
    if ours {
        Db::destroy(&RealFs, &path)?;
    }
    Ok(())
}
