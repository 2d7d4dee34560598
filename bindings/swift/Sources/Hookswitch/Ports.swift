import Foundation
public import HookswitchGenerated

/// Gets the core's log. Called on threads of the core, in order; should return soon.
public protocol LogSink: AnyObject, Sendable {
    /// One line, without secrets. `target` is the part of the core that it comes from: "hookswitch::ring".
    func log(_ level: LogLevel, target: String, _ message: String)
}

/// The clocks, for tests.
public protocol DeviceClock: AnyObject, Sendable {
    /// Now. Called from any thread.
    func now() -> Moment
}

/// The app's key store, as Rust calls it.
final class ForeignKeys: Keys {
    private let keys: any KeyProvider

    init(_ keys: any KeyProvider) { self.keys = keys }

    func wrap(key: Data) throws -> Data { try translating { try keys.wrap(key) } }

    func unwrap(wrapped: Data) throws -> Data { try translating { try keys.unwrap(wrapped) } }

    private func translating(_ body: () throws -> Data) throws -> Data {
        do {
            return try body()
        } catch KeyError.unavailable {
            throw KeysError.Unavailable
        } catch KeyError.invalidated {
            throw KeysError.Invalidated
        } catch KeyError.failed(let why) {
            throw KeysError.Failed(why: why)
        } catch {
            throw KeysError.Failed(why: "\(error)")
        }
    }
}

/// The app's clocks, as Rust calls them.
final class ForeignClock: HookswitchGenerated.Clock {
    private let clock: any DeviceClock

    init(_ clock: any DeviceClock) { self.clock = clock }

    func now() -> Moment { clock.now() }
}

/// The app's log, as Rust calls it.
final class ForeignLog: LogLines {
    private let sink: any LogSink

    init(_ sink: any LogSink) { self.sink = sink }

    func log(level: LogLevel, target: String, message: String) { sink.log(level, target: target, message) }
}
