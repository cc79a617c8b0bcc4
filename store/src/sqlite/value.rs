//! Numbers and names as SQL values, both ways.
//!
//! Invariant: nothing is rounded. What fits 63 bits is an SQL integer, what does not is decimal text; reading gives back
//! exactly what was written or an error.

use accounting::commitment::PaidBy;
use accounting::{Amount, BasisPoints};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, Value, ValueRef};
use std::str::FromStr;

/// A number of any size.
pub(super) struct Big(pub i128);

impl ToSql for Big {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Owned(integer_or_text(self.0)))
    }
}

fn integer_or_text<N: Copy + TryInto<i64> + ToString>(number: N) -> Value {
    number.try_into().map_or_else(|_| Value::Text(number.to_string()), Value::Integer)
}

impl FromSql for Big {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value {
            ValueRef::Integer(small) => Ok(Big(small.into())),
            ValueRef::Text(_) => {
                value.as_str()?.parse().map(Big).map_err(|e| FromSqlError::Other(Box::new(e)))
            }
            _ => Err(FromSqlError::InvalidType),
        }
    }
}

/// An amount of money.
pub(super) struct Money(pub Amount);

impl ToSql for Money {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Owned(integer_or_text(self.0.units())))
    }
}

impl FromSql for Money {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Big::column_result(value).map(|big| Money(Amount::from_units(big.0)))
    }
}

/// An unsigned sum (of work).
pub(super) struct Sum(pub u128);

impl ToSql for Sum {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Owned(integer_or_text(self.0)))
    }
}

impl FromSql for Sum {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value {
            ValueRef::Integer(small) => {
                u128::try_from(small).map(Sum).map_err(|e| FromSqlError::Other(Box::new(e)))
            }
            ValueRef::Text(_) => {
                value.as_str()?.parse().map(Sum).map_err(|e| FromSqlError::Other(Box::new(e)))
            }
            _ => Err(FromSqlError::InvalidType),
        }
    }
}

/// Anything with `Display` and `FromStr`, as text.
pub(super) struct Text<T>(pub T);

impl<T: std::fmt::Display> ToSql for Text<T> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Owned(Value::Text(self.0.to_string())))
    }
}

impl<T: FromStr<Err: std::error::Error + Send + Sync + 'static>> FromSql for Text<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map(Text).map_err(|e: T::Err| FromSqlError::Other(Box::new(e)))
    }
}

/// Anything serde can write, as JSON text.
pub(super) struct Json<T>(pub T);

impl<T: serde::Serialize> ToSql for Json<T> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let text = serde_json::to_string(&self.0)
            .map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))?;
        Ok(ToSqlOutput::Owned(Value::Text(text)))
    }
}

impl<T: serde::de::DeserializeOwned> FromSql for Json<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        serde_json::from_str(value.as_str()?)
            .map(Json)
            .map_err(|e| FromSqlError::Other(Box::new(e)))
    }
}

/// As a split's rows say who paid.
pub(super) const fn paid_by_code(paid: PaidBy) -> u8 {
    match paid {
        PaidBy::Pool => 0,
        PaidBy::Output => 1,
        PaidBy::Tree => 2,
    }
}

/// What such a number says.
pub(super) fn paid_by(code: u8) -> rusqlite::Result<PaidBy> {
    let all = [PaidBy::Pool, PaidBy::Output, PaidBy::Tree];
    let known = all.into_iter().find(|paid| paid_by_code(*paid) == code);
    known.ok_or(rusqlite::Error::IntegralValueOutOfRange(0, code.into()))
}

/// A 64-bit number that is known to be a small one: positions, counts, times, ids.
///
/// # Errors
/// Above 2^63, which no counter reaches; then the row is not written.
pub(super) fn int(number: u64) -> rusqlite::Result<i64> {
    i64::try_from(number).map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))
}

/// The reverse of [`int`], for a column.
///
/// # Errors
/// When the stored number is negative: then the row was not written by us.
pub(super) fn uint(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

/// A fee, which is at most everything.
pub(super) fn basis_points(points: u16) -> rusqlite::Result<BasisPoints> {
    BasisPoints::new(points).map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_size_come_back_as_they_were() {
        let db = rusqlite::Connection::open_in_memory().unwrap();
        db.execute_batch("CREATE TABLE t (x ANY) STRICT").unwrap();
        for number in [
            0,
            1,
            -1,
            i64::MAX.into(),
            i64::MIN.into(),
            i128::from(i64::MAX) + 1,
            i128::MAX,
            i128::MIN,
        ] {
            db.execute("INSERT INTO t VALUES (?)", [Big(number)]).unwrap();
            let back: Big =
                db.query_row("DELETE FROM t RETURNING x", [], |row| row.get(0)).unwrap();
            assert_eq!(back.0, number);
            db.execute("INSERT INTO t VALUES (?)", [Money(Amount::from_units(number))]).unwrap();
            let back: Money =
                db.query_row("DELETE FROM t RETURNING x", [], |row| row.get(0)).unwrap();
            assert_eq!(back.0.units(), number);
        }
        db.execute("INSERT INTO t VALUES (?)", [Sum(u128::MAX)]).unwrap();
        let back: Sum = db.query_row("DELETE FROM t RETURNING x", [], |row| row.get(0)).unwrap();
        assert_eq!(back.0, u128::MAX);
    }
}
