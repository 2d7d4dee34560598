//! A browser without a screen: follows redirects, keeps cookies, fills in forms, of whatever server.

use pages::Form;
use reqwest::{Response, header};
use url::Url;

use crate::report::{ErrorMessage, text};

/// A page that is open, or the app that it led to.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    url: Url,
    status: u16,
    html: String,
}

impl Page {
    /// The redirect, when the browser has handed over to the app.
    pub(crate) fn redirect(&self) -> Result<&str, ErrorMessage> {
        if is_app(&self.url) { Ok(self.url.as_str()) } else { Err(format!("not back in the app but {}", self.name())) }
    }

    /// The first form that asks for this field.
    fn form(&self, field: &str) -> Result<Form, ErrorMessage> {
        let form = pages::forms(&self.html).into_iter().find(|form| form.asks_for(field));
        form.ok_or_else(|| format!("nothing asks for {field:?} {}", self.name()))
    }

    /// Whether a form asks for this field.
    pub(crate) fn asks_for(&self, field: &str) -> bool {
        self.form(field).is_ok()
    }

    /// What is filled in already.
    pub(crate) fn value_of(&self, field: &str) -> Option<String> {
        self.form(field).ok()?.fields.into_iter().find(|(name, _)| name == field).map(|(_, value)| value)
    }

    /// What the page complains about.
    pub(crate) fn complaint(&self) -> Option<String> {
        pages::text_of(&self.html, "input-error").or_else(|| pages::text_of(&self.html, "kc-error-message"))
    }

    fn name(&self) -> String {
        let complaint = self.complaint().map(|complaint| format!(", saying {complaint:?}")).unwrap_or_default();
        format!("on {:?} at {} ({}{complaint})", pages::title(&self.html), self.url.path(), self.status)
    }
}

/// Redirects to these leave the browser.
fn is_app(url: &Url) -> bool {
    !matches!(url.scheme(), "http" | "https") || url.path() == "/callback"
}

/// A browser with its cookies.
pub(crate) struct Browser {
    client: reqwest::Client,
}

impl Browser {
    /// A browser that has been nowhere.
    pub(crate) fn new() -> Result<Self, ErrorMessage> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .cookie_store(true)
            .no_proxy()
            .build()
            .map_err(text)?;
        Ok(Self { client })
    }

    /// Goes to an address and wherever it leads.
    pub(crate) async fn open(&self, address: &str) -> Result<Page, ErrorMessage> {
        let url = Url::parse(address).map_err(text)?;
        let answer = self.client.get(url.clone()).send().await.map_err(text)?;
        self.land(url, answer).await
    }

    /// Follows the link with this id.
    pub(crate) async fn follow(&self, page: &Page, id: &str) -> Result<Page, ErrorMessage> {
        let href = pages::link(&page.html, id).ok_or_else(|| format!("there is no link {id:?} {}", page.name()))?;
        self.open(page.url.join(&href).map_err(text)?.as_str()).await
    }

    /// Fills in the form that asks for the first of these fields, and sends it off.
    pub(crate) async fn fill_in(&self, page: &Page, fields: &[(&str, &str)]) -> Result<Page, ErrorMessage> {
        let first = fields.first().map_or("", |(name, _)| name);
        self.send(page, page.form(first)?, fields).await
    }

    /// Presses the button of this name.
    pub(crate) async fn press(&self, page: &Page, button: &str) -> Result<Page, ErrorMessage> {
        let has = |form: &Form| form.buttons.iter().find(|(name, _)| name == button).cloned();
        let found = pages::forms(&page.html).into_iter().find_map(|form| has(&form).map(|pressed| (form, pressed)));
        let (form, (name, value)) = found.ok_or_else(|| format!("there is no button {button:?} {}", page.name()))?;
        self.send(page, form, &[(&name, &value)]).await
    }

    async fn send(&self, page: &Page, form: Form, fields: &[(&str, &str)]) -> Result<Page, ErrorMessage> {
        let url = if form.action.is_empty() { Ok(page.url.clone()) } else { page.url.join(&form.action) };
        let url = url.map_err(text)?;
        let mut all = form.fields;
        all.retain(|(name, _)| !fields.iter().any(|(filled, _)| filled == name));
        all.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let request = self.client.post(url.clone()).header(header::ORIGIN, page.url.origin().ascii_serialization());
        let answer = request.form(&all).send().await.map_err(text)?;
        self.land(url, answer).await
    }

    /// Follows redirects, and pages that send themselves off as SAML's POST binding does, until a page stays or an app
    /// takes over.
    async fn land(&self, mut url: Url, mut answer: Response) -> Result<Page, ErrorMessage> {
        for _ in 0..30 {
            if let Some(location) = answer.headers().get(header::LOCATION).filter(|_| answer.status().is_redirection())
            {
                let location = location.to_str().map_err(text)?;
                url = url.join(location).map_err(|error| format!("a redirect to {location}: {error}"))?;
                if is_app(&url) {
                    return Ok(Page { url, status: 302, html: String::new() });
                }
                answer = self.client.get(url.clone()).send().await.map_err(text)?;
                continue;
            }
            let status = answer.status().as_u16();
            let html = answer.text().await.map_err(text)?;
            let by_itself = html.contains("document.forms[0].submit()");
            let Some(form) = pages::forms(&html).into_iter().next().filter(|_| by_itself) else {
                return Ok(Page { url, status, html });
            };
            let next = url.join(&form.action).map_err(text)?;
            answer = self.client.post(next.clone()).form(&form.fields).send().await.map_err(text)?;
            url = next;
        }
        Err("the redirects go round in circles".into())
    }
}
