//! As much of a page as it takes to walk through a sign-in without a screen: its forms, its links, what it says.
//!
//! Pages are read as browsers read them, half a page and a wrong one, too: nothing here fails on what a server sent.

use scraper::{ElementRef, Html};

/// A form with what it would send if nobody filled it in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// The address that it goes to, relative to its page's; empty: the page's own.
    pub action: String,
    /// Names and values.
    pub fields: Vec<(String, String)>,
    /// Names of its buttons, with their values: only the one that is pressed is sent.
    pub buttons: Vec<(String, String)>,
}

impl Form {
    /// Whether it has a field of this name.
    pub fn asks_for(&self, name: &str) -> bool {
        self.fields.iter().any(|(field, _)| field == name)
    }

    fn read(form: ElementRef<'_>) -> Self {
        let mut read = Self { action: form.attr("action").unwrap_or_default().to_owned(), ..Self::default() };
        for control in form.descendent_elements() {
            let tag = control.value().name();
            let Some(name) = control.attr("name").filter(|_| matches!(tag, "input" | "button")) else { continue };
            let field = (name.to_owned(), control.attr("value").unwrap_or_default().to_owned());
            match (tag, control.attr("type")) {
                ("button", _) | (_, Some("submit" | "button" | "image")) => read.buttons.push(field),
                (_, Some("checkbox" | "radio")) if control.attr("checked").is_none() => {}
                _ => read.fields.push(field),
            }
        }
        read
    }
}

/// The forms of a page, in order.
pub fn forms(html: &str) -> Vec<Form> {
    Html::parse_document(html)
        .root_element()
        .descendent_elements()
        .filter(|it| it.value().name() == "form")
        .map(Form::read)
        .collect()
}

/// The address behind the link with this id.
pub fn link(html: &str, id: &str) -> Option<String> {
    href(html, |link| link.value().id() == Some(id))
}

/// The address behind the link that tests know by this name (`data-testid`).
pub fn link_with_test_id(html: &str, name: &str) -> Option<String> {
    href(html, |link| link.attr("data-testid") == Some(name))
}

/// The address behind the first link whose address contains this.
pub fn link_to(html: &str, part: &str) -> Option<String> {
    href(html, |link| link.attr("href").is_some_and(|href| href.contains(part)))
}

/// The page's title; empty when it has none.
pub fn title(html: &str) -> String {
    first_text(html, |element| element.value().name() == "title").unwrap_or_default()
}

/// The page's headline.
pub fn headline(html: &str) -> Option<String> {
    first_text(html, |element| element.value().name() == "h1")
}

/// The text of the first element whose id begins like this and that has any.
pub fn text_of(html: &str, id: &str) -> Option<String> {
    first_text(html, |element| element.value().id().is_some_and(|found| found.starts_with(id)))
}

/// What the page says in its alert (ARIA's role), if it says anything there.
pub fn alert(html: &str) -> Option<String> {
    first_text(html, |element| element.attr("role") == Some("alert"))
}

/// The names by which tests know the page's parts (`data-testid`), in order.
pub fn test_ids(html: &str) -> Vec<String> {
    let page = Html::parse_document(html);
    page.root_element()
        .descendent_elements()
        .filter_map(|element| element.attr("data-testid"))
        .map(str::to_owned)
        .collect()
}

fn href(html: &str, wanted: impl Fn(&ElementRef<'_>) -> bool) -> Option<String> {
    let page = Html::parse_document(html);
    let link = page.root_element().descendent_elements().find(|it| it.value().name() == "a" && wanted(it))?;
    link.attr("href").map(str::to_owned)
}

/// The text of the first such element that has any, in one line.
fn first_text(html: &str, wanted: impl Fn(&ElementRef<'_>) -> bool) -> Option<String> {
    let page = Html::parse_document(html);
    let texts = page
        .root_element()
        .descendent_elements()
        .filter(wanted)
        .map(|element| element.text().collect::<String>().split_whitespace().collect::<Vec<_>>().join(" "));
    let mut texts = texts.filter(|text| !text.is_empty());
    texts.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r##"<!-- <form action="no"> --><TITLE>A &amp; B</TITLE><script>if (a<b) "<form action='no'>"</SCRIPT>
        <a id="social-google" href="/x?a=1&amp;b=2">G</a>
        <form id=f action='/go?a&#x3D;1' method=post><input type=hidden name=tx value="q&quot;">
        <input name="otp"/><input type="checkbox" name="remember"><button name="accept" value="Yes">OK</button></form>
        <div id="input-error-none"><div></div></div>
        <div id="input-error-username" class="e"><div>Wrong</div> <b>password</b>. </div>"##;

    #[test]
    fn a_form_is_read_as_a_browser_reads_it() {
        let forms = forms(PAGE);
        assert_eq!(forms.len(), 1);
        assert_eq!(forms[0].action, "/go?a=1");
        assert_eq!(forms[0].fields, [("tx".to_owned(), "q\"".to_owned()), ("otp".to_owned(), String::new())]);
        assert_eq!(forms[0].buttons, [("accept".to_owned(), "Yes".to_owned())]);
        assert!(forms[0].asks_for("otp") && !forms[0].asks_for("remember"));
    }

    #[test]
    fn links_titles_and_complaints_are_found() {
        assert_eq!(link(PAGE, "social-google").unwrap(), "/x?a=1&b=2");
        assert_eq!(title(PAGE), "A & B");
        assert_eq!(text_of(PAGE, "input-error").unwrap(), "Wrong password.");
    }

    #[test]
    fn half_a_page_is_read_as_far_as_it_goes() {
        for end in 0..PAGE.len() {
            if let Some(part) = PAGE.get(..end) {
                let _ = (forms(part), title(part), text_of(part, "input-error"));
            }
        }
    }

    #[test]
    fn what_is_outside_of_a_form_is_not_sent_with_it() {
        let page = r#"<form method="post" action="/login?tx=a&amp;b=1">
            <input type="hidden" name="csrf" value="x&#x2f;y"><input name="email" value="no"></form>
            <input type="hidden" name="other" value="z">"#;
        let forms = forms(page);
        assert_eq!(forms.len(), 1);
        assert_eq!(forms[0].action, "/login?tx=a&b=1");
        let fields = [("csrf", "x/y"), ("email", "no")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(forms[0].fields, fields);
        assert_eq!(alert(r#"<p class="e" role="alert">E-mail <b>or</b> password</p>"#).unwrap(), "E-mail or password");
    }

    #[test]
    fn parts_and_links_are_found_by_what_they_are_called() {
        let page = r#"<body data-testid="login-page"><h1>Sign <b>in</b></h1><a href="/help">?</a>
            <a class="button" href="/sso/google?tx=1&amp;b=2" data-testid="login-google">G</a>"#;
        assert_eq!(test_ids(page), ["login-page", "login-google"]);
        assert_eq!(link_to(page, "/sso/google").unwrap(), "/sso/google?tx=1&b=2");
        assert_eq!(link_with_test_id(page, "login-google"), link_to(page, "/sso/google"));
        assert_eq!(headline(page).unwrap(), "Sign in");
        assert_eq!((headline("<p>"), alert("<p role=alert></p>"), link_to(page, "/sso/acme")), (None, None, None));
    }
}
