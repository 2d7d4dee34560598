import Foundation
public import HookswitchGenerated

extension Hookswitch {
    /// Signing in and out.
    public var session: Session { Session(hookswitch: self) }
    /// The agent's availability and forwarding, the same on every device.
    public var presence: Presence { Presence(hookswitch: self) }
    /// The calls on this phone.
    public var calls: Calls { Calls(hookswitch: self) }
    /// Whether this phone rings.
    public var ring: Ring { Ring(hookswitch: self) }

    /// Signing in and out.
    public struct Session: Sendable {
        let hookswitch: Hookswitch

        /// The session now. Each state has one obvious reaction.
        ///
        /// ```swift
        /// switch hookswitch.session.state {
        /// case .loading: show("a splash screen")
        /// case .locked: show("Unlock this phone.")
        /// case .signedOut(_, let message): show(message ?? "the sign-in page")
        /// case .signingIn(let completing): show(completing ? "a spinner" : "back to the browser, or cancel")
        /// case .signedIn(let agent, _, _): show("the app of \(agent.name ?? "somebody")")
        /// case .reauthRequired(let agent, _, let message): show("\(message) \(agent.email ?? "")")
        /// case .signingOut: show("the sign-in page")
        /// }
        /// ```
        public var state: SessionState { hookswitch.state.session }

        /// The session now and each change of it, coalesced to the latest. Ends when the core is closed.
        public var states: AsyncStream<SessionState> { hookswitch.hub.session.stream() }

        /// Starts a sign-in, and gives the address to open in the system browser. A newer one replaces an older one.
        ///
        /// ```swift
        /// let address = try await hookswitch.session.beginLogin(redirectURI: "dev.hookswitch.agent:/callback")
        /// show(address)
        /// ```
        ///
        /// - Parameters:
        ///   - hint: The e-mail address, if it is known.
        ///   - redirectURI: One of the configuration's.
        /// - Throws: ``HookswitchError/forbidden(why:)`` when somebody is signed in, ``HookswitchError/offline(why:)`` when the issuer
        ///   cannot be reached.
        public func beginLogin(hint: String? = nil, redirectURI: String) async throws -> URL {
            let address = try await hookswitch.ask { try await $0.beginLogin(hint: hint, redirectUri: redirectURI) }
            guard let url = URL(string: address) else {
                throw HookswitchError.internal(why: "The issuer's address is not an address.")
            }
            return url
        }

        /// Completes a sign-in with the address that the browser came back to. Hand in every address that comes to the redirect
        /// URI, whoever sent it: it is checked here. Returns when the tokens are stored.
        ///
        /// - Throws: ``HookswitchError/forbidden(why:)`` when it is not the redirect that is waited for (the sign-in then goes on
        ///   waiting) or the issuer refuses; ``HookswitchError/offline(why:)`` when it cannot be reached (the same redirect may be
        ///   tried again); ``HookswitchError/cancelled(why:)`` when the person declined or a newer sign-in has begun.
        public func finishLogin(redirect: URL) async throws {
            try await finishLogin(redirect: redirect.absoluteString)
        }

        /// As ``finishLogin(redirect:)-(URL)``, for an address that is text.
        public func finishLogin(redirect: String) async throws {
            try await hookswitch.ask { try await $0.finishLogin(redirect: redirect) }
        }

        /// Gives a sign-in up. Not to be called when the browser is merely minimised.
        public func cancelLogin() async throws {
            try await hookswitch.ask { try await $0.cancelLogin() }
        }

        /// A valid access token for requests of your own; refreshed before if need be, once for all who wait. Ask again for each
        /// request, and do not keep it.
        public func accessToken() async throws -> String {
            try await hookswitch.ask { try await $0.accessToken() }
        }

        /// Signs out. Holds at once, offline too; the issuer is told as soon as it can be reached.
        public func signOut() async throws {
            try await hookswitch.ask { try await $0.signOut() }
        }

        /// The issuer's page that ends its own session in the browser, to be opened after ``signOut()`` on a phone that several people
        /// share: else the cookie of one signs the next one in. `nil`: the issuer has no such page; an ephemeral browser, or
        /// ``SignInOptions/prompt``, does the same. `returnTo`: where the browser goes then, as registered with the issuer.
        ///
        /// - Throws: ``HookswitchError/cancelled(why:)`` after ``Hookswitch/close()``.
        public func signOutPage(returnTo: String? = nil) throws -> URL? {
            try calling { try hookswitch.core.signOutPage(returnTo: returnTo) }.flatMap { URL(string: $0) }
        }

        /// Signs the agent out on all devices, this one included. Needs the server: offline, nothing is changed anywhere.
        public func signOutEverywhere() async throws {
            try await hookswitch.ask { try await $0.signOutEverywhere() }
        }

        /// Signs the agent out in one place of ``PresenceState/signIns``; this phone's own as by ``signOut()``.
        ///
        /// - Throws: ``HookswitchError/offline(why:)`` when the server cannot be reached. A session that has ended already is no error.
        public func end(_ place: SessionId) async throws {
            try await hookswitch.ask { try await $0.endSession(session: place) }
        }

        /// Resets token and cache without losing the sign-in, and says what it did, one line a step.
        public func repair() async throws -> [String] {
            try await hookswitch.ask { try await $0.repair() }
        }
    }

    /// The agent's availability and forwarding, the same on every device.
    public struct Presence: Sendable {
        let hookswitch: Hookswitch

        /// What to show now; `nil` while nothing is known.
        public var state: PresenceState? { hookswitch.state.presence }

        /// What to show now and each change of it, coalesced to the latest. Ends when the core is closed.
        public var states: AsyncStream<PresenceState?> { hookswitch.hub.presence.stream() }

        /// How fresh all of it is.
        public var link: Link { hookswitch.state.link }

        /// How fresh all of it is, and each change.
        public var links: AsyncStream<Link> { hookswitch.hub.link.stream() }

        /// Sets the agent's availability; returns when the server has confirmed it.
        ///
        /// ```swift
        /// try await hookswitch.presence.setAvailability(.unavailable(reason: .outForLunch))
        /// ```
        ///
        /// - Throws: ``HookswitchError/offline(why:)`` when it could not be applied within ten seconds,
        ///   ``HookswitchError/cancelled(why:)`` when a newer choice replaced it.
        public func setAvailability(_ availability: Availability) async throws {
            try await hookswitch.ask { try await $0.setAvailability(availability: availability) }
        }

        /// Forwards all calls to a number, in the form of E.164; `nil` turns forwarding off. Returns when the server has confirmed
        /// it. While it is on, this phone does not ring.
        ///
        /// - Parameters:
        ///   - number: As the agent typed it; the server may want it verified first: ``sendCode(to:by:)``.
        ///   - until: When it ends by itself; `nil`: it does not.
        /// - Throws: As ``setAvailability(_:)``; ``HookswitchError/forbidden(why:)`` for what is no number, or when the server
        ///   refuses it.
        public func setForwarding(to number: String?, until: Date? = nil) async throws {
            try await hookswitch.ask { try await $0.setForwarding(to: number, until: until) }
        }

        /// Has the server send a code to a number, to see that it is the agent's.
        public func sendCode(to number: String, by delivery: CodeBy) async throws {
            try await hookswitch.ask { try await $0.sendCode(to: number, by: delivery) }
        }

        /// Tells the server the code that the agent has read.
        public func verify(_ number: String, code: String) async throws {
            try await hookswitch.ask { try await $0.verifyNumber(to: number, code: code) }
        }
    }

    /// The calls on this phone.
    public struct Calls: Sendable {
        let hookswitch: Hookswitch

        /// The calls now.
        public var state: CallsState { hookswitch.state.calls }

        /// The calls now and each change, coalesced to the latest. Ends when the core is closed.
        public var states: AsyncStream<CallsState> { hookswitch.hub.calls.stream() }

        /// Calls that rang on this phone and must stop. Ask for it before the first ``Ring/decide(_:mustReport:)``.
        ///
        /// ```swift
        /// for await stop in hookswitch.calls.stops {
        ///     show(stop.callID)
        /// }
        /// ```
        public var stops: AsyncStream<StoppedCall> { hookswitch.hub.stops.stream() }

        /// Answers on this phone; returns when the server has said that the call is ours. Until then it is
        /// ``PhoneCall/connecting``, and what is lost on the way is said again until the call's end.
        ///
        /// - Throws: ``HookswitchError/forbidden(why:)`` when somebody else was quicker, ``HookswitchError/cancelled(why:)`` when
        ///   the call ended or the agent hung up meanwhile, ``HookswitchError/offline(why:)`` when the server could not be
        ///   reached until the call's end.
        public func answer(_ callID: CallId) async throws {
            try await hookswitch.ask { try await $0.answer(callID: callID) }
        }

        /// Declines; this phone is silent at once.
        public func decline(_ callID: CallId) async throws {
            try await hookswitch.ask { try await $0.decline(callID: callID) }
        }

        /// Hangs up.
        public func hangUp(_ callID: CallId) async throws {
            try await hookswitch.ask { try await $0.hangUp(callID: callID) }
        }
    }

    /// Whether this phone rings.
    public struct Ring: Sendable {
        let hookswitch: Hookswitch

        /// Decides on a call push, from what is known on this phone: no network, no wait. Carry ``RingDecision/action`` out before
        /// you return to the push service.
        ///
        /// ```swift
        /// let payload = Data(#"{"kind": "incoming"}"#.utf8)
        /// do {
        ///     let decision = try hookswitch.ring.decide(payload, mustReport: true)
        ///     show(decision.action)
        /// } catch {
        ///     show("iOS: report a call and end it all the same")
        /// }
        /// ```
        ///
        /// - Parameters:
        ///   - payload: The push's JSON.
        ///   - mustReport: What PushKit says of the push; `true` where it says nothing.
        /// - Throws: ``HookswitchError/internal(why:)`` when the payload is not a call push.
        public func decide(_ payload: Data, mustReport: Bool) throws -> RingDecision {
            let text = String(decoding: payload, as: UTF8.self)
            return try calling { try hookswitch.core.decide(payload: text, mustReport: mustReport) }
        }

        /// The last 200 decisions about calls and ends of rings, oldest first, for support.
        ///
        /// - Throws: ``HookswitchError/cancelled(why:)`` after ``Hookswitch/close()``.
        public func log() throws -> [RingLogEntry] {
            try calling { try hookswitch.core.ringLog() }
        }
    }
}
