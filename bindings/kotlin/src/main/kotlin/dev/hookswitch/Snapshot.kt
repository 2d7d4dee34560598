package dev.hookswitch

/** Everything that an app shows, in one value. @property presence `null` while it is not known. @property link How fresh all of it is. */
public data class Snapshot(val session: SessionState, val presence: PresenceState?, val link: Link, val calls: CallsState)
