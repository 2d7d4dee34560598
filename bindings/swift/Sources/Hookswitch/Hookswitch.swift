import Foundation
public import HookswitchGenerated

/// The core of one app on one phone: it signs in by the system browser, keeps the session, shows one and the same presence, and
/// decides whether this phone rings.
///
/// Connect once a process, as early as the process starts, also when a push started it. When ``connect(_:keys:clock:)`` returns, the
/// session is restored and ``Ring/decide(_:mustReport:)`` knows what the vault knows. Nothing is sent before ``foreground()`` or a push.
///
/// ```swift
/// let hookswitch = try await Hookswitch.connect(configuration, keys: keys)
/// hookswitch.foreground()
/// for await presence in hookswitch.presence.states {
///     show(presence)
/// }
/// ```
///
/// Every method may be called from any thread. Cancelling a task ends its wait at once with `CancellationError`, not the work: a
/// sign-out that nobody waits for still happens. The core closes when the last reference to it goes; ``close()`` does it sooner.
public final class Hookswitch: Sendable {
    let core: Core
    let hub: Hub

    /// This installation's name among the agent's devices.
    public let deviceID: DeviceId

    private init(core: Core, hub: Hub) throws {
        self.core = core
        self.hub = hub
        deviceID = try core.device()
    }

    deinit { close() }

    /// Opens the vault and restores the session.
    ///
    /// - Parameters:
    ///   - configuration: What the app says about itself and its server.
    ///   - keys: The platform's key store.
    ///   - clock: For tests; `nil`: the clocks of the device.
    /// - Throws: ``HookswitchError/internal(why:)`` for an unusable configuration, ``HookswitchError/storage(why:)`` when the vault
    ///   cannot be opened.
    public static func connect(
        _ configuration: Configuration,
        keys: any KeyProvider,
        clock: (any DeviceClock)? = nil
    ) async throws -> Hookswitch {
        let hub = Hub()
        return try await waiting {
            try await withCheckedThrowingContinuation { continuation in
                // It reads files, and a thread of Swift's own must not be kept waiting for that.
                DispatchQueue.global(qos: .userInitiated).async {
                    continuation.resume(
                        with: Result {
                            try calling {
                                let core = try Core.open(
                                    config: configuration.core,
                                    keys: ForeignKeys(keys),
                                    observer: hub,
                                    clock: clock.map(ForeignClock.init)
                                )
                                return try Hookswitch(core: core, hub: hub)
                            }
                        })
                }
            }
        }
    }

    /// Sends the core's log to `sink`, from now on and for all cores of the process: a later sink takes the place of an earlier one, the
    /// level of the first call stays. Lines have no secret, phone number, name or e-mail address.
    ///
    /// - Returns: `false` when the process logs elsewhere already.
    @discardableResult
    public static func startLogging(_ level: LogLevel, to sink: any LogSink) -> Bool {
        HookswitchGenerated.startLogging(level: level, sink: ForeignLog(sink))
    }

    /// What to show now. After ``close()``: what was to show last.
    public var state: AppState { (try? core.state()) ?? hub.last }

    /// What to show now and each change of it, coalesced to the latest. What a command of yours (one that is
    /// awaited) changed is there before it returns. Ends when the core is closed, or the task that reads it is cancelled. ``Session/states``, ``Presence/states`` and
    /// ``Calls/states`` are parts of it.
    public var states: AsyncStream<AppState> { hub.states.stream() }

    /// The app comes to the foreground.
    public func foreground() { core.foreground() }

    /// The app goes to the background. After 20 s there is no stream and no timer.
    public func background() { core.background() }

    /// The device has a network, or has none.
    public func network(up: Bool) { core.network(up: up) }

    /// The device was unlocked for the first time since it started.
    public func unlocked() { core.unlocked() }

    /// The ``DeviceClock`` shows another time. (The clocks of the device are watched by the core itself.)
    public func clockChanged() { core.clockChanged() }

    /// Returns once all that is known is in the vault: wait for it within `beginBackgroundTask`. Also returns when the task is cancelled.
    public func saved() async {
        try? await waiting { [core] in try await core.saved() }
    }

    /// The push service gave this phone an address, or took it back.
    public func setPushToken(_ token: String?) async throws {
        try await ask { try await $0.setPushToken(token: token) }
    }

    /// The phone's own number, as far as it is known: forwarding to it is worth a warning.
    public func setOwnNumber(_ number: String?) async throws {
        try await ask {
            try await $0.setDeviceFacts(callNotifications: nil, fullScreenIntent: nil, lineNumber: number)
        }
    }

    /// What happened lately, as JSON lines, for a bug report. No secrets; phone numbers, names and e-mail addresses are replaced. Writes
    /// a lot of text: not for the main thread.
    ///
    /// - Throws: ``HookswitchError/cancelled(why:)`` after ``close()``.
    public func transcript() throws -> String { try calling { try core.transcript() } }

    /// Stops all work, and loses nothing that matters: what a kill of the process would not lose. Later calls fail with
    /// ``HookswitchError/cancelled(why:)`` or do nothing, streams end. Calling it twice does no harm.
    public func close() {
        core.shutdown()
        hub.finish()
    }

    /// Asks the core; see `waiting`.
    func ask<Value: Sendable>(_ question: @escaping @Sendable (Core) async throws -> Value) async throws -> Value {
        let core = core
        return try await waiting {
            do {
                return try await question(core)
            } catch {
                throw HookswitchError(error)
            }
        }
    }
}

/// What the core tells, handed to streams. Called on a thread of the core, one call at a time and in order; never waits.
final class Hub: Observer {
    let states = Broadcast<AppState>(.latest)
    let session = Broadcast<SessionState>(.latest)
    let presence = Broadcast<PresenceState?>(.latest)
    let link = Broadcast<Link>(.latest)
    let calls = Broadcast<CallsState>(.latest)
    let stops = Broadcast<StoppedCall>(.each)

    func changed(state: AppState) {
        states.sendIfNew(state)
        session.sendIfNew(state.session)
        presence.sendIfNew(state.presence)
        link.sendIfNew(state.link)
        calls.sendIfNew(state.calls)
    }

    func stopRinging(call: StoppedCall) { stops.send(call) }

    /// The newest that is known. (The core tells the first before it is open.)
    var last: AppState { states.latest ?? appStateBeforeOpen() }

    func finish() {
        states.finish()
        session.finish()
        presence.finish()
        link.finish()
        calls.finish()
        stops.finish()
    }
}
