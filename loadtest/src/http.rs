//! A keep-alive HTTP/1.1 client over a plain socket that sends requests built beforehand.
//!
//! What an ordinary client does per request (parse addresses, build heads, allocate) would be measured as the
//! server's. Not here: TLS, redirects, proxies; what to do about an answer (see `sender`).
//!
//! Invariant: after an error the connection is gone; the next exchange opens a new one.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// A server that says nothing for this long is taken for dead; a compaction of a large store answers late.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);
/// No head of a sensible server is longer.
const HEAD_BYTES_MAX: u64 = 64 << 10;

/// Where a server listens, and what stands before its paths.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Address {
    /// Host and port.
    pub(crate) authority: String,
    /// Empty, or a path without the last slash.
    pub(crate) prefix: String,
}

impl Address {
    /// From `http://HOST:PORT` or `http://HOST:PORT/PREFIX`.
    ///
    /// # Errors
    /// When the URL has another form.
    pub(crate) fn parse(url: &str) -> Result<Address> {
        let rest = url.strip_prefix("http://").with_context(|| format!("{url}: a URL has to begin with http://"))?;
        let (authority, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let port = authority.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        ensure!(port.is_some(), "{url}: a URL has to name the port, as in http://127.0.0.1:8080");
        let prefix = prefix.trim_end_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("/{prefix}") };
        Ok(Address { authority: authority.to_owned(), prefix })
    }

    /// A request for a path with query parameters.
    pub(crate) fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Vec<u8> {
        let mut target = format!("{}{path}", self.prefix);
        for (index, (name, value)) in parameters.iter().enumerate() {
            target.push(if index == 0 { '?' } else { '&' });
            target.push_str(&percent_encoded(name));
            target.push('=');
            target.push_str(&percent_encoded(value));
        }
        format!("GET {target} HTTP/1.1\r\nHost: loadtest\r\n\r\n").into_bytes()
    }

    /// A request that posts a body to a path.
    pub(crate) fn post(&self, path: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
        let head = format!(
            "POST {}{path} HTTP/1.1\r\nHost: loadtest\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
            self.prefix,
            body.len()
        );
        [head.as_bytes(), body].concat()
    }

    /// A request that posts nothing to a path.
    pub(crate) fn post_empty(&self, path: &str) -> Vec<u8> {
        format!("POST {}{path} HTTP/1.1\r\nHost: loadtest\r\nContent-Length: 0\r\n\r\n", self.prefix).into_bytes()
    }
}

fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Response<'a> {
    /// The status code.
    pub(crate) status: u16,
    /// The header Retry-After, in seconds.
    pub(crate) retry_after_s: Option<u64>,
    /// The body, without any chunk framing.
    pub(crate) body: &'a [u8],
}

impl Response<'_> {
    /// Whether the status is 2xx.
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Status and the begin of the body, for messages.
    pub(crate) fn summary(&self) -> String {
        let text = String::from_utf8_lossy(&self.body[..self.body.len().min(300)]);
        format!("{} {}", self.status, text.trim())
    }
}

/// One connection, opened when needed.
#[derive(Debug)]
pub(crate) struct Client {
    authority: String,
    stream: Option<BufReader<TcpStream>>,
    body: Vec<u8>,
}

impl Client {
    /// Opens nothing yet.
    pub(crate) fn new(address: &Address) -> Client {
        Client { authority: address.authority.clone(), stream: None, body: Vec::new() }
    }

    /// Sends a whole request and reads the whole answer.
    ///
    /// # Errors
    /// When there is no connection to be had, it breaks, or what comes is not HTTP.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> Result<Response<'_>, Error> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => connect(&self.authority)?,
        };
        stream.get_mut().write_all(request)?;
        let head = loop {
            let head = read_head(&mut stream)?;
            if head.status >= 200 {
                break head;
            }
        };
        self.body.clear();
        read_body(&mut stream, &head, &mut self.body)?;
        if !head.close {
            self.stream = Some(stream);
        }
        Ok(Response { status: head.status, retry_after_s: head.retry_after_s, body: &self.body })
    }

    /// Sends a request of which the answer has to be 2xx, and gives its body.
    ///
    /// # Errors
    /// As `exchange`, and on any other status.
    pub(crate) fn fetch(&mut self, request: &[u8]) -> Result<&[u8]> {
        let line = String::from_utf8_lossy(request.split(|&byte| byte == b'\r').next().unwrap_or_default());
        let line = line.trim_end_matches(" HTTP/1.1").to_owned();
        let response = self.exchange(request).with_context(|| line.clone())?;
        ensure!(response.is_success(), "{line}: answered {}", response.summary());
        Ok(response.body)
    }
}

fn connect(authority: &str) -> Result<BufReader<TcpStream>, Error> {
    let stream = TcpStream::connect(authority)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
    Ok(BufReader::with_capacity(64 << 10, stream))
}

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, PartialEq)]
enum BodyEnd {
    Length(u64),
    Chunked,
    Close,
}

#[derive(Debug)]
struct Head {
    status: u16,
    body_end: BodyEnd,
    close: bool,
    retry_after_s: Option<u64>,
}

fn read_head(stream: &mut impl BufRead) -> Result<Head, Error> {
    let mut limited = stream.take(HEAD_BYTES_MAX);
    let status_line = read_line(&mut limited)?;
    let mut words = status_line.split(' ');
    let version = words.next().unwrap_or_default();
    let status = words.next().and_then(|word| word.parse().ok()).ok_or_else(|| malformed(&status_line))?;
    if !version.starts_with("HTTP/1.") {
        return Err(malformed(&status_line));
    }
    let no_body = matches!(status, 100..200 | 204 | 304);
    let body_end = if no_body { BodyEnd::Length(0) } else { BodyEnd::Close };
    let mut head = Head { status, body_end, close: version == "HTTP/1.0", retry_after_s: None };
    loop {
        let line = read_line(&mut limited)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| malformed(&line))?;
        let value = value.trim().to_ascii_lowercase();
        match name.to_ascii_lowercase().as_str() {
            "content-length" if head.body_end == BodyEnd::Close => {
                head.body_end = BodyEnd::Length(value.parse().map_err(|_| malformed(&line))?);
            }
            "transfer-encoding" if !no_body && value == "chunked" => head.body_end = BodyEnd::Chunked,
            "connection" => head.close = value == "close",
            "retry-after" => head.retry_after_s = value.parse().ok(),
            _ => {}
        }
    }
    head.close |= head.body_end == BodyEnd::Close;
    Ok(head)
}

fn read_body(stream: &mut impl BufRead, head: &Head, out: &mut Vec<u8>) -> Result<(), Error> {
    match head.body_end {
        BodyEnd::Length(length) => read_exactly(stream, length, out),
        BodyEnd::Close => stream.read_to_end(out).map(|_| ()),
        BodyEnd::Chunked => loop {
            let line = read_line(&mut stream.take(HEAD_BYTES_MAX))?;
            let digits = line.split(';').next().unwrap_or_default().trim();
            let length = u64::from_str_radix(digits, 16).map_err(|_| malformed(&line))?;
            read_exactly(stream, length, out)?;
            if length == 0 {
                // Trailers, if any, end with an empty line, as a chunk's bytes do.
                while !read_line(&mut stream.take(HEAD_BYTES_MAX))?.is_empty() {}
                return Ok(());
            }
            read_line(&mut stream.take(HEAD_BYTES_MAX))?;
        },
    }
}

fn read_exactly(stream: &mut impl BufRead, length: u64, out: &mut Vec<u8>) -> Result<(), Error> {
    let read = stream.take(length).read_to_end(out)?;
    if read as u64 == length { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
}

/// A line without its end; an error when the stream ends before the line does.
fn read_line(stream: &mut impl BufRead) -> Result<String, Error> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    match line.strip_suffix('\n') {
        Some(line) => Ok(line.trim_end_matches('\r').to_owned()),
        None => Err(ErrorKind::UnexpectedEof.into()),
    }
}

fn malformed(line: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("not an HTTP/1.1 answer: {line:?}"))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread::{Builder, JoinHandle};

    use super::*;

    /// Answers each connection with its texts, one after each request head, and closes it after the last.
    fn serve(connections: Vec<Vec<&'static str>>) -> (Address, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let answer_all = move || {
            for answers in connections {
                let mut stream = BufReader::new(listener.accept().unwrap().0);
                for answer in answers {
                    while !read_line(&mut stream).unwrap().is_empty() {}
                    stream.get_mut().write_all(answer.as_bytes()).unwrap();
                }
            }
        };
        (address, Builder::new().spawn(answer_all).unwrap())
    }

    #[test]
    fn one_connection_carries_many_exchanges() {
        let (address, server) = serve(vec![vec![
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst",
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length:6\r\n\r\nsecond",
        ]]);
        let mut client = Client::new(&address);
        let request = address.get("/", &[]);
        assert_eq!(client.exchange(&request).unwrap().body, b"first");
        assert_eq!(client.exchange(&request).unwrap().status, 204);
        assert_eq!(client.exchange(&request).unwrap().body, b"second");
        server.join().unwrap();
    }

    #[test]
    fn a_chunked_body_is_put_together() {
        let (address, server) = serve(vec![vec![
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
             4;x=y\r\nwiki\r\nA\r\npedia, the\r\n0\r\nTrailer: t\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        ]]);
        let mut client = Client::new(&address);
        assert_eq!(client.exchange(&address.get("/", &[])).unwrap().body, b"wikipedia, the");
        assert_eq!(client.exchange(&address.get("/", &[])).unwrap().body, b"ok", "nothing is left over");
        server.join().unwrap();
    }

    #[test]
    fn a_refusal_is_an_answer_to_an_exchange_and_an_error_to_a_fetch() {
        let refusal = "HTTP/1.1 400 Bad Request\r\nContent-Length: 4\r\n\r\nno ";
        let retry = "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n";
        let (address, server) =
            serve(vec![vec![retry, "HTTP/1.1 400 Bad\r\nContent-Length: 3\r\n\r\nno\n"], vec![refusal]]);
        let mut client = Client::new(&address);
        let response = client.exchange(&address.get("/a", &[])).unwrap();
        assert_eq!((response.status, response.retry_after_s, response.is_success()), (503, Some(7), false));
        let error = client.fetch(&address.get("/b", &[("c", "d")])).unwrap_err();
        assert_eq!(error.to_string(), "GET /b?c=d: answered 400 no");
        let mut other = Client::new(&address);
        let cut_short = other.exchange(&address.get("/", &[])).unwrap_err();
        assert_eq!(cut_short.kind(), ErrorKind::UnexpectedEof);
        server.join().unwrap();
    }

    #[test]
    fn a_closed_connection_is_an_error_once_and_then_replaced() {
        let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        let (address, server) = serve(vec![vec![ok], vec![ok]]);
        let mut client = Client::new(&address);
        assert!(client.exchange(&address.get("/", &[])).is_ok());
        // The server closes only after its answer, so the first write may still succeed; the read then ends.
        assert!(client.exchange(&address.get("/", &[])).is_err());
        assert!(client.exchange(&address.get("/", &[])).is_ok());
        server.join().unwrap();
    }

    #[test]
    fn a_body_may_last_until_the_server_closes() {
        let (address, server) = serve(vec![
            vec!["HTTP/1.1 200 OK\r\n\r\nall of it"],
            vec!["HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"],
            vec!["HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nend"],
        ]);
        let mut client = Client::new(&address);
        assert_eq!(client.exchange(&address.get("/", &[])).unwrap().body, b"all of it");
        assert_eq!(client.exchange(&address.get("/", &[])).unwrap().body, b"ok");
        assert_eq!(client.exchange(&address.get("/", &[])).unwrap().body, b"end");
        server.join().unwrap();
    }

    #[test]
    fn what_is_not_http_is_an_error() {
        for answer in ["SSH-2.0-x\r\n", "HTTP/1.1 abc\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"] {
            let (address, server) = serve(vec![vec![answer]]);
            let error = Client::new(&address).exchange(&address.get("/", &[])).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{answer}");
            server.join().unwrap();
        }
    }

    #[test]
    fn addresses_have_a_host_a_port_and_perhaps_a_prefix() {
        let address = Address::parse("http://localhost:9090/prometheus/").unwrap();
        let request = String::from_utf8(address.get("/api/v1/query", &[("query", "a{b=\"c d\"}")])).unwrap();
        assert!(
            request.starts_with("GET /prometheus/api/v1/query?query=a%7Bb%3D%22c%20d%22%7D HTTP/1.1\r\n"),
            "{request}"
        );
        for url in ["https://localhost:1", "localhost:80", "http://localhost", "http://localhost:x"] {
            assert!(Address::parse(url).is_err(), "{url}");
        }
    }
}
