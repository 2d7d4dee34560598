package dev.hookswitch.agent

import dev.hookswitch.Availability
import dev.hookswitch.CodeBy
import dev.hookswitch.SessionId
import dev.hookswitch.android.AudioEndpoint

/** What one screen shows, as a plain value: made by a pure function of what is known, and drawn by [PageView], which decides nothing. */
data class Page(val title: Text, val blocks: List<Block>, val back: Boolean = true)

/** A text for people: one of the resources, with what is filled in; or one that the core has said. */
data class Text(val id: Int, val words: List<String> = listOf(), val said: String? = null) {
    constructor(id: Int, vararg words: String) : this(id, words.toList())

    /** Makes texts of what the core says. */
    companion object {
        /** The core's own sentence, or a name. */
        fun said(text: String): Text = Text(0, listOf(), text)
    }
}

/** A part of a page, from top to bottom. */
sealed interface Block {
    /** A heading of a part of the page. */
    data class Heading(val text: Text) : Block

    /** Large: a status, a caller. */
    data class Title(val text: Text) : Block

    /** A sentence. */
    data class Line(val text: Text) : Block

    /** Something to mind, with what can be done about it. */
    data class Notice(val text: Text, val button: Button? = null) : Block

    /** A button. */
    data class Button(val text: Text, val act: Act, val kind: Kind = Kind.PLAIN, val enabled: Boolean = true) : Block {
        /** How it looks. */
        enum class Kind {
            /** One among others. */
            PLAIN,

            /** What one comes for. */
            MAIN,

            /** Ends something. */
            DANGER,

            /** Answers. */
            GO,
        }
    }

    /** One of several; [waiting]: chosen here, and the server has not confirmed it. */
    data class Choice(val text: Text, val chosen: Boolean, val waiting: Boolean, val act: Act) : Block

    /** Something to fill in; [name] is the key of [Ui.fields]. */
    data class Field(val name: String, val hint: Text, val kind: Kind) : Block {
        /** What is typed. */
        enum class Kind {
            /** A telephone number. */
            PHONE,

            /** A code of digits. */
            CODE,
        }
    }

    /** An entry of a list. */
    data class Row(val title: Text, val detail: Text, val button: Button? = null) : Block

    /** Something is under way. */
    data object Progress : Block
}

/** The screens that the agent goes to. The others come by themselves: signing in, a call. */
enum class Screen {
    /** Status and banner. */
    HOME,

    /** Where calls go. */
    FORWARDING,

    /** Calls on this phone, with their reasons. */
    CALLS,

    /** The agent's phones, and where the agent is signed in. */
    DEVICES,

    /** What the phone lets the app do. */
    PERMISSIONS,

    /** Resets token and cache. */
    REPAIR,

    /** Shares a transcript. */
    REPORT,

    /** What this is. */
    ABOUT,
}

/** What the agent does. [Agent] carries it out. */
sealed interface Act {
    /** Goes to a screen. */
    data class Go(val to: Screen) : Act

    /** Opens the sign-in page, again if it is open already. */
    data object SignIn : Act

    /** Gives a sign-in up. */
    data object CancelSignIn : Act

    /** Signs out here. */
    data object SignOut : Act

    /** Signs out everywhere. */
    data object SignOutEverywhere : Act

    /** Signs out in one place. */
    data class End(val place: SessionId) : Act

    /** Chooses a status. */
    data class Choose(val availability: Availability) : Act

    /** Forwards calls to the number that was typed, for so many hours; `null`: until somebody turns it off. */
    data class Forward(val hours: Int?) : Act

    /** Calls come to the apps. */
    data object ForwardingOff : Act

    /** Has a code sent to the number that was typed. */
    data class SendCode(val by: CodeBy) : Act

    /** Tells the code that was typed. */
    data object Verify : Act

    /** Repairs. */
    data object Repair : Act

    /** Shares the transcript. */
    data object Share : Act

    /** Opens the core again. */
    data object Retry : Act

    /** Asks for what is missing. */
    data class Grant(val missing: Missing) : Act

    /** Answers the call that is shown. */
    data object Accept : Act

    /** Declines it. */
    data object Reject : Act

    /** Ends it. */
    data object HangUp : Act

    /** Silences its ring. */
    data object Silence : Act

    /** Mutes it, or not. */
    data class Mute(val on: Boolean) : Act

    /** Holds it, or not. */
    data class Hold(val on: Boolean) : Act

    /** Hears it by another way. */
    data class Use(val endpoint: AudioEndpoint) : Act
}

/** What the phone does not let the app do, in the order in which it is asked for. */
enum class Missing {
    /** Nothing is shown when a call comes. */
    NOTIFICATIONS,

    /** The other side hears nothing. */
    MICROPHONE,

    /** The locked screen stays dark. */
    FULL_SCREEN,

    /** Calls may come late. */
    BATTERY,
}
