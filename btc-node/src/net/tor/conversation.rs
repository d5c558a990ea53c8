//! What is said to the control port: who we are, where its proxy is, and what service we want.

use super::reply::{OK, Reply, SYNTAX_ERROR, UNRECOGNIZED, keyword, values};
use crate::net::Endpoint;
use bitcoin::hashes::{Hash, HashEngine, Hmac, HmacEngine, sha256};
use bitcoin::hex::{DisplayHex, FromHex};
use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The proxy's port, unless Tor names another.
const SOCKS_PORT: u16 = 9050;
/// Bytes of the file that shows who may read Tor's files.
pub const COOKIE_SIZE: usize = 32;
/// Has Tor make a key, of the kind whose addresses are in use.
const NEW_KEY: &str = "NEW:ED25519-V3";
const SERVER_KEY: &[u8] = b"Tor safe cookie authentication server-to-controller hash";
const CLIENT_KEY: &[u8] = b"Tor safe cookie authentication controller-to-server hash";

/// What is wanted of Tor.
#[derive(Clone)]
pub struct Settings {
    /// `-torpassword`.
    pub password: Option<String>,
    /// Whether onion addresses are reached by Tor's own proxy.
    pub wants_proxy: bool,
    /// Where the service's connections are sent.
    pub target: SocketAddr,
    /// The service's port: the chain's default, whatever the node listens on, which would tell it from others.
    pub port: u16,
}

/// Something to do.
#[derive(Clone, PartialEq, Eq)]
pub enum Step {
    /// Send a command. It may hold secrets.
    Send(String),
    /// Read the file that holds the secret, and give it to [`Conversation::cookie`].
    ReadCookie(PathBuf),
    /// Onion addresses are reached by this proxy.
    Proxy(SocketAddr),
    /// The service is there. The key makes the same one again.
    Service {
        /// Its address.
        address: Endpoint,
        /// The key: whoever has it is the service.
        key: String,
    },
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send(_) => f.write_str("Send(..)"),
            Self::ReadCookie(path) => f.debug_tuple("ReadCookie").field(path).finish(),
            Self::Proxy(address) => f.debug_tuple("Proxy").field(address).finish(),
            Self::Service { address, .. } => f
                .debug_struct("Service")
                .field("address", address)
                .finish_non_exhaustive(),
        }
    }
}

/// What the next reply answers.
#[derive(Clone, Copy)]
enum Question {
    ProtocolInfo,
    Challenge,
    Authentication,
    SocksPorts,
    Service { defended: bool },
}

/// A conversation over one connection.
pub struct Conversation {
    settings: Settings,
    key: Option<String>,
    nonce: [u8; 32],
    cookie: Vec<u8>,
    questions: VecDeque<Question>,
    steps: Vec<Step>,
}

impl Conversation {
    /// To be begun. `key` makes the service that was there before; `nonce` must be random.
    pub fn new(settings: Settings, key: Option<String>, nonce: [u8; 32]) -> Self {
        Self {
            settings,
            key,
            nonce,
            cookie: Vec::new(),
            questions: VecDeque::new(),
            steps: Vec::new(),
        }
    }

    fn ask(&mut self, question: Question, command: String) {
        self.questions.push_back(question);
        self.steps.push(Step::Send(command));
    }

    /// What is said first.
    pub fn begin(&mut self) -> Vec<Step> {
        self.ask(Question::ProtocolInfo, "PROTOCOLINFO 1".to_owned());
        std::mem::take(&mut self.steps)
    }

    /// Takes a reply and gives what follows. If Tor refuses something, the log tells, and nothing follows.
    pub fn take(&mut self, reply: &Reply) -> Vec<Step> {
        let Some(question) = self.questions.pop_front() else {
            tracing::debug!(target: "tor", "Received unexpected sync reply {}", reply.code);
            return Vec::new();
        };
        match question {
            Question::ProtocolInfo => self.protocol_info(reply),
            Question::Challenge => self.challenge(reply),
            Question::Authentication => self.authenticated(reply),
            Question::SocksPorts => self.socks_ports(reply),
            Question::Service { defended } => self.service(reply, defended),
        }
        std::mem::take(&mut self.steps)
    }

    fn protocol_info(&mut self, reply: &Reply) {
        if reply.code != OK {
            tracing::warn!("tor: Requesting protocol info failed");
            return;
        }
        let mut methods = Vec::new();
        let mut cookie_file = PathBuf::new();
        for line in &reply.lines {
            let (word, rest) = keyword(line);
            let values = values(rest);
            match word {
                "AUTH" => {
                    if let Some(list) = values.get("METHODS") {
                        methods = list.split(',').map(str::to_owned).collect();
                    }
                    if let Some(path) = values.get("COOKIEFILE") {
                        cookie_file = PathBuf::from(path);
                    }
                }
                "VERSION" => {
                    if let Some(version) = values.get("Tor") {
                        tracing::debug!(target: "tor", "Connected to Tor version {version:?}");
                    }
                }
                _ => {}
            }
        }
        let knows = |method: &str| methods.iter().any(|known| known == method);
        if let Some(password) = &self.settings.password {
            if knows("HASHEDPASSWORD") {
                tracing::debug!(target: "tor", "Using HASHEDPASSWORD authentication");
                let quoted = password.replace('\\', "\\\\").replace('"', "\\\"");
                self.ask(
                    Question::Authentication,
                    format!("AUTHENTICATE \"{quoted}\""),
                );
            } else {
                tracing::warn!(
                    "tor: Password provided with -torpassword, but HASHEDPASSWORD authentication is not available"
                );
            }
        } else if knows("NULL") {
            tracing::debug!(target: "tor", "Using NULL authentication");
            self.ask(Question::Authentication, "AUTHENTICATE".to_owned());
        } else if knows("SAFECOOKIE") {
            tracing::debug!(
                target: "tor",
                "Using SAFECOOKIE authentication, reading cookie authentication from {}",
                cookie_file.display()
            );
            self.steps.push(Step::ReadCookie(cookie_file));
        } else if knows("HASHEDPASSWORD") {
            tracing::warn!(
                "tor: The only supported authentication mechanism left is password, but no password provided with -torpassword"
            );
        } else {
            tracing::warn!("tor: No supported authentication method");
        }
    }

    /// The secret that was asked for, [`COOKIE_SIZE`] bytes.
    pub fn cookie(&mut self, cookie: [u8; COOKIE_SIZE]) -> Vec<Step> {
        self.cookie = cookie.to_vec();
        let nonce = self.nonce.to_lower_hex_string();
        self.ask(
            Question::Challenge,
            format!("AUTHCHALLENGE SAFECOOKIE {nonce}"),
        );
        std::mem::take(&mut self.steps)
    }

    fn challenge(&mut self, reply: &Reply) {
        let line = reply.lines.first().map_or("", String::as_str);
        let (word, rest) = keyword(line);
        if reply.code != OK {
            tracing::warn!("tor: SAFECOOKIE authentication challenge failed");
            return;
        }
        if word != "AUTHCHALLENGE" {
            tracing::warn!("tor: Invalid reply to AUTHCHALLENGE");
            return;
        }
        let values = values(rest);
        let bytes = |name: &str| -> Option<[u8; 32]> { FromHex::from_hex(values.get(name)?).ok() };
        let Some(server_nonce) = bytes("SERVERNONCE") else {
            tracing::warn!("tor: ServerNonce is not 32 bytes, as required by spec");
            return;
        };
        // Who knows the secret is Tor, or may read its files anyway.
        if bytes("SERVERHASH") != Some(self.proof(SERVER_KEY, &server_nonce)) {
            tracing::warn!("tor: ServerHash does not match expected ServerHash");
            return;
        }
        let proof = self.proof(CLIENT_KEY, &server_nonce).to_lower_hex_string();
        self.ask(Question::Authentication, format!("AUTHENTICATE {proof}"));
    }

    /// What shows that one knows the secret.
    fn proof(&self, key: &[u8], server_nonce: &[u8; 32]) -> [u8; 32] {
        let mut engine = HmacEngine::<sha256::Hash>::new(key);
        for part in [self.cookie.as_slice(), &self.nonce, server_nonce] {
            engine.input(part);
        }
        Hmac::from_engine(engine).to_byte_array()
    }

    fn authenticated(&mut self, reply: &Reply) {
        if reply.code != OK {
            tracing::warn!("tor: Authentication failed");
            return;
        }
        tracing::debug!(target: "tor", "Authentication successful");
        if self.settings.wants_proxy {
            self.ask(
                Question::SocksPorts,
                "GETINFO net/listeners/socks".to_owned(),
            );
        }
        self.ask_for_service(true);
    }

    fn socks_ports(&mut self, reply: &Reply) {
        match reply.code {
            OK => {}
            UNRECOGNIZED => tracing::warn!(
                "tor: Get SOCKS port command failed with unrecognized command (You probably should upgrade Tor)"
            ),
            code => tracing::warn!("tor: Get SOCKS port command failed; error code {code}"),
        }
        let lists = reply.lines.iter().filter(|_| reply.code == OK);
        let told: Vec<&str> = lists
            .filter_map(|line| line.strip_prefix("net/listeners/socks="))
            .flat_map(|list| list.split(' '))
            .map(|port| port.trim_matches(['"', '\'']))
            .filter(|port| !port.is_empty())
            .collect();
        // One on this machine's usual address is best.
        let local = told.iter().find(|port| port.starts_with("127.0.0.1:"));
        match local.or(told.last()) {
            Some(port) => {
                tracing::debug!(target: "tor", "Get SOCKS port command yielded {port:?}");
            }
            None if reply.code == OK => {
                tracing::warn!("tor: Get SOCKS port command returned nothing");
            }
            None => {}
        }
        let proxy = local
            .or(told.last())
            .and_then(|text| Endpoint::parse(text, SOCKS_PORT)?.socket_address())
            .unwrap_or(SocketAddr::from(([127, 0, 0, 1], SOCKS_PORT)));
        tracing::debug!(target: "tor", "Configuring onion proxy for {proxy}");
        self.steps.push(Step::Proxy(proxy));
    }

    fn ask_for_service(&mut self, defended: bool) {
        let key = self.key.as_deref().unwrap_or(NEW_KEY);
        let defences = if defended {
            " PoWDefensesEnabled=1"
        } else {
            ""
        };
        let Settings { port, target, .. } = &self.settings;
        let command = format!("ADD_ONION {key}{defences} Port={port},{target}");
        self.ask(Question::Service { defended }, command);
    }

    fn service(&mut self, reply: &Reply, defended: bool) {
        match reply.code {
            OK => {}
            UNRECOGNIZED => {
                tracing::warn!(
                    "tor: Add onion failed with unrecognized command (You probably need to upgrade Tor)"
                );
                return;
            }
            SYNTAX_ERROR if defended => {
                tracing::debug!(target: "tor", "ADD_ONION failed with PoW defenses, retrying without");
                self.ask_for_service(false);
                return;
            }
            code => {
                tracing::warn!("tor: Add onion failed; error code {code}");
                return;
            }
        }
        let state = if defended { "enabled" } else { "disabled" };
        tracing::debug!(target: "tor", "ADD_ONION successful (PoW defenses {state})");
        let mut id = None;
        for line in &reply.lines {
            let mut values = values(line);
            id = values.remove("ServiceID").or(id);
            // A key that cannot be sent back in one word is none.
            let key = values.remove("PrivateKey");
            self.key = key
                .filter(|key| key.bytes().all(|byte| byte.is_ascii_graphic()))
                .or(self.key.take());
        }
        let address = id
            .as_ref()
            .and_then(|id| Endpoint::parse(&format!("{id}.onion"), self.settings.port));
        let (Some(id), Some(address)) = (id, address) else {
            // The reply may hold the key.
            tracing::warn!("tor: Error parsing ADD_ONION parameters");
            return;
        };
        tracing::info!("Got tor service ID {id}, advertising service {address}");
        let key = self.key.clone().unwrap_or_default();
        self.steps.push(Step::Service { address, key });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd";

    fn conversation(password: Option<&str>, key: Option<&str>) -> Conversation {
        let settings = Settings {
            password: password.map(str::to_owned),
            wants_proxy: true,
            target: ([127, 0, 0, 1], 8334).into(),
            port: 8333,
        };
        let mut new = Conversation::new(settings, key.map(str::to_owned), [7; 32]);
        assert_eq!(new.begin(), [Step::Send("PROTOCOLINFO 1".to_owned())]);
        new
    }

    fn say(conversation: &mut Conversation, code: u16, lines: &[&str]) -> Vec<Step> {
        conversation.take(&Reply {
            code,
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
        })
    }

    fn sent(steps: &[Step]) -> Vec<&str> {
        let commands = steps.iter().map(|step| match step {
            Step::Send(command) => command.as_str(),
            _ => "",
        });
        commands.collect()
    }

    #[test]
    fn a_service_is_asked_for_and_told_with_its_key() {
        let mut tor = conversation(None, None);
        let steps = say(&mut tor, OK, &["PROTOCOLINFO 1", "AUTH METHODS=NULL", "OK"]);
        assert_eq!(sent(&steps), ["AUTHENTICATE"]);
        let steps = say(&mut tor, OK, &["OK"]);
        let target = "Port=8333,127.0.0.1:8334";
        let wish = format!("ADD_ONION NEW:ED25519-V3 PoWDefensesEnabled=1 {target}");
        assert_eq!(sent(&steps), ["GETINFO net/listeners/socks", &wish]);
        let listeners = "net/listeners/socks=\"10.0.0.1:1\" \"127.0.0.1:9150\" \"unix:/x\"";
        let steps = say(&mut tor, OK, &[listeners, "OK"]);
        assert_eq!(steps, [Step::Proxy(([127, 0, 0, 1], 9150).into())]);
        // An older Tor knows no defences.
        let steps = say(&mut tor, SYNTAX_ERROR, &["Unrecognized option"]);
        assert_eq!(sent(&steps), [format!("ADD_ONION NEW:ED25519-V3 {target}")]);
        let id = format!("ServiceID={ID}");
        let steps = say(&mut tor, OK, &[&id, "PrivateKey=ED25519-V3:abc", "OK"]);
        let [Step::Service { address, key }] = steps.as_slice() else {
            panic!("{steps:?}");
        };
        assert_eq!(address.to_string(), format!("{ID}.onion:8333"));
        assert_eq!(key, "ED25519-V3:abc");
        assert!(!format!("{steps:?}").contains("abc"));
        // The next time it is the same service.
        let mut tor = conversation(None, Some(key));
        say(&mut tor, OK, &["AUTH METHODS=NULL", "OK"]);
        let steps = say(&mut tor, OK, &["OK"]);
        assert!(sent(&steps)[1].starts_with("ADD_ONION ED25519-V3:abc "));
    }

    #[test]
    fn a_password_is_said_where_it_is_wanted() {
        let mut tor = conversation(Some("a\"b\\"), None);
        let steps = say(&mut tor, OK, &["AUTH METHODS=HASHEDPASSWORD,NULL", "OK"]);
        assert_eq!(sent(&steps), [r#"AUTHENTICATE "a\"b\\""#]);
        let mut tor = conversation(Some("x"), None);
        assert_eq!(say(&mut tor, OK, &["AUTH METHODS=NULL"]), []);
        let mut tor = conversation(None, None);
        assert_eq!(say(&mut tor, OK, &["AUTH METHODS=HASHEDPASSWORD"]), []);
    }

    #[test]
    fn a_secret_is_proved_only_to_those_who_know_it() {
        let hello = r#"AUTH METHODS=COOKIE,SAFECOOKIE COOKIEFILE="/run/tor/cookie""#;
        let cookie = [3; COOKIE_SIZE];
        let mut right = HmacEngine::<sha256::Hash>::new(SERVER_KEY);
        for part in [cookie, [7; 32], [9; 32]] {
            right.input(&part);
        }
        let right = Hmac::from_engine(right).to_byte_array();
        for (hash, taken) in [(right, true), ([0; 32], false)] {
            let mut tor = conversation(None, None);
            let steps = say(&mut tor, OK, &[hello, "OK"]);
            assert_eq!(steps, [Step::ReadCookie("/run/tor/cookie".into())]);
            let steps = tor.cookie(cookie);
            let challenge = format!("AUTHCHALLENGE SAFECOOKIE {}", "07".repeat(32));
            assert_eq!(sent(&steps), [challenge]);
            let answer = format!(
                "AUTHCHALLENGE SERVERHASH={} SERVERNONCE={}",
                hash.to_lower_hex_string(),
                "09".repeat(32)
            );
            let steps = say(&mut tor, OK, &[&answer]);
            let proved = sent(&steps);
            assert_eq!(proved.len(), usize::from(taken));
            assert!(proved.iter().all(|line| line.starts_with("AUTHENTICATE ")));
            assert!(!proved.concat().contains(&cookie.to_lower_hex_string()));
        }
    }

    #[test]
    fn refusals_and_answers_to_nothing_end_it() {
        let mut tor = conversation(None, None);
        assert_eq!(say(&mut tor, 551, &["no"]), []);
        assert_eq!(say(&mut tor, OK, &["unasked"]), []);
        let mut tor = conversation(None, None);
        say(&mut tor, OK, &["AUTH METHODS=NULL"]);
        assert_eq!(say(&mut tor, 515, &["Bad authentication"]), []);
        let mut tor = conversation(None, None);
        say(&mut tor, OK, &["AUTH METHODS=NULL"]);
        say(&mut tor, OK, &["OK"]);
        // Without an answer about its proxy, the usual one is taken.
        let usual = Step::Proxy(([127, 0, 0, 1], SOCKS_PORT).into());
        assert_eq!(say(&mut tor, UNRECOGNIZED, &["no"]), [usual]);
        assert_eq!(say(&mut tor, OK, &["ServiceID=nonsense", "OK"]), []);
    }
}
