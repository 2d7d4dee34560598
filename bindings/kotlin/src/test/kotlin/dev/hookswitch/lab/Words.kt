package dev.hookswitch.lab

import com.google.gson.JsonArray
import com.google.gson.JsonElement
import com.google.gson.JsonNull
import com.google.gson.JsonObject
import com.google.gson.JsonPrimitive
import dev.hookswitch.Availability
import dev.hookswitch.HookswitchException
import dev.hookswitch.UnavailableReason
import java.lang.reflect.Modifier
import java.time.Instant

// How tests/scenarios/PHONES.md writes values: whatever the core shows, without knowing its types.

fun json(vararg fields: Pair<String, Any?>): JsonObject =
    JsonObject().apply { fields.forEach { (name, value) -> add(name, element(value)) } }

fun element(value: Any?): JsonElement = when (value) {
    null -> JsonNull.INSTANCE
    is JsonElement -> value
    is String -> JsonPrimitive(value)
    is Number -> JsonPrimitive(value)
    is Boolean -> JsonPrimitive(value)
    is Instant -> JsonPrimitive(value.toEpochMilli())
    is Enum<*> -> JsonPrimitive(value.name.lowercase())
    is List<*> -> JsonArray().apply { value.forEach { add(element(it)) } }
    else -> fields(value)
}

/** A data class, or one of the kinds of a sealed class: `{"kind": "signed_out", "why": "never"}`. */
private fun fields(value: Any): JsonObject = JsonObject().apply {
    val type = value.javaClass
    if (type.superclass != Any::class.java) addProperty("kind", type.simpleName.inSnakeCase())
    for (field in type.declaredFields.filterNot { Modifier.isStatic(it.modifiers) }) {
        field.isAccessible = true
        add(field.name.inSnakeCase(), element(field.get(value)))
    }
}

private fun String.inSnakeCase() = replace(Regex("(?<!^)[A-Z]")) { "_" + it.value }.lowercase()

val HookswitchException.kind: String
    get() = javaClass.simpleName.inSnakeCase()

/** The words of `set_availability`. */
fun availability(word: String): Availability = when (word) {
    "available" -> Availability.Available
    "automatic" -> Availability.Automatic
    else -> Availability.Unavailable(UnavailableReason.valueOf(word.uppercase()))
}
