//! A mail server that takes every mail but those to nobody.

use std::time::Duration;

use bursar_local::inbox::Contents;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct MailServer {
    /// Its host and port.
    pub(crate) address: String,
    mails: Mutex<Mails>,
    task: JoinHandle<()>,
}

/// By their recipients.
struct Mails {
    arriving: UnboundedReceiver<(String, Contents)>,
    arrived: Vec<(String, Contents)>,
}

impl MailServer {
    pub(crate) async fn start() -> MailServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (sender, receiver) = unbounded_channel();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, sender.clone()));
            }
        });
        MailServer {
            address,
            mails: Mutex::new(Mails {
                arriving: receiver,
                arrived: Vec::new(),
            }),
            task,
        }
    }

    /// Waits for the first mail of a kind to an address, and returns its text.
    pub(crate) async fn mail(&self, to: &str, kind: &str) -> String {
        let mut mails = self.mails.lock().await;
        loop {
            let mut known = mails.arrived.iter().rev();
            let is_meant = |(recipient, mail): &&(String, Contents)| {
                recipient.eq_ignore_ascii_case(to) && mail.kind.as_deref() == Some(kind)
            };
            if let Some((_, mail)) = known.find(is_meant) {
                return mail.text.clone().unwrap();
            }
            let mail = tokio::time::timeout(PATIENCE, mails.arriving.recv()).await;
            mails.arrived.push(
                mail.unwrap_or_else(|_| panic!("no {kind} mail comes to {to}"))
                    .unwrap(),
            );
        }
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn converse(stream: TcpStream, mails: UnboundedSender<(String, Contents)>) {
    let mut stream = BufReader::new(stream);
    let mut recipient = String::new();
    let mut answer = "220 test\r\n".to_owned();
    while stream.write_all(answer.as_bytes()).await.is_ok() {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        let command = line.split([' ', ':', '\r']).next().unwrap();
        answer = match command {
            "RCPT" if line.contains("nobody") => "550 5.1.1 no such person\r\n".to_owned(),
            "RCPT" => {
                recipient = line.split(['<', '>']).nth(1).unwrap().to_owned();
                "250 ok\r\n".to_owned()
            }
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await.unwrap();
                let mut raw = String::new();
                while !raw.ends_with("\r\n.\r\n")
                    && stream.read_line(&mut raw).await.unwrap_or(0) > 0
                {}
                mails
                    .send((recipient.clone(), Contents::parse(raw.as_bytes())))
                    .ok();
                "250 taken\r\n".to_owned()
            }
            _ => "250 ok\r\n".to_owned(),
        };
    }
}
