//! As much of HTML as it takes to walk through sign-in pages.

/// A start or end tag.
#[derive(Debug)]
struct Tag {
    name: String,
    closes: bool,
    attributes: Vec<(String, String)>,
    /// Where the text behind it begins.
    end: usize,
    /// Where it begins.
    start: usize,
}

impl Tag {
    fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A form with what it would send if nobody filled it in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Form {
    /// Where it goes; empty: to its own page.
    pub(crate) action: String,
    /// Names and values.
    pub(crate) fields: Vec<(String, String)>,
    /// Names of its buttons, with their values: only the one that is pressed is sent.
    pub(crate) buttons: Vec<(String, String)>,
}

impl Form {
    /// Whether it has a field of this name.
    pub(crate) fn asks_for(&self, name: &str) -> bool {
        self.fields.iter().any(|(field, _)| field == name)
    }
}

/// The forms of a page, in order.
pub(crate) fn forms(html: &str) -> Vec<Form> {
    let mut forms = Vec::new();
    let mut open: Option<Form> = None;
    for tag in tags(html) {
        match (tag.name.as_str(), tag.closes, &mut open) {
            ("form", false, _) => {
                forms.extend(open.take());
                open = Some(Form { action: tag.get("action").unwrap_or_default().to_owned(), ..Form::default() });
            }
            ("form", true, _) => forms.extend(open.take()),
            ("input" | "button", false, Some(form)) => {
                let Some(name) = tag.get("name") else { continue };
                let field = (name.to_owned(), tag.get("value").unwrap_or_default().to_owned());
                match (tag.name.as_str(), tag.get("type")) {
                    ("button", _) | (_, Some("submit" | "button" | "image")) => form.buttons.push(field),
                    (_, Some("checkbox" | "radio")) if tag.get("checked").is_none() => {}
                    _ => form.fields.push(field),
                }
            }
            _ => {}
        }
    }
    forms.extend(open);
    forms
}

/// The address behind the link with this id.
pub(crate) fn link(html: &str, id: &str) -> Option<String> {
    tags(html).into_iter().find(|tag| tag.name == "a" && tag.get("id") == Some(id))?.get("href").map(str::to_owned)
}

/// The text of the first element whose id begins like this and that has any.
pub(crate) fn text_of(html: &str, id: &str) -> Option<String> {
    let tags = tags(html);
    let texts = tags.iter().enumerate().filter(|(_, tag)| tag.get("id").is_some_and(|found| found.starts_with(id)));
    texts
        .map(|(at, tag)| plain(inside(html, tag, tags.get(at + 1..).unwrap_or_default())))
        .find(|text| !text.is_empty())
}

/// What is between an element's tags; `rest` is what follows the first.
fn inside<'a>(html: &'a str, open: &Tag, rest: &[Tag]) -> &'a str {
    let mut depth = 1;
    let end = rest.iter().filter(|tag| tag.name == open.name).find(|tag| {
        depth += if tag.closes { -1 } else { 1 };
        depth == 0
    });
    html.get(open.end..end.map_or(html.len(), |tag| tag.start)).unwrap_or_default()
}

/// The page's title.
pub(crate) fn title(html: &str) -> String {
    let tags = tags(html);
    let at = tags.iter().position(|tag| tag.name == "title");
    at.and_then(|at| tags.get(at..)?.split_first())
        .map(|(tag, rest)| plain(inside(html, tag, rest)))
        .unwrap_or_default()
}

/// Text without tags, in one line.
fn plain(html: &str) -> String {
    let mut text = String::new();
    let mut from = 0;
    for tag in tags(html) {
        text.push_str(html.get(from..tag.start).unwrap_or_default());
        from = tag.end;
    }
    text.push_str(html.get(from..).unwrap_or_default());
    unescape(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn tags(html: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut from = 0;
    while let Some(start) = html.get(from..).and_then(|rest| rest.find('<')).map(|at| from + at) {
        let rest = html.get(start + 1..).unwrap_or_default();
        if let Some(comment) = rest.strip_prefix("!--") {
            from = comment.find("-->").map_or(html.len(), |at| start + 4 + at + 3);
            continue;
        }
        let (closes, rest) = rest.strip_prefix('/').map_or((false, rest), |rest| (true, rest));
        let name: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
        if name.is_empty() {
            from = start + 1;
            continue;
        }
        let (attributes, left) = attributes(rest.get(name.len()..).unwrap_or_default());
        let end = html.len() - left.len();
        let name = name.to_ascii_lowercase();
        from = end;
        if name == "script" && !closes {
            // What looks like a tag in there is none.
            from = left.to_ascii_lowercase().find("</script").map_or(html.len(), |at| end + at);
        }
        tags.push(Tag { name, closes, attributes, end, start });
    }
    tags
}

/// The attributes up to the end of the tag, and what follows it.
fn attributes(mut rest: &str) -> (Vec<(String, String)>, &str) {
    let mut all = Vec::new();
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        if let Some(left) = rest.strip_prefix('>') {
            return (all, left);
        }
        let length = rest.find(|c: char| c.is_whitespace() || matches!(c, '=' | '>' | '/')).unwrap_or(rest.len());
        // A stray sign is skipped, so that each turn gets on.
        let (name, left) =
            rest.split_at(if length == 0 { rest.chars().next().map_or(0, char::len_utf8) } else { length });
        if name.is_empty() {
            return (all, rest);
        }
        let left = left.trim_start();
        let Some(value) = left.strip_prefix('=').map(str::trim_start) else {
            all.push((name.to_ascii_lowercase(), String::new()));
            rest = left;
            continue;
        };
        let (value, left) = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let inner = value.get(1..).unwrap_or_default();
                inner.split_once(quote).unwrap_or((inner, ""))
            }
            _ => value.split_at(value.find(|c: char| c.is_whitespace() || c == '>').unwrap_or(value.len())),
        };
        all.push((name.to_ascii_lowercase(), unescape(value)));
        rest = left;
    }
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, entity)) = rest.split_once('&') {
        out.push_str(before);
        let Some((name, after)) = entity.split_once(';').filter(|(name, _)| name.len() <= 8) else {
            out.push('&');
            rest = entity;
            continue;
        };
        let code = match (name.strip_prefix("#x"), name.strip_prefix('#')) {
            (Some(hex), _) => u32::from_str_radix(hex, 16).ok().and_then(char::from_u32),
            (None, Some(decimal)) => decimal.parse().ok().and_then(char::from_u32),
            (None, None) => match name {
                "amp" => Some('&'),
                "lt" => Some('<'),
                "gt" => Some('>'),
                "quot" => Some('"'),
                "apos" => Some('\''),
                "nbsp" => Some(' '),
                _ => None,
            },
        };
        match code {
            Some(c) => {
                out.push(c);
                rest = after;
            }
            None => {
                out.push('&');
                rest = entity;
            }
        }
    }
    out.push_str(rest);
    out
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
}
