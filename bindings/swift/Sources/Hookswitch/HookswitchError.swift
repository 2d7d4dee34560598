import Foundation
internal import HookswitchGenerated

/// Why a call failed, named by what the app does next.
///
/// `why` is a sentence for a person and for the log. Do not sign anybody out because of an error: when a session has ended,
/// ``SessionState`` says so.
///
/// ```swift
/// func reaction(to error: HookswitchError) -> String {
///     switch error {
///     case .reauthenticate: "show the sign-in page"
///     case .offline: "say that there is no connection; the session is safe"
///     case .forbidden: "show why: it would be refused again"
///     case .storage: "offer repair, then free space or a restart of the phone"
///     case .cancelled: "nothing"
///     case .internal: "offer to send a transcript"
///     }
/// }
/// ```
public enum HookswitchError: Error, Hashable, Sendable {
    /// Show the sign-in page.
    case reauthenticate(why: String)
    /// Say that there is no connection, and try again when there is one. The session is safe.
    case offline(why: String)
    /// Show `why`: the server or a rule refuses this, and would again.
    case forbidden(why: String)
    /// The device's storage or key store fails: offer ``Hookswitch/Session/repair()``, then free space or a restart.
    case storage(why: String)
    /// Nothing to do: a newer command, a sign-out or the person put an end to it. (A cancelled `Task` throws
    /// `CancellationError`.)
    case cancelled(why: String)
    /// A fault of ours or of the server's: offer to send ``Hookswitch/transcript()``.
    case `internal`(why: String)

    /// What happened, for a person.
    public var why: String {
        switch self {
        case .reauthenticate(let why), .offline(let why), .forbidden(let why), .storage(let why), .cancelled(let why),
            .internal(let why):
            why
        }
    }
}

extension HookswitchError: LocalizedError {
    /// The same as ``why``, so that `error.localizedDescription` can be shown.
    public var errorDescription: String? { why }
}

extension HookswitchError {
    /// Whatever comes out of a generated call. A panic in Rust arrives as an error of the generated code: a fault of ours.
    init(_ error: any Error) {
        switch error {
        case let error as HookswitchError: self = error
        case let error as Failure:
            self =
                switch error {
                case .Reauthenticate(let why): .reauthenticate(why: why)
                case .Offline(let why): .offline(why: why)
                case .Forbidden(let why): .forbidden(why: why)
                case .Storage(let why): .storage(why: why)
                case .Cancelled(let why): .cancelled(why: why)
                case .Internal(let why): .internal(why: why)
                }
        default: self = .internal(why: "Hookswitch failed: \(error.localizedDescription)")
        }
    }
}

/// Runs something that fails with generated errors.
func calling<Value>(_ body: () throws -> Value) throws -> Value {
    do { return try body() } catch { throw HookswitchError(error) }
}
