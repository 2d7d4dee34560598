import Foundation

/// A value behind a lock. The only lock of this layer; nothing foreign is called under it.
final class Locked<Value>: @unchecked Sendable {
    private let lock = NSLock()
    private var value: Value

    init(_ value: Value) { self.value = value }

    func withLock<Result>(_ body: (inout Value) throws -> Result) rethrows -> Result {
        try lock.withLock { try body(&value) }
    }
}

/// Hands values to any number of `AsyncStream`s, each with a buffer of its own.
final class Broadcast<Element: Sendable>: Sendable {
    private struct State {
        var latest: Element?
        var finished = false
        var next = 0
        var listeners: [Int: AsyncStream<Element>.Continuation] = [:]
    }

    private let state = Locked(State())
    private let kind: Kind

    enum Kind {
        /// A stream begins with the newest value; who is slow misses what is outdated.
        case latest
        /// A stream begins with nothing and misses nothing.
        case each
    }

    init(_ kind: Kind) { self.kind = kind }

    /// Ends when the core is closed, or when the task that reads it is cancelled.
    func stream() -> AsyncStream<Element> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: Element.self, bufferingPolicy: kind == .latest ? .bufferingNewest(1) : .unbounded)
        let name = state.withLock { state -> Int? in
            if let latest = state.latest { continuation.yield(latest) }
            guard !state.finished else { return nil }
            state.next += 1
            state.listeners[state.next] = continuation
            return state.next
        }
        guard let name else {
            continuation.finish()
            return stream
        }
        continuation.onTermination = { [weak self] _ in
            self?.state.withLock { $0.listeners[name] = nil }
        }
        return stream
    }

    /// The newest value.
    var latest: Element? { state.withLock { $0.latest } }

    /// How many read it.
    var listeners: Int { state.withLock { $0.listeners.count } }

    func send(_ element: Element) {
        state.withLock { state in
            if kind == .latest { state.latest = element }
            // Yielding runs nothing of the reader's: it is put into a buffer.
            for listener in state.listeners.values { listener.yield(element) }
        }
    }

    func finish() {
        let listeners = state.withLock { state in
            state.finished = true
            defer { state.listeners = [:] }
            return state.listeners.values
        }
        for listener in listeners { listener.finish() }
    }
}

extension Broadcast where Element: Equatable {
    /// As ``send(_:)``, unless it is the newest value already.
    func sendIfNew(_ element: Element) {
        state.withLock { state in
            guard state.latest != element else { return }
            state.latest = element
            for listener in state.listeners.values { listener.yield(element) }
        }
    }
}

/// Waits for work of the core. A cancelled task stops waiting at once and gets `CancellationError`; the work goes on to its end,
/// so that the core is never left in the middle of something.
func waiting<Value: Sendable>(for work: @escaping @Sendable () async throws -> Value) async throws -> Value {
    try Task.checkCancellation()
    let outcome = AsyncThrowingStream<Value, any Error> { continuation in
        Task {
            do {
                continuation.yield(try await work())
                continuation.finish()
            } catch {
                continuation.finish(throwing: error)
            }
        }
    }
    for try await value in outcome { return value }
    throw CancellationError()
}
