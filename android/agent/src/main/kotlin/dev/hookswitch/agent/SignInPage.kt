package dev.hookswitch.agent

import dev.hookswitch.SessionState

/** Signing in: what ended the last session, the browser, and completing. */
fun signInPage(session: SessionState, ui: Ui): Page {
    val signIn = Block.Button(Text(R.string.sign_in), Act.SignIn, Block.Button.Kind.MAIN, enabled = !ui.busy)
    val blocks: List<Block> = when (session) {
        SessionState.Loading -> listOf(Block.Progress)
        SessionState.Locked -> listOf(Block.Line(Text(R.string.locked)))
        is SessionState.SignedOut -> listOfNotNull(
            Block.Title(Text(R.string.welcome)),
            session.message?.let { Block.Notice(Text.said(it)) },
            Block.Line(Text(R.string.sign_in_about)),
            signIn,
        )
        is SessionState.SigningIn -> if (session.completing) {
            listOf(Block.Progress, Block.Line(Text(R.string.signing_in)))
        } else {
            listOf(
                Block.Line(Text(R.string.browser_open)),
                Block.Button(Text(R.string.back_to_browser), Act.SignIn, Block.Button.Kind.MAIN, enabled = !ui.busy),
                Block.Button(Text(R.string.cancel), Act.CancelSignIn),
            )
        }
        is SessionState.ReauthRequired -> listOfNotNull(
            Block.Title(Text(R.string.sign_in_again)),
            Block.Notice(Text.said(session.message)),
            (session.agent.email ?: session.agent.name)?.let { Block.Line(Text.said(it)) },
            signIn,
        )
        SessionState.SigningOut -> listOf(Block.Progress, Block.Line(Text(R.string.signing_out)))
        is SessionState.SignedIn -> listOf()
    }
    return Page(Text(R.string.app_name), ui.said() + blocks, back = false)
}
