//! Compresses answers for clients that take gzip or zstd, piece by piece as they are written.
//!
//! Cost sketch: gzip 3-5 ns a byte of JSON, which becomes a tenth; a piece of 64 KiB holds its thread for a third of a
//! millisecond. Of zstd each piece is a frame of its own, of which a stream may have many (RFC 8878, 3).
//!
//! Not here: which answers there are. Other encodings: every client takes one of these.

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::body::Frame;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Shorter bodies fit a packet as they are.
const BYTES_MIN: u64 = 1024;

/// The same routes with compressed answers for those who ask for them.
pub fn encoded<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    router.layer(middleware::from_fn(compress))
}

async fn compress(request: Request, next: Next) -> Response {
    let encoding = wanted(request.headers());
    let mut response = next.run(request).await;
    response.headers_mut().append(header::VARY, HeaderValue::from_static("accept-encoding"));
    let is_long = response.body().size_hint().exact().is_none_or(|bytes| bytes >= BYTES_MIN);
    let Some(encoding) = encoding.filter(|_| is_long) else { return response };
    let headers = response.headers_mut();
    if headers.contains_key(header::CONTENT_ENCODING) || headers.get(header::CONTENT_TYPE).is_some_and(is_live) {
        return response;
    }
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding.name()));
    response.map(|body| Body::new(Encoded { body, encoder: Some(encoding.encoder()) }))
}

/// Whether an answer is read as it happens, so that nothing of it may be held back.
fn is_live(content_type: &HeaderValue) -> bool {
    content_type.as_bytes().starts_with(b"text/event-stream")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Gzip,
    Zstd,
}

impl Encoding {
    const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    fn encoder(self) -> Encoder {
        match self {
            Self::Gzip => Encoder::Gzip(Box::new(GzEncoder::new(Vec::new(), Compression::fast()))),
            Self::Zstd => Encoder::Zstd,
        }
    }
}

/// The encoding that the client likes best, gzip among equals; none if it takes neither.
fn wanted(headers: &HeaderMap) -> Option<Encoding> {
    let listed = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let (mut any, mut gzip, mut zstd) = (None, None, None);
    for item in listed.flat_map(|list| list.split(',')) {
        let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
        let quality = parameters.trim().strip_prefix("q=").and_then(|q| q.trim().parse::<f32>().ok()).unwrap_or(1.0);
        match name.trim() {
            name if name.eq_ignore_ascii_case("gzip") => gzip = Some(quality),
            name if name.eq_ignore_ascii_case("zstd") => zstd = Some(quality),
            "*" => any = Some(quality),
            _ => {}
        }
    }
    // Whoever takes anything takes gzip; zstd is for those who name it.
    let (gzip, zstd) = (gzip.or(any).unwrap_or(0.0), zstd.unwrap_or(0.0));
    match () {
        () if gzip > 0.0 && gzip >= zstd => Some(Encoding::Gzip),
        () if zstd > 0.0 => Some(Encoding::Zstd),
        () => None,
    }
}

enum Encoder {
    Gzip(Box<GzEncoder<Vec<u8>>>),
    Zstd,
}

impl Encoder {
    /// What there is to send after these bytes; nothing may be.
    fn take(&mut self, data: &[u8]) -> std::io::Result<Vec<u8>> {
        match self {
            Self::Gzip(encoder) => {
                encoder.write_all(data)?;
                Ok(std::mem::take(encoder.get_mut()))
            }
            Self::Zstd if data.is_empty() => Ok(Vec::new()),
            Self::Zstd => Ok(compress_to_vec(data, CompressionLevel::Fastest)),
        }
    }

    /// What there is to send at the end.
    fn finish(self) -> std::io::Result<Vec<u8>> {
        match self {
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd => Ok(Vec::new()),
        }
    }
}

/// A body on its way through the encoder, which is gone once the last bytes are written.
struct Encoded {
    body: Body,
    encoder: Option<Encoder>,
}

impl HttpBody for Encoded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        loop {
            let Some(mut encoder) = self.encoder.take() else { return Poll::Ready(None) };
            match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Pending => {
                    self.encoder = Some(encoder);
                    return Poll::Pending;
                }
                // Without the encoder nothing more is sent: what was cut off must not end like a whole text.
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => {
                    let written = encoder.finish().map_err(axum::Error::new);
                    return Poll::Ready(Some(written.map(|bytes| Frame::data(Bytes::from(bytes)))));
                }
                Poll::Ready(Some(Ok(frame))) => {
                    let Ok(data) = frame.into_data() else {
                        self.encoder = Some(encoder);
                        continue;
                    };
                    match encoder.take(&data) {
                        Err(error) => return Poll::Ready(Some(Err(axum::Error::new(error)))),
                        Ok(compressed) => {
                            self.encoder = Some(encoder);
                            if !compressed.is_empty() {
                                return Poll::Ready(Some(Ok(Frame::data(Bytes::from(compressed)))));
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::to_bytes;
    use axum::routing::get;
    use flate2::read::GzDecoder;
    use std::io::Read;
    use tower::ServiceExt;

    async fn ask(encodings: Option<&str>, text: &'static str) -> Response {
        let router = encoded(Router::new().route("/", get(move || async move { text })));
        let mut request = Request::get("/");
        if let Some(encodings) = encodings {
            request = request.header(header::ACCEPT_ENCODING, encodings);
        }
        router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    fn long() -> &'static str {
        "[1700000000,\"42\"],".repeat(10_000).leak()
    }

    #[tokio::test]
    async fn a_long_answer_comes_compressed_and_whole() {
        let response = ask(Some("deflate, gzip;q=0.8"), long()).await;
        assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip");
        assert!(!response.headers().contains_key(header::CONTENT_LENGTH));
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        assert!(body.len() < long().len() / 20);
        let mut text = String::new();
        GzDecoder::new(&body[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text, long());
    }

    #[tokio::test]
    async fn who_names_zstd_and_likes_it_better_gets_it() {
        let response = ask(Some("gzip;q=0.5, zstd"), long()).await;
        assert_eq!(response.headers()[header::CONTENT_ENCODING], "zstd");
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        assert!(body.len() < long().len() / 20);
        let mut text = String::new();
        ruzstd::decoding::StreamingDecoder::new(&body[..]).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, long());
        let of = |encodings: &str| {
            let value = HeaderValue::from_str(encodings).unwrap();
            wanted(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, value)]))
        };
        assert_eq!([of("zstd, gzip"), of("*")], [Some(Encoding::Gzip); 2]);
        assert_eq!([of("zstd;q=0"), of("zstd, *;q=0")], [None, Some(Encoding::Zstd)]);
    }

    #[tokio::test]
    async fn others_get_it_as_it_is() {
        for (encodings, text) in
            [(None, long()), (Some("br"), long()), (Some("gzip;q=0, *"), long()), (Some("gzip"), "short")]
        {
            let response = ask(encodings, text).await;
            assert!(!response.headers().contains_key(header::CONTENT_ENCODING), "{encodings:?}");
            assert_eq!(response.headers()[header::VARY], "accept-encoding");
            assert_eq!(to_bytes(response.into_body(), 1 << 20).await.unwrap(), text);
        }
    }

    #[tokio::test]
    async fn an_answer_that_fails_on_the_way_does_not_end_well() {
        struct Failing(bool);
        impl HttpBody for Failing {
            type Data = Bytes;
            type Error = std::io::Error;
            fn poll_frame(
                mut self: Pin<&mut Self>,
                _: &mut Context<'_>,
            ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
                let begun = std::mem::replace(&mut self.0, true);
                Poll::Ready(Some(if begun { Err(std::io::Error::other("cut")) } else { Ok(Frame::data("x".into())) }))
            }
        }
        let router = encoded(Router::<()>::new().route("/", get(|| async { Body::new(Failing(false)) })));
        let request = Request::get("/").header(header::ACCEPT_ENCODING, "gzip").body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        assert!(to_bytes(response.into_body(), 1 << 20).await.is_err());
    }
}
