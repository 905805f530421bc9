//! Trained values from a safetensors file, each checked against the shape the configuration promises.
//!
//! Values may be f32, f16 or bf16; they are used as f32. Not here: the layout of the file itself, which the crate
//! `safetensors` of those who defined it reads and checks.

use crate::LoadError;
use ndarray::{Array1, Array2};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

/// The tensors of a file.
pub(crate) struct Weights<'a> {
    file: SafeTensors<'a>,
}

impl<'a> Weights<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, LoadError> {
        let file = SafeTensors::deserialize(bytes).map_err(|error| LoadError::File(error.to_string()))?;
        Ok(Self { file })
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.file.tensor(name).is_ok()
    }

    /// How many values the tensors hold together.
    pub(crate) fn parameters(&self) -> usize {
        self.file.iter().map(|(_, tensor)| tensor.shape().iter().product::<usize>()).sum()
    }

    /// A matrix, as stored: a row for every output, a column for every input.
    pub(crate) fn matrix(&self, name: &str, rows: usize, columns: usize) -> Result<Array2<f32>, LoadError> {
        let values = self.values(name, &[rows, columns])?;
        Array2::from_shape_vec((rows, columns), values).map_err(|error| LoadError::File(format!("{name}: {error}")))
    }

    pub(crate) fn vector(&self, name: &str, length: usize) -> Result<Array1<f32>, LoadError> {
        Ok(Array1::from_vec(self.values(name, &[length])?))
    }

    /// A tensor without dimensions.
    pub(crate) fn scalar(&self, name: &str) -> Result<f32, LoadError> {
        Ok(self.values(name, &[])?[0])
    }

    fn values(&self, name: &str, wanted: &[usize]) -> Result<Vec<f32>, LoadError> {
        let missing = |_| LoadError::Missing { name: name.to_owned(), wanted: wanted.to_vec() };
        let tensor = self.file.tensor(name).map_err(missing)?;
        if tensor.shape() != wanted {
            let (name, found, wanted) = (name.to_owned(), tensor.shape().to_vec(), wanted.to_vec());
            return Err(LoadError::Shape { name, found, wanted });
        }
        let values = read(name, &tensor)?;
        match values.iter().all(|value| value.is_finite()) {
            true => Ok(values),
            false => Err(LoadError::NotFinite { name: name.to_owned() }),
        }
    }
}

fn read(name: &str, tensor: &TensorView) -> Result<Vec<f32>, LoadError> {
    let bytes = tensor.data();
    let pairs = || bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair));
    match tensor.dtype() {
        Dtype::F32 => Ok(bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect()),
        Dtype::F16 => Ok(pairs().map(half_to_single).collect()),
        Dtype::BF16 => Ok(pairs().map(|bits| f32::from_bits(u32::from(bits) << 16)).collect()),
        other => Err(LoadError::Type { name: name.to_owned(), found: format!("{other:?}") }),
    }
}

/// IEEE 754 binary16 as binary32, which holds each of its values.
fn half_to_single(bits: u16) -> f32 {
    let (sign, exponent, fraction) = (u32::from(bits >> 15), u32::from(bits >> 10 & 0x1f), u32::from(bits & 0x3ff));
    let magnitude = match exponent {
        0 => (fraction as f32) * f32::from_bits((127 - 24) << 23),
        0x1f => f32::from_bits(0xff << 23 | fraction << 13),
        _ => f32::from_bits((exponent + 127 - 15) << 23 | fraction << 13),
    };
    f32::from_bits(magnitude.to_bits() | sign << 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each value of binary16 from its definition: sign, exponent and fraction as powers of two.
    #[test]
    fn every_half_becomes_the_single_of_the_same_value() {
        for bits in 0..=u16::MAX {
            let (sign, exponent, fraction) = (bits >> 15, bits >> 10 & 0x1f, f64::from(bits & 0x3ff));
            let magnitude = match exponent {
                0 => fraction * 2f64.powi(-24),
                0x1f if fraction == 0.0 => f64::INFINITY,
                0x1f => f64::NAN,
                _ => (1.0 + fraction / 1024.0) * 2f64.powi(i32::from(exponent) - 15),
            };
            let (wanted, found) = (if sign == 1 { -magnitude } else { magnitude }, f64::from(half_to_single(bits)));
            assert!(found == wanted || found.is_nan() && wanted.is_nan(), "{bits:04x}: {found} is not {wanted}");
        }
    }
}
