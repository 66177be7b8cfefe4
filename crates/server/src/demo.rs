//! The demo world: what a newcomer finds in an empty database, in Development on a loopback address.

use crate::App;
use anyhow::Context;
use identity::{NewUser, RegisterError};
use kernel::{Currency, Money, UserId};
use secrecy::SecretString;
use wallet::{Keyed, TopUp};

/// Everyone's password.
const PASSWORD: &str = "demo-Finitech-1";

/// What to tell a newcomer.
pub(crate) const HOW_TO_SIGN_IN: &str = "  Demo world, everyone's password is demo-Finitech-1:
    ahmed.benali@example.com   +212612345678  customer with MAD, EUR and USD
    fatima.alami@example.com   +212612345683  customer with MAD, EUR and USD
    contact@cafe-central.ma    +212522345678  merchant
    admin@example.com          +212522000000  administrator
  Sign in: POST /api/v1/auth/login {\"identifier\": \"ahmed.benali@example.com\", \"password\": \"…\"}";

struct Person {
    email: &'static str,
    phone_number: &'static str,
    display_name: &'static str,
    roles: &'static [&'static str],
    /// What the person's wallet starts with, in minor units.
    wallet: &'static [(Currency, i64)],
}

/// The administrator first.
const PEOPLE: [Person; 4] = [
    Person {
        email: "admin@example.com",
        phone_number: "+212522000000",
        display_name: "Administrator",
        roles: &["Admin"],
        wallet: &[],
    },
    Person {
        email: "ahmed.benali@example.com",
        phone_number: "+212612345678",
        display_name: "Ahmed Benali",
        roles: &["Customer"],
        wallet: &[(Currency::MAD, 500_000), (Currency::EUR, 20_000), (Currency::USD, 10_000)],
    },
    Person {
        email: "fatima.alami@example.com",
        phone_number: "+212612345683",
        display_name: "Fatima Alami",
        roles: &["Customer"],
        wallet: &[(Currency::MAD, 250_000), (Currency::EUR, 10_000), (Currency::USD, 5_000)],
    },
    Person {
        email: "contact@cafe-central.ma",
        phone_number: "+212522345678",
        display_name: "Café Central",
        roles: &["Merchant"],
        wallet: &[(Currency::MAD, 0)],
    },
];

/// Makes the demo world in an empty database. Returns whether there is one now.
pub(crate) async fn ensure(app: &App) -> anyhow::Result<bool> {
    if app.identity.has_users().await? {
        let admin = app.identity.directory().find_by_email(PEOPLE[0].email).await?;
        return Ok(admin.is_some());
    }
    // Side by side, because each password takes a good part of a second to hash.
    let [admin, ahmed, fatima, cafe] = &PEOPLE;
    tokio::try_join!(
        settle(app, admin),
        settle(app, ahmed),
        settle(app, fatima),
        settle(app, cafe)
    )?;
    Ok(true)
}

async fn settle(app: &App, person: &Person) -> anyhow::Result<()> {
    let user = match provision(app, person).await {
        Ok(user) => user,
        // Another process was faster, and gives the person what is below.
        Err(RegisterError::EmailAlreadyRegistered) => return Ok(()),
        Err(error) => return Err(error).context(person.email),
    };
    if person.wallet.is_empty() {
        return Ok(());
    }
    let currencies: Vec<Currency> = person.wallet.iter().map(|(currency, _)| *currency).collect();
    let wallet = app.wallets.create_wallet(user, &currencies).await?;
    for &(currency, minor_units) in person.wallet.iter().filter(|(_, amount)| *amount > 0) {
        let key = format!("demo-{currency}");
        let keyed = Keyed { caller: user, key: &key, fingerprint: key.as_bytes() };
        let amount = Money::new(minor_units, currency);
        let top_up = TopUp { amount, payment_method: "sandbox-card".to_owned() };
        app.wallets.top_up(&keyed, wallet.id, top_up).await?;
    }
    Ok(())
}

async fn provision(app: &App, person: &Person) -> Result<UserId, RegisterError> {
    let user = NewUser {
        email: person.email.to_owned(),
        phone_number: person.phone_number.to_owned(),
        password: SecretString::from(PASSWORD),
        display_name: person.display_name.to_owned(),
    };
    Ok(app.identity.register_with_roles(user, person.roles).await?.id)
}
