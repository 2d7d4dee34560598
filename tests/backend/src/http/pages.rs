//! Pages: templates in the binary, and the headers that keep them safe.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use minijinja::{Environment, context};

const TEMPLATES: [(&str, &str); 7] = [
    ("card.html", include_str!("../../pages/card.html")),
    ("login.html", include_str!("../../pages/login.html")),
    ("totp.html", include_str!("../../pages/totp.html")),
    ("message.html", include_str!("../../pages/message.html")),
    ("upstream_login.html", include_str!("../../pages/upstream_login.html")),
    ("get_the_app.html", include_str!("../../pages/get_the_app.html")),
    ("surface.html", include_str!("../../pages/surface.html")),
];

/// The templates, compiled.
pub(crate) struct Pages {
    environment: Environment<'static>,
    frame_ancestors: String,
}

/// Where a form of a page may lead in the end. Browsers apply it to redirects, too.
pub(crate) enum Forms<'a> {
    /// To this server only.
    Here,
    /// To this server, which then sends the browser to that address.
    Then(&'a str),
    /// Anywhere: the upstream issuer sends people where clients are.
    Anywhere,
}

impl Pages {
    pub(crate) fn new(framers: &[String]) -> Result<Self, minijinja::Error> {
        let mut environment = Environment::new();
        for (name, source) in TEMPLATES {
            environment.add_template(name, source)?;
        }
        let frame_ancestors = if framers.is_empty() { "'none'".to_owned() } else { framers.join(" ") };
        Ok(Self { environment, frame_ancestors })
    }

    /// Renders a page.
    pub(crate) fn page(&self, status: StatusCode, name: &str, forms: &Forms<'_>, with: minijinja::Value) -> Response {
        let rendered = self.environment.get_template(name).and_then(|template| template.render(with));
        match rendered {
            Ok(html) => (status, self.headers(forms), Html(html)).into_response(),
            Err(error) => {
                tracing::error!(%error, page = name, "a page could not be rendered");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }

    /// A page that says one thing and offers one way on.
    pub(crate) fn message(
        &self,
        status: StatusCode,
        title: &str,
        text: &str,
        action: Option<(&str, &str)>,
    ) -> Response {
        let (action_href, action_label) = action.unwrap_or_default();
        let with = context! { title, text, action_href, action_label };
        self.page(status, "message.html", &Forms::Here, with)
    }

    fn headers(&self, forms: &Forms<'_>) -> [(header::HeaderName, HeaderValue); 1] {
        let form_action = match forms {
            Forms::Here => "; form-action 'self'".to_owned(),
            Forms::Then(address) => format!("; form-action 'self' {}", source(address)),
            Forms::Anywhere => String::new(),
        };
        let policy = format!(
            "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors {}{form_action}",
            self.frame_ancestors
        );
        let policy = HeaderValue::from_str(&policy)
            .unwrap_or(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
        [(header::CONTENT_SECURITY_POLICY, policy)]
    }
}

/// An address as a source of a content security policy: its origin, or its scheme when that has no origin.
fn source(address: &str) -> String {
    match url::Url::parse(address) {
        Ok(url) if url.origin().is_tuple() => url.origin().ascii_serialization(),
        Ok(url) => format!("{}:", url.scheme()),
        Err(_) => "'self'".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_may_lead_to_the_apps_address_and_nowhere_else() {
        assert_eq!(source("https://app.hookswitch.dev/callback"), "https://app.hookswitch.dev");
        assert_eq!(source("http://127.0.0.1:4711/callback"), "http://127.0.0.1:4711");
        assert_eq!(source("dev.hookswitch.agent:/callback"), "dev.hookswitch.agent:");
    }
}
