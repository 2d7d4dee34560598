//! Cookies: read by exact name, written `HttpOnly` and `SameSite=Lax`; over https `Secure` with the `__Host-` prefix, else with
//! the port before the name.

use axum::http::{HeaderMap, HeaderValue, header};

/// Binds logins to the browser that began them; worth nothing else. One for all logins of a browser.
pub(crate) const LOGIN: &str = "hookswitch_login";
/// The same at the upstream issuer.
pub(crate) const UPSTREAM: &str = "hookswitch_upstream";

/// The same as `name`, for one login. Windows that open at the same moment, before any cookie came back, are each given a
/// cookie of that name, of which the browser keeps the one that comes last: this one stays with its login.
pub(crate) fn of_login(name: &str, hash: &str) -> String {
    let short: String = hash.chars().take(16).collect();
    format!("{name}_{short}")
}

/// Without https a browser gives the cookies of all servers of a host to each of them (RFC 6265, section 8.5): the port
/// keeps two backends on one machine from signing each other's people out.
fn full_name(base_url: &str, name: &str) -> String {
    if base_url.starts_with("https:") {
        return format!("__Host-{name}");
    }
    let port = base_url.rsplit_once(':').map(|(_, port)| port.trim_end_matches('/'));
    match port.filter(|port| port.parse::<u16>().is_ok()) {
        Some(port) => format!("{port}-{name}"),
        None => name.to_owned(),
    }
}

/// The value of a cookie.
pub(crate) fn read<'h>(headers: &'h HeaderMap, base_url: &str, name: &str) -> Option<&'h str> {
    let name = full_name(base_url, name);
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(given, value)| (given == name && !value.is_empty()).then_some(value))
}

/// How many logins have a cookie of their own.
pub(crate) fn logins(headers: &HeaderMap, base_url: &str, name: &str) -> usize {
    let prefix = of_login(&full_name(base_url, name), "");
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(';')).filter(|pair| pair.trim().starts_with(&prefix)).count()
}

/// Sets a cookie for `max_age` seconds; 0 removes it.
pub(crate) fn set(base_url: &str, name: &str, value: &str, max_age: i64) -> Option<(header::HeaderName, HeaderValue)> {
    let secure = if base_url.starts_with("https:") { "; Secure" } else { "" };
    let name = full_name(base_url, name);
    let line = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age}{secure}");
    Some((header::SET_COOKIE, HeaderValue::from_str(&line).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_https_a_cookie_is_secure_and_belongs_to_this_host_only() {
        let (_, line) = set("https://hookswitch.example", "a", "b", 60).unwrap();
        assert_eq!(line, "__Host-a=b; Path=/; HttpOnly; SameSite=Lax; Max-Age=60; Secure");
        let (_, line) = set("http://hookswitch.example", "a", "b", 60).unwrap();
        assert_eq!(line, "a=b; Path=/; HttpOnly; SameSite=Lax; Max-Age=60");
    }

    #[test]
    fn two_servers_of_one_host_have_cookies_of_their_own() {
        let (_, line) = set("http://127.0.0.1:4711", "a", "b", 60).unwrap();
        assert_eq!(line, "4711-a=b; Path=/; HttpOnly; SameSite=Lax; Max-Age=60");
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("4711-a=1; 4712-a=2; a=3"));
        assert_eq!(read(&headers, "http://127.0.0.1:4711", "a"), Some("1"));
        assert_eq!(read(&headers, "http://127.0.0.1:4712", "a"), Some("2"));
        assert_eq!(read(&headers, "http://127.0.0.1:4713", "a"), None);
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("xa=1; a=2; __Host-a=3"));
        assert_eq!(read(&headers, "http://hookswitch.example", "a"), Some("2"));
        assert_eq!(read(&headers, "https://hookswitch.example", "a"), Some("3"));
        assert_eq!(read(&headers, "http://hookswitch.example", "b"), None);
    }

    #[test]
    fn logins_with_a_cookie_of_their_own_are_counted_and_no_others() {
        let mut headers = HeaderMap::new();
        let line =
            "1-hookswitch_login=1; 1-hookswitch_login_a=1;1-hookswitch_login_b=1; __Host-hookswitch_login_c=1; x=1";
        headers.append(header::COOKIE, HeaderValue::from_static(line));
        assert_eq!(logins(&headers, "http://127.0.0.1:1", LOGIN), 2);
        assert_eq!(logins(&headers, "https://hookswitch.example", LOGIN), 1);
        assert_eq!(logins(&headers, "http://127.0.0.1:1", UPSTREAM), 0);
    }
}
