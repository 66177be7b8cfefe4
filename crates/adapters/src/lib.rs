#![doc = include_str!("../README.md")]

mod pkcs11;
mod redis;
mod smtp;

pub use pkcs11::{Pkcs11Config, Pkcs11Error, Pkcs11Keys};
pub use redis::{RedisCounter, RedisCounterError};
pub use smtp::{SmtpConfig, SmtpError, SmtpSecurity, SmtpSender};
