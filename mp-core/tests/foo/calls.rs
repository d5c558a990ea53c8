//! What goes in comes out.

use std::collections::BTreeMap;

use mp_core::Error;
use proptest::prelude::*;

use crate::interface::{Foo, Paint, Part, Shape, Verdict};
use crate::server::{Server, pair};

#[test]
fn parameters_are_matched_by_name() {
    let pair = pair();
    assert_eq!(pair.foo.add(40, 2).unwrap(), 42);
    assert_eq!(pair.foo.add_direct(1, 2).unwrap(), 21);
    assert_eq!(
        pair.foo.limits(false, 0.25, 9).unwrap(),
        ["false", "0.25", "9"]
    );
    // The schema's own defaults, which travel as zeroes.
    assert_eq!(
        pair.foo.limits(true, 1.5, 8000).unwrap(),
        ["true", "1.5", "8000"]
    );
}

#[test]
fn missing_values() {
    let pair = pair();
    assert_eq!(pair.foo.find("12").unwrap(), Some(12));
    assert_eq!(pair.foo.find("0").unwrap(), Some(0));
    assert_eq!(pair.foo.find("x").unwrap(), None);
    assert_eq!(pair.foo.find_shape(String::new()).unwrap(), None);
    assert_eq!(
        pair.foo
            .find_shape("square".to_owned())
            .unwrap()
            .unwrap()
            .title,
        "square"
    );
    let ids = vec![Some(vec![1, 2]), None, Some(vec![3])];
    assert_eq!(pair.foo.transactions(ids.clone()).unwrap(), ids);
    assert!(!pair.foo.maybe_call(None).unwrap());
}

#[test]
fn several_results() {
    let verdict = pair().foo.check("x".to_owned()).unwrap();
    assert_eq!(
        verdict,
        Verdict {
            result: false,
            reason: "bad-x".to_owned(),
            debug: "x".to_owned()
        }
    );
}

#[test]
fn maps_and_pairs() {
    let map = BTreeMap::from([("a".to_owned(), -1), ("b".to_owned(), i64::MAX)]);
    let sizes = pair()
        .foo
        .sizes(map, vec![("c".to_owned(), "four".to_owned())])
        .unwrap();
    assert_eq!(
        sizes,
        BTreeMap::from([
            ("a".to_owned(), -1),
            ("b".to_owned(), i64::MAX),
            ("c".to_owned(), 4)
        ])
    );
}

#[test]
fn declared_errors_are_results() {
    let pair = pair();
    assert_eq!(pair.foo.divide(7, 2).unwrap(), Ok(3));
    assert_eq!(
        pair.foo.divide(7, 0).unwrap(),
        Err("division by zero".to_owned())
    );
}

#[test]
fn errors_keep_their_text() {
    let error = pair()
        .foo
        .fail("Old mining interface (@2) not supported.".to_owned())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "Old mining interface (@2) not supported."
    );
    assert!(matches!(
        error,
        Error::Remote {
            kind: mp_core::ExceptionKind::Failed,
            ..
        }
    ));
}

#[test]
fn a_panic_is_an_error_to_its_caller_alone() {
    let pair = pair();
    assert_eq!(
        pair.foo.panic().unwrap_err().to_string(),
        "Foo.panic panicked"
    );
    assert_eq!(pair.foo.add(1, 1).unwrap(), 2);
}

#[test]
fn methods_that_the_schema_lacks_are_local() {
    let pair = pair();
    assert_eq!(pair.foo.describe().unwrap(), "described locally");
    assert_eq!(pair.foo.local_only(), 7);
    assert_eq!(Server::default().local_only(), 7);
}

#[test]
fn integers_are_checked_against_their_field() {
    let pair = pair();
    assert_eq!(pair.foo.narrow(-128).unwrap(), -128);
    let error = pair.foo.narrow(128).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot decode `result`: out of bound int received"
    );
}

#[test]
fn large_data() {
    let pair = pair();
    let data: Vec<u8> = (0..3_000_000_u32).map(|n| n as u8).collect();
    assert_eq!(pair.foo.echo_data(data.clone()).unwrap(), data);
}

fn part() -> impl Strategy<Value = Part> {
    (any::<u32>(), ".{0,8}").prop_map(|(id, label)| Part { id, label })
}

prop_compose! {
    fn shape()(
        title in ".{0,20}",
        sides in prop::collection::vec(any::<i32>(), 0..9),
        flags in prop::collection::vec(any::<bool>(), 0..80),
        area in any::<Option<i64>>(),
        paint in prop::sample::select(vec![Paint::Red, Paint::Green, Paint::Blue]),
        parts in prop::collection::vec(part(), 0..5),
        weights in prop::collection::btree_map(".{0,5}", any::<i32>(), 0..4),
        ratio in -1e300..1e300,
        small in any::<i8>(),
        (raw, whole) in (prop::collection::vec(any::<u8>(), 0..200), prop::option::of(part())),
        visible in any::<bool>(),
    ) -> Shape {
        let whole = whole.map(Box::new);
        Shape { title, sides, flags, area, paint, parts, weights, ratio, small, raw, whole, visible }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_struct_comes_back(shapes in prop::collection::vec(shape(), 1..4)) {
        let pair = pair();
        for shape in shapes {
            prop_assert_eq!(pair.foo.pass(shape.clone()).unwrap(), shape);
        }
    }
}
