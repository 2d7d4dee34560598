import Foundation
internal import HookswitchGenerated

/// Gets the core's log. Called on threads of the core, in order; should return soon.
public protocol LogSink: AnyObject, Sendable {
    /// One line, without secrets.
    func log(_ level: LogLevel, _ message: String)
}

/// How much a line of the log matters.
public enum LogLevel: Hashable, Sendable, CaseIterable {
    case error, warning, info, debug
}

/// The clocks, for tests.
public protocol DeviceClock: AnyObject, Sendable {
    /// Now. Called from any thread.
    func now() -> Moment
}

/// What both clocks of a device show.
public struct Moment: Hashable, Sendable {
    /// Milliseconds since 1970.
    public var wall: Int64
    /// Milliseconds since some fixed moment; never goes back.
    public var mono: UInt64

    public init(wall: Int64, mono: UInt64) {
        self.wall = wall
        self.mono = mono
    }
}
