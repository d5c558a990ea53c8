//! Descriptors.

use bitcoin::{Address, Network};
use btc_interfaces::descriptor::{Descriptor, KeyCache, infer_miniscript};

/// A text: what is read is written to what reads the same, and gives the same scripts, from a cache too.
pub fn descriptor(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    for network in [Network::Bitcoin, Network::Regtest] {
        let _ = Descriptor::parse_multipath(text, network, true);
        for parsed in Descriptor::parse_multipath(text, network, false).unwrap_or_default() {
            let written = parsed.descriptor.to_string();
            let again = Descriptor::parse(&written, network, false);
            let again = again.unwrap_or_else(|error| panic!("{written}: {error}"));
            assert_eq!(again.descriptor.to_string(), written);
            assert_eq!(again.descriptor.id(), parsed.descriptor.id());
            for index in [0, 1, 0x7fff_ffff] {
                let mut cache = KeyCache::default();
                let Ok(expansion) = parsed.descriptor.expand(index, &parsed.secrets, &mut cache)
                else {
                    continue;
                };
                let scripts = |expansion: &btc_interfaces::descriptor::Expansion| {
                    let scripts = expansion.scripts.iter();
                    scripts
                        .map(|script| script.script_pubkey.clone())
                        .collect::<Vec<_>>()
                };
                let cached = parsed.descriptor.expand_cached(index, &cache);
                let cached = cached
                    .expect("it was expanded before")
                    .expect("all is in the cache");
                assert_eq!(scripts(&cached), scripts(&expansion), "{written}");
                for script in scripts(&expansion) {
                    let _ = Address::from_script(&script, network);
                    let _ = infer_miniscript(&script);
                }
            }
        }
    }
}
