//! A server for tests that answers each request with exactly the bytes, or the fault, of the test's script.
//! It knows nothing of the provider or of AWS.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct SeenRequest {
    pub method: String,
    /// The path and the query.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// The number of the connection, from 1.
    pub connection: usize,
}

/// The script's reaction to a request.
pub(crate) enum ScriptedAct {
    Answer(ScriptedAnswer),
    /// Closes the connection without a byte.
    Drop,
    /// Never answers.
    Hang,
}

pub(crate) struct ScriptedAnswer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    /// The number of bytes of the body that are sent before the connection closes.
    cut: Option<usize>,
}

/// A running server; it ends with the test's runtime.
pub(crate) struct Scripted {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<SeenRequest>>>,
    arrived: watch::Receiver<usize>,
}

pub(crate) fn answer(status: u16, body: &str) -> ScriptedAnswer {
    ScriptedAnswer {
        status,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: body.to_owned(),
        cut: None,
    }
}

impl ScriptedAnswer {
    pub(crate) fn with(mut self, name: &str, value: &str) -> ScriptedAnswer {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn cut_after(mut self, bytes: usize) -> ScriptedAnswer {
        self.cut = Some(bytes);
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} Scripted\r\ncontent-length: {}\r\n", self.status, self.body.len());
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let body = &self.body.as_bytes()[..self.cut.unwrap_or(self.body.len())];
        [head.as_bytes(), b"\r\n", body].concat()
    }
}

impl From<ScriptedAnswer> for ScriptedAct {
    fn from(answer: ScriptedAnswer) -> ScriptedAct {
        ScriptedAct::Answer(answer)
    }
}

impl SeenRequest {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let known = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        known.map(|(_, value)| value.as_str())
    }

    /// The method and the target: `GET /keys?offset=0`.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }

    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        let (_, query) = self.target.split_once('?')?;
        query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }
}

impl Scripted {
    /// Starts a server whose script is called once for each request, with the number of requests before it.
    pub(crate) async fn start<A: Into<ScriptedAct>>(
        mut script: impl FnMut(&SeenRequest, usize) -> A + Send + 'static,
    ) -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (arrive, arrived) = watch::channel(0);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let script = Arc::new(Mutex::new(move |request: &SeenRequest, before| script(request, before).into()));
        let shared = Arc::clone(&seen);
        tokio::spawn(async move {
            for connection in 1.. {
                let (stream, _) = listener.accept().await.unwrap();
                let (script, seen, arrive) = (Arc::clone(&script), Arc::clone(&shared), arrive.clone());
                tokio::spawn(async move {
                    serve(stream, connection, |request| {
                        let mut seen = seen.lock().unwrap();
                        let act = (script.lock().unwrap())(&request, seen.len());
                        seen.push(request);
                        arrive.send_replace(seen.len());
                        act
                    })
                    .await;
                });
            }
        });
        Scripted { address, seen, arrived }
    }

    /// The origin: `http://127.0.0.1:1234`.
    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<SeenRequest> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen().iter().map(SeenRequest::line).collect()
    }

    /// Waits until so many requests have arrived.
    pub(crate) async fn arrived(&self, count: usize) {
        self.arrived.clone().wait_for(|arrived| *arrived >= count).await.unwrap();
    }
}

/// Answers the requests of one connection, in turn.
async fn serve(mut stream: TcpStream, connection: usize, mut act: impl FnMut(SeenRequest) -> ScriptedAct) {
    let mut bytes = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut bytes, connection).await {
        match act(request) {
            ScriptedAct::Answer(answer) => {
                let _ = stream.write_all(&answer.bytes()).await;
                if answer.cut.is_some() {
                    return;
                }
            }
            ScriptedAct::Drop => return,
            ScriptedAct::Hang => {
                // Until the client gives up.
                let _ = stream.read(&mut [0]).await;
                return;
            }
        }
    }
}

async fn read_request(stream: &mut TcpStream, bytes: &mut Vec<u8>, connection: usize) -> Option<SeenRequest> {
    loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..at].to_vec()).ok()?;
            let mut lines = head.split("\r\n");
            let (method, rest) = lines.next()?.split_once(' ')?;
            let (target, _) = rest.split_once(' ')?;
            let headers: Vec<(String, String)> = lines
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            let mut request = SeenRequest {
                method: method.to_owned(),
                target: target.to_owned(),
                headers,
                body: String::new(),
                connection,
            };
            let length = request.header("content-length").map_or(Some(0), |text| text.parse().ok())?;
            let end = at + 4 + length;
            if bytes.len() >= end {
                request.body = String::from_utf8(bytes[at + 4..end].to_vec()).ok()?;
                bytes.drain(..end);
                return Some(request);
            }
        }
        let mut more = [0; 4096];
        match stream.read(&mut more).await {
            Ok(read) if read > 0 => bytes.extend_from_slice(&more[..read]),
            _ => return None,
        }
    }
}
