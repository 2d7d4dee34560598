package dev.hookswitch.lab

import java.net.URI
import java.net.URLEncoder
import java.net.http.HttpClient
import java.net.http.HttpRequest
import java.net.http.HttpResponse

/**
 * A system browser without a screen, for examples and tests: signs in on the pages of the reference backend, and says where they lead.
 * (It reads no HTML but theirs, one form whose fields are written one way: two patterns, where a parser would be one more dependency of
 * every example.)
 */
class DemoBrowser {
    private val client = HttpClient.newBuilder().followRedirects(HttpClient.Redirect.NEVER).build()

    // By hand: Java keeps secure cookies back from loopback addresses, and a browser does not.
    private val cookies = mutableMapOf<String, String>()

    /** Opens an address, fills in the sign-in page, and gives the app's address that the browser ends at. */
    fun signIn(address: String, email: String = "alice@acme.example", password: String = "correct horse battery staple"): String {
        val (place, html) = load(HttpRequest.newBuilder(URI(address))) ?: return ended
        val fields =
            Regex("<input type=\"hidden\" name=\"([^\"]*)\" value=\"([^\"]*)\"").findAll(html).map {
                it.groupValues[1] to it.groupValues[2]
            } + sequenceOf("email" to email, "password" to password)
        val form = fields.joinToString("&") { (name, value) -> "${encoded(name)}=${encoded(value)}" }
        val action = Regex("<form[^>]*action=\"([^\"]*)\"").find(html)?.groupValues?.get(1).orEmpty()
        val request =
            HttpRequest.newBuilder(place.resolve(action))
                .header("Content-Type", "application/x-www-form-urlencoded")
                .POST(HttpRequest.BodyPublishers.ofString(form))
        check(load(request) == null) { "the pages did not lead back to the app" }
        return ended
    }

    private var ended = ""

    /** Follows redirects as long as they lead to web pages; `null`: they led to the app. */
    private fun load(first: HttpRequest.Builder): Pair<URI, String>? {
        var request = first
        repeat(20) {
            if (cookies.isNotEmpty()) request.header("Cookie", cookies.entries.joinToString("; "))
            val answer = client.send(request.build(), HttpResponse.BodyHandlers.ofString())
            for (cookie in answer.headers().allValues("Set-Cookie")) {
                val (name, value) = cookie.substringBefore(';').split('=', limit = 2)
                cookies[name] = value
            }
            val here = answer.uri()
            val to = answer.headers().firstValue("Location").orElse(null)
            if (answer.statusCode() !in 300..399 || to == null) return here to answer.body()
            val next = runCatching { here.resolve(to) }.getOrNull()
            if (next == null || next.scheme != "http" || next.authority != here.authority) {
                ended = to
                return null
            }
            request = HttpRequest.newBuilder(next)
        }
        error("the redirects go round in circles")
    }

    private fun encoded(text: String) = URLEncoder.encode(text, Charsets.UTF_8)
}
