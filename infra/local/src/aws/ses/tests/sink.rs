//! A mail server for tests: accepts mails, or refuses at one command, and remembers them as a real server
//! would read them.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// The replies of the server.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reply {
    Take,
    /// Replies with this text to that command (`.`: the end of the data); an empty text closes the
    /// connection.
    Refuse(&'static str, &'static str),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Taken {
    pub(super) from: String,
    pub(super) to: Vec<String>,
    pub(super) data: Vec<u8>,
}

pub(super) struct Sink {
    address: std::net::SocketAddr,
    taken: Arc<Mutex<Vec<Taken>>>,
}

impl Sink {
    pub(super) async fn open(reply: Reply) -> Sink {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let all = taken.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, reply, all.clone()));
            }
        });
        Sink { address, taken }
    }

    pub(super) fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    pub(super) fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap().clone()
    }
}

async fn converse(stream: TcpStream, reply: Reply, all: Arc<Mutex<Vec<Taken>>>) {
    let mut stream = BufReader::new(stream);
    let mut mail = Taken::default();
    stream.write_all(b"220 sink\r\n").await.unwrap();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        let (command, rest) = line.trim_end().split_once([' ', ':']).unwrap_or((line.trim_end(), ""));
        let path = || rest.split_once(':').map_or(rest, |(_, path)| path).split(' ').next().unwrap().to_owned();
        let answer = match (command, reply) {
            (command, Reply::Refuse(at, answer)) if command == at => answer,
            ("DATA", _) => {
                stream.write_all(b"354 go on\r\n").await.unwrap();
                mail.data = data(&mut stream).await;
                match reply {
                    Reply::Refuse(".", answer) => answer,
                    _ => {
                        all.lock().unwrap().push(std::mem::take(&mut mail));
                        "250 taken"
                    }
                }
            }
            ("MAIL", _) => {
                mail.from = path();
                "250 ok"
            }
            ("RCPT", _) => {
                mail.to.push(path());
                "250 ok"
            }
            ("QUIT", _) => "221 bye",
            _ => "250 8BITMIME",
        };
        if answer.is_empty() || stream.write_all(format!("{answer}\r\n").as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The message as RFC 5321 has a server read it: lines until a single dot, with one leading dot removed.
async fn data(stream: &mut BufReader<TcpStream>) -> Vec<u8> {
    let mut data = Vec::new();
    loop {
        let mut line = Vec::new();
        stream.read_until(b'\n', &mut line).await.unwrap();
        if line == b".\r\n" || line.is_empty() {
            return data;
        }
        data.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
}
