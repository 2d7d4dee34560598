/// Everything that an app shows, in one value: complete each time. Draw it, and keep no state of your own beside it.
public struct Snapshot: Hashable, Sendable {
    /// Who is signed in, and how well.
    public let session: SessionState
    /// The agent's presence; `nil` while nothing is known.
    public let presence: PresenceState?
    /// How fresh all of it is.
    public let link: Link
    /// The calls on this phone.
    public let calls: CallsState
}
