//! Reading configuration fields with errors that name them.

use crate::model::error::ModelError;
use serde_json::Value;

/// No size in a configuration is larger; keeps products of sizes far from overflow.
const LARGEST: u64 = 1 << 28;

/// A JSON object and its place.
pub(super) struct Fields<'a> {
    object: &'a Value,
    place: String,
}

impl<'a> Fields<'a> {
    pub(super) fn new(object: &'a Value, place: impl Into<String>) -> Self {
        Fields { object, place: place.into() }
    }

    /// The field's name with its place.
    pub(super) fn name(&self, key: &str) -> String {
        if self.place.is_empty() { key.to_owned() } else { format!("{}.{key}", self.place) }
    }

    /// The value under any of the keys; `null` counts as absent.
    pub(super) fn get(&self, keys: &[&str]) -> Option<&'a Value> {
        keys.iter().find_map(|k| self.object.get(k)).filter(|v| !v.is_null())
    }

    /// An error at a field.
    pub(super) fn error(&self, key: &str, problem: impl Into<String>, help: impl Into<String>) -> ModelError {
        ModelError::field(self.name(key), problem, help)
    }

    fn to_size(&self, key: &str, v: &Value) -> Result<usize, ModelError> {
        let n = v.as_u64().or_else(|| v.as_f64().filter(|f| f.fract() == 0.0 && *f >= 0.0).map(|f| f as u64));
        match n {
            Some(0) => Err(self.error(key, "is 0", "give a positive number")),
            Some(n) if n > LARGEST => {
                Err(self.error(key, format!("{n} is too large"), format!("give at most {LARGEST}")))
            }
            Some(n) => Ok(n as usize),
            None => {
                Err(self.error(key, format!("{v} is not a positive whole number"), "give a positive number"))
            }
        }
    }

    /// A positive size, or the default.
    pub(super) fn size(&self, keys: &[&str], default: Option<usize>) -> Result<usize, ModelError> {
        match (self.get(keys), default) {
            (Some(v), _) => self.to_size(keys[0], v),
            (None, Some(d)) => Ok(d),
            (None, None) => Err(self.error(keys[0], "is missing", "give a positive number")),
        }
    }

    /// A size for every one of `n` layers: a list of `n`, or one number for all.
    pub(super) fn sizes(&self, key: &str, n: usize) -> Result<Vec<usize>, ModelError> {
        match self.get(&[key]) {
            Some(Value::Array(list)) if list.len() != n => Err(self.error(
                key,
                format!("has {} entries for {n} layers", list.len()),
                "give one entry per layer",
            )),
            Some(Value::Array(list)) => {
                list.iter().enumerate().map(|(i, v)| self.to_size(&format!("{key}[{i}]"), v)).collect()
            }
            Some(v) => Ok(vec![self.to_size(key, v)?; n]),
            None => Err(self.error(key, "is missing", "give a list with one entry per layer")),
        }
    }

    /// A positive number, or the default.
    pub(super) fn number(&self, keys: &[&str], default: f64) -> Result<f64, ModelError> {
        match self.get(keys) {
            None => Ok(default),
            Some(v) => v.as_f64().filter(|x| x.is_finite() && *x > 0.0).ok_or_else(|| {
                self.error(keys[0], format!("{v} is not a positive number"), "give one such as 1e-5")
            }),
        }
    }

    /// A truth value, or the default.
    pub(super) fn flag(&self, key: &str, default: bool) -> Result<bool, ModelError> {
        match self.get(&[key]) {
            None => Ok(default),
            Some(v) => {
                v.as_bool().ok_or_else(|| self.error(key, format!("{v} is not true or false"), "give one"))
            }
        }
    }

    /// A text, or the default.
    pub(super) fn text(&self, key: &str, default: &'a str) -> Result<&'a str, ModelError> {
        match self.get(&[key]) {
            None => Ok(default),
            Some(v) => {
                v.as_str().ok_or_else(|| self.error(key, format!("{v} is not a text"), "give a quoted name"))
            }
        }
    }

    /// A list of objects.
    pub(super) fn list(&self, key: &str) -> Result<&'a [Value], ModelError> {
        match self.get(&[key]) {
            Some(Value::Array(list)) if !list.is_empty() => Ok(list),
            Some(_) => Err(self.error(key, "is not a list with entries", "give one entry per layer")),
            None => Err(self.error(key, "is missing", "give a list with one entry per layer")),
        }
    }

    /// A non-linearity.
    pub(super) fn act(&self, key: &str, default: &'a str) -> Result<crate::tensor::nn::Act, ModelError> {
        use crate::tensor::nn::Act;
        Ok(match self.text(key, default)? {
            "gelu" => Act::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Act::GeluTanh,
            "relu" => Act::Relu,
            "silu" | "swish" => Act::Silu,
            other => {
                return Err(self.error(
                    key,
                    format!("unknown activation `{other}`"),
                    "one of gelu, gelu_new, relu, silu",
                ));
            }
        })
    }

    /// `width` must be a multiple of `heads`.
    pub(super) fn divides(&self, key: &str, heads: usize, width: usize, of: &str) -> Result<(), ModelError> {
        if width.is_multiple_of(heads) {
            return Ok(());
        }
        Err(self.error(
            key,
            format!("{heads} heads do not divide `{of}` {width}"),
            format!("give a divisor of {width}"),
        ))
    }
}
