import Foundation
import Hookswitch

/// Opens the core, and tries again when it cannot be opened: a full disk passes, and so does a phone that was never unlocked. Meanwhile
/// ``PhoneCalls`` goes on taking pushes.
///
/// ```swift ios
/// let calls = PhoneCalls(CXProviderConfiguration())
/// let opener = CoreOpener { try await Hookswitch.connect(configuration, keys: keys) } opened: { calls.attach($0) }
/// calls.wantsCore = { opener.openNow() }
/// opener.start()
/// ```
@MainActor public final class CoreOpener<Core: Sendable> {
    /// How far it is.
    public enum State: Sendable {
        /// It is being opened.
        case opening
        /// It is open.
        case open(Core)
        /// It could not be opened, for the reason given, and is tried again.
        case failed(why: String, tries: Int)
    }

    /// How far it is.
    public private(set) var state = State.opening
    /// Called after each change of ``state``.
    public var changed: @MainActor (State) -> Void = { _ in }
    private let open: @Sendable () async throws -> Core
    private let opened: @MainActor (Core) -> Void
    private let pause: @Sendable (Int) async -> Void
    private var task: Task<Void, Never>?
    private var waiting: Task<Void, Never>?

    /// `open` is tried until it succeeds; `opened` is called once, before anybody sees the state.
    public convenience init(
        open: @escaping @Sendable () async throws -> Core, opened: @escaping @MainActor (Core) -> Void
    ) {
        self.init(open: open, opened: opened) { tries in
            // 1, 2, 4, ... 32 seconds.
            try? await Task.sleep(for: .seconds(1 << min(tries - 1, 5)))
        }
    }

    /// `pause` is for tests.
    init(
        open: @escaping @Sendable () async throws -> Core, opened: @escaping @MainActor (Core) -> Void,
        pause: @escaping @Sendable (Int) async -> Void
    ) {
        self.open = open
        self.opened = opened
        self.pause = pause
    }

    deinit {
        task?.cancel()
        waiting?.cancel()
    }

    /// Begins. Calling it twice does no harm.
    public func start() {
        guard task == nil else { return }
        task = Task { [weak self, open] in
            var tries = 0
            while !Task.isCancelled {
                do {
                    let core = try await open()
                    self?.opened(core)
                    self?.now(.open(core))
                    return
                } catch {
                    tries += 1
                    self?.now(.failed(why: (error as? HookswitchError)?.why ?? "\(error)", tries: tries))
                    await self?.wait(tries)
                }
            }
        }
    }

    /// There is a reason to try now: a push, the foreground, an unlock.
    public func openNow() {
        start()
        waiting?.cancel()
    }

    private func wait(_ tries: Int) async {
        let pause = pause
        let waiting = Task { await pause(tries) }
        self.waiting = waiting
        await waiting.value
        self.waiting = nil
    }

    private func now(_ new: State) {
        state = new
        changed(new)
    }
}
