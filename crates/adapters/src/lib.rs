#![doc = include_str!("../README.md")]

mod breaches;
mod patience;
mod pkcs11;
mod redis;
mod smtp;
#[cfg(feature = "testing")]
pub mod testing;
mod twilio;

pub use breaches::{PwnedPasswords, PwnedPasswordsError};
pub use pkcs11::{Pkcs11Config, Pkcs11Error, Pkcs11Keys};
pub use redis::{RedisCounter, RedisCounterError};
pub use smtp::{SmtpConfig, SmtpError, SmtpSecurity, SmtpSender};
pub use twilio::{
    CallbackError, DeliveryStatus, TWILIO_API, TwilioCallbackConfig, TwilioCallbacks, TwilioConfig,
    TwilioCredentials, TwilioError, TwilioFrom, TwilioSender,
};
