//! The book keeps what it promises.

use super::*;
use proptest::prelude::*;
use std::net::Ipv4Addr;

const NOW: i64 = 1_700_000_000;

fn peer(ip: [u8; 4], port: u16) -> PeerAddress {
    PeerAddress {
        time: u32::try_from(NOW).expect("is before 2106"),
        services: 9,
        endpoint: Endpoint::new(NetAddress::Ipv4(Ipv4Addr::from(ip)), port),
    }
}

fn book() -> AddrMan {
    AddrMan::deterministic(NetGroups::default(), 1)
}

fn add(book: &mut AddrMan, address: PeerAddress) -> bool {
    book.add(&[address], address.endpoint.address, 0, NOW)
}

#[test]
fn an_address_is_new_once_and_tried_after_it_worked() {
    let mut book = book();
    let address = peer([1, 0, 0, 0], 8333);
    assert!(add(&mut book, address) && !add(&mut book, address));
    assert_eq!(book.counts(None), Counts { new: 1, tried: 0 });
    assert!(book.good(address.endpoint, NOW));
    assert_eq!(
        book.counts(Some(Network::Ipv4)),
        Counts { new: 0, tried: 1 }
    );
    assert!(!book.good(address.endpoint, NOW), "it is there already");
    assert!(
        !add(&mut book, peer([10, 0, 0, 1], 8333)),
        "nobody reaches it"
    );
    assert_eq!(book.check(), Ok(()));
}

/// 1.2.3.4 and 1.2.5.45 share a tried place under the deterministic key, as they do in Core.
#[test]
fn a_tried_address_is_tested_before_another_takes_its_place() {
    let mut book = book();
    let (old, new) = (peer([1, 2, 3, 4], 8333), peer([1, 2, 5, 45], 8333));
    assert!(add(&mut book, old) && book.good(old.endpoint, NOW));
    assert!(add(&mut book, new) && !book.good(new.endpoint, NOW));
    assert_eq!(book.counts(None), Counts { new: 1, tried: 1 });
    assert_eq!(
        book.select_collision().map(|found| found.0.endpoint),
        Some(old.endpoint)
    );
    // It works, so it stays.
    book.resolve_collisions(NOW + 60);
    assert_eq!(book.select_collision(), None);
    // Later it does not work any more.
    let later = NOW + 2 * REPLACEMENT;
    assert!(!book.good(new.endpoint, later));
    book.attempt(old.endpoint, true, later);
    book.resolve_collisions(later + 30);
    assert!(
        book.select_collision().is_some(),
        "the attempt may still succeed"
    );
    book.resolve_collisions(later + 90);
    assert!(
        book.places(true)
            .iter()
            .any(|(_, entry)| entry.address.endpoint == new.endpoint)
    );
    assert_eq!(book.check(), Ok(()));
}

#[test]
fn addresses_are_drawn_by_table_and_network() {
    let mut book = book();
    assert_eq!(book.select(false, &[], NOW), None);
    let (new, tried) = (peer([1, 0, 0, 1], 1), peer([2, 0, 0, 1], 1));
    add(&mut book, new);
    add(&mut book, tried);
    book.good(tried.endpoint, NOW - 1000);
    for _ in 0..20 {
        let (found, _) = book.select(true, &[], NOW).expect("there is one");
        assert_eq!(found.endpoint, new.endpoint);
    }
    assert_eq!(book.select(false, &[Network::Onion], NOW), None);
    let mut seen = BTreeSet::new();
    for _ in 0..200 {
        seen.insert(
            book.select(false, &[Network::Ipv4], NOW)
                .expect("there is one")
                .0
                .endpoint,
        );
    }
    assert_eq!(seen.len(), 2, "both tables have their turn");
    assert_eq!(book.addresses(1, 0, None, true, NOW).len(), 1);
    assert_eq!(
        book.addresses(0, 0, Some(Network::Ipv6), true, NOW).len(),
        0
    );
    assert_eq!(
        book.addresses(0, 0, None, true, NOW + 40 * 86_400).len(),
        0,
        "all are old"
    );
}

#[test]
fn one_teller_fills_few_buckets() {
    let mut book = book();
    let source = NetAddress::Ipv4(Ipv4Addr::new(9, 9, 9, 9));
    for a in 1..200u8 {
        for b in 0..8 {
            book.check_ratio = 0;
            book.add(&[peer([a, b, 1, 1], 8333)], source, 0, NOW);
        }
    }
    let buckets: BTreeSet<usize> = book
        .places(false)
        .iter()
        .map(|(place, _)| place.bucket)
        .collect();
    assert!(buckets.len() <= 64, "{} buckets", buckets.len());
    assert_eq!(book.check(), Ok(()));
}

#[test]
fn the_file_brings_everything_back_to_its_place() {
    let mut book = book();
    for a in 1..100 {
        let address = peer([a, a, 1, 1], 8333);
        add(&mut book, address);
        if a % 3 == 0 {
            book.good(address.endpoint, NOW);
        }
    }
    let bytes = book.encode();
    let (read, used) =
        AddrMan::decode(&bytes, NetGroups::default(), [7; 32], 0).expect("is as written");
    assert_eq!(used, bytes.len());
    for tried in [false, true] {
        let places = |book: &AddrMan| -> Vec<(Place, Endpoint)> {
            let places = book.places(tried);
            places
                .iter()
                .map(|(place, entry)| (*place, entry.address.endpoint))
                .collect()
        };
        assert_eq!(places(&read), places(&book));
    }
    for cut in [0, 1, 2, 33, 40, 46, bytes.len() / 2, bytes.len() - 1] {
        let error = AddrMan::decode(&bytes[..cut], NetGroups::default(), [7; 32], 0)
            .expect_err("it is cut");
        assert_eq!(
            error.to_string(),
            "AutoFile::read: end of file: iostream error"
        );
    }
}

proptest! {
    // A look at the whole book takes its time.
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn the_book_stays_consistent_whatever_happens(
        steps in proptest::collection::vec((0u8..6, 1u8..40, 0u8..4, 0i64..100_000), 1..60),
    ) {
        let mut book = AddrMan::new(NetGroups::default(), [3; 32], 0);
        let mut now = NOW;
        for (what, a, b, wait) in steps {
            now += wait;
            let mut address = peer([a, b, 1, 1], 8333);
            address.time = u32::try_from(now).expect("is before 2106");
            let endpoint = address.endpoint;
            match what {
                0 | 1 => { book.add(&[address], NetAddress::Ipv4(Ipv4Addr::new(b + 1, a, 1, 1)), 0, now); }
                2 => { book.good(endpoint, now); }
                3 => book.attempt(endpoint, true, now),
                4 => book.resolve_collisions(now),
                _ => { book.select(false, &[], now); }
            }
            prop_assert_eq!(book.check(), Ok(()));
        }
    }

    #[test]
    fn no_file_does_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = AddrMan::decode(&bytes, NetGroups::default(), [0; 32], 0);
    }
}
