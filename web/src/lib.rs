//! What people and programs see of the pool.
pub mod db;
pub mod history;
pub mod model;
pub mod outlook;
pub mod rates;
pub mod readers;
