//! Servers on this machine that speak as the ones do that the clients are for.

pub(crate) mod http;

pub use crate::breaches::testing::{RangeFate, RangeStandIn};
pub use crate::twilio::testing::*;
pub use http::Request;
