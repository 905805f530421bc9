//! Numbers as text that names exactly them, for writing records down: JSON has no NaN and its readers may round.
//!
//! Not here: numbers in answers, which are null when they are not finite.

use serde::{Deserialize, Deserializer, Serializer, de};

/// Writes the shortest text that reads back as the same number.
pub(crate) fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

/// Reads what `serialize` wrote.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
    text.parse().map_err(|_| de::Error::custom(format!("{text:?} is no number")))
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    struct Exact(#[serde(with = "super")] f64);

    #[test]
    fn every_number_reads_back_as_itself() {
        for value in [0.1, -0.0, 1e308, 5e-324, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 123.456e-7] {
            let text = serde_json::to_string(&Exact(value)).unwrap();
            let Exact(read) = serde_json::from_str(&text).unwrap();
            assert!(read.to_bits() == value.to_bits() || read.is_nan() && value.is_nan(), "{text}");
        }
    }
}
