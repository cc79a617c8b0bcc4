//! The guest list: who has registered, as miners' doors ask.
//!
//! Invariant: without a `[web]` table there is no list, and everybody is welcome.

use accounting::Identity;
use std::sync::Arc;
use stratum::guests::Guests;
use web::profiles::Profiles;
use web::site::Settings;

/// Registered owners.
pub struct GuestList {
    profiles: Arc<Profiles>,
    /// What others are told; `None` where everybody is welcome.
    refusal: Option<String>,
}

impl GuestList {
    /// By the pages' settings.
    pub fn new(profiles: Arc<Profiles>, settings: &Settings) -> Self {
        let refusal = settings.registered_only.then(|| match &settings.url {
            Some(url) => format!("this address is not registered: register it at {url}/register"),
            None => "this address is not registered: register it on the pool's pages".to_owned(),
        });
        GuestList { profiles, refusal }
    }
}

impl Guests for GuestList {
    fn address_of(&self, name: &str) -> Option<String> {
        self.profiles.named(name).map(|profile| profile.display.clone())
    }

    fn admit(&self, who: &Identity) -> Result<(), String> {
        match &self.refusal {
            Some(refusal) if self.profiles.of(who).is_none() => Err(refusal.clone()),
            _ => Ok(()),
        }
    }
}
