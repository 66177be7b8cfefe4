#![doc = include_str!("../README.md")]

mod redis;
mod smtp;

pub use redis::{RedisCounter, RedisCounterError};
pub use smtp::{SmtpConfig, SmtpError, SmtpSecurity, SmtpSender};
