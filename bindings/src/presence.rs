//! The agent's presence, as an app shows it. Plain values, complete each time.

use hookswitch::{
    machine::{
        CoreChoice, SupersededChoice as CoreSuperseded,
        view::{Banner as CoreBanner, LinkView, PresenceView},
    },
    wire,
};

/// What the agent asked for: one fact, the same on every device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum Availability {
    /// Takes calls whenever a session is open, whatever the time.
    Available,
    /// Follows the working hours.
    Automatic,
    /// Takes no calls, whatever the time.
    Unavailable {
        /// Why, for colleagues.
        reason: UnavailableReason,
    },
}

/// Why an agent takes no calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum UnavailableReason {
    /// No reason given.
    Other,
    /// Paperwork.
    BackOffice,
    /// Learning.
    InTraining,
    /// Away for a moment.
    OnABreak,
    /// Eating.
    OutForLunch,
}

impl From<wire::Availability> for Availability {
    fn from(availability: wire::Availability) -> Self {
        match availability {
            wire::Availability::Available => Self::Available,
            wire::Availability::Automatic => Self::Automatic,
            wire::Availability::Unavailable { reason } => Self::Unavailable {
                reason: match reason {
                    wire::UnavailableReason::Other => UnavailableReason::Other,
                    wire::UnavailableReason::BackOffice => UnavailableReason::BackOffice,
                    wire::UnavailableReason::InTraining => UnavailableReason::InTraining,
                    wire::UnavailableReason::OnABreak => UnavailableReason::OnABreak,
                    wire::UnavailableReason::OutForLunch => UnavailableReason::OutForLunch,
                },
            },
        }
    }
}

impl From<Availability> for wire::Availability {
    fn from(availability: Availability) -> Self {
        match availability {
            Availability::Available => Self::Available,
            Availability::Automatic => Self::Automatic,
            Availability::Unavailable { reason } => Self::Unavailable {
                reason: match reason {
                    UnavailableReason::Other => wire::UnavailableReason::Other,
                    UnavailableReason::BackOffice => wire::UnavailableReason::BackOffice,
                    UnavailableReason::InTraining => wire::UnavailableReason::InTraining,
                    UnavailableReason::OnABreak => wire::UnavailableReason::OnABreak,
                    UnavailableReason::OutForLunch => wire::UnavailableReason::OutForLunch,
                },
            },
        }
    }
}

/// What follows from everything the server knows: what colleagues see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum Effective {
    /// No session is open anywhere.
    Offline,
    /// Takes no calls.
    DoNotDisturb,
    /// Takes calls.
    Available,
    /// Is in a call.
    InCall,
    /// Works on the last call.
    AfterCallWork,
}

impl From<wire::Effective> for Effective {
    fn from(effective: wire::Effective) -> Self {
        match effective {
            wire::Effective::Offline => Self::Offline,
            wire::Effective::DoNotDisturb => Self::DoNotDisturb,
            wire::Effective::Available => Self::Available,
            wire::Effective::InCall => Self::InCall,
            wire::Effective::AfterCallWork => Self::AfterCallWork,
        }
    }
}

/// Where calls go, and for how long.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Forwarding {
    /// E.164.
    pub number: String,
    /// When it ends by itself, in Unix milliseconds by the server's clock.
    pub until: Option<i64>,
}

/// What the agent chose and the server has not confirmed, or will not.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum Choice {
    /// On the availability picker.
    Availability {
        /// Which.
        availability: Availability,
    },
    /// On the forwarding switch.
    Forwarding {
        /// Where calls should go; `None`: to the apps.
        to: Option<Forwarding>,
    },
}

impl From<CoreChoice> for Choice {
    fn from(wish: CoreChoice) -> Self {
        match wish {
            CoreChoice::Availability { availability } => Self::Availability { availability: availability.into() },
            CoreChoice::Forwarding { to } => Self::Forwarding {
                to: to.map(|to| Forwarding { number: to.number.as_str().to_owned(), until: to.until }),
            },
        }
    }
}

/// A choice that was not applied.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Superseded {
    /// What was chosen.
    pub choice: Choice,
    /// What to tell the agent.
    pub why: String,
    /// When it was given up, in Unix milliseconds by the server's clock.
    pub at: i64,
    /// Where something newer was chosen, for display: "Desktop".
    pub by: Option<String>,
    /// When, in Unix milliseconds by the server's clock.
    pub chosen_at: Option<i64>,
}

impl From<CoreSuperseded> for Superseded {
    fn from(superseded: CoreSuperseded) -> Self {
        let CoreSuperseded { wish, at, why, by } = superseded;
        let chosen_at = by.as_ref().map(|chosen| chosen.at);
        let by = by.map(|chosen| chosen.by.title().to_owned());
        Self { choice: wish.into(), why, at, by, chosen_at }
    }
}

/// Calls go elsewhere: show it, with one button that turns it off.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Banner {
    /// Where calls go.
    pub number: String,
    /// When the server turns it off by itself.
    pub until: Option<i64>,
    /// Whether a call would go there now.
    pub takes_calls: bool,
    /// Whether this phone has that number: worth a warning.
    pub own_number: bool,
}

impl From<CoreBanner> for Banner {
    fn from(banner: CoreBanner) -> Self {
        let CoreBanner { number, until, takes_calls, own_number } = banner;
        Self { number: number.as_str().to_owned(), until, takes_calls, own_number }
    }
}

/// A phone of the agent.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Device {
    /// Its name among the agent's devices.
    pub id: String,
    /// For display.
    pub name: String,
    /// Why no call is pushed to it; `None`: calls are.
    pub cannot_ring: Option<CannotRing>,
    /// Android: whether it may show calls, as far as its app has said.
    pub call_notifications: Option<bool>,
    /// Android: whether a call may take its locked screen, as far as its app has said.
    pub full_screen_intent: Option<bool>,
    /// When it spoke to the server last.
    pub last_seen: i64,
}

/// Why the server pushes no call to a phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum CannotRing {
    /// Calls go to an external number: the ring rule.
    ForwardingActive,
    /// The agent takes no calls now.
    NotAvailable,
    /// The agent is on another call.
    InAnotherCall,
    /// The app has not given a push token.
    NoPushToken,
}

impl From<wire::Device> for Device {
    fn from(device: wire::Device) -> Self {
        Self {
            id: device.id.to_string(),
            name: device.name,
            cannot_ring: device.cannot_ring.map(|why| match why {
                wire::CannotRing::ForwardingActive => CannotRing::ForwardingActive,
                wire::CannotRing::NotAvailable => CannotRing::NotAvailable,
                wire::CannotRing::InAnotherCall => CannotRing::InAnotherCall,
                wire::CannotRing::NoPushToken => CannotRing::NoPushToken,
            }),
            call_notifications: device.capabilities.call_notifications,
            full_screen_intent: device.capabilities.full_screen_intent,
            last_seen: device.last_seen,
        }
    }
}

/// A place where the agent is signed in. See [`crate::Core::end_session`].
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct SignedInPlace {
    /// Names it.
    pub session: String,
    /// What kind of place.
    pub kind: PlaceKind,
    /// On a phone: which one of the devices.
    pub device: Option<String>,
    /// Since when.
    pub since: i64,
}

/// What kind of place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum PlaceKind {
    /// A phone.
    Mobile,
    /// All that runs in one browser.
    Browser,
    /// The desktop app.
    Desktop,
}

impl From<wire::SignIn> for SignedInPlace {
    fn from(sign_in: wire::SignIn) -> Self {
        Self {
            session: sign_in.id.to_string(),
            kind: match sign_in.kind {
                wire::SignInKind::Mobile => PlaceKind::Mobile,
                wire::SignInKind::Browser => PlaceKind::Browser,
                wire::SignInKind::Desktop => PlaceKind::Desktop,
            },
            device: sign_in.device.map(|device| device.to_string()),
            since: sign_in.signed_in_at,
        }
    }
}

/// The agent's presence.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Presence {
    /// The version of what the server says, as text.
    pub version: String,
    /// What the agent chose last, anywhere.
    pub availability: Availability,
    /// What follows from everything.
    pub effective: Effective,
    /// Where calls go; `None`: to the apps.
    pub forwarding: Option<Forwarding>,
    /// What was chosen on this phone and is not confirmed.
    pub pending: Vec<Choice>,
    /// What was chosen on this phone and will not happen.
    pub superseded: Option<Superseded>,
    /// Calls go elsewhere.
    pub banner: Option<Banner>,
    /// What the agent should be told, a sentence each.
    pub notices: Vec<String>,
    /// The agent's phones.
    pub devices: Vec<Device>,
    /// Where the agent is signed in, oldest first.
    pub signed_in_at: Vec<SignedInPlace>,
    /// When the server said all of this, in Unix milliseconds by its clock.
    pub as_of: i64,
}

impl From<PresenceView> for Presence {
    fn from(view: PresenceView) -> Self {
        let PresenceView { confirmed, pending, superseded, banner } = view;
        let wire::Snapshot { version, presence, devices, sessions, notices, at, agent: _, calls: _, trace: _ } =
            *confirmed;
        let wire::Forwarding { number, until, rev: _, own_device: _ } = presence.forwarding;
        Self {
            version: version.to_string(),
            availability: presence.availability.into(),
            effective: presence.effective.into(),
            forwarding: number.map(|number| Forwarding { number: number.as_str().to_owned(), until }),
            pending: pending.into_iter().map(Choice::from).collect(),
            superseded: superseded.map(Superseded::from),
            banner: banner.map(Banner::from),
            notices: notices.into_iter().map(|notice| notice.explain().to_owned()).collect(),
            devices: devices.into_iter().map(Device::from).collect(),
            signed_in_at: sessions.into_iter().map(SignedInPlace::from).collect(),
            as_of: at,
        }
    }
}

/// How well this phone hears the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum Link {
    /// Nobody is signed in.
    Off,
    /// In the background, on purpose.
    Background,
    /// Not, and it is tried again.
    Offline,
    /// Soon.
    Connecting,
    /// What is shown is what is.
    Live,
}

impl From<LinkView> for Link {
    fn from(link: LinkView) -> Self {
        match link {
            LinkView::Off => Self::Off,
            LinkView::Background => Self::Background,
            LinkView::Offline => Self::Offline,
            LinkView::Connecting => Self::Connecting,
            LinkView::Live => Self::Live,
        }
    }
}

/// How a code gets to a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum CodeBy {
    /// A text message.
    Sms,
    /// A voice reads it out.
    Call,
}

impl From<CodeBy> for wire::CodeBy {
    fn from(by: CodeBy) -> Self {
        match by {
            CodeBy::Sms => Self::Sms,
            CodeBy::Call => Self::Call,
        }
    }
}
