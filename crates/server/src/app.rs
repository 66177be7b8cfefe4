//! The modules, wired together.

use crate::certificate::Certificate;
use crate::config::{Config, EmailProvider, Environment, PaymentGatewayProvider, SmsProvider};
use crate::health::Checked;
use crate::holdings::WalletHoldings;
use crate::stores::Stores;
use crate::workers::{Modules, Workers};
use crate::{checkpoint_key, documentation, health, sms_status};
use adapters::{PwnedPasswords, RedisCounter, SmtpSender, TwilioCallbacks, TwilioSender};
use anyhow::Context;
use axum::Router;
use cards::Cards;
use identity::Identity;
use kernel::{Clock, IdSource};
use ledger::{EngineConfig, Ledger};
use ports::{
    Breaches, DisabledMessages, DisabledPaymentGateway, EmailSender, LoggingEventBus, OutboxFolder,
    PaymentGateway, SandboxPaymentGateway, SmsSender, SystemClock, SystemIds,
};
use std::sync::Arc;
use wallet::Wallets;
use web::RequestCounts;

/// What the routes begin with that only staff need.
const ADMINISTRATIVE_ROUTES: &str = "/api/v1/admin/";

/// The running program without its listener.
pub(crate) struct App {
    pub(crate) identity: Identity,
    pub(crate) wallets: Wallets,
    pub(crate) router: Router,
    stores: Stores,
    ledger: Ledger,
    workers: Workers,
}

impl App {
    /// Migrates the stores in Development, starts the modules and their workers.
    pub(crate) async fn start(
        config: &Config,
        stores: Stores,
        certificate: Option<Arc<Certificate>>,
    ) -> anyhow::Result<Self> {
        if config.environment == Environment::Development {
            stores.migrate().await?;
        }
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let ids: Arc<dyn IdSource> = Arc::new(SystemIds);
        let identity = start_identity(config, &stores, &clock, &ids).await?;
        let engine = EngineConfig {
            queue_max: config.ledger.queue_max,
            group_max: config.ledger.group_max,
            rows_at_once: config.ledger.rows_at_once,
        };
        let signer =
            checkpoint_key::load_or_create(&config.keys_dir(), &config.ledger.name, ids.as_ref())?;
        ledger::catch_up(&stores.ledger).await.context("cannot make the ledger's history")?;
        let ledger = Ledger::init(
            stores.ledger.clone(),
            engine,
            Arc::new(signer),
            clock.clone(),
            ids.clone(),
        )
        .context("cannot start the ledger")?;
        let wallets = Wallets::new(
            wallet::Dependencies {
                store: stores.wallet.clone(),
                ledger: Arc::new(ledger.clone()),
                directory: identity.directory(),
                payment_gateway: payment_gateway(config.payment_gateway()),
                clock: clock.clone(),
                ids: ids.clone(),
            },
            wallet::Config { step_up: config.step_up.of_wallets(), ..wallet::Config::default() },
        );
        let cards = open_vault(config, &stores, &clock, &ids).await?;
        let limits = config.rate_limits();
        let counts = match &limits {
            Some(_) => Some(Arc::new(request_counts(config, &clock).await?)),
            None => None,
        };
        let (api, document) = web::OpenApiRouter::new()
            .merge(identity.router(Arc::new(WalletHoldings(wallets.clone()))))
            .merge(wallets.router())
            .merge(ledger.router(identity::audit_trail(&stores.identity)))
            .merge(identity::note_origins(cards.router()))
            .merge(sms_status::router(twilio_callbacks(config)?))
            .merge(health::router(Checked {
                stores: stores.clone(),
                identity: identity.clone(),
                certificate,
                counts: counts.clone(),
            }))
            .split_for_parts();
        let document = documentation::openapi_document(document);
        let mut router = web::authenticate_with(
            api.merge(documentation::router(document)),
            identity.authenticator(),
        );
        if let Some(networks) = config.staff_networks() {
            router = web::restrict(router, ADMINISTRATIVE_ROUTES, networks);
        }
        if let (Some(limits), Some(counts)) = (limits, counts) {
            router = web::limit_rates(router, limits, identity.authenticator(), counts);
        }
        let mut router = web::apply(router, config.limits(), ids.clone());
        if let Some(policy) = config.https_policy() {
            router = web::require_https(router, policy, ids.clone());
        }
        let router = web::note_refusals(router, identity.authenticator(), identity.refusals());
        let router = web::trust_proxies(router, config.trusted_proxies());
        let router = web::protect_browsers(router, config.browser_policy());
        let workers = Workers::start(
            vec![identity.outbox(), ledger.events(), wallets.events(), cards.events()],
            Arc::new(LoggingEventBus),
            Modules {
                identity: identity.clone(),
                ledger: ledger.clone(),
                wallets: wallets.clone(),
            },
            config.ledger.checkpoint_policy(),
            clock,
            ids.as_ref(),
        );
        Ok(Self { identity, wallets, router, stores, ledger, workers })
    }

    /// All routes.
    pub(crate) fn router(&self) -> Router {
        self.router.clone()
    }

    /// Ends the workers and the ledger's engine after what they are at.
    pub(crate) async fn shut_down(self) {
        self.workers.shut_down().await;
        self.ledger.shut_down().await;
        self.stores.close().await;
    }
}

async fn start_identity(
    config: &Config,
    stores: &Stores,
    clock: &Arc<dyn Clock>,
    ids: &Arc<dyn IdSource>,
) -> anyhow::Result<Identity> {
    let settings = identity::Config {
        issuer: config.jwt.issuer.clone(),
        audience: config.jwt.audience.clone(),
        session_lifetime: config.sessions.lifetime(),
        rotate_signing_keys_every: config.signing_keys.rotate_every(),
        step_up_max_age: config.step_up.max_age(),
        four_eyes: config.staff.four_eyes,
        staff_second_factor: config.staff.needs_second_factor(config.environment),
        relying_party: config.passkeys.relying_party(config.environment),
        trust_contacts: config.registration.trusts_contacts(config.environment),
        context_words: config.passwords.context_words.clone(),
        accept_unchecked_passwords: config.passwords.accept_unchecked,
        ..identity::Config::default()
    };
    let deps = identity::Dependencies {
        store: stores.identity.clone(),
        data_keys: Arc::new(config.data_keys_to_serve(ids.as_ref())),
        signing_keys: config.signing_key_source(ids.clone()),
        email: email_sender(config)?,
        sms: sms_sender(config)?,
        breaches: breaches(config)?,
        clock: clock.clone(),
        ids: ids.clone(),
    };
    Identity::init(deps, settings).await.context("cannot start identity")
}

async fn open_vault(
    config: &Config,
    stores: &Stores,
    clock: &Arc<dyn Clock>,
    ids: &Arc<dyn IdSource>,
) -> anyhow::Result<Cards> {
    let deps = cards::Dependencies {
        store: stores.cards.clone(),
        data_keys: Arc::new(config.data_keys_to_serve(ids.as_ref())),
        audit: identity::audit_trail(&stores.identity),
        clock: clock.clone(),
        ids: ids.clone(),
    };
    let settings = cards::Config { step_up_max_age: config.step_up.max_age() };
    Cards::init(deps, settings).await.context("cannot open the card vault")
}

async fn request_counts(config: &Config, clock: &Arc<dyn Clock>) -> anyhow::Result<RequestCounts> {
    let Some(url) = &config.rate_limiting.redis_url else {
        return Ok(RequestCounts::in_process(clock.clone()));
    };
    let counter = RedisCounter::try_new(url).context("rate_limiting.redis_url")?;
    Ok(RequestCounts::shared(Arc::new(counter), clock.clone()).await)
}

fn email_sender(config: &Config) -> anyhow::Result<Arc<dyn EmailSender>> {
    Ok(match config.email_provider() {
        EmailProvider::Outbox => Arc::new(OutboxFolder(config.outbox_dir())),
        EmailProvider::Smtp => Arc::new(SmtpSender::try_new(config.smtp.sender_config())?),
        EmailProvider::Disabled => Arc::new(DisabledMessages),
    })
}

fn sms_sender(config: &Config) -> anyhow::Result<Arc<dyn SmsSender>> {
    Ok(match config.sms_provider() {
        SmsProvider::Outbox => Arc::new(OutboxFolder(config.outbox_dir())),
        SmsProvider::Twilio => Arc::new(TwilioSender::try_new(config.twilio.sender_config()?)?),
        SmsProvider::Disabled => Arc::new(DisabledMessages),
    })
}

/// Who knows breached passwords; `None` where nobody is asked.
fn breaches(config: &Config) -> anyhow::Result<Option<Arc<dyn Breaches>>> {
    let Some(url) = &config.passwords.breaches_url else {
        return Ok(None);
    };
    Ok(Some(Arc::new(PwnedPasswords::try_new(url)?)))
}

/// What knows Twilio's requests; `None` where it makes none.
fn twilio_callbacks(config: &Config) -> anyhow::Result<Option<TwilioCallbacks>> {
    match config.sms_provider() {
        SmsProvider::Twilio => Ok(config.twilio.callback_config()?.map(TwilioCallbacks::new)),
        SmsProvider::Outbox | SmsProvider::Disabled => Ok(None),
    }
}

fn payment_gateway(provider: PaymentGatewayProvider) -> Arc<dyn PaymentGateway> {
    match provider {
        PaymentGatewayProvider::Sandbox => Arc::new(SandboxPaymentGateway),
        PaymentGatewayProvider::Disabled => Arc::new(DisabledPaymentGateway),
    }
}
