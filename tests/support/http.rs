//! HTTP as a plain client sees it: a status, headers and a body, whatever the status is.

use serde_json::Value;
use std::time::Duration;
use ureq::http::Response;
use ureq::{Agent, Body, Error};

/// Every sample of a minute as JSON is a few MiB; this is far above and still ends a runaway answer.
const BODY_BYTES_MAX: u64 = 1 << 30;

/// A status, headers and a body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    /// The value of a header, by its name in lowercase.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// GET with parameters, which are percent-encoded; an error only when nothing answers.
pub(crate) fn get(url: &str, parameters: &[(&str, &str)]) -> Result<Answer, Error> {
    let request = agent().get(url).query_pairs(parameters.iter().copied());
    request.call().and_then(read)
}

/// The body of an answer 200 as JSON; panics with the answer otherwise.
pub(crate) fn get_json(url: &str, parameters: &[(&str, &str)]) -> Value {
    let answer = get(url, parameters).unwrap_or_else(|error| panic!("{url} {parameters:?}: {error}"));
    assert_eq!(answer.status, 200, "{url} {parameters:?}: {}", answer.body);
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{url} {parameters:?}: {error}"))
}

/// GET with headers; an error only when nothing answers.
pub(crate) fn get_with(url: &str, headers: &[(&str, &str)]) -> Result<Answer, Error> {
    let request = agent().get(url);
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).call().and_then(read)
}

/// POST of a body with headers; an error only when nothing answers.
pub(crate) fn post(url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer, Error> {
    let request = agent().post(url);
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send(body).and_then(read)
}

/// A request of any method with headers and a body; an error only when nothing answers.
pub(crate) fn request(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer, Error> {
    let request = ureq::http::Request::builder().method(method).uri(url);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let request = request.body(body).expect("method, address and headers are those of a test");
    agent().run(request).and_then(read)
}

/// POST of a form; an error only when nothing answers.
pub(crate) fn post_form(url: &str, parameters: &[(&str, &str)]) -> Result<Answer, Error> {
    agent().post(url).send_form(parameters.iter().copied()).and_then(read)
}

/// DELETE; an error only when nothing answers.
pub(crate) fn delete(url: &str) -> Result<Answer, Error> {
    agent().delete(url).call().and_then(read)
}

fn agent() -> Agent {
    // A proxy of the environment would be asked for a loopback address of its own.
    let settings = Agent::config_builder().proxy(None).http_status_as_error(false);
    settings.timeout_global(Some(Duration::from_secs(60))).build().new_agent()
}

fn read(mut response: Response<Body>) -> Result<Answer, Error> {
    let body = response.body_mut().with_config().limit(BODY_BYTES_MAX).read_to_string()?;
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let headers = response.headers().iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect();
    Ok(Answer { status: response.status().as_u16(), headers, body })
}
