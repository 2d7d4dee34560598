pluginManagement {
    repositories {
        google()
        mavenCentral()
        gradlePluginPortal()
    }
}

dependencyResolutionManagement {
    repositoriesMode = RepositoriesMode.FAIL_ON_PROJECT_REPOS
    repositories {
        google()
        mavenCentral()
        // The Kotlin half of rustls-platform-verifier is in a Maven repository of its own; its README, section "Android", has the
        // address. Give it in ~/.gradle/gradle.properties or with -PrustlsRepository=...
        providers.gradleProperty("rustlsRepository").orNull?.let { maven(it) }
    }
}

rootProject.name = "hookswitch-android"
include(":hookswitch", ":agent")
