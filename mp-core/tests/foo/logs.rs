//! Log lines have the shapes that libmultiprocess gives them.

use std::fmt::Write as _;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, OnceLock};

use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

use mp_core::{Connection, Error, Message, Options};

use crate::server::pair_named;

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

/// All lines that this process has logged so far. Other tests log as well: lines are told apart by the names of the
/// connections and by what is passed.
fn lines() -> Arc<Mutex<Vec<String>>> {
    static LINES: OnceLock<Arc<Mutex<Vec<String>>>> = OnceLock::new();
    let lines = LINES.get_or_init(|| {
        let lines = Arc::<Mutex<Vec<String>>>::default();
        tracing::subscriber::set_global_default(
            tracing_subscriber::registry().with(Lines(lines.clone())),
        )
        .unwrap();
        lines
    });
    lines.clone()
}

#[test]
fn a_call_is_logged_on_both_sides() {
    let lines = lines();
    let pair = pair_named("listed-server", "listed-client");
    pair.foo.check("log me\u{1}".to_owned()).unwrap();
    // Each line is written before what follows from it, so all are there when the reply is.
    let lines = lines.lock().unwrap().clone();
    let find = |start: &str, what: &str| {
        let found = lines
            .iter()
            .any(|line| line.starts_with(start) && line.contains(what));
        assert!(found, "no line {start:?} with {what:?} in {lines:#?}");
    };
    let (client, server) = ("DEBUG {listed-client-", "DEBUG {listed-server-");
    find(client, "} IPC client send Foo.check$Params");
    find(
        "TRACE send data: (context = (thread = <external capability>, callbackThread = <external capability>), ",
        "text = \"log me",
    );
    find(server, "} IPC server recv request  #");
    find(server, "/b-capnp-loop-");
    find(server, "} IPC server post request  #");
    find(server, " (from listed-client-");
    find(server, "} IPC server executing request #");
    find(server, " Foo.check$Results");
    find(
        "TRACE {listed-server-",
        "response data: (reason = \"bad-log me",
    );
    find(client, "} IPC client recv Foo.check$Results");
    find("TRACE recv data: (", "reason = \"bad-log me");
}

/// Words that must never be seen in a log.
const PASSPHRASE: &str = "correct horse battery staple";
const SHARE: &str = "ozone drill grab";
const PIN: i32 = 40_739;

#[test]
fn secrets_of_a_schema_are_not_logged() {
    let lines = lines();
    let pair = pair_named("secret-server", "secret-client");
    let told = pair
        .foo
        .unlock(
            "shown-name",
            PASSPHRASE.to_owned(),
            vec![SHARE.to_owned(); 3],
            PIN,
        )
        .unwrap();
    assert!(String::from_utf8(told).unwrap().contains(PASSPHRASE));
    let lines = lines.lock().unwrap().clone();
    assert_hidden(&lines);
    let hidden = "name = \"shown-name\", passphrase = <28 bytes hidden>, shares = <3 elements hidden>, pin = <hidden>)";
    for start in ["TRACE send data: ", "TRACE {secret-server-"] {
        let found = |line: &&String| line.starts_with(start) && line.contains("shown-name");
        let line = lines.iter().find(found).unwrap();
        // A long line is cut, so only as much of it is compared as is there.
        let from = line.find("name = ").unwrap();
        let shown = line[from..].trim_end_matches("...");
        assert!(hidden.starts_with(shown), "{line}");
        assert!(line.contains("<28 bytes hidden>"), "{line}");
    }
    let reply =
        |line: &String| line.contains("data: (result = <") && line.contains(" bytes hidden>");
    assert!(lines.iter().filter(|line| reply(line)).count() >= 2);
}

#[test]
fn a_call_whose_caller_leaves_is_logged_as_canceled() {
    let lines = lines();
    let pair = pair_named("left-server", "left-client");
    let foo = pair.foo.clone();
    let waiting = std::thread::spawn(move || foo.block());
    pair.server.wait_blocked();
    let (ended, end) = std::sync::mpsc::channel();
    pair.serving.on_closed(move |_| ended.send(()).unwrap());
    pair.connection.close();
    end.recv().unwrap();
    waiting.join().unwrap().unwrap_err();
    let count = |what: &str| {
        let lines = lines.lock().unwrap();
        let found = |line: &&String| line.starts_with("INFO {left-server-") && line.contains(what);
        lines.iter().filter(found).count()
    };
    assert_eq!(count(" canceled while executing."), 1);
    assert_eq!(count(" interrupted (canceled)"), 0);
    pair.server.unblock();
    while count(" interrupted (canceled)") == 0 {
        std::thread::yield_now();
    }
}

struct Inline;

#[derive(Message)]
#[mp(codec = Inline, id = 0x9000_0000_0000_0021)]
struct Login {
    name: String,
    #[mp(secret)]
    passphrase: String,
}

#[mp_core::interface(codec = Inline, id = 0x9000_0000_0000_0022, root)]
trait Vault: Send + Sync {
    #[mp(secret)]
    fn open(&self, door: String, #[mp(secret)] passphrase: String) -> Result<String, Error>;
    fn login(&self, login: Login) -> Result<u64, Error>;
}

struct Cellar;

impl Vault for Cellar {
    fn open(&self, door: String, passphrase: String) -> Result<String, Error> {
        Ok(door + &passphrase)
    }
    fn login(&self, login: Login) -> Result<u64, Error> {
        Ok((login.name.len() + login.passphrase.len()) as u64)
    }
}

#[test]
fn secrets_of_a_trait_are_not_logged() {
    let lines = lines();
    let (here, there) = UnixStream::pair().unwrap();
    let cellar: Arc<dyn Vault> = Arc::new(Cellar);
    Connection::serve(there, cellar, Options::default()).unwrap();
    let (_connection, vault) = Connection::connect::<dyn Vault>(here, Options::default()).unwrap();
    let passphrase = || PASSPHRASE.to_owned();
    assert!(
        vault
            .open("front".to_owned(), passphrase())
            .unwrap()
            .contains(PASSPHRASE)
    );
    let login = Login {
        name: "me".to_owned(),
        passphrase: passphrase(),
    };
    assert_eq!(vault.login(login).unwrap(), 30);
    let lines = lines.lock().unwrap().clone();
    assert_hidden(&lines);
    let shown = "door = \"front\", passphrase = <28 bytes hidden>";
    assert_eq!(lines.iter().filter(|line| line.contains(shown)).count(), 2);
    assert!(
        lines
            .iter()
            .any(|line| line.contains("(result = <33 bytes hidden>)"))
    );
}

fn assert_hidden(lines: &[String]) {
    for line in lines {
        for secret in [PASSPHRASE, SHARE, &PIN.to_string()] {
            assert!(!line.contains(secret), "{line}");
        }
    }
}
