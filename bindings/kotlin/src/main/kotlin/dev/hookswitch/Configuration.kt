package dev.hookswitch

import java.io.File
import java.time.Duration

// By hand: what is generated has no defaults and takes a path as a text, and a data class with defaults reads best as Kotlin's own.
/**
 * What the app says about itself and its server.
 *
 * ```kotlin
 * val configuration = Configuration(
 *     issuer = "https://calls.example",
 *     server = "https://calls.example",
 *     clientId = "hookswitch-mobile",
 *     redirectUris = listOf("https://app.hookswitch.dev/callback", "dev.hookswitch.agent:/callback"),
 *     deviceName = "Alice's phone",
 *     appVersion = "1.0",
 *     folder = File("no-backup/hookswitch"),
 * )
 * ```
 *
 * @property issuer The authorization server, exactly as its metadata names it. `https`, or `http` on loopback.
 * @property server Where the API is. `https`, or `http` on loopback.
 * @property clientId RFC 6749, section 2.2.
 * @property redirectUris The registered redirect URIs, best first: a claimed https link, then a private-use scheme (RFC 8252, section 7).
 * @property deviceName For display.
 * @property appVersion The app's version.
 * @property folder A folder of the app's own that is not backed up: on Android, in `Context.getNoBackupFilesDir()`.
 * @property profile What kind of issuer it is. [IssuerProfile.UNKNOWN] takes all care and is never wrong.
 * @property platform What a ring decision means for the call UI. An Android app leaves it.
 * @property process The kind of process that this is. Processes that share the folder need different names.
 * @property proxy An HTTP proxy for all requests, `http://host:port`, where a network demands one.
 * @property signIn What a sign-in asks the issuer for.
 * @property sessionLife How long after a sign-in the issuer ends the session whatever happens, where its policy is known: the agent is told
 * three days before, by [SessionHealth.ENDING].
 */
public data class Configuration
@JvmOverloads
constructor(
    val issuer: String,
    val server: String,
    val clientId: String,
    val redirectUris: List<String>,
    val deviceName: String,
    val appVersion: String,
    val folder: File,
    val profile: IssuerProfile = IssuerProfile.UNKNOWN,
    val platform: Platform = Platform.ANDROID,
    val process: String = "app",
    val proxy: String? = null,
    val signIn: SignInOptions = SignInOptions(),
    val sessionLife: Duration? = null,
)

/**
 * What a sign-in asks the issuer for. Issuers differ, and some refuse what others need.
 *
 * @property scopes RFC 6749, section 3.3, with `openid` among them. Nothing: the usual ones, with `offline_access`, which most issuers give a
 * refresh token for, and Amazon Cognito refuses.
 * @property resources The APIs that the access token is for (RFC 8707).
 * @property prompt What the page asks of the person in any case: `login` on a phone that several people share, `consent`, `select_account`.
 * @property uiLocales The languages of the page, best first: `fr-CA fr en`.
 * @property extra What one issuer has and no standard: `audience` (Auth0), `kc_idp_hint` (Keycloak), `domain_hint` (Entra ID).
 */
public data class SignInOptions
@JvmOverloads
constructor(
    val scopes: List<String>? = null,
    val resources: List<String> = emptyList(),
    val prompt: String? = null,
    val uiLocales: String? = null,
    val extra: Map<String, String> = emptyMap(),
)

internal fun Configuration.core() = CoreConfig(
    issuer = issuer,
    server = server,
    clientId = clientId,
    redirectUris = redirectUris,
    profile = profile,
    scopes = signIn.scopes,
    resources = signIn.resources,
    prompt = signIn.prompt,
    uiLocales = signIn.uiLocales,
    loginParameters = signIn.extra,
    sessionLife = sessionLife,
    deviceName = deviceName,
    platform = platform,
    appVersion = appVersion,
    folder = folder.path,
    process = process,
    proxy = proxy,
)
