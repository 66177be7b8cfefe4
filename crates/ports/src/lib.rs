#![doc = include_str!("../README.md")]

mod breaches;
mod data_keys;
mod event_bus;
mod messages;
mod payment_gateway;
mod private_file;
mod signing_keys;
mod system;

pub use breaches::{Breaches, BreachesError};
pub use data_keys::{DataKey, DataKeySource, DataKeysError};
pub use event_bus::{EventBus, EventBusError, LoggingEventBus};
pub use messages::{
    DisabledMessages, Email, EmailSender, MessageError, OutboxFolder, Sms, SmsSender,
};
pub use payment_gateway::{
    Charge, ChargeRequest, DisabledPaymentGateway, PaymentGateway, PaymentGatewayError,
    SandboxPaymentGateway,
};
pub use private_file::{PrivateFileError, create_private_file, read_private_file};
pub use signing_keys::{RsaKeySize, RsaPublicKey, Signer, SigningKeySource, SigningKeysError};
pub use system::{SystemClock, SystemIds};
