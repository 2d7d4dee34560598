import Foundation

#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

/// A system browser without a screen, for examples and tests: signs in on the pages of the reference backend, with a password, and
/// says where they lead. (It reads no HTML but theirs, one form whose fields are written one way: two patterns, where a parser would
/// be the package's only dependency.)
public final class DemoBrowser: NSObject, URLSessionTaskDelegate, @unchecked Sendable {
    private var session: URLSession!
    private var cookies: [String: String] = [:]

    override public init() {
        super.init()
        let configuration = URLSessionConfiguration.ephemeral
        configuration.connectionProxyDictionary = [:]
        // Not every Foundation keeps those of a redirect.
        configuration.httpShouldSetCookies = false
        configuration.httpCookieAcceptPolicy = .never
        session = URLSession(configuration: configuration, delegate: self, delegateQueue: nil)
    }

    /// Frees what the browser holds; it is of no use then.
    public func quit() { session.finishTasksAndInvalidate() }

    /// Opens an address, fills in the sign-in page, and gives the app's address that the browser ends at.
    public func signIn(
        at address: URL, as email: String = "alice@acme.example", password: String = "correct horse battery staple"
    ) async throws -> String {
        let page = try await load(URLRequest(url: address))
        guard case .page(let place, let html) = page else { return try page.address }
        var fields = URLComponents()
        fields.queryItems =
            html.matches(of: /<input type="hidden" name="([^"]*)" value="([^"]*)"/).map {
                URLQueryItem(name: String($0.1), value: String($0.2))
            } + [URLQueryItem(name: "email", value: email), URLQueryItem(name: "password", value: password)]
        let action = html.firstMatch(of: /<form[^>]*action="([^"]*)"/).map { String($0.1) } ?? ""
        var request = URLRequest(url: URL(string: action, relativeTo: place) ?? place)
        request.httpMethod = "POST"
        request.setValue("application/x-www-form-urlencoded", forHTTPHeaderField: "Content-Type")
        request.httpBody = fields.percentEncodedQuery.map { Data($0.utf8) }
        return try await load(request).address
    }

    private enum Landed {
        case page(URL, String)
        case app(String)

        var address: String {
            get throws {
                guard case .app(let address) = self else { throw Lost(at: "\(self)") }
                return address
            }
        }
    }

    /// The pages did not lead back to the app.
    public struct Lost: Error {
        let at: String
    }

    /// Follows redirects as long as they lead to web pages.
    private func load(_ first: URLRequest) async throws -> Landed {
        var request = first
        for _ in 0..<20 {
            request.setValue(cookies.map { "\($0)=\($1)" }.joined(separator: "; "), forHTTPHeaderField: "Cookie")
            let (data, response): (Data, HTTPURLResponse) = try await withCheckedThrowingContinuation { continuation in
                session.dataTask(with: request) { data, response, error in
                    if let response = response as? HTTPURLResponse {
                        continuation.resume(returning: (data ?? Data(), response))
                    } else {
                        continuation.resume(throwing: error ?? Lost(at: "no answer"))
                    }
                }.resume()
            }
            guard let here = request.url else { throw Lost(at: "nowhere") }
            let fields = response.allHeaderFields.reduce(into: [String: String]()) { $0["\($1.key)"] = "\($1.value)" }
            for cookie in HTTPCookie.cookies(withResponseHeaderFields: fields, for: here) { cookies[cookie.name] = cookie.value }
            guard (300..<400).contains(response.statusCode), let to = response.value(forHTTPHeaderField: "Location") else {
                return .page(here, String(decoding: data, as: UTF8.self))
            }
            guard let next = URL(string: to, relativeTo: here)?.absoluteURL, next.scheme == "http", next.host == here.host,
                next.port == here.port
            else { return .app(to) }
            request = URLRequest(url: next)
        }
        throw Lost(at: "the redirects go round in circles")
    }

    public func urlSession(
        _ session: URLSession, task: URLSessionTask, willPerformHTTPRedirection response: HTTPURLResponse,
        newRequest request: URLRequest, completionHandler: @escaping @Sendable (URLRequest?) -> Void
    ) {
        completionHandler(nil)
    }
}
