package dev.hookswitch.lab

import com.google.gson.JsonElement
import com.google.gson.JsonObject
import com.google.gson.JsonParser
import java.net.URI
import java.net.http.HttpClient
import java.net.http.HttpRequest
import java.net.http.HttpResponse

/** The operator's door of the reference backend (`--operator-key FILE`): makes calls, and shows what would be pushed. */
class Operator(private val backend: String, private val key: String) {
    private val client = HttpClient.newHttpClient()

    /** A customer calls an agent. Gives the payload of the push that goes out for it; [asOldServer]: also while calls are forwarded. */
    fun call(email: String, from: String, asOldServer: Boolean = false): String {
        ask("old-server", mapOf("on" to asOldServer))
        val call = ask("calls", mapOf("email" to email, "from" to from)).asJsonObject["call"].asJsonObject["call_id"]
        val pushes = ask("outbox", null).asJsonArray.map { it.asJsonObject["payload"].asJsonObject }
        return pushes.last { it["call_id"] == call }.toString()
    }

    /** The access tokens of an agent run out now. */
    fun expireTokens(email: String) {
        ask("expire-access-tokens", mapOf("email" to email))
    }

    /** What the backend has counted, by name. */
    fun refreshes(email: String): Int = ask("refreshes?email=$email", null).toString().split("\"generation\"").size - 1

    private fun ask(what: String, body: Map<String, Any>?): JsonElement {
        val request = HttpRequest.newBuilder(URI("$backend/operator/$what")).header("Authorization", "Bearer $key")
        if (body != null) {
            val json = JsonObject()
            body.forEach { (name, value) -> if (value is Boolean) json.addProperty(name, value) else json.addProperty(name, "$value") }
            request.header("Content-Type", "application/json").POST(HttpRequest.BodyPublishers.ofString("$json"))
        }
        val answer = client.send(request.build(), HttpResponse.BodyHandlers.ofString())
        check(answer.statusCode() < 300) { "$what: ${answer.statusCode()} ${answer.body()}" }
        return if (answer.body().isEmpty()) JsonObject() else JsonParser.parseString(answer.body())
    }
}
