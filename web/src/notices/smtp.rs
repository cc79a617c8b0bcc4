//! E-mail.
//!
//! Invariant: without encryption it only speaks with a mail server on this machine, and a password is sent only over a line
//! that may carry it. A letter that the server has taken counts as taken, however the good-bye goes.

use super::channel::{Fault, Security, Trouble};
use super::letter::Letter;
use super::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use lettre::address::Envelope;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use sha2::{Digest, Sha256};
use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, UNIX_EPOCH};

/// How long connecting may take for each of a host's addresses.
const CONNECT: Duration = Duration::from_secs(5);
/// How long the server may take to say good-bye.
const FAREWELL: Duration = Duration::from_secs(2);
/// Bytes of a letter's text.
const TEXT_MAX: usize = 64 * 1024;
/// RFC 3834, section 5: nobody's holiday answers it.
const AUTO_SUBMITTED: HeaderName = HeaderName::new_from_ascii_str("Auto-Submitted");

/// A mail server and how to speak with it.
pub(super) struct Mailer {
    host: String,
    port: u16,
    security: Security,
    tls: TlsParameters,
    login: Option<(String, Secret)>,
}

impl Mailer {
    /// Checks the host, the protection of the line, and that user and password come together.
    pub fn new(
        host: String,
        port: Option<u16>,
        security: Security,
        user: Option<String>,
        password: Option<Secret>,
    ) -> Result<Self, Fault> {
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c == '/' || c == '@') {
            return Err(("host", "it is the name or the address of a mail server".into()));
        }
        if security == Security::None && !is_here(&host) {
            let trouble = format!(
                "without encryption only a mail server on this machine may be used, and {host} is elsewhere: write \
                 \"starttls\" or \"tls\""
            );
            return Err(("security", trouble));
        }
        let login = match (user, password) {
            (Some(user), Some(password)) => Some((user, password)),
            (None, None) => None,
            (Some(_), None) => return Err(("password", "the user has none".into())),
            (None, Some(_)) => return Err(("user", "there is a password, but no user".into())),
        };
        let tls = TlsParameters::new(host.clone()).map_err(|error| ("host", error.to_string()))?;
        let usual = match security {
            Security::Starttls => 587,
            Security::Tls => 465,
            Security::None => 25,
        };
        Ok(Mailer { host, port: port.unwrap_or(usual), security, tls, login })
    }

    async fn send(&self, envelope: &Envelope, letter: &[u8]) -> Result<(), Trouble> {
        let trouble = |what: &str, error: lettre::transport::smtp::Error| {
            Trouble::from(format!("{}:{} {what}: {error}", self.host, self.port))
        };
        let hello = ClientId::default();
        let tls = (self.security == Security::Tls).then(|| self.tls.clone());
        let place = (self.host.as_str(), self.port);
        let line = AsyncSmtpConnection::connect_tokio1(place, Some(CONNECT), &hello, tls, None);
        let mut line = line.await.map_err(|error| trouble("cannot be spoken with", error))?;
        if self.security == Security::Starttls {
            let encrypted = line.starttls(self.tls.clone(), &hello).await;
            encrypted.map_err(|error| trouble("does not encrypt", error))?;
        }
        if let Some((user, password)) = &self.login {
            let login = Credentials::new(user.clone(), password.word().to_owned());
            let known = line.auth(&[Mechanism::Plain, Mechanism::Login], &login).await;
            known.map_err(|error| trouble("does not let us in", error))?;
        }
        let taken = line.send(envelope, letter).await;
        taken.map_err(|error| trouble("does not take the letter", error))?;
        // The letter is taken: a good-bye that fails must not make us send it again.
        drop(tokio::time::timeout(FAREWELL, line.quit()).await);
        Ok(())
    }
}

impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} ({:?})", self.host, self.port, self.security)
    }
}

fn is_here(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// Letters by e-mail.
#[derive(Debug)]
pub(super) struct Smtp {
    mailer: Mailer,
    from: Mailbox,
    to: Vec<Mailbox>,
}

/// Can a letter be addressed to this?
pub fn is_address(text: &str) -> bool {
    text.parse::<lettre::Address>().is_ok()
}

impl Smtp {
    /// Checks the addresses.
    pub fn new(mailer: Mailer, from: &str, to: &[String]) -> Result<Self, Fault> {
        let read = |field, text: &str| {
            text.parse::<Mailbox>()
                .map_err(|error| (field, format!("{text:?} is no e-mail address: {error}")))
        };
        let from = read("from", from)?;
        let to = to.iter().map(|text| read("to", text)).collect::<Result<_, _>>()?;
        Ok(Smtp { mailer, from, to })
    }

    /// Does it tell anybody but single persons?
    pub fn has_readers(&self) -> bool {
        !self.to.is_empty()
    }

    /// What must not be repeated: the password, and how it looks on the line.
    pub fn secrets(&self) -> Vec<Secret> {
        let Some((user, password)) = &self.mailer.login else { return Vec::new() };
        let word = password.word();
        let plain = BASE64.encode(format!("\0{user}\0{word}"));
        vec![plain.into(), BASE64.encode(word).into(), password.clone()]
    }

    /// Delivers once.
    pub async fn deliver(&self, letter: &Letter) -> Result<(), Trouble> {
        let message = self.message(letter)?;
        self.mailer.send(message.envelope(), &message.formatted()).await
    }

    fn message(&self, letter: &Letter) -> Result<Message, Trouble> {
        let to = match &letter.person {
            Some(person) => {
                let address = person.parse().map_err(|_| "this is no e-mail address".to_owned())?;
                vec![Mailbox::new(None, address)]
            }
            None => self.to.clone(),
        };
        let mut message = Message::builder()
            .from(self.from.clone())
            .subject(&letter.notice.subject)
            .date(UNIX_EPOCH + Duration::from_millis(letter.made_at.0))
            .message_id(Some(self.message_id(letter)))
            .raw_header(HeaderValue::new(AUTO_SUBMITTED, "auto-generated".into()))
            .header(ContentType::TEXT_PLAIN);
        for reader in to {
            message = message.to(reader);
        }
        let text = letter.body_and_link(TEXT_MAX, char::len_utf8);
        Ok(message.body(text).map_err(|error| format!("this is no letter: {error}"))?)
    }

    /// The same for the same letter, so that a mailbox can tell a repeated one.
    fn message_id(&self, letter: &Letter) -> String {
        let name = format!("{}\0{:?}\0{}", letter.notice.once, letter.person, letter.made_at.0);
        let digest = Sha256::digest(name.as_bytes());
        let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        format!("<{hex}@{}>", self.from.email.domain())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, Notice};
    use super::*;
    use crate::certified::{CERTIFICATE, acceptor};
    use accounting::UnixMs;
    use lettre::transport::smtp::client::Certificate;
    use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufStream};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::task::JoinHandle;

    /// Answers commands until one is `last`; gives all of them.
    async fn converse<S>(stream: S, greets: bool, last: &str) -> (S, Vec<String>)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut stream = BufStream::new(stream);
        let mut heard = Vec::new();
        if greets {
            stream.write_all(b"220 here\r\n").await.unwrap();
            stream.flush().await.unwrap();
        }
        let mut is_letter = false;
        loop {
            let mut line = String::new();
            assert!(stream.read_line(&mut line).await.unwrap() > 0, "gone after {heard:?}");
            let line = line.trim_end().to_owned();
            let answer = match line.split(' ').next().unwrap() {
                "." => "250 taken",
                _ if is_letter => "",
                "EHLO" => "250-here\r\n250-STARTTLS\r\n250 AUTH PLAIN",
                "DATA" => "354 go on",
                "AUTH" => "235 yes",
                _ => "250 yes",
            };
            is_letter = line == "DATA" || (is_letter && line != ".");
            if !answer.is_empty() {
                stream.write_all(format!("{answer}\r\n").as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
            }
            let is_last = line == last;
            heard.push(line);
            if is_last {
                return (stream.into_inner(), heard);
            }
        }
    }

    async fn server(security: Security) -> (u16, JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            let (mut stream, _): (TcpStream, _) = listener.accept().await.unwrap();
            let mut plain = Vec::new();
            if security == Security::Starttls {
                (stream, plain) = converse(stream, true, "STARTTLS").await;
            }
            assert!(plain.iter().all(|line| !line.starts_with("AUTH")), "{plain:?}");
            let stream = acceptor().accept(stream).await.unwrap();
            converse(stream, security == Security::Tls, ".").await.1
        });
        (port, task)
    }

    fn letter() -> Letter {
        let notice = Notice {
            once: "a".into(),
            kind: Kind::NodeDown,
            subject: "A node".into(),
            body: "is down".into(),
            link: None,
        };
        Letter { notice, made_at: UnixMs(1_700_000_000_000), person: None }
    }

    fn smtp(port: u16, security: Security, is_trusted: bool) -> Smtp {
        let (user, word) = (Some("pool".into()), Some("open sesame".into()));
        let mut mailer = Mailer::new("localhost".into(), Some(port), security, user, word).unwrap();
        if is_trusted {
            let root = Certificate::from_pem(CERTIFICATE).unwrap();
            let tls = TlsParameters::builder("localhost".into()).add_root_certificate(root);
            mailer.tls = tls.build().unwrap();
        }
        Smtp::new(mailer, "pool@example.org", &["op@example.org".into()]).unwrap()
    }

    #[tokio::test]
    async fn letters_and_passwords_travel_encrypted_from_the_start_or_after_starttls() {
        for security in [Security::Tls, Security::Starttls] {
            let (port, heard) = server(security).await;
            smtp(port, security, true).deliver(&letter()).await.unwrap();
            let heard = heard.await.unwrap();
            // What AUTH PLAIN says is "\0pool\0open sesame".
            assert!(heard.contains(&"AUTH PLAIN AHBvb2wAb3BlbiBzZXNhbWU=".into()), "{heard:?}");
            assert!(heard.contains(&"is down".into()), "{heard:?}");
        }
    }

    #[tokio::test]
    async fn a_mail_server_that_nobody_vouches_for_is_refused() {
        for security in [Security::Tls, Security::Starttls] {
            let (port, heard) = server(security).await;
            let trouble = smtp(port, security, false).deliver(&letter()).await.unwrap_err();
            assert!(trouble.what.contains("certificate"), "{trouble:?}");
            assert!(heard.await.is_err());
        }
    }
}
