//! A receiver of webhooks on loopback that keeps what it is sent and answers as it is told.

use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    /// Header names in small letters.
    pub(crate) headers: BTreeMap<String, String>,
    /// The body as it came.
    pub(crate) text: String,
    /// The same as JSON.
    pub(crate) body: Value,
}

#[derive(Debug, Default)]
struct Kept {
    sent: Vec<Sent>,
    /// Statuses of the next answers; 200 when there are none, no answer at all for 0.
    answers: VecDeque<u16>,
}

/// The receiver.
#[derive(Debug)]
pub(crate) struct Sink {
    port: u16,
    kept: Arc<Mutex<Kept>>,
}

impl Sink {
    /// A receiver whose first answers have these statuses; 0 never answers.
    pub(crate) fn start(answers: &[u16]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let kept = Arc::new(Mutex::new(Kept { sent: Vec::new(), answers: answers.iter().copied().collect() }));
        let shared = kept.clone();
        let serve_all = move || {
            let mut hanging = Vec::new();
            for connection in listener.incoming().map_while(Result::ok) {
                if let Some(connection) = serve(connection, &shared) {
                    hanging.push(connection);
                }
            }
        };
        thread::Builder::new().name("sink".to_owned()).spawn(serve_all).expect("the system gives a thread");
        Self { port, kept }
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    /// What came so far.
    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.kept.lock().expect("no test panics while it holds this").sent.clone()
    }
}

/// Takes one request; gives the connection back if it is not to be answered.
fn serve(connection: TcpStream, kept: &Mutex<Kept>) -> Option<TcpStream> {
    let mut reader = BufReader::new(connection.try_clone().ok()?);
    let mut headers = BTreeMap::new();
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    let mut kept = kept.lock().ok()?;
    kept.sent.push(Sent { headers, text, body });
    let status = kept.answers.pop_front().unwrap_or(200);
    drop(kept);
    if status == 0 {
        return Some(connection);
    }
    let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    (&connection).write_all(answer.as_bytes()).ok()?;
    None
}
