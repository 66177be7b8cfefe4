//! The library, the token and its sessions. Everything here blocks.

use super::{Pkcs11Config, Pkcs11Error};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use ports::{RsaPublicKey, read_private_file};
use secrecy::{ExposeSecret, SecretString};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// The way to the token, which is made anew when it is lost.
pub(super) struct Connection {
    config: Pkcs11Config,
    /// Whoever makes it anew waits for all calls to end, because that ends every session.
    open: RwLock<Opened>,
}

struct Opened {
    /// The token, or why there is none.
    token: Result<Token, String>,
    /// The library, once it was loaded. It is never unloaded: some do not survive that.
    library: Option<Pkcs11>,
    /// What the token did not take. It is not shown again.
    refused_pin: Option<SecretString>,
    /// How often the connection was made.
    generation: u64,
    /// When that was last tried.
    tried_at: Option<Instant>,
}

struct Token {
    library: Pkcs11,
    slot: Slot,
    idle: Mutex<Vec<OpenSession>>,
    /// The user is logged in as long as a session is open. Locked by nobody: sessions are not `Sync`.
    _logged_in: Mutex<Session>,
}

pub(super) struct OpenSession {
    pub(super) session: Session,
    /// Private keys by their ids. Handles count in their session.
    handles: HashMap<Vec<u8>, ObjectHandle>,
}

/// A key that was found.
pub(super) struct Found {
    /// `CKA_ID`.
    pub(super) id: Vec<u8>,
    pub(super) public: RsaPublicKey,
}

/// How long a module that failed is left alone.
const REST: Duration = Duration::from_secs(1);
const ID_BYTES: u32 = 16;
/// 65537.
const EXPONENT: [u8; 3] = [1, 0, 1];

impl Connection {
    pub(super) fn new(config: Pkcs11Config) -> Self {
        let open = Opened {
            token: Err("nobody asked for it yet".to_owned()),
            library: None,
            refused_pin: None,
            generation: 0,
            tried_at: None,
        };
        Self { config, open: RwLock::new(open) }
    }

    pub(super) fn name(&self) -> String {
        let Pkcs11Config { module, token_label, .. } = &self.config;
        format!("the token \"{token_label}\" of {}", module.display())
    }

    /// Our keys.
    pub(super) fn find(&self) -> Result<Vec<Found>, Pkcs11Error> {
        let found = self.with_session(|open| match self.find_in(&open.session)? {
            // A token that went away may look like an empty one, so this is looked at twice.
            found if found.is_empty() => Err(Pkcs11Error::NoKey),
            found => Ok(found),
        });
        match found {
            Err(Pkcs11Error::NoKey) => Ok(Vec::new()),
            found => found,
        }
    }

    pub(super) fn sign(&self, id: &[u8], message: &[u8]) -> Result<Vec<u8>, Pkcs11Error> {
        let mechanism = Mechanism::Sha256RsaPkcs;
        self.with_session(|open| {
            if let Some(key) = open.handles.get(id) {
                match open.session.sign(&mechanism, *key, message) {
                    // The key was destroyed, or the module numbers its objects anew.
                    Err(Error::Pkcs11(
                        RvError::ObjectHandleInvalid | RvError::KeyHandleInvalid,
                        _,
                    )) => drop(open.handles.remove(id)),
                    signed => return Ok(signed?),
                }
            }
            let found =
                open.session.find_objects(&self.template(ObjectClass::PRIVATE_KEY, Some(id)))?;
            let key = found.into_iter().next().ok_or(Pkcs11Error::NoKey)?;
            open.handles.insert(id.to_vec(), key);
            Ok(open.session.sign(&mechanism, key, message)?)
        })
    }

    /// Makes a key, if there are no more than `beside`.
    pub(super) fn generate(&self, beside: usize) -> Result<(), Pkcs11Error> {
        if self.find()?.len() > beside {
            return Ok(());
        }
        let id = self.with_session(|open| Ok(open.session.generate_random_vec(ID_BYTES)?))?;
        let both = [
            Attribute::Token(true),
            Attribute::Id(id),
            Attribute::Label(self.config.key_label.clone().into_bytes()),
        ];
        let public = [
            Attribute::Private(false),
            Attribute::Verify(true),
            Attribute::Encrypt(false),
            Attribute::Wrap(false),
            Attribute::ModulusBits(u64::from(self.config.key_size.bits()).into()),
            Attribute::PublicExponent(EXPONENT.to_vec()),
        ];
        let private = [
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
            Attribute::Decrypt(false),
            Attribute::Unwrap(false),
        ];
        let public = [both.as_slice(), &public].concat();
        let private = [both.as_slice(), &private].concat();
        self.with_writing_session(|session| {
            session.generate_key_pair(&Mechanism::RsaPkcsKeyPairGen, &public, &private)?;
            Ok(())
        })
    }

    pub(super) fn destroy(&self, key: &RsaPublicKey) -> Result<(), Pkcs11Error> {
        let Some(found) = self.find()?.into_iter().find(|one| one.public == *key) else {
            return Ok(());
        };
        self.with_writing_session(|session| {
            for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
                for object in session.find_objects(&self.template(class, Some(&found.id)))? {
                    session.destroy_object(object)?;
                }
            }
            Ok(())
        })
    }

    #[cfg(test)]
    pub(super) fn config(&self) -> &Pkcs11Config {
        &self.config
    }

    #[cfg(test)]
    pub(super) fn idle_sessions(&self) -> usize {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        let idle = |token: &Token| token.idle.lock().unwrap_or_else(PoisonError::into_inner).len();
        open.token.as_ref().map_or(0, idle)
    }

    fn find_in(&self, session: &Session) -> Result<Vec<Found>, Pkcs11Error> {
        let mut found = Vec::new();
        for object in session.find_objects(&self.template(ObjectClass::PRIVATE_KEY, None))? {
            let wanted = [AttributeType::Id, AttributeType::Modulus, AttributeType::PublicExponent];
            let (mut id, mut modulus, mut exponent) = (Vec::new(), Vec::new(), Vec::new());
            for attribute in session.get_attributes(object, &wanted)? {
                match attribute {
                    Attribute::Id(value) => id = value,
                    Attribute::Modulus(value) => modulus = without_leading_zeros(value),
                    Attribute::PublicExponent(value) => exponent = without_leading_zeros(value),
                    _ => {}
                }
            }
            found.push(Found { id, public: RsaPublicKey { modulus, exponent } });
        }
        Ok(found)
    }

    /// What our keys of a class are found by: all, or the one with this id.
    pub(super) fn template(&self, class: ObjectClass, id: Option<&[u8]>) -> Vec<Attribute> {
        let mut template = vec![
            Attribute::Class(class),
            Attribute::KeyType(KeyType::RSA),
            Attribute::Label(self.config.key_label.clone().into_bytes()),
        ];
        template.extend(id.map(|id| Attribute::Id(id.to_vec())));
        template
    }

    /// Works with an open session, which is kept for the next time.
    pub(super) fn with_session<T>(
        &self,
        work: impl Fn(&mut OpenSession) -> Result<T, Pkcs11Error>,
    ) -> Result<T, Pkcs11Error> {
        self.with_token(|token| {
            let idle = token.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut open = match idle {
                Some(open) => open,
                None => OpenSession {
                    session: token.library.open_ro_session(token.slot)?,
                    handles: HashMap::new(),
                },
            };
            // A session whose call failed is closed.
            let done = work(&mut open)?;
            token.idle.lock().unwrap_or_else(PoisonError::into_inner).push(open);
            Ok(done)
        })
    }

    fn with_writing_session<T>(
        &self,
        work: impl Fn(&Session) -> Result<T, Pkcs11Error>,
    ) -> Result<T, Pkcs11Error> {
        self.with_token(|token| work(&token.library.open_rw_session(token.slot)?))
    }

    /// Works with the token; once more when that fails, with a connection made anew, because the token
    /// may have been away or have forgotten us.
    fn with_token<T>(
        &self,
        work: impl Fn(&Token) -> Result<T, Pkcs11Error>,
    ) -> Result<T, Pkcs11Error> {
        let (generation, failure) = {
            let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
            match open.work(&work) {
                Ok(done) => return Ok(done),
                Err(failure) => (open.generation, failure),
            }
        };
        if !self.reconnect(generation)? {
            return Err(failure);
        }
        self.open.read().unwrap_or_else(PoisonError::into_inner).work(&work)
    }

    /// Makes the connection anew, unless another call did since this generation of it. False when that
    /// was tried a moment ago: a module that fails is left alone for a while.
    fn reconnect(&self, generation: u64) -> Result<bool, Pkcs11Error> {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        if open.generation != generation {
            return Ok(true);
        }
        if open.tried_at.is_some_and(|at| at.elapsed() < REST) {
            return Ok(false);
        }
        open.tried_at = Some(Instant::now());
        match self.connect(&mut open) {
            Ok(token) => {
                open.generation = open.generation.wrapping_add(1);
                open.token = Ok(token);
                Ok(true)
            }
            Err(error) => {
                open.token = Err(error.to_string());
                Err(error)
            }
        }
    }

    fn connect(&self, open: &mut Opened) -> Result<Token, Pkcs11Error> {
        let library = match &open.library {
            Some(library) => library.clone(),
            None => {
                let path = &self.config.module;
                let failed = |source| Pkcs11Error::Module { path: path.clone(), source };
                let library = Pkcs11::new(path).map_err(failed)?;
                open.library.insert(library).clone()
            }
        };
        // Sessions are closed before the library forgets them.
        open.token = Err("it is being connected to".to_owned());
        match library.clone().finalize() {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiNotInitialized, _)) => {}
            Err(error) => tracing::warn!(%error, "the PKCS#11 module did not end cleanly"),
        }
        match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(error.into()),
        }
        let slot = self.slot(&library)?;
        let session = library.open_ro_session(slot)?;
        self.log_in(&session, &mut open.refused_pin)?;
        Ok(Token { library, slot, idle: Mutex::default(), _logged_in: Mutex::new(session) })
    }

    fn slot(&self, library: &Pkcs11) -> Result<Slot, Pkcs11Error> {
        let label = &self.config.token_label;
        let mut found = Vec::new();
        for slot in library.get_slots_with_token()? {
            // A broken token in another slot is none of our business.
            if library.get_token_info(slot).is_ok_and(|token| token.label() == label) {
                found.push(slot);
            }
        }
        match found[..] {
            [slot] => Ok(slot),
            _ => Err(Pkcs11Error::Token { label: label.clone(), found: found.len() }),
        }
    }

    fn log_in(
        &self,
        session: &Session,
        refused: &mut Option<SecretString>,
    ) -> Result<(), Pkcs11Error> {
        let path = &self.config.pin_file;
        let is_refused = || Pkcs11Error::PinRefused { path: path.clone() };
        let bytes = read_private_file(path)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| is_refused())?;
        let pin = AuthPin::from(text.trim_end_matches(['\r', '\n']));
        if refused.as_ref().is_some_and(|one| one.expose_secret() == pin.expose_secret()) {
            return Err(is_refused());
        }
        match session.login(UserType::User, Some(&pin)) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
            Err(Error::Pkcs11(
                RvError::PinIncorrect
                | RvError::PinInvalid
                | RvError::PinLenRange
                | RvError::PinExpired
                | RvError::PinLocked,
                _,
            )) => {
                *refused = Some(pin);
                Err(is_refused())
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl Opened {
    fn work<T>(&self, work: impl Fn(&Token) -> Result<T, Pkcs11Error>) -> Result<T, Pkcs11Error> {
        match &self.token {
            Ok(token) => work(token),
            Err(why) => Err(Pkcs11Error::NoToken(why.clone())),
        }
    }
}

fn without_leading_zeros(number: Vec<u8>) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number[zeros..].to_vec()
}
