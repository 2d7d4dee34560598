import Foundation

#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

/// The operator's door of the reference backend: makes calls, and shows what would be pushed. The backend opens it with
/// `--operator-key FILE`.
public struct Operator: Sendable {
    private let backend: String
    private let key: String

    /// `key`: the file's content.
    public init(of backend: String, key: String) {
        self.backend = backend
        self.key = key.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// The backend did not do it.
    public struct Refused: Error {
        let what: String
    }

    /// A customer calls an agent. Gives the payload of the push that goes out for it; `asOldServer`: also while calls are forwarded.
    public func call(_ email: String, from number: String, asOldServer: Bool = false) async throws -> Data {
        _ = try await ask("old-server", ["on": asOldServer])
        let made = try await ask("calls", ["email": email, "from": number])
        let outbox = try await ask("outbox", nil) as? [[String: Any]]
        let call = ((made as? [String: Any])?["call"] as? [String: Any])?["call_id"] as? String
        let pushes = outbox?.compactMap { $0["payload"] as? [String: Any] } ?? []
        guard let push = pushes.last(where: { $0["call_id"] as? String == call }) else {
            throw Refused(what: "no push went out for \(made)")
        }
        return try JSONSerialization.data(withJSONObject: push)
    }

    private func ask(_ what: String, _ body: [String: Any]?) async throws -> Any {
        guard let url = URL(string: "\(backend)/operator/\(what)") else { throw Refused(what: backend) }
        var request = URLRequest(url: url)
        request.setValue("Bearer \(key)", forHTTPHeaderField: "Authorization")
        if let body {
            request.httpMethod = "POST"
            request.setValue("application/json", forHTTPHeaderField: "Content-Type")
            request.httpBody = try JSONSerialization.data(withJSONObject: body)
        }
        let (data, answer): (Data, HTTPURLResponse) = try await withCheckedThrowingContinuation { continuation in
            URLSession.shared.dataTask(with: request) { data, answer, error in
                if let answer = answer as? HTTPURLResponse {
                    continuation.resume(returning: (data ?? Data(), answer))
                } else {
                    continuation.resume(throwing: error ?? Refused(what: what))
                }
            }.resume()
        }
        guard answer.statusCode < 300 else { throw Refused(what: "\(what): \(String(decoding: data, as: UTF8.self))") }
        return data.isEmpty ? [:] : try JSONSerialization.jsonObject(with: data, options: .fragmentsAllowed)
    }
}
