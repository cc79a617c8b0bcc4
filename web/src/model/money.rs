//! Amounts and times as answers write them.

use super::exact::UNITS_MAX;
use accounting::{Amount, UnixMs};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;

/// An amount of money, twice: exact for programs, and as people write it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Money {
    /// In the asset's smallest unit.
    #[schema(value_type = i64, example = 312_500_000)]
    #[serde(deserialize_with = "units_of_this_world")]
    pub units: i128,
    /// In whole coins.
    #[schema(example = "3.12500000")]
    pub decimal: String,
}

/// Sums of what is read must stay in range, whoever wrote it.
fn units_of_this_world<'de, D: Deserializer<'de>>(from: D) -> Result<i128, D::Error> {
    let units = i128::deserialize(from)?;
    match units.unsigned_abs() < UNITS_MAX {
        true => Ok(units),
        false => Err(D::Error::custom(format!("{units} is no amount"))),
    }
}

impl Money {
    /// With so many decimals.
    #[must_use]
    pub fn new(amount: Amount, decimals: u8) -> Self {
        Money { units: amount.units(), decimal: amount.to_decimal(decimals) }
    }
}

/// A moment, written as ISO 8601 in UTC, to the millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Iso(pub UnixMs);

impl Iso {
    /// As text.
    #[must_use]
    pub fn text(self) -> String {
        let nanos = i128::from(self.0.0) * 1_000_000;
        let moment = OffsetDateTime::from_unix_timestamp_nanos(nanos);
        moment.ok().and_then(|moment| moment.format(&Rfc3339).ok()).unwrap_or_default()
    }
}

impl Serialize for Iso {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.text())
    }
}

impl<'de> Deserialize<'de> for Iso {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let moment = OffsetDateTime::parse(&text, &Rfc3339).map_err(D::Error::custom)?;
        let millis = moment.unix_timestamp_nanos() / 1_000_000;
        u64::try_from(millis).map(|at| Iso(UnixMs(at))).map_err(D::Error::custom)
    }
}

impl utoipa::PartialSchema for Iso {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .into()
    }
}

impl ToSchema for Iso {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_iso_8601_and_amounts_exact_twice() {
        let at = Iso(UnixMs(1_700_000_000_123));
        assert_eq!(at.text(), "2023-11-14T22:13:20.123Z");
        let text = serde_json::to_string(&at).unwrap();
        assert_eq!(serde_json::from_str::<Iso>(&text).unwrap(), at);
        let money = Money::new(Amount::from_units(-5), 8);
        assert_eq!((money.units, money.decimal.as_str()), (-5, "-0.00000005"));
    }
}
