plugins {
    alias(libs.plugins.android.library)
    alias(libs.plugins.kotlin.android)
    `maven-publish`
}

val root = rootDir.parentFile

/** The value of `key = "value"` in a TOML file, after a line that is `after`. */
fun toml(file: String, after: String, key: String): String = root.resolve(file).readLines()
    .dropWhile { it.trim() != after }
    .firstNotNullOfOrNull { Regex("""^$key = "(.*)"$""").find(it)?.groupValues?.get(1) }
    ?: error("$file has no $key after $after")

group = "dev.hookswitch"
version = toml("Cargo.toml", "[workspace.package]", "version")

android {
    namespace = "dev.hookswitch.android"
    compileSdk = 36
    ndkVersion = libs.versions.ndk.get()

    defaultConfig {
        minSdk = 26
        consumerProguardFiles("consumer-rules.pro")
    }

    sourceSets["main"].apply {
        kotlin.srcDirs("../../bindings/kotlin/src/main/kotlin", root.resolve("target/bindings/kotlin"))
        jniLibs.srcDir(root.resolve("target/android/jniLibs"))
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }

    publishing { singleVariant("release") { withSourcesJar() } }
}

kotlin { jvmToolchain(17) }

dependencies {
    api(libs.coroutines)
    implementation(libs.jna) { artifact { type = "aar" } }
    implementation(libs.rustls.platform.verifier) {
        version { strictly(toml("Cargo.lock", "name = \"rustls-platform-verifier-android\"", "version")) }
    }
}

// The library and the generated sources; cargo knows by itself what is up to date.
val core by tasks.registering(Exec::class) {
    description = "Builds the core for all processors of phones, and generates the Kotlin sources."
    commandLine(root.resolve("android/build-core.sh"))
    environment("ANDROID_NDK_HOME", android.ndkDirectory)
}

tasks.named("preBuild") { dependsOn(core) }

publishing {
    publications {
        register<MavenPublication>("release") {
            artifactId = "hookswitch"
            afterEvaluate { from(components["release"]) }
            pom {
                name = "Hookswitch"
                description = "The shared core of the mobile apps of a cloud phone system."
                licenses {
                    license { name = "MIT" }
                    license { name = "Apache-2.0" }
                }
            }
        }
    }
    // Where to is the publisher's business: -PpublishTo=URL, or publishToMavenLocal.
    repositories {
        providers.gradleProperty("publishTo").orNull?.let { address ->
            maven {
                setUrl(address)
                credentials(PasswordCredentials::class)
                name = "publish"
            }
        }
    }
}
