#if os(iOS) || STAND_INS
import AuthenticationServices
import CallKit
import Foundation
import Hookswitch
import HookswitchApple

/// The app, without its screens: made synchronously at launch, before anything else. Views show ``front`` and the screens, and call it.
///
/// ```swift ios
/// let calls = PhoneCalls(CXProviderConfiguration())
/// let opener = CoreOpener { try await Hookswitch.connect(configuration, keys: keys) } opened: { calls.attach($0) }
/// opener.start()
/// ```
@MainActor public final class AgentModel {
    /// PushKit, CallKit and the audio session.
    public let calls: PhoneCalls
    /// Called after each change: draw anew.
    public var changed: @MainActor () -> Void = {}
    /// What the agent should be told, until it is read.
    public private(set) var message: String?
    /// How far a repair is.
    public private(set) var repair = HelpScreen.Repair.idle
    /// The core, once it is open.
    public private(set) var hookswitch: Hookswitch?
    private let redirectURI: String
    private let time: Clock
    private var failure: String?
    private var opener: CoreOpener<Hookswitch>?
    private var signIn: BrowserSignIn?
    private var events: PlatformEvents?
    private var tasks: [Task<Void, Never>] = []

    /// `open`: how the core is opened; tried until it succeeds.
    public init(
        redirectURI: String, media: any MediaPort = SessionAudio(), time: @escaping Clock,
        open: @escaping @Sendable () async throws -> Hookswitch
    ) {
        self.redirectURI = redirectURI
        self.time = time
        calls = PhoneCalls(CXProviderConfiguration(), media: media)
        let opener = CoreOpener(open: open) { [weak self] in self?.opened($0) }
        opener.changed = { [weak self] state in
            if case .failed(let why, _) = state { self?.failure = why }
            self?.changed()
        }
        self.opener = opener
        calls.wantsCore = { opener.openNow() }
        follow(calls.states) { model, _ in model.changed() }
        follow(calls.problems) { model, problem in
            switch problem {
            case .notShown: model.say(text("call_not_shown"))
            case .notAnswered(_, let why): model.say(text("call_not_answered", why))
            }
        }
        opener.start()
    }

    deinit {
        for task in tasks { task.cancel() }
    }

    private func opened(_ core: Hookswitch) {
        failure = nil
        hookswitch = core
        calls.attach(core)
        events = PlatformEvents(core)
        follow(core.states) { model, _ in model.changed() }
    }

    private func follow<Value: Sendable>(
        _ stream: AsyncStream<Value>, _ each: @escaping @MainActor (AgentModel, Value) -> Void
    ) {
        tasks.append(
            Task { [weak self] in
                for await value in stream {
                    guard let self else { return }
                    each(self, value)
                }
            })
    }

    /// What stands in front.
    public var front: Front { Front(state: hookswitch?.state, failure: failure, calls: calls.calls, time: time) }
    /// Where calls go.
    public var forwarding: ForwardingScreen { ForwardingScreen(hookswitch?.presence.state, time: time) }
    /// What rang, and why not.
    public var log: CallsScreen { CallsScreen((try? hookswitch?.ring.log()) ?? [], time: time) }
    /// The agent's phones and sign-ins.
    public var devices: DevicesScreen { DevicesScreen(hookswitch?.presence.state, me: hookswitch?.deviceID, time: time) }

    // MARK: What the agent presses

    /// On the page of somebody who is not signed in.
    public func press(_ action: SignInScreen.Action, window: ASPresentationAnchor) async {
        switch action {
        case .tryAgain: opener?.openNow()
        case .signIn(let hint):
            await ask { core in
                let signIn = BrowserSignIn(core, window: window)
                self.signIn = signIn
                try await signIn.signIn(hint: hint, redirectURI: self.redirectURI)
            }
        case .backToBrowser:
            await ask { core in
                if let signIn = self.signIn {
                    try await signIn.resume()
                } else {
                    // The app was restarted meanwhile: a new page takes the place of the old one.
                    let signIn = BrowserSignIn(core, window: window)
                    self.signIn = signIn
                    try await signIn.signIn(redirectURI: self.redirectURI)
                }
            }
        case .cancel: await ask { try await $0.session.cancelLogin() }
        }
    }

    /// On the page of a call.
    public func press(_ action: CallScreen.Action, call: CallId) async {
        await ask { _ in
            switch action {
            case .answer: try await self.calls.answer(call)
            case .decline, .hangUp: try await self.calls.end(call)
            case .mute(let muted): try await self.calls.setMuted(call, muted)
            case .hold(let held): try await self.calls.setOnHold(call, held)
            }
        }
    }

    /// A status is chosen.
    public func choose(_ availability: Availability) async { await ask { try await $0.presence.setAvailability(availability) } }

    /// Calls go to a number, or to the apps again.
    public func forward(to number: String?, _ length: ForwardingScreen.Length = .forGood, now: Date = Date()) async {
        await ask {
            try await $0.presence.setForwarding(to: number, until: ForwardingScreen.end(of: length, now: now))
        }
    }

    /// Signs out on this phone.
    public func signOut() async { await ask { try await $0.session.signOut() } }

    /// Signs out in one place.
    public func end(_ place: SessionId) async { await ask { try await $0.session.end(place) } }

    /// Resets token and cache, and keeps the sign-in.
    public func startRepair() async {
        guard let hookswitch, repair != .running else { return }
        repair = .running
        changed()
        do {
            repair = .done(try await hookswitch.session.repair())
        } catch {
            repair = .failed((error as? HookswitchError)?.why ?? "\(error)")
        }
        changed()
    }

    /// The report, to be shared; `nil`: there is none.
    public func report() async -> String? {
        guard let hookswitch else { return nil }
        return await Task.detached { try? hookswitch.transcript() }.value
    }

    /// A link opened the app.
    public func opened(_ link: URL) async {
        await ask { core in
            if let signIn = self.signIn {
                try await signIn.opened(link)
            } else {
                try await core.session.finishLogin(redirect: link)
            }
        }
    }

    /// The message has been read.
    public func read() {
        message = nil
        changed()
    }

    private func say(_ words: String) {
        message = words
        changed()
    }

    /// Does something, and says what the agent should hear of it when it does not succeed.
    private func ask(_ what: @escaping @MainActor (Hookswitch) async throws -> Void) async {
        guard let hookswitch else { return say(text("wait")) }
        do {
            try await what(hookswitch)
        } catch HookswitchError.cancelled {
            // A newer choice, or the agent, put an end to it.
        } catch is CancellationError {
            // The page is gone.
        } catch let error as HookswitchError {
            say(text("not_applied", error.why))
        } catch {
            say(text("not_applied", error.localizedDescription))
        }
        changed()
    }
}
#endif
