//! What requests are answered: JSON, or an error that says what was wrong with which field.
//!
//! Not here: the shapes of answers (see `shapes`).

use crate::anomaly::book::BookError;
use crate::query::QueryError;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};
use storage::StoreError;

/// What callers are told to wait before they try again.
const RETRY_AFTER_S: &str = "1";

/// A finished JSON text.
#[derive(Debug)]
pub(super) struct Text(String);

impl Text {
    /// Of what is JSON already.
    pub(super) fn finished(text: String) -> Self {
        Self(text)
    }

    /// Of anything that has a shape; to be called where it may take a while.
    pub(super) fn of(shape: &impl Serialize) -> Result<Self, ApiError> {
        serde_json::to_string(shape).map(Self).map_err(|error| ApiError::internal(&error))
    }
}

impl IntoResponse for Text {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, "application/json")], self.0).into_response()
    }
}

/// Why a request is not answered as it wished.
#[derive(Debug)]
pub(in crate::api) struct ApiError {
    status: StatusCode,
    message: String,
    more: Map<String, Value>,
}

impl ApiError {
    /// An error of any status.
    pub(in crate::api) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), more: Map::new() }
    }

    /// The request makes no sense as a whole.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// A field or parameter makes no sense.
    pub(super) fn field(field: &str, what: impl std::fmt::Display) -> Self {
        Self::bad(format!("{field}: {what}")).with("field", field)
    }

    /// There is nothing of that name.
    pub(super) fn unknown(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// It is there already, or belongs to somebody else.
    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }

    /// Understood, but more than can be answered, or nothing that an answer could be made of.
    pub(super) fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    }

    /// The body is longer than `bytes`.
    pub(super) fn too_large(bytes: usize) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, format!("body is larger than {bytes} bytes"))
    }

    /// Try again later.
    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    /// Something of ours failed; what it was is in the log alone.
    pub(super) fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error, see the server's log")
    }

    /// Whether this field is what makes no sense.
    pub(super) fn names_field(&self, field: &str) -> bool {
        self.more.get("field").is_some_and(|named| named == field)
    }

    /// The same complaint about a field of another name.
    pub(super) fn renamed(mut self, field: &str) -> Self {
        if let Some(Value::String(before)) = self.more.insert("field".to_owned(), field.into()) {
            self.message = self.message.replacen(&before, field, 1);
        }
        self
    }

    /// The same with one more field.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::BadMatcher { .. } => Self::field("match", error),
            error => Self::internal(&error),
        }
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::BadData(what) => Self::field("match", what),
            QueryError::Execution(what) => Self::unprocessable(what),
            QueryError::Timeout | QueryError::Canceled | QueryError::Crowded => Self::unavailable(error.to_string()),
            QueryError::Store(error) => error.into(),
        }
    }
}

impl From<BookError> for ApiError {
    fn from(error: BookError) -> Self {
        match error {
            BookError::Unknown => Self::unknown(error.to_string()),
            BookError::NotStored(_) | BookError::Busy => Self::unavailable(error.to_string()),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = Map::from_iter([("error".to_owned(), Value::from(self.message))]);
        body.extend(self.more);
        let mut response = (self.status, axum::Json(body)).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static(RETRY_AFTER_S));
        }
        response
    }
}

/// The answer for paths that nobody serves.
pub async fn not_found() -> Response {
    ApiError::unknown("no such path; docs/api.md lists what there is").into_response()
}

/// The answer for paths that serve other methods.
pub async fn wrong_method() -> Response {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not serve this method").into_response()
}
