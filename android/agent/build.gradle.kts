plugins {
    alias(libs.plugins.android.application)
    alias(libs.plugins.kotlin.android)
}

android {
    namespace = "dev.hookswitch.agent"
    compileSdk = 36

    defaultConfig {
        applicationId = "dev.hookswitch.agent"
        minSdk = 26
        targetSdk = 36
        versionCode = 1
        versionName = project(":hookswitch").version.toString()
    }

    buildTypes {
        release {
            isMinifyEnabled = true
            proguardFiles(getDefaultProguardFile("proguard-android-optimize.txt"))
        }
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }
}

kotlin { jvmToolchain(17) }

dependencies { implementation(project(":hookswitch")) }
