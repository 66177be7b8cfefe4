//! What a device is called.

/// Where somebody signs in from, as far as it is known; empty when it is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// The browser or app, in its own words.
    pub user_agent: String,
    /// The network address.
    pub ip_address: String,
}

/// The first that is found counts: each of these also says that it is one of those below it.
const PROGRAMS: [(&str, &str); 9] = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chromium/", "Chromium"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];
const SYSTEMS: [(&str, &str); 7] = [
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "Mac"),
    ("Linux", "Linux"),
];
const UNKNOWN: &str = "Unknown device";
const NAME_LENGTH_MAX: usize = 40;

/// A name that people recognise, such as "Firefox on Windows". It stays the same when a browser is
/// brought up to date.
pub(crate) fn name(user_agent: &str) -> String {
    let find = |known: &[(&str, &'static str)]| {
        known.iter().find(|(mark, _)| user_agent.contains(mark)).map(|(_, name)| *name)
    };
    match (find(&PROGRAMS), find(&SYSTEMS)) {
        (Some(program), Some(system)) => format!("{program} on {system}"),
        (Some(program), None) => program.to_owned(),
        (None, system) => {
            // An app or a script: `FinitechApp/2.1 (Android 16)`, `curl/8.5.0`.
            let product = user_agent.split(['/', ' ']).next().unwrap_or_default();
            let product: String =
                product.chars().filter(|one| !one.is_control()).take(NAME_LENGTH_MAX).collect();
            match (product.is_empty(), system) {
                (true, _) => UNKNOWN.to_owned(),
                (false, Some(system)) => format!("{product} on {system}"),
                (false, None) => product,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_names_that_people_recognise() {
        for (user_agent, expected) in [
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:131.0) Gecko/20100101 Firefox/131.0",
                "Firefox on Windows",
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
                 Chrome/130.0.0.0 Safari/537.36",
                "Chrome on Linux",
            ),
            (
                "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) \
                 Chrome/130.0.0.0 Mobile Safari/537.36",
                "Chrome on Android",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 \
                 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
                "Safari on iPhone",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like \
                 Gecko) Chrome/130.0.0.0 Safari/537.36 Edg/130.0.0.0",
                "Edge on Mac",
            ),
            ("FinitechApp/2.1 (Android 16)", "FinitechApp on Android"),
            ("curl/8.5.0", "curl"),
            ("", "Unknown device"),
            ("/", "Unknown device"),
        ] {
            assert_eq!(name(user_agent), expected, "{user_agent}");
        }
        assert_eq!(name(&"x".repeat(1_000)).len(), NAME_LENGTH_MAX);
    }
}
