#![doc = include_str!("../README.md")]

mod actor;
mod clock;
mod currency;
mod event;
mod id;
mod money;
mod page;
mod time_zone;
mod timestamp;

pub use actor::{Actor, ActorKind, Permission};
pub use clock::{Clock, IdSource, ManualClock};
pub use currency::{Currency, UnknownCurrency};
pub use event::Event;
#[doc(hidden)]
pub use id::__private;
pub use id::UserId;
pub use money::{Money, MoneyError};
pub use page::{Cursor, CursorError, Page, PageLimit};
pub use time_zone::{TimeZone, UnknownTimeZone};
pub use timestamp::{InvalidTimestamp, Timestamp};
