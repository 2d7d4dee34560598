//! Who is asking, and from which surface.

use std::net::SocketAddr;

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{Method, request::Parts},
};
use hookswitch_wire::{AccountId, DeviceId, HEADER_CSRF, Role, Surface};

use super::{ApiError, Label, Shared, address, body::Fields, cookies, text};
use crate::{
    secret,
    store::{Group, SessionKind, SessionRow},
};

/// A page of ours, as the `surface` query parameter names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Web,
    Dashboard,
    Zendesk,
    Salesforce,
    Hubspot,
    Desktop,
}

impl Place {
    pub(crate) const ALL: [Self; 6] =
        [Self::Web, Self::Dashboard, Self::Zendesk, Self::Salesforce, Self::Hubspot, Self::Desktop];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Dashboard => "dashboard",
            Self::Zendesk => "cti-zendesk",
            Self::Salesforce => "cti-salesforce",
            Self::Hubspot => "cti-hubspot",
            Self::Desktop => "desktop",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|place| place.name() == name)
    }

    /// What a person calls it.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Web => "Workspace",
            Self::Dashboard => "Dashboard",
            Self::Zendesk => "Zendesk widget",
            Self::Salesforce => "Salesforce widget",
            Self::Hubspot => "HubSpot widget",
            Self::Desktop => "Desktop",
        }
    }

    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Web => "/app/web",
            Self::Dashboard => "/app/dashboard",
            Self::Zendesk => "/app/cti/zendesk",
            Self::Salesforce => "/app/cti/salesforce",
            Self::Hubspot => "/app/cti/hubspot",
            Self::Desktop => "/app/desktop",
        }
    }

    /// The desktop app signs in on its own; all that runs in a browser shares one session.
    pub(crate) const fn group(self) -> Group {
        match self {
            Self::Web | Self::Dashboard | Self::Zendesk | Self::Salesforce | Self::Hubspot => Group::Browser,
            Self::Desktop => Group::Desktop,
        }
    }

    fn surface(self) -> Surface {
        let cti = |host: &str| Surface::Cti { host: host.to_owned() };
        match self {
            Self::Web => Surface::Web,
            Self::Dashboard => Surface::Dashboard,
            Self::Zendesk => cti("zendesk"),
            Self::Salesforce => cti("salesforce"),
            Self::Hubspot => cti("hubspot"),
            Self::Desktop => Surface::Desktop,
        }
    }
}

/// The name of the cookie that holds a group's session.
pub(crate) const fn session_cookie(group: Group) -> &'static str {
    match group {
        Group::Browser => "hookswitch_browser",
        Group::Desktop => "hookswitch_desktop",
    }
}

/// The CSRF token of a session: made from its cookie, so that only its pages know it and nobody stores it.
pub(crate) fn csrf_token(cookie: &str) -> String {
    secret::derived("csrf of a session", &[cookie])
}

/// Whoever is signed in and asks.
pub(crate) struct Caller {
    pub(crate) account: AccountId,
    pub(crate) session: String,
    /// `None`: a phone.
    pub(crate) place: Option<Place>,
}

impl Caller {
    /// Where a call is answered by this caller. A phone says which it is, or is known by its registration.
    pub(crate) fn surface(&self, service: &Shared, device: Option<DeviceId>) -> Result<Surface, ApiError> {
        if let Some(place) = self.place {
            return Ok(place.surface());
        }
        let device = match device {
            Some(device) => Some(device),
            None => self.device(service)?,
        };
        let device = device.ok_or_else(|| ApiError::malformed("Say which device answers.").field("device"))?;
        Ok(Surface::Mobile { device })
    }

    /// Where a choice is made; `None`: on a phone that has not registered yet.
    pub(crate) fn place_of_choice(&self, service: &Shared) -> Result<Option<Surface>, ApiError> {
        match self.place {
            Some(place) => Ok(Some(place.surface())),
            None => Ok(self.device(service)?.map(|device| Surface::Mobile { device })),
        }
    }

    /// The device that this phone registered.
    pub(crate) fn device(&self, service: &Shared) -> Result<Option<DeviceId>, ApiError> {
        let agent = service.read(|tx| tx.agent(&self.account))?;
        Ok(agent.and_then(|agent| agent.aggregate.device_of(&self.session).map(|device| device.id.clone())))
    }
}

/// The session of the cookie of a group, with the cookie.
pub(crate) fn by_cookie(
    service: &Shared,
    parts: &axum::http::HeaderMap,
    group: Group,
    address: &str,
) -> Result<Option<(SessionRow, String)>, ApiError> {
    let Some(cookie) = cookies::read(parts, &service.base_url, session_cookie(group)) else { return Ok(None) };
    let session = service.cookie_session(group, cookie, address)?;
    Ok(session.map(|session| (session, cookie.to_owned())))
}

impl FromRequestParts<Shared> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, service: &Shared) -> Result<Self, ApiError> {
        let address = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(address).unwrap_or_default();
        let label = parts.extensions.get::<Label>().cloned().unwrap_or_default();
        if let Some(authorization) = text(&parts.headers, "authorization") {
            let token = authorization
                .split_once(' ')
                .and_then(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer").then_some(token.trim()))
                .ok_or_else(ApiError::unauthenticated)?;
            label.set("phone");
            let session = service.token_session(token, &address)?.ok_or_else(ApiError::unauthenticated)?;
            debug_assert_eq!(session.kind, SessionKind::Mobile);
            let caller = Self { account: session.account, session: session.id, place: None };
            if let Some(device) = caller.device(service)? {
                label.set(&format!("phone {device}"));
            }
            return Ok(caller);
        }
        let query = Fields::parse(parts.uri.query().unwrap_or_default().as_bytes())
            .map_err(|_| ApiError::malformed("A query parameter comes twice."))?;
        let place = query.get("surface").and_then(Place::parse).ok_or_else(ApiError::unauthenticated)?;
        label.set(place.name());
        let (session, cookie) =
            by_cookie(service, &parts.headers, place.group(), &address)?.ok_or_else(ApiError::unauthenticated)?;
        if parts.method != Method::GET && parts.method != Method::HEAD {
            let token = text(&parts.headers, HEADER_CSRF).unwrap_or_default();
            if !secret::same(token, &csrf_token(&cookie)) {
                return Err(ApiError::csrf());
            }
        }
        if place == Place::Dashboard {
            let agent = service.write(|unit| unit.tx.agent(&session.account))?.ok_or_else(ApiError::unauthenticated)?;
            if agent.aggregate.agent.role == Role::Agent {
                return Err(ApiError::forbidden("The Dashboard is for owners, admins and supervisors."));
            }
            if agent.totp_secret.is_some() && !session.second_factor {
                return Err(ApiError::forbidden("The Dashboard asks for a code of the authenticator app first."));
            }
        }
        Ok(Self { account: session.account, session: session.id, place: Some(place) })
    }
}
