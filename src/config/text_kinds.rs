//! Settings that are any text.
//!
//! Not here: numbers, sizes and spans (see `kinds`).

use super::kinds::Kind;

/// Any text, or none.
pub(super) struct Text;

impl Kind for Text {
    type Value = String;

    fn noun() -> String {
        "text".to_owned()
    }

    fn form() -> String {
        "a text".to_owned()
    }

    fn parse(text: &str) -> Result<String, String> {
        Ok(text.to_owned())
    }

    fn text(value: &String) -> String {
        value.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_kept_as_it_is() {
        for text in ["", "http://a:9090/", " x "] {
            assert_eq!(Text::text(&Text::parse(text).unwrap()), text);
        }
    }
}
