//! Log lines have the shapes that libmultiprocess gives them.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

use crate::server::pair;

struct Lines(Arc<Mutex<Vec<String>>>);

struct Text(String);

impl tracing::field::Visit for Text {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.0, "{value:?}");
        }
    }
}

impl<S: tracing::Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "ipc" {
            let mut text = Text(String::new());
            event.record(&mut text);
            self.0
                .lock()
                .unwrap()
                .push(format!("{} {}", event.metadata().level(), text.0));
        }
    }
}

#[test]
fn a_call_is_logged_on_both_sides() {
    let lines = Arc::<Mutex<Vec<String>>>::default();
    // Other tests of this process log as well; their lines are told apart by what they call.
    tracing::subscriber::set_global_default(
        tracing_subscriber::registry().with(Lines(lines.clone())),
    )
    .unwrap();
    let pair = pair();
    pair.foo.check("log me\u{1}".to_owned()).unwrap();
    let lines = lines.lock().unwrap().clone();
    let find = |what: &str| {
        let found = lines.iter().find(|line| line.contains(what));
        found
            .unwrap_or_else(|| panic!("no line with {what:?} in {lines:#?}"))
            .clone()
    };
    assert!(find("IPC client send Foo.check$Params").starts_with("DEBUG {client-"));
    assert!(find("send data: (context = (thread = <external capability>, callbackThread = <external capability>), text = \"log me").starts_with("TRACE send data"));
    let recv = find("Foo.check$Params");
    assert!(recv.starts_with("DEBUG {"), "{recv}");
    let recv = find("IPC server recv request  #");
    assert!(recv.starts_with("DEBUG {server-"), "{recv}");
    assert!(recv.contains("/b-capnp-loop-"), "{recv}");
    assert!(find("IPC server post request  #").contains(" (from client-"));
    assert!(find("IPC server executing request #").contains(" (from client-"));
    assert!(find("Foo.check$Results").starts_with("DEBUG {"));
    assert!(find("response data: (reason = \"bad-log me").starts_with("TRACE {"));
    assert!(find("IPC client recv Foo.check$Results").starts_with("DEBUG {client-"));
}
