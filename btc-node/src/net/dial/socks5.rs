//! SOCKS5 (RFC 1928), as far as a proxy of the Tor network speaks it: names are resolved at the other end.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;
/// The longest name or credential, in bytes: its length is one byte.
const MAX_TEXT: usize = 255;

/// What a proxy is told to keep connections apart: Tor uses another circuit for other credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name.
    pub user: String,
    /// The password.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(..)")
    }
}

/// Why a proxy made no connection.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name or credential is longer than 255 bytes.
    #[error("Hostname too long")]
    TooLong,
    /// The other end speaks another protocol.
    #[error("Proxy failed to initialize")]
    NotSocks5,
    /// It wants to be convinced in a way that this side does not know.
    #[error("Proxy requested wrong authentication method {0:02x}")]
    Method(u8),
    /// It does not take the credentials.
    #[error("Proxy authentication unsuccessful")]
    Credentials,
    /// It could not reach the peer.
    #[error("{}", reason(*.0))]
    Refused(u8),
    /// Its answer is none.
    #[error("malformed proxy response")]
    Malformed,
    /// The stream broke.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl Error {
    /// Whether the proxy is at fault, not the way from there to the peer.
    pub fn is_of_proxy(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }
}

/// What a proxy's code means; those from 0xf0 are Tor's.
fn reason(code: u8) -> String {
    let text = match code {
        1 => "general failure",
        2 => "connection not allowed",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "TTL expired",
        7 => "protocol error",
        8 => "address type not supported",
        0xf0 => "onion service descriptor can not be found",
        0xf1 => "onion service descriptor is invalid",
        0xf2 => "onion service introduction failed",
        0xf3 => "onion service rendezvous failed",
        0xf4 => "onion service missing client authorization",
        0xf5 => "onion service wrong client authorization",
        0xf6 => "onion service invalid address",
        0xf7 => "onion service introduction timed out",
        other => return format!("unknown (0x{other:02x})"),
    };
    text.to_owned()
}

/// Has the proxy at the other end of `stream` connect to a name or address, written out, and a port. From then on the
/// stream leads there.
///
/// # Errors
/// See [`Error`].
pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    host: &str,
    port: u16,
    credentials: Option<&Credentials>,
) -> Result<(), Error> {
    let length = text_length(host)?;
    let methods: &[u8] = match credentials {
        Some(_) => &[VERSION, 2, NO_AUTHENTICATION, USER_AND_PASSWORD],
        None => &[VERSION, 1, NO_AUTHENTICATION],
    };
    stream.write_all(methods).await?;
    let [version, method] = read(stream).await?;
    if version != VERSION {
        return Err(Error::NotSocks5);
    }
    match (method, credentials) {
        (NO_AUTHENTICATION, _) => {}
        (USER_AND_PASSWORD, Some(credentials)) => authenticate(stream, credentials).await?,
        (other, _) => return Err(Error::Method(other)),
    }
    let mut request = vec![VERSION, CONNECT, 0, NAME, length];
    request.extend_from_slice(host.as_bytes());
    request.extend_from_slice(&port.to_be_bytes());
    stream.write_all(&request).await?;
    let [version, code, reserved, kind] = read(stream).await?;
    if version != VERSION {
        return Err(Error::NotSocks5);
    }
    if code != 0 {
        return Err(Error::Refused(code));
    }
    if reserved != 0 {
        return Err(Error::Malformed);
    }
    // Where the proxy connects from tells nothing.
    let address = match kind {
        IPV4 => 4,
        IPV6 => 16,
        NAME => {
            let [length] = read(stream).await?;
            usize::from(length)
        }
        _ => return Err(Error::Malformed),
    };
    let mut rest = [0; MAX_TEXT + 2];
    stream.read_exact(&mut rest[..address + 2]).await?;
    Ok(())
}

/// Says name and password (RFC 1929).
async fn authenticate<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    credentials: &Credentials,
) -> Result<(), Error> {
    let mut request = vec![1];
    for text in [&credentials.user, &credentials.password] {
        request.push(text_length(text)?);
        request.extend_from_slice(text.as_bytes());
    }
    stream.write_all(&request).await?;
    match read(stream).await? {
        [1, 0] => Ok(()),
        [..] => Err(Error::Credentials),
    }
}

async fn read<const N: usize, S: AsyncRead + Unpin>(stream: &mut S) -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

fn text_length(text: &str) -> Result<u8, Error> {
    u8::try_from(text.len()).map_err(|_| Error::TooLong)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a client sends to a proxy that answers with `answers`, and how it ends.
    fn talk(
        host: &str,
        credentials: Option<&Credentials>,
        answers: &[u8],
    ) -> (Vec<u8>, Result<(), Error>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.expect("starts").block_on(async {
            let (mut near, mut far) = tokio::io::duplex(4096);
            far.write_all(answers).await.expect("fits");
            // Nothing more comes, but what is said can be read.
            let (mut said, mut answers) = tokio::io::split(far);
            answers.shutdown().await.expect("ends");
            let result = connect(&mut near, host, 8333, credentials).await;
            drop(near);
            let mut sent = Vec::new();
            said.read_to_end(&mut sent).await.expect("can be read");
            (sent, result)
        })
    }

    #[test]
    fn a_name_is_asked_for_and_the_way_is_free() {
        for end in [&[IPV4, 1, 2, 3, 4, 0, 9][..], &[NAME, 2, b'h', b'i', 0, 9]] {
            let answers = [&[5, 0, 5, 0, 0][..], end].concat();
            let (sent, result) = talk("a.onion", None, &answers);
            result.expect("connects");
            assert_eq!(sent, b"\x05\x01\x00\x05\x01\x00\x03\x07a.onion\x20\x8d");
        }
    }

    #[test]
    fn credentials_are_said_where_they_are_wanted() {
        let credentials = Credentials {
            user: "u".to_owned(),
            password: "pw".to_owned(),
        };
        let (sent, result) = talk(
            "h",
            Some(&credentials),
            &[5, 2, 1, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0],
        );
        result.expect("connects");
        assert_eq!(
            sent,
            b"\x05\x02\x00\x02\x01\x01u\x02pw\x05\x01\x00\x03\x01h\x20\x8d"
        );
        let (_, result) = talk("h", Some(&credentials), &[5, 2, 1, 1]);
        assert!(matches!(result, Err(Error::Credentials)));
        assert_eq!(format!("{credentials:?}"), "Credentials(..)");
    }

    #[test]
    fn every_other_answer_is_an_error() {
        let refused = talk("h", None, &[5, 0, 5, 5, 0, 1])
            .1
            .expect_err("is refused");
        assert_eq!(refused.to_string(), "connection refused");
        assert!(!refused.is_of_proxy());
        for (answers, expected) in [
            (&[4, 0][..], "Proxy failed to initialize"),
            (&[5, 2], "Proxy requested wrong authentication method 02"),
            (&[5, 255], "Proxy requested wrong authentication method ff"),
            (&[5, 0, 5, 0, 1, 1], "malformed proxy response"),
            (&[5, 0, 5, 0, 0, 9], "malformed proxy response"),
            (&[5, 0, 5, 0, 0, 1, 1], "early eof"),
            (&[], "early eof"),
        ] {
            let error = talk("h", None, answers).1.expect_err("is an error");
            assert_eq!(error.to_string(), expected);
            assert!(error.is_of_proxy());
        }
        let long = "h".repeat(256);
        assert!(matches!(talk(&long, None, &[]).1, Err(Error::TooLong)));
    }
}
