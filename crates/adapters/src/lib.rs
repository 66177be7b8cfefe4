#![doc = include_str!("../README.md")]

mod pkcs11;
mod redis;
mod smtp;
mod twilio;

pub use pkcs11::{Pkcs11Config, Pkcs11Error, Pkcs11Keys};
pub use redis::{RedisCounter, RedisCounterError};
pub use smtp::{SmtpConfig, SmtpError, SmtpSecurity, SmtpSender};
#[cfg(feature = "testing")]
pub use twilio::testing;
pub use twilio::{
    CallbackError, DeliveryStatus, TWILIO_API, TwilioCallbackConfig, TwilioCallbacks, TwilioConfig,
    TwilioCredentials, TwilioError, TwilioFrom, TwilioSender,
};
