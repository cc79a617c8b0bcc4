//! Sums of work and amounts of money as decimal text: JSON's numbers lose digits in many programs.
//!
//! Invariant: what is read is within what any chain has, so that sums of as many as fit an answer stay in range; amounts are
//! never below zero, because nobody is paid less than nothing.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

/// No coin has so many smallest units.
pub(super) const UNITS_MAX: u128 = 1 << 90;
/// No chain has so much work.
const WORK_MAX: u128 = 1 << 100;

/// Expected hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work(pub u128);

/// Smallest units of a coin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Units(pub i128);

impl Serialize for Work {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        // Writing 64 bits is several times cheaper, and nearly always enough.
        match u64::try_from(self.0) {
            Ok(small) => to.collect_str(&small),
            Err(_) => to.collect_str(&self.0),
        }
    }
}

impl Serialize for Units {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match i64::try_from(self.0) {
            Ok(small) => to.collect_str(&small),
            Err(_) => to.collect_str(&self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Work {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(from)?;
        let work = text.parse().ok().filter(|work| *work < WORK_MAX);
        work.map(Work).ok_or_else(|| D::Error::custom(format!("\"{text}\" is no sum of work")))
    }
}

impl<'de> Deserialize<'de> for Units {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(from)?;
        let units = text.parse::<u128>().ok().filter(|units| *units < UNITS_MAX);
        let units = units.and_then(|units| i128::try_from(units).ok());
        units.map(Units).ok_or_else(|| D::Error::custom(format!("\"{text}\" is no amount")))
    }
}

fn text_schema() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).into()
}

impl utoipa::PartialSchema for Work {
    fn schema() -> RefOr<Schema> {
        text_schema()
    }
}

impl ToSchema for Work {}

impl utoipa::PartialSchema for Units {
    fn schema() -> RefOr<Schema> {
        text_schema()
    }
}

impl ToSchema for Units {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_size_come_back_and_those_of_no_chain_do_not() {
        for number in [0, 1, u128::from(u64::MAX), 1 << 80] {
            let text = serde_json::to_string(&Work(number)).unwrap();
            assert_eq!(text, format!("\"{number}\""));
            assert_eq!(serde_json::from_str::<Work>(&text).unwrap(), Work(number));
        }
        for number in [0, 5, i128::from(i64::MAX) + 1] {
            let text = serde_json::to_string(&Units(number)).unwrap();
            assert_eq!(serde_json::from_str::<Units>(&text).unwrap(), Units(number));
        }
        for wrong in ["\"-1\"", "\"1.5\"", "\"\"", "7", "\"1267650600228229401496703205376\""] {
            assert!(serde_json::from_str::<Work>(wrong).is_err(), "{wrong}");
        }
        for wrong in ["\"-5\"", "\"1237940039285380274899124224\""] {
            assert!(serde_json::from_str::<Units>(wrong).is_err(), "{wrong}");
        }
    }
}
