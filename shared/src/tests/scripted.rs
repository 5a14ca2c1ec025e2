//! A server for tests that answers each request with exactly the bytes, or the fault, of the test's
//! script. It knows nothing of the provider or of AWS.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Debug, Clone)]
pub(crate) struct SeenRequest {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// The number of the connection, from 1.
    pub connection: usize,
}

pub(crate) enum ScriptedAct {
    Answer {
        status: u16,
        headers: Vec<(String, String)>,
        body: String,
        /// The number of bytes of the body that are sent before the connection closes.
        cut: Option<usize>,
    },
    /// Closes the connection without a byte.
    Drop,
    Hang,
}

pub(crate) struct Scripted {
    address: SocketAddr,
    seen: Arc<watch::Sender<Vec<SeenRequest>>>,
}

pub(crate) fn answer(status: u16, body: &str) -> ScriptedAct {
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    ScriptedAct::Answer {
        status,
        headers,
        body: body.to_owned(),
        cut: None,
    }
}

impl ScriptedAct {
    pub(crate) fn with(mut self, name: &str, value: &str) -> ScriptedAct {
        if let ScriptedAct::Answer { headers, .. } = &mut self {
            headers.retain(|(header, _)| header != name);
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    pub(crate) fn cut_after(mut self, bytes: usize) -> ScriptedAct {
        if let ScriptedAct::Answer { cut, .. } = &mut self {
            *cut = Some(bytes);
        }
        self
    }
}

impl SeenRequest {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let header = self
            .headers
            .iter()
            .find(|(header, _)| header.eq_ignore_ascii_case(name));
        header.map(|(_, value)| value.as_str())
    }

    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }

    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        let (_, query) = self.target.split_once('?')?;
        query
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }
}

impl Scripted {
    /// Starts a server whose script is called once for each request, with the number of requests
    /// before it.
    pub(crate) async fn start(
        script: impl FnMut(&SeenRequest, usize) -> ScriptedAct + Send + 'static,
    ) -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Scripted {
            address,
            seen: Arc::new(watch::Sender::new(Vec::new())),
        };
        let script = Arc::new(Mutex::new(script));
        let seen = Arc::clone(&server.seen);
        tokio::spawn(async move {
            for connection in 1.. {
                let (stream, _) = listener.accept().await.unwrap();
                let script = Arc::clone(&script);
                let seen = Arc::clone(&seen);
                tokio::spawn(serve(BufReader::new(stream), connection, move |request| {
                    let mut script = script.lock().unwrap();
                    let before = seen.borrow().len();
                    let act = script(&request, before);
                    seen.send_modify(|seen| seen.push(request));
                    act
                }));
            }
        });
        server
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<SeenRequest> {
        self.seen.borrow().clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen().iter().map(SeenRequest::line).collect()
    }

    pub(crate) async fn arrived(&self, count: usize) {
        self.seen
            .subscribe()
            .wait_for(|seen| seen.len() >= count)
            .await
            .unwrap();
    }
}

async fn serve(
    mut stream: BufReader<TcpStream>,
    connection: usize,
    act: impl Fn(SeenRequest) -> ScriptedAct,
) {
    while let Some(request) = read_request(&mut stream, connection).await {
        match act(request) {
            ScriptedAct::Answer {
                status,
                headers,
                body,
                cut,
            } => {
                let headers: String = headers
                    .iter()
                    .map(|(name, value)| format!("{name}: {value}\r\n"))
                    .collect();
                let head = format!(
                    "HTTP/1.1 {status} Scripted\r\ncontent-length: {}\r\n{headers}\r\n",
                    body.len()
                );
                let sent = &body.as_bytes()[..cut.unwrap_or(body.len())];
                let _ = stream.write_all(&[head.as_bytes(), sent].concat()).await;
                if cut.is_some() {
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

async fn read_request(stream: &mut BufReader<TcpStream>, connection: usize) -> Option<SeenRequest> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        stream
            .read_line(&mut head)
            .await
            .ok()
            .filter(|read| *read > 0)?;
    }
    let mut lines = head.lines();
    let mut words = lines.next()?.split(' ');
    let method = words.next()?.to_owned();
    let target = words.next()?.to_owned();
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut request = SeenRequest {
        method,
        target,
        headers: headers.collect(),
        body: String::new(),
        connection,
    };
    let length = request
        .header("content-length")
        .map_or(Some(0), |text| text.parse().ok())?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    request.body = String::from_utf8(body).ok()?;
    Some(request)
}
