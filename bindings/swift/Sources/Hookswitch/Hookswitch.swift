import Foundation
internal import HookswitchGenerated

/// The core of one app on one phone: it signs in by the system browser, keeps the session, shows one and the same presence, and
/// decides whether this phone rings.
///
/// Connect once a process, as early as the process starts, also when a push started it. When ``connect(_:keys:log:clock:)`` returns, the
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

    private init(core: Core, hub: Hub) {
        self.core = core
        self.hub = hub
    }

    deinit { close() }

    /// Opens the vault and restores the session.
    ///
    /// - Parameters:
    ///   - configuration: What the app says about itself and its server.
    ///   - keys: The platform's key store.
    ///   - log: Gets the core's log, without secrets; `nil`: nobody reads it.
    ///   - clock: For tests; `nil`: the clocks of the device.
    /// - Throws: ``HookswitchError/internal(why:)`` for an unusable configuration, ``HookswitchError/storage(why:)`` when the vault
    ///   cannot be opened.
    public static func connect(
        _ configuration: Configuration,
        keys: any KeyProvider,
        log: (any LogSink)? = nil,
        clock: (any DeviceClock)? = nil
    ) async throws -> Hookswitch {
        let hub = Hub()
        // It reads files, so it is kept off the thread of whoever asks.
        return try await waiting {
            try calling {
                let core = try Core.open(
                    config: CoreConfig(configuration),
                    keys: ForeignKeys(keys),
                    observer: hub
                )
                return Hookswitch(core: core, hub: hub)
            }
        }
    }

    /// What to show now.
    public var snapshot: Snapshot { Snapshot(core.view()) }

    /// What to show now and each change of it, coalesced to the latest. Ends when the core is closed, or the task that reads it is
    /// cancelled. ``Session/states``, ``Presence/states`` and ``Calls/states`` are parts of it.
    public var snapshots: AsyncStream<Snapshot> { hub.snapshots.stream() }

    /// This installation's name among the agent's devices.
    public var deviceID: String { core.device() }

    /// The app comes to the foreground.
    public func foreground() { core.foreground() }

    /// The app goes to the background. After 20 s there is no stream and no timer.
    public func background() { core.background() }

    /// The device has a network, or has none.
    public func network(up: Bool) { core.network(up: up) }

    /// The device was unlocked for the first time since it started.
    public func unlocked() { core.unlocked() }

    /// The device's clock was set.
    public func clockChanged() { core.clockChanged() }

    /// Returns once all that is known is in the vault: wait for it within `beginBackgroundTask`. Also returns when the task is cancelled.
    public func saved() async {
        try? await waiting { [core] in await core.saved() }
    }

    /// The push service gave this phone an address, or took it back.
    public func setPushToken(_ token: String?) async throws {
        try await ask { try await $0.setPushToken(token: token) }
    }

    /// What happened lately, as JSON lines, for a bug report. No secrets; phone numbers, names and e-mail addresses are replaced. Writes a lot of
    /// text: not for the main thread.
    public func transcript() -> String { core.transcript() }

    /// Stops everything at once, as a kill of the process would, and loses nothing that matters. Later calls fail with
    /// ``HookswitchError/cancelled(why:)``, streams end. Calling it twice does no harm.
    public func close() {
        core.close()
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

/// What the core tells, handed to streams. Called on a thread of the core; never waits.
final class Hub: Observer {
    let snapshots = Broadcast<Snapshot>(.latest)
    let session = Broadcast<SessionState>(.latest)
    let presence = Broadcast<PresenceState?>(.latest)
    let link = Broadcast<Link>(.latest)
    let calls = Broadcast<CallsState>(.latest)
    let stops = Broadcast<StoppedCall>(.each)

    func changed(view: HookswitchGenerated.View) {
        let snapshot = Snapshot(view)
        snapshots.sendIfNew(snapshot)
        session.sendIfNew(snapshot.session)
        presence.sendIfNew(snapshot.presence)
        link.sendIfNew(snapshot.link)
        calls.sendIfNew(snapshot.calls)
    }

    func stopped(stop: HookswitchGenerated.StoppedCall) { stops.send(StoppedCall(stop)) }

    func finish() {
        snapshots.finish()
        session.finish()
        presence.finish()
        link.finish()
        calls.finish()
        stops.finish()
    }
}
