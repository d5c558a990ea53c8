//! The bytes of calls.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread;

use mp_core::{Connection, Options};

/// What went over a connection, each way.
type Bytes = Arc<Mutex<Vec<u8>>>;

/// Two ends of a stream, and copies of what goes to and fro.
fn tapped() -> (UnixStream, UnixStream, [Bytes; 2]) {
    let (here, near) = UnixStream::pair().unwrap();
    let (far, there) = UnixStream::pair().unwrap();
    let tap = |mut from: UnixStream, mut to: UnixStream| {
        let bytes = Bytes::default();
        let copy = bytes.clone();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                copy.lock().unwrap().extend(&buffer[..count]);
                if to.write_all(&buffer[..count]).is_err() {
                    break;
                }
            }
            let _ = to.shutdown(Shutdown::Write);
        });
        bytes
    };
    let sent = tap(near.try_clone().unwrap(), far.try_clone().unwrap());
    let received = tap(far, near);
    (here, there, [sent, received])
}

/// A server, a client, and the calls made, once for each of the two declarations.
macro_rules! play {
    ($module:ident) => {
        mod $module {
            use super::*;
            use crate::$module::{Colour, Named, Nearest, Plane, Point, Seen};
            use mp_core::Error;

            struct Flat;

            impl Plane for Flat {
                fn mirror(&self, point: Point, times: u8) -> Result<Vec<Point>, Error> {
                    let x = -point.x;
                    Ok(vec![Point { x, ..point }; times.into()])
                }
                fn nearest(&self, to_point: &Point) -> Result<Nearest, Error> {
                    Ok(Nearest {
                        point: to_point.next.as_deref().cloned(),
                        distance: to_point.y.map(|y| y as f64 / 2.0),
                        tried: 65_000,
                    })
                }
                fn divide(&self, a: i16, b: i16) -> Result<Result<Option<i16>, String>, Error> {
                    Ok(match (a, b) {
                        (_, 0) => Err("division by zero".to_owned()),
                        (a, b) => Ok((a % b == 0).then(|| a / b)),
                    })
                }
                fn place(&self, point: Point) -> Result<Result<(), Point>, Error> {
                    Ok(if point.hidden { Err(point) } else { Ok(()) })
                }
                fn each(&self, seen: Option<Arc<dyn Seen>>) -> Result<u64, Error> {
                    let Some(seen) = seen else { return Ok(0) };
                    let length = seen.name()?.len() as u64;
                    Ok(length + seen.seen(Point::default())?)
                }
                fn names(&self, sizes: BTreeMap<String, i64>) -> Result<Vec<(String, i64)>, Error> {
                    Ok(sizes.into_iter().rev().collect())
                }
                fn unlock(&self, passphrase: &str, certain: bool) -> Result<bool, Error> {
                    Ok(certain && passphrase == "open")
                }
                fn count(&self) -> Result<u16, Error> {
                    Ok(3)
                }
            }

            struct Eye;

            impl Named for Eye {
                fn name(&self) -> Result<String, Error> {
                    Ok("eye".to_owned())
                }
            }

            impl Seen for Eye {
                fn seen(&self, point: Point) -> Result<u64, Error> {
                    Ok(u64::from(point.y.is_none()) << 40)
                }
            }

            /// Makes every call, and gives the bytes that this took.
            pub fn play() -> [Vec<u8>; 2] {
                let (here, there, [sent, received]) = tapped();
                let flat: Arc<dyn Plane> = Arc::new(Flat);
                let options = || Options::new().name("test");
                let serving = Connection::serve(there, flat, options()).unwrap();
                let (connection, plane) =
                    Connection::connect::<dyn Plane>(here, options()).unwrap();
                let last = Point {
                    y: Some(0),
                    seen: Some(false),
                    ..Point::default()
                };
                let point = Point {
                    hidden: true,
                    x: 5,
                    y: Some(-6),
                    last_name: "p".to_owned(),
                    weight: 0.5,
                    next: Some(Box::new(last.clone())),
                    key: vec![1, 2, 3],
                    seen: None,
                    colour: Colour::Green,
                    b_1_x: 200,
                };
                let mirrored = plane.mirror(point.clone(), 2).unwrap();
                assert_eq!(
                    mirrored,
                    vec![
                        Point {
                            x: -5,
                            ..point.clone()
                        };
                        2
                    ]
                );
                let nearest = plane.nearest(&point).unwrap();
                assert_eq!(nearest.point, Some(last.clone()));
                assert_eq!((nearest.distance, nearest.tried), (Some(-3.0), 65_000));
                let nearest = plane.nearest(&Point::default()).unwrap();
                assert_eq!((nearest.point, nearest.distance), (None, None));
                assert_eq!(plane.divide(6, 3).unwrap(), Ok(Some(2)));
                assert_eq!(plane.divide(0, 3).unwrap(), Ok(Some(0)));
                assert_eq!(plane.divide(7, 3).unwrap(), Ok(None));
                assert_eq!(
                    plane.divide(7, 0).unwrap(),
                    Err("division by zero".to_owned())
                );
                assert_eq!(plane.place(last).unwrap(), Ok(()));
                assert_eq!(plane.place(point.clone()).unwrap(), Err(point));
                assert_eq!(plane.each(None).unwrap(), 0);
                assert_eq!(plane.each(Some(Arc::new(Eye))).unwrap(), 3 + (1 << 40));
                let sizes = [("a".to_owned(), 1), ("b".to_owned(), -2)];
                let reversed = vec![sizes[1].clone(), sizes[0].clone()];
                assert_eq!(plane.names(sizes.into()).unwrap(), reversed);
                assert!(plane.unlock("open", true).unwrap());
                assert_eq!(plane.count().unwrap(), 3);
                drop(plane);
                connection.close();
                serving.closed();
                let bytes = |bytes: Bytes| std::mem::take(&mut *bytes.lock().unwrap());
                [bytes(sent), bytes(received)]
            }
        }
    };
}

play!(inline);
play!(declared);

#[test]
fn both_send_the_same() {
    let frames = |[sent, received]: [Vec<u8>; 2]| [split(&sent), split(&received)];
    let (inline, declared) = (frames(inline::play()), frames(declared::play()));
    assert!(inline[0].len() > 20 && inline[1].len() > 16);
    assert_eq!(inline, declared);
}

/// The messages of a stream, sorted: releases go when they go.
fn split(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let word =
            |at: usize| u32::from_le_bytes(bytes[4 * at..][..4].try_into().unwrap()) as usize;
        let segments = word(0) + 1;
        let head = (segments + 1).next_multiple_of(2) * 4;
        let length = head + 8 * (1..=segments).map(word).sum::<usize>();
        frames.push(bytes[..length].to_vec());
        bytes = &bytes[length..];
    }
    frames.sort();
    frames
}
