//! Typed ids: a wallet's id cannot be passed where a user's is wanted.

/// Declares ids as distinct types around a UUID, printed as that UUID.
#[macro_export]
macro_rules! typed_id {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $crate::__private::Uuid);

        impl ::core::fmt::Display for $name {
            fn fmt(&self, formatter: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                ::core::fmt::Display::fmt(&self.0, formatter)
            }
        }

        impl ::core::fmt::Debug for $name {
            fn fmt(&self, formatter: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                ::core::fmt::Display::fmt(&self.0, formatter)
            }
        }
    )+};
}

#[doc(hidden)]
pub mod __private {
    pub use uuid::Uuid;
}

typed_id! {
    /// A person or service that can sign in; made by the identity module.
    UserId;
}
